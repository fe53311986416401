"""Ranks of methods with intervals, and the probability that a method is the best one.

As in Wiesenfarth et al. 2021 ("Methods and open-source toolkit for analyzing and visualizing challenge results"), ranks
are drawn again many times. They resample test cases; here the means are drawn from the model of the tests
(:mod:`cordlesion.statistics.crossed`), over subjects and seeds: few seeds can be pooled over losses, but not resampled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy import stats

from cordlesion.io.arrays import FloatArray, IndexArray
from cordlesion.statistics.crossed import SeedNoise, estimate_seed_noise

_TAILS = (0.025, 0.975)
_MIN_SUBJECTS = 2


@dataclass(frozen=True)
class Rank:
    """Where a method stands among others."""

    mean: float
    """Mean score over subjects and seeds."""
    rank: int
    """1 is the best; equal means share the better rank."""
    low: int
    """95 % interval of the rank."""
    high: int
    p_best: float
    """Probability that its true mean is the highest; NaN with fewer than two subjects, as the interval is then all."""


def rank_methods(
    scores: Sequence[FloatArray],
    *,
    members: Mapping[int, Sequence[int]] = MappingProxyType({}),
    n_draws: int = 4000,
    seed: int = 0,
) -> list[Rank]:
    """Rank methods by their mean scores on the same subjects.

    The true means are drawn around the observed ones: with the covariance of the methods over subjects (a Bayesian
    bootstrap with normal weights, scaled to Student's t), plus the seed noise of each method with several seeds. No
    method is preferred beforehand, so the probability of being best is too high for the leader of nearly equal methods.

    Args:
        scores: Of each method, shape (seeds, subjects), with the same subjects in all. The noise of a method with one
            seed is unknown and counts as none.
        members: Ensembles, by their place in ``scores``, with the places of the losses of their members: the seed noise
            of an ensemble is that of its loss, the largest of several, as in the tests.
        n_draws: Number of draws.
        seed: Of the draws.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.statistics import rank_methods
        >>> ease = np.linspace(0.2, 0.8, 12)
        >>> better, worse = rank_methods([ease[None] + 0.1, ease[None] + 0.01 * np.cos(np.arange(12))])
        >>> better.rank, better.p_best, (worse.low, worse.high)
        (1, 1.0, (2, 2))
    """
    means = np.array([one.mean() for one in scores])
    by_subject = np.stack([one.mean(axis=0) for one in scores])
    n_methods, n_subjects = by_subject.shape
    observed = _ranks(means[None])[0]
    if n_subjects < _MIN_SUBJECTS:
        return [Rank(float(m), int(r), 1, n_methods, np.nan) for m, r in zip(means, observed, strict=True)]
    rng = np.random.default_rng(seed)
    drawn = means + _subject_errors(by_subject, n_draws, rng) + _seed_errors(scores, members, n_draws, rng)
    ranks = _ranks(drawn)
    low, high = np.quantile(ranks, _TAILS, axis=0, method="inverted_cdf")
    best = (ranks == 1).mean(axis=0)
    columns = zip(means, observed, low, high, best, strict=True)
    return [Rank(float(m), int(r), int(a), int(b), float(p)) for m, r, a, b, p in columns]


def _ranks(scores: FloatArray) -> IndexArray:
    ranks: IndexArray = stats.rankdata(-scores, method="min", axis=1).astype(np.intp)
    return ranks


def _subject_errors(by_subject: FloatArray, n_draws: int, rng: np.random.Generator) -> FloatArray:
    """Draw errors of the means of all methods, shape (draws, methods), with their covariance over subjects."""
    n = by_subject.shape[1]
    centred = by_subject - by_subject.mean(axis=1, keepdims=True)
    normal = rng.standard_normal((n_draws, n)) @ centred.T / np.sqrt(n * (n - 1))
    errors: FloatArray = normal / _chi(n - 1, n_draws, rng)
    return errors


def _seed_errors(
    scores: Sequence[FloatArray], members: Mapping[int, Sequence[int]], n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Draw errors due to the seeds, shape (draws, methods)."""
    several = [k for k, one in enumerate(scores) if len(one) > 1]
    errors = np.zeros((n_draws, len(scores)))
    if several:
        noise = estimate_seed_noise([scores[k] for k in several])
        variance = {k: _own_variance(one) for k, one in zip(several, noise, strict=True)}
        variance |= {k: max((variance.get(one, 0.0) for one in of), default=0.0) for k, of in members.items()}
        normal = rng.standard_normal((n_draws, len(variance))) * np.sqrt(list(variance.values()))
        errors[:, list(variance)] = normal / _chi(noise[0].total_freedom, n_draws, rng)
    return errors


def _own_variance(noise: SeedNoise) -> float:
    """Return the variance due to seeds without the residual part, which the variance between subjects contains."""
    return max(float(noise.variance - noise.rest), 0.0)


def _chi(freedom: int, n_draws: int, rng: np.random.Generator) -> FloatArray:
    root: FloatArray = np.sqrt(rng.chisquare(freedom, (n_draws, 1)) / freedom)
    return root
