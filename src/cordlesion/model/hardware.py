"""Device, precision and memory format, chosen once for training and prediction."""

import contextlib
import ctypes
import functools
import platform
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from cordlesion.config import Precision
from cordlesion.errors import CordlesionError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Parameters of glibc's ``mallopt``: free memory at the top that is kept; size and number of blocks mapped singly."""


@dataclass(frozen=True)
class Hardware:
    """Where and how a network computes."""

    device: torch.device
    half_precision: bool
    """bfloat16 autocast; weights, losses and sums stay float32."""

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Enter bfloat16 autocast where the processor has it."""
        if not self.half_precision:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def place(self, patches: torch.Tensor) -> torch.Tensor:
        """Move patches (B, 1, X, Y, Z) to the device, channels last: the layout its convolutions are fastest in."""
        return patches.to(self.device, memory_format=torch.channels_last_3d)

    @property
    def precision(self) -> Literal["bf16-mixed", "32-true"]:
        """Lightning's name of the precision."""
        return "bf16-mixed" if self.half_precision else "32-true"

    def numbered(self, process: int) -> "Hardware":
        """Return what one of several processes computes on: a GPU of its own, or its part of the CPU.

        Raises:
            CordlesionError: There are not so many GPUs.
        """
        if self.device.type != "cuda":
            return self
        if process >= torch.cuda.device_count():
            found = torch.cuda.device_count()
            raise CordlesionError(
                f"`training.devices` asks for {process + 1} or more GPUs, but {found} can be used here. Lower it, or "
                "get more GPUs."
            )
        return replace(self, device=torch.device("cuda", process))

    def at(self, precision: Precision) -> "Hardware":
        """Return the hardware as it computes at a precision that a study asks for."""
        return self if precision == "auto" else replace(self, half_precision=False)

    def describe(self) -> str:
        """Name device and precision for the manifest."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return f"{name}, {self.precision}, {torch.get_num_threads()} threads"


def channels_last(network: nn.Module) -> nn.Module:
    """Lay out a network's weights channels last, in place; a network with other than 3-D layers stays as it is."""
    if all(weights.dim() != 4 for weights in network.state_dict().values()):
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's own signature lacks it
    return network


def choose_hardware() -> Hardware:
    """Take a CUDA device where there is one, else the CPU; bfloat16 only where the hardware computes in it.

    Where it is the CPU, this process keeps freed memory from now on.
    """
    if torch.cuda.is_available():
        return Hardware(torch.device("cuda"), torch.cuda.is_bf16_supported(including_emulation=False))
    _keep_freed_memory()
    return Hardware(torch.device("cpu"), bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


@functools.cache
def _keep_freed_memory() -> None:
    """Have the C library keep up to 2 GiB that are freed: PyTorch frees and requests each layer's output again.

    glibc gives every block above 32 MiB back to the system at once, and gets it back page by page, filled with zeros.
    That took a quarter of a training step and of a prediction. No layer of a usual batch is larger than 256 MiB;
    what is larger, whole volumes, is given back as ever. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    # Older versions refuse more than 32 MiB, and then would map all blocks above 128 KiB singly.
    if not mallopt(_M_MMAP_THRESHOLD, 2**28):
        mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Return the freed memory that was kept for the next layer: what comes now is a large scan's own (glibc)."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
