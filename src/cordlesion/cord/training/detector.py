"""Trains the network that finds the cord, on simulated slices only.

``python -m cordlesion.cord.training.detector`` simulates the slices, trains, writes the weights into the package, and
prints the error on other simulated scans (validation).
"""

import argparse
import copy
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cordlesion.cord import network as cord_network
from cordlesion.cord.training.augment import Sample, augment, samples_of
from cordlesion.cord.training.disturbances import LocatedScan
from cordlesion.cord.training.validation import draw_validation_scans, search_error_mm
from cordlesion.io.arrays import Array
from cordlesion.io.processors import available_processors
from cordlesion.io.progress import track
from cordlesion.io.writing import atomic_path
from cordlesion.simulate.axial_slices import Part, draw_training_stacks

Weights: TypeAlias = dict[str, Tensor]
"""Weight and bias of every layer, by name."""
FILTERS = (16, 32, 64)
INPUTS = 4 * cord_network.NEIGHBOURS * len(cord_network.NEIGHBOURHOODS)
STACKS_PER_SUBJECT, SLICES_PER_STACK = 3, 5
BATCH = 16
LEARNING_RATE, WARM_UP_STEPS, CONSTANT_SHARE, LAST_RATE = 2e-3, 200, 0.6, 0.05
AVERAGED_AT = (2 / 3, 5 / 6)
"""The weights are averaged over these shares of the steps; the training ends at the last one."""
BATCHES_AHEAD = 12
EMA_DECAY = 0.998
VALIDATION_SEED = 70
"""Added to the training seed, so that validation scans and training slices have no subject in common."""
POSITIVE_MM, NEGATIVE_MM = 3.0, 7.0
"""Cells closer to the centre of the cord than the first are positive, cells farther away than the second are negative;
cells in between are ignored by the loss."""
IGNORED_MM = 15.0
"""Around the centre of an uncertain part, cells up to this distance are ignored by the loss."""
_CHANNELS = {Part.CORD: (0,), Part.BRAINSTEM: (1,), Part.SAC: (2,), Part.BRAINSTEM_OR_CORD: (0, 1),
             Part.CORD_OR_SAC: (0, 2), Part.BRAINSTEM_OR_NOTHING: (1,)}  # fmt: skip
_CERTAIN = (Part.CORD, Part.BRAINSTEM, Part.SAC)
SHOWN = torch.tensor([[int(k in _CHANNELS.get(part, ())) for k in range(3)] for part in Part], dtype=torch.bool)
"""For each :class:`Part` the outputs that may be positive near its centre."""
CERTAIN = torch.tensor([part in _CERTAIN for part in Part])
POSITIVE_WEIGHT = 3.0
OFFSET_WEIGHT = 0.5


class CordNetwork(nn.Module):
    """The network of :mod:`cordlesion.cord.network` as a torch module."""

    def __init__(self) -> None:
        """Initialise the weights."""
        super().__init__()
        fine, middle, coarse = FILTERS
        self.fine1, self.fine2, self.fine3 = _block(INPUTS, fine), _block(fine, fine), _block(fine, fine)
        self.middle1, self.middle2, self.middle3 = _block(fine, middle), _block(middle, middle), _block(middle, middle)
        self.coarse1, self.coarse2 = _block(middle, coarse), _block(coarse, coarse)
        self.coarse3 = _block(coarse, coarse)
        self.up_middle, self.up_fine = nn.Conv2d(coarse, middle, 1), nn.Conv2d(middle, fine, 1)
        self.output = nn.Conv2d(fine, 5, 1)
        nn.init.zeros_(self.output.weight)
        # Few cells are positive; this initial bias saves the first hundred steps.
        self.output.bias = nn.Parameter(torch.tensor([-5.0, -6.0, -6.0, 0.0, 0.0]))

    def forward(self, images: Tensor) -> Tensor:
        """Map slices (B, 6, X, Y) to log-odds and offsets (B, 5, X / 2, Y / 2)."""
        fine = self.fine2(self.fine1(functional.pixel_unshuffle(images, 2)))
        middle = self.middle2(self.middle1(functional.max_pool2d(fine, 2)))
        coarse = self.coarse3(self.coarse2(self.coarse1(functional.max_pool2d(middle, 2))))
        middle = self.middle3(middle + functional.interpolate(self.up_middle(coarse), scale_factor=2))
        fine = self.fine3(fine + functional.interpolate(self.up_fine(middle), scale_factor=2))
        logits: Tensor = self.output(fine)
        return logits


def folded(network: CordNetwork) -> Weights:
    """Return weight and bias of every layer, with batch normalisation folded into the convolutions."""
    weights: Weights = {}
    for name, layer in copy.deepcopy(network).named_children():
        plain = _folded(layer) if isinstance(layer, nn.Sequential) else layer
        weights |= {f"{name}.{key}": value.detach().contiguous() for key, value in plain.named_parameters()}
    return weights


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def _folded(block: nn.Sequential) -> nn.Module:
    convolution, normalization = block[0], block[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(normalization, nn.BatchNorm2d)
    return nn.utils.fuse_conv_bn_eval(convolution.eval(), normalization.eval())


def detector_loss(output: Tensor, centers: Tensor, parts: Tensor) -> Tensor:
    """Return the cross-entropy of the cells plus, near the centre, the error of the offset to it; per slice.

    Args:
        output: Output of the network, shape (B, 5, X, Y).
        centers: Centre of what a slice shows, in pixels of the input, NaN for nothing; shape (B, 2).
        parts: What each slice shows, a :class:`Part`, shape (B,).
    """
    axes = [torch.arange(n) * 2 + 0.5 for n in output.shape[2:]]
    mesh = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    away = torch.nan_to_num(centers, 1e4)[:, :, None, None] - mesh
    distance = away.norm(dim=1)[:, None]
    shown, certain = SHOWN[parts][:, :, None, None], CERTAIN[parts][:, None, None, None]
    positive = (distance < POSITIVE_MM) & shown & certain
    ignored = shown & torch.where(certain, (distance >= POSITIVE_MM) & (distance <= NEGATIVE_MM), distance < IGNORED_MM)
    entropy = functional.binary_cross_entropy_with_logits(
        output[:, :3], positive.float(), weight=~ignored * (1 + (POSITIVE_WEIGHT - 1) * positive.float()),
        reduction="sum",
    )  # fmt: skip
    missed = functional.smooth_l1_loss(output[:, 3:], away / cord_network.OFFSET_MM, reduction="none", beta=0.1).sum(1)
    loss: Tensor = (entropy + OFFSET_WEIGHT * (missed * (distance[:, 0] < NEGATIVE_MM)).sum()) / len(output)
    return loss


def train(samples: Sequence[Sample], steps: int, seed: int, jobs: int = 1) -> Weights:
    """Train a network; the same samples, steps and seed give the same weights on the same machine.

    The weights are an exponential moving average over about 500 steps (Polyak & Juditsky 1992), averaged again over
    two of its steps (Izmailov 2018, arXiv 1803.05407), after which the training ends.

    Args:
        samples: Training slices.
        steps: Number of steps over which the learning rate falls, with batches of 16 slices.
        seed: Seed of the initial weights, the order and the augmentation.
        jobs: Number of processes that augment slices.
    """
    averaged_at = {round(share * steps) for share in AVERAGED_AT}
    kept = []
    with _deterministic(seed):
        network = CordNetwork()
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True)  # type: ignore[no-untyped-call]
        optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_rate, steps=steps))
        last = max(averaged_at)
        batches = track(_batches(samples, last, seed, jobs), "train the cord detector", last)
        for step, batch in enumerate(batches, start=1):
            images, centers, parts = (torch.from_numpy(each) for each in batch)
            loss = detector_loss(network(images), centers, parts)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 20.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
            if step in averaged_at:
                kept.append(folded(averaged.module))  # type: ignore[arg-type]
    return {name: torch.stack([weights[name] for weights in kept]).mean(dim=0) for name in kept[0]}


def _rate(step: int, steps: int) -> float:
    """Return the factor of the learning rate: a warm-up, then constant, then falling over the last 40 %."""
    falling = min(1.0, (steps - step) / ((1 - CONSTANT_SHARE) * steps))
    return min(1.0, (step + 1) / WARM_UP_STEPS) * max(LAST_RATE, falling)


def _batches(samples: Sequence[Sample], steps: int, seed: int, jobs: int) -> Iterator[tuple[Array, ...]]:
    """Yield the augmented batches; each has its own random numbers, so the number of processes changes nothing."""
    if jobs == 1:
        for step in range(steps):
            yield _batch(samples, seed, step)
        return
    # Processes are forked, so they share the memory of the samples.
    with ProcessPoolExecutor(jobs, get_context("fork"), _share, (samples,)) as pool:
        waiting = deque(pool.submit(_shared_batch, seed, step) for step in range(min(steps, BATCHES_AHEAD)))
        for step in range(steps):
            yield waiting.popleft().result()
            if step + BATCHES_AHEAD < steps:
                waiting.append(pool.submit(_shared_batch, seed, step + BATCHES_AHEAD))


def _batch(samples: Sequence[Sample], seed: int, step: int) -> tuple[Array, ...]:
    rng = np.random.default_rng((seed, step))
    batch = augment([samples[k] for k in rng.integers(len(samples), size=BATCH)], rng)
    return tuple(each.numpy() for each in batch)


_shared: list[Sample] = []


def _share(samples: Sequence[Sample]) -> None:
    torch.set_num_threads(1)
    _shared[:] = samples


def _shared_batch(seed: int, step: int) -> tuple[Array, ...]:
    return _batch(_shared, seed, step)


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Make torch deterministic and seed it inside the context; restore the state of the caller afterwards."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def validation_error_mm(scans: Sequence[LocatedScan], weights: Weights) -> float:
    """Print and return the mean error of the detector on simulated scans."""
    arrays = {name: weight.numpy() for name, weight in weights.items()}
    error = float(np.mean([search_error_mm(scan, arrays) for scan in scans]))
    print(f"the cord of {len(scans)} simulated scans is found within {error:.2f} mm")
    return error


def draw_samples(subjects: int, seed: int, jobs: int) -> list[Sample]:
    """Simulate the slices of ``subjects`` subjects."""
    with ProcessPoolExecutor(jobs) as pool:
        drawn = pool.map(partial(_subject_samples, seed), range(subjects))
        return [sample for samples in track(drawn, "simulate slices", subjects) for sample in samples]


def _subject_samples(seed: int, subject: int) -> list[Sample]:
    stacks = draw_training_stacks(seed, subject, STACKS_PER_SUBJECT, SLICES_PER_STACK)
    return [sample for stack in stacks for sample in samples_of(stack)]


def write_weights(weights: Weights, path: Path) -> None:
    """Write the weights as safetensors, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(weights))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(prog="python -m cordlesion.cord.training.detector", description=__doc__)
    parser.add_argument("--output", type=Path, default=cord_network.WEIGHTS, help="where to write the weights")
    parser.add_argument(
        "--subjects",
        type=int,
        default=2000,
        help=f"simulated subjects, of {STACKS_PER_SUBJECT * SLICES_PER_STACK} slices each",
    )
    parser.add_argument("--steps", type=int, default=6000, help=f"batches of {BATCH} slices")
    parser.add_argument("--validation", type=int, default=44, help="simulated scans of each kind for validation")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    jobs = available_processors()
    samples = draw_samples(options.subjects, options.seed, jobs)
    weights = train(samples, options.steps, options.seed, jobs)
    write_weights(weights, options.output)
    validation_error_mm(draw_validation_scans(options.validation, options.seed + VALIDATION_SEED, jobs), weights)


if __name__ == "__main__":
    main()
