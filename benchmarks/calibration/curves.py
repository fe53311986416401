"""Curves of F1 over the threshold of simulated studies with known truth: many trainings on the same scans.

Lesion voxels of a scan have logits around a centre, its background has a tail that reaches above the threshold.
Effects of subject and scan are shared by all trainings; others belong to a loss on a scan, or to a training on a scan.
Trainings differ in quality (as their losses and seeds do) and in confidence, which moves the best threshold only. Tuned
to real maps: standard deviation over scans 0.2, of seeds 0.02 to 0.05, correlation of two losses over scans 0.8.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from cordlesion.threshold import THRESHOLDS, ThresholdScans
from cordlesion.threshold.grid import Grid

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

GRID = Grid(np.array(THRESHOLDS))
# At t = 0 all voxels are lesion; at t = 1 the logit is infinite.
_T = np.clip(GRID.thresholds, 1e-9, 1 - 1e-9)
_LOGIT = np.log(_T / (1 - _T))
_FAINT = 0.12
"""Share of scans whose lesions are so faint that almost no voxel is found."""
_OWN = 0.5
"""Standard deviation of the effects of a loss, and of a training, on a scan."""


@dataclass(frozen=True)
class Design:
    """Losses, seeds, and how much they differ in quality (in units of the logit, about 0.1 F1 each)."""

    n_losses: int
    n_seeds: int
    losses_sd: float
    seeds_sd: float


@dataclass(frozen=True, eq=False)
class Trainings:
    """The trainings of one study, shape (losses, seeds, 1, 1)."""

    lesion: Array
    """Mean logit of lesion voxels in a scan of medium difficulty."""
    background: Array
    """Mean logit of the background."""


def draw_trainings(rng: np.random.Generator, design: Design) -> Trainings:
    """Draw the quality and the confidence of every training."""
    one, all_of_them = (design.n_losses, 1, 1, 1), (design.n_losses, design.n_seeds, 1, 1)
    confidence = rng.normal(0, 1.0, one) + rng.normal(0, 0.6, all_of_them)
    quality = rng.normal(0, design.losses_sd, one) + rng.normal(0, design.seeds_sd, all_of_them)
    return Trainings(-0.6 + confidence + quality, -7.4 + confidence)


def draw_curves(rng: np.random.Generator, trainings: Trainings, subject: Places) -> Array:
    """Return F1 of new scans at every threshold, shape (losses, seeds, scans, thresholds).

    Args:
        rng: Of the scans.
        trainings: By which they are segmented.
        subject: The subject of each scan, from 0.
    """
    n_losses, n_seeds = trainings.lesion.shape[:2]

    def effect(shape: tuple[int, int], of_subject: float, of_scan: float) -> Array:
        subjects = rng.normal(0, of_subject, (*shape, int(subject.max()) + 1))[..., subject]
        effects: Array = subjects + rng.normal(0, of_scan, (*shape, len(subject)))
        return effects

    ease = effect((1, 1), 0.5, 0.5) - 5 * (rng.random(len(subject)) < _FAINT)
    ease = ease + effect((n_losses, 1), 0.7 * _OWN, 0.7 * _OWN) + effect((n_losses, n_seeds), 0, _OWN)
    reach = effect((1, 1), 0.6, 0.6) + effect((n_losses, 1), 0.7 * _OWN, 0.7 * _OWN)
    reach = reach + effect((n_losses, n_seeds), 0, _OWN)
    # Ratio of background voxels to lesion voxels.
    ratio = np.exp(rng.normal(4.6, 0.8, len(subject)))
    found = ndtr((trainings.lesion + 1.1 * ease[..., None] - _LOGIT) / 2.4)
    false = ratio[:, None] * ndtr((trainings.background + reach[..., None] - _LOGIT) / 2.6)
    f1: Array = 2 * found / (1 + found + false)
    return f1


def as_scans(f1: Array, subject: Places) -> list[ThresholdScans]:
    """Return the curves of each training, (losses, seeds, scans, thresholds), as the package arranges them."""
    runs = f1.reshape(-1, *f1.shape[2:])
    free = np.zeros(len(subject), dtype=bool)
    return [ThresholdScans(GRID, run[None], subject, free, 0) for run in runs]
