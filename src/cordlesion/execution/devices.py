"""How many trainings run in parallel on this machine, and on which device each (standard library only)."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from cordlesion.io.processors import available_processors

_PROCESSORS_PER_RUN = 2
"""One prepares batches for the device, one is left for the rest."""
_FREE_SHARE = 0.9
"""Share of a device's free memory that is planned for trainings: allocators cannot use all of it."""


@dataclass(frozen=True)
class Sharing:
    """How trainings may share a device."""

    runs_per_device: int | Literal["auto"]
    memory_gib: float
    """Estimated GPU memory of one training."""
    devices_per_run: int = 1
    """With several devices per training, trainings run one after the other."""
    nodes_per_run: int = 1
    """Nodes that train one network together, each with ``devices_per_run`` devices."""


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use."""

    name: str
    """As ``CUDA_VISIBLE_DEVICES`` takes it."""
    free_gib: float


def training_slots(sharing: Sharing) -> list[str | None]:
    """Return the device of each parallel training: a GPU's name, or None for the processors."""
    if sharing.devices_per_run > 1:
        return [None]
    gpus = find_gpus()
    if not gpus:
        return [None] * (1 if sharing.runs_per_device == "auto" else sharing.runs_per_device)
    runs = [_runs_on(gpu, sharing, len(gpus)) for gpu in gpus]
    # Round-robin over the devices: a few trainings are spread over many devices.
    return [gpu.name for k in range(max(runs)) for gpu, count in zip(gpus, runs, strict=True) if k < count]


def find_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use, as ``nvidia-smi`` lists them.

    A device that is not listed (a part of a GPU, for example) is used too, but not shared.
    """
    if not shutil.which("nvidia-smi") or "+cpu" in version("torch"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = [f"--id={visible}"] if visible else []
    if visible == "":
        return []
    answer = subprocess.run(
        ["nvidia-smi", "--query-gpu=uuid,memory.free", "--format=csv,noheader,nounits", *chosen],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.partition(", ") for line in answer.stdout.splitlines()] if answer.returncode == 0 else []
    return [Gpu(name, float(mib) / 1024) for name, _, mib in rows if mib.strip().isdigit()]


def _runs_on(gpu: Gpu, sharing: Sharing, n_gpus: int) -> int:
    if sharing.runs_per_device != "auto":
        return sharing.runs_per_device
    by_memory = int(gpu.free_gib * _FREE_SHARE / sharing.memory_gib)
    return max(1, min(by_memory, available_processors() // (_PROCESSORS_PER_RUN * n_gpus)))
