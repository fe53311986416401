"""One training step with 8 patches of 48 x 48 x 48: ours, and the gain of each of its three settings; and the loop.

The others are PyTorch with the same network, loss and optimiser, but without the precision or the memory format of ours
or, in separate processes, without the reuse of freed memory.

python benchmarks/bench_training_step.py [rounds]
"""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from _apart import Apart
from _rows import Figure, Row, figures, run
from _targets import TRAINING_LOOP, TRAINING_STEP, TRAINING_STEP_FLOAT32
from _timing import alternate
from torch.utils.flop_counter import FlopCounterMode

from cordlesion.config import LossConfig, NetworkConfig, PatchConfig, RunConfig, TrainingConfig
from cordlesion.losses import LOSSES
from cordlesion.model.hardware import choose_hardware
from cordlesion.model.unet3d import UNet3d
from cordlesion.patches.grid import patch_starts
from cordlesion.training import TrainingStack, fit, pack_stacks
from cordlesion.training.module import OPTIMIZERS

BATCH, SIZE = 8, 48
LENGTHS = (276, 348)
"""Slices of the stacks in the loop; they have 48 patches."""
N = 1024
"""Rows and columns of the matrices of the floor."""
PLAIN = "plain PyTorch (float32, default layout)"
Step = Callable[..., None]


def make_step(
    device: torch.device,
    half_precision: bool,
    channels_last: bool,
    shape: tuple[int, int, int] = (SIZE, SIZE, SIZE),
    filters: tuple[int, ...] = (16, 32, 64),
) -> Step:
    """Return a step (forward, Tversky loss, backward, Adam) on a new network, and on a new batch unless given."""
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    network = UNet3d(filters).to(device, memory_format=layout)
    noise = torch.randn(BATCH, 1, *shape, device=device).contiguous(memory_format=layout)
    spots = (torch.rand(noise.shape, device=device) < 0.01).float()
    optimizer = OPTIMIZERS["adam"](network.parameters(), lr=1e-4)

    def step(patches: torch.Tensor = noise, lesion: torch.Tensor = spots) -> None:
        optimizer.zero_grad()
        autocast = torch.autocast(device.type, dtype=torch.bfloat16) if half_precision else contextlib.nullcontext()
        with autocast:
            loss = LOSSES["tversky"](network(patches), lesion)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def multiplications(step: Callable[[], object], device: torch.device, dtype: torch.dtype) -> Callable[[], object]:
    """Return products of large matrices with as many multiplications as a step needs."""
    with FlopCounterMode(display=False) as counter:
        step()
    matrix = torch.randn(N, N, device=device, dtype=dtype)
    times = round(counter.get_total_flops() / (2 * N**3))

    def multiply() -> None:
        for _ in range(times):
            matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize()

    return multiply


def measure(rounds: int) -> list[Row]:
    """Time ours (the choice of ``choose_hardware`` on this machine), default PyTorch, and variants in between."""
    hardware = choose_hardware()
    device, half = hardware.device, hardware.half_precision
    ours = f"cordlesion ({hardware.precision}, channels last, freed memory kept)"
    step = make_step(device, half, True)
    floor = f"its multiplications alone, as products of {N} × {N} matrices"
    candidates: dict[str, Callable[[], object]] = {
        ours: step,
        floor: multiplications(step, device, torch.bfloat16 if half else torch.float32),
        PLAIN: Apart(make_step, device, False, False),
        "as ours, freed memory given back": Apart(make_step, device, half, True),
        "as ours, default layout": make_step(device, half, False),
        "as plain PyTorch, freed memory kept": make_step(device, False, False),
    }
    if half:
        candidates["as ours, float32"] = make_step(device, False, True)
    medians = alternate(candidates, rounds)
    others = tuple(Figure(name, medians[name]) for name in candidates if name not in (ours, PLAIN, floor))
    note = f"U-Net 16, 32, 64, Tversky loss, Adam, {hardware.describe()}."
    stage = TRAINING_STEP if half else TRAINING_STEP_FLOAT32
    return [Row(stage, *figures(medians, ours, [PLAIN], floor), others, note), loop_row(step, rounds)]


def monai_epoch(stacks: Sequence[TrainingStack], starts: Sequence[int], step: Step) -> Callable[[], float]:
    """Return an epoch of the step on the same patches, with flips, rotations, standardisation and batches by MONAI."""
    from monai.data import DataLoader, Dataset
    from monai.transforms import Compose, NormalizeIntensityd, RandFlipd, RandRotate90d

    keys = ("image", "lesion")
    patches = [
        {key: torch.from_numpy(getattr(stack, key)[None, ..., start : start + SIZE]).float() for key in keys}
        for stack, start in zip(stacks, starts, strict=True)
    ]
    flips = [RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)]
    changes = Compose([*flips, RandRotate90d(keys, prob=0.75), NormalizeIntensityd("image")])
    loader = DataLoader(Dataset(patches, changes), batch_size=BATCH, shuffle=True)
    layout = {"device": choose_hardware().device, "memory_format": torch.channels_last_3d}

    def epoch() -> float:
        start = time.perf_counter()
        for batch in loader:
            step(*(batch[key].as_tensor().to(**layout) for key in keys))
        return time.perf_counter() - start

    return epoch


def loop_row(step: Step, rounds: int) -> Row:
    """Compare epochs of real trainings with the same number of single steps."""
    config = RunConfig(
        loss=LossConfig(name="tversky"),
        seed=0,
        network=NetworkConfig(),
        patches=PatchConfig(size_voxels=SIZE),
        training=TrainingConfig(epochs=1, batch_size=BATCH, learning_rate=1e-4),
    )
    stacks = make_stacks(LENGTHS)
    train, validation = pack_stacks(stacks), pack_stacks(make_stacks((SIZE,)))
    places = [
        (stack, start)
        for stack, length in zip(stacks, LENGTHS, strict=True)
        for start in patch_starts(length, SIZE, config.patches.overlap_fraction)
    ]
    n_steps = -(-len(places) // BATCH)

    def epoch() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return fit(config, train, validation, Path(folder) / "checkpoint.ckpt").history[0]["seconds"]

    def bare() -> float:
        start = time.perf_counter()
        for _ in range(n_steps):
            step()
        return time.perf_counter() - start

    monai = monai_epoch(*zip(*places, strict=True), step)
    turns = [(epoch(), monai(), bare()) for _ in range(rounds + 1)][1:]  # the first one fills caches
    loop, batched, alone = (statistics.median(seconds) / n_steps for seconds in zip(*turns, strict=True))
    floor = Figure("the bare step, one batch in memory", alone)
    note = f"Epochs of {n_steps} steps as studies train, the validation of one patch included; seconds per step."
    peer = Figure("the same step, batches by MONAI's transforms and loader", batched)
    return Row(TRAINING_LOOP, Figure("cordlesion, whole epoch", loop), (peer,), floor, note=note)


def make_stacks(lengths: Sequence[int]) -> list[TrainingStack]:
    """Return cord stacks of noise with some lesion."""
    rng = np.random.default_rng(0)
    stacks = []
    for length in lengths:
        lesion = np.zeros((SIZE, SIZE, length), bool)
        lesion[20:28, 20:28, 10:30] = True
        stacks.append(TrainingStack(rng.normal(size=lesion.shape).astype(np.float32) + lesion, lesion))
    return stacks


if __name__ == "__main__":
    run(measure, 3, __doc__)
