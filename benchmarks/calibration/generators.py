"""Scores of simulated studies with known truth: similar to F1, or sums of effects.

All arrays of scores have the shape (studies, losses, seeds, scans). Two sets of a study (threshold and test) are drawn
with the same ``luck``, the luck of each training, since the same networks are measured on both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

Array = npt.NDArray[np.float64]

ZEROS = 0.12
"""Share of scans with a score of 0; with the beta distribution below the mean is 0.40 and the SD 0.22."""
_BETA = (3.29, 3.95)
BETWEEN_LOSSES, WITHIN_LOSS = 0.7, 0.8
"""Correlation over scans of single runs of two losses and of one loss, as in real maps."""
EXAMPLE_SDS = (0.051, 0.013, 0.022, 0.116, 0.019, 0.063, 0.060)
"""Standard deviations between seeds of seven losses, from three seeds each in the example report."""

_LATENT = np.linspace(-8, 8, 4001)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Design:
    """Scans of a study, and differences between losses."""

    owners: npt.NDArray[np.int64]
    """The subject of each scan, from 0."""
    seed_sds: tuple[float, ...]
    """Standard deviation between seeds of the mean score, one per loss."""
    gaps: tuple[float, ...]
    """True mean score of each loss minus that of the worst loss."""
    n_seeds: int

    @property
    def n_losses(self) -> int:
        """Number of losses."""
        return len(self.gaps)


def owners(n_scans: int, n_subjects: int) -> npt.NDArray[np.int64]:
    """Distribute scans over subjects as evenly as possible, sorted by subject."""
    return np.sort(np.arange(n_scans) % n_subjects).astype(np.int64)


def draw_luck(rng: np.random.Generator, n_studies: int, design: Design) -> Array:
    """Draw the random effect of each training: standard normal, shape (studies, losses, seeds, 1)."""
    return rng.standard_normal((n_studies, design.n_losses, design.n_seeds, 1))


def f1_scores(rng: np.random.Generator, design: Design, luck: Array, *, zeros_stay: bool = False) -> Array:
    """Draw scores like voxel F1: zero-inflated beta, with effects of subject, scan, loss on a subject and training.

    Every loss has the same distribution of scores whatever its noise between seeds, so equal losses are exactly equal.
    A better loss has its latent score shifted (fewer zeros too), or with ``zeros_stay`` its other scores raised.
    """
    n_studies = len(luck)
    shape = (n_studies, design.n_losses, design.n_seeds, len(design.owners))
    latent = np.sqrt(BETWEEN_LOSSES) * _of_subjects(rng, (n_studies, 1, 1), design)
    latent = latent + np.sqrt(WITHIN_LOSS - BETWEEN_LOSSES) * _of_subjects(rng, (n_studies, design.n_losses, 1), design)
    latent = latent + np.sqrt(1 - WITHIN_LOSS) * rng.standard_normal(shape)
    share = np.array([_luck_share(sd) for sd in design.seed_sds])[:, None, None]
    latent = np.sqrt(1 - share) * latent + np.sqrt(share) * luck
    shifts = [0.0 if zeros_stay else _shift(gap) for gap in design.gaps]
    scores = np.stack([np.interp(latent[:, k], _LATENT, _quantiles(shift)) for k, shift in enumerate(shifts)], axis=1)
    if not zeros_stay:
        return scores
    raised = np.array(design.gaps)[:, None, None] / (1 - ZEROS)
    return np.where(scores > 0, np.minimum(scores + raised, 1), 0)


def plain_scores(rng: np.random.Generator, design: Design, luck: Array) -> Array:
    """Draw sums of scan effect (SD 0.2), training effect, and little noise (SD 0.02): seed noise dominates."""
    n_studies, n_scans = len(luck), len(design.owners)
    ease = rng.normal(0.5, 0.2, (n_studies, 1, 1, n_scans))
    noise = rng.normal(0, 0.02, (n_studies, design.n_losses, design.n_seeds, n_scans))
    gaps, sds = (np.array(values)[:, None, None] for values in (design.gaps, design.seed_sds))
    return ease + gaps + sds * luck + noise


def subject_means(scores: Array, owner: npt.NDArray[np.int64]) -> Array:
    """Average scans by subject: shape (..., scans) to (..., subjects)."""
    belongs = owner[:, None] == np.arange(owner.max() + 1)
    means: Array = scores @ (belongs / belongs.sum(axis=0))
    return means


def _of_subjects(rng: np.random.Generator, shape: Sequence[int], design: Design) -> Array:
    """Draw standard normal effects; half of the variance is common to the scans of a subject."""
    of_subject = rng.standard_normal((*shape, design.owners.max() + 1))[..., design.owners]
    effects: Array = (of_subject + rng.standard_normal((*shape, len(design.owners)))) / np.sqrt(2)
    return effects


@cache
def _quantiles(shift: float) -> Array:
    """Return the scores at the latent grid."""
    share = stats.norm.cdf(_LATENT + shift)
    inner: Array = stats.beta.ppf(np.clip((share - ZEROS) / (1 - ZEROS), 0, 1), *_BETA)
    return np.where(share < ZEROS, 0, inner)


def _mean_by_luck(share: float, shift: float = 0.0) -> Array:
    latent = np.sqrt(1 - share) * _NODES[:, None] + np.sqrt(share) * _NODES
    means: Array = _WEIGHTS @ np.interp(latent, _LATENT, _quantiles(shift))
    return means


@cache
def _luck_share(sd: float) -> float:
    """Return the share of the latent variance that gives mean scores of seeds the standard deviation."""

    def excess(share: float) -> float:
        means = _mean_by_luck(share)
        return float(np.sqrt(_WEIGHTS @ (means - _WEIGHTS @ means) ** 2)) - sd

    return float(optimize.brentq(excess, 0, 0.98)) if sd else 0.0


@cache
def _shift(gap: float) -> float:
    """Return the shift of the latent score that raises the mean score by the gap."""

    def excess(shift: float) -> float:
        return float(_WEIGHTS @ (_mean_by_luck(0, shift) - _mean_by_luck(0))) - gap

    return float(optimize.brentq(excess, -1e-9, 4)) if gap else 0.0
