"""How many trainings this machine bears at a time, and on which device each (standard library only)."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from cordlesion.io.processors import available_processors

_PROCESSORS_PER_RUN = 2
"""One prepares what the device computes, one is left for the rest."""
_FREE_SHARE = 0.9
"""Of a device's free memory, what trainings are planned for: allocators do not fill it to the last byte."""


@dataclass(frozen=True)
class Sharing:
    """What is known of trainings that may share a device."""

    runs_per_device: int | Literal["auto"]
    memory_gib: float
    """That one of them takes on a GPU, estimated."""
    devices_per_run: int = 1
    """Where a training has several, trainings come one after the other."""
    nodes_per_run: int = 1
    """Machines that train one network together, each with so many devices."""


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use."""

    name: str
    """As ``CUDA_VISIBLE_DEVICES`` takes it."""
    free_gib: float


def training_slots(sharing: Sharing) -> list[str | None]:
    """Return the device of each training that runs at the same time: a GPU's name, or None for the processors."""
    if sharing.devices_per_run > 1:
        return [None]
    gpus = find_gpus()
    if not gpus:
        return [None] * (1 if sharing.runs_per_device == "auto" else sharing.runs_per_device)
    runs = [_runs_on(gpu, sharing, len(gpus)) for gpu in gpus]
    # In rounds over the devices: few trainings are spread over many.
    return [gpu.name for k in range(max(runs)) for gpu, count in zip(gpus, runs, strict=True) if k < count]


def find_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use, as NVIDIA's own program tells them.

    One that is not told (a part of a GPU, say) is used all the same, but not shared.
    """
    if not shutil.which("nvidia-smi") or "+cpu" in version("torch"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = [f"--id={visible}"] if visible else []
    if visible == "":
        return []
    told = subprocess.run(
        ["nvidia-smi", "--query-gpu=uuid,memory.free", "--format=csv,noheader,nounits", *chosen],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.partition(", ") for line in told.stdout.splitlines()] if told.returncode == 0 else []
    return [Gpu(name, float(mib) / 1024) for name, _, mib in rows if mib.strip().isdigit()]


def _runs_on(gpu: Gpu, sharing: Sharing, n_gpus: int) -> int:
    if sharing.runs_per_device != "auto":
        return sharing.runs_per_device
    by_memory = int(gpu.free_gib * _FREE_SHARE / sharing.memory_gib)
    return max(1, min(by_memory, available_processors() // (_PROCESSORS_PER_RUN * n_gpus)))
