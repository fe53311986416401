"""Power of the crossed test of methods in a study that is planned, and the number of subjects that it needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import stats

from cordlesion.io.arrays import FloatArray
from cordlesion.statistics.crossed import (
    POWER,
    CrossedTest,
    SeedNoise,
    combine_variances,
    least_p,
    pool_seed_noise,
)
from cordlesion.statistics.paired import MIN_PAIRS

MOST_SUBJECTS = 2000
"""Larger studies are not planned."""
_N_DRAWS = 1000
_LEVELS = (np.arange(_N_DRAWS) + 0.5) / _N_DRAWS
_SURELY_FOUND = 30.0
"""Standard errors beyond the critical value from which a difference is always found."""


@dataclass(frozen=True)
class SeedPlan:
    """Seed noise of the losses of a study."""

    variance: float
    """Variance between seeds of the mean score of a loss, for any number of subjects; the mean over losses."""
    rest: float
    """Variance of the score of one subject between seeds beyond that."""
    n_losses: int
    """Losses with several seeds, over which the noise is pooled."""
    n_seeds: int
    """Seeds of each, two or more."""
    inequality: float = 0.0
    """How unequal the variances of the losses are: variance of ``variance`` over losses / its square."""


@dataclass(frozen=True)
class PlannedTest:
    """The crossed test of a weighted sum of methods, such as a difference, in a study of any size."""

    subjects: float
    """Variance between subjects of the weighted sum, without the residual of single trainings."""
    weights: tuple[float, ...] = ()
    """Weights of the losses whose seed noise takes part, such as (-1, 1); none if the test is about given trainings."""
    seeds: SeedPlan | None = None
    """None if the test is about given trainings."""

    def with_seeds(self, n_seeds: int) -> "PlannedTest":
        """Return the same test with other numbers of seeds."""
        return self if self.seeds is None else replace(self, seeds=replace(self.seeds, n_seeds=n_seeds))

    def power(self, gap: float, n_subjects: int, *, level: float = 0.05) -> float:
        """Return the probability that a true difference is found, in its direction.

        The variances that the test estimates differ from study to study. They are drawn (multiples of chi-square), the
        verdict's own formulas give the critical difference for each, and the normal distribution the probability that
        it is exceeded. A single noncentral t with average degrees of freedom is wrong by up to 20 points for two or
        three seeds.

        Args:
            gap: True difference, in the mean over subjects; above 0.
            n_subjects: Number of subjects.
            level: Two-sided significance level, such as 0.05 divided by the number of comparisons. This is the first
                step of Holm's correction: the power is higher if other comparisons are significant, too.
        """
        if n_subjects < MIN_PAIRS or least_p(n_subjects) > level:
            return 0.0
        if self.seeds is None:
            return self._power_without_seeds(gap, n_subjects, level)
        critical, error = self._critical(self.seeds, n_subjects, level)
        return float(stats.norm.sf((critical - gap) / error).mean()) if error.all() else 1.0

    def needed(self, gap: float, *, level: float = 0.05, power: float = POWER) -> int | None:
        """Return the smallest number of subjects that gives the power; None if :data:`MOST_SUBJECTS` do not."""
        low, high = MIN_PAIRS - 1, MOST_SUBJECTS
        if not (gap > 0 and self.power(gap, high, level=level) >= power):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.power(gap, middle, level=level) >= power else (middle, high)
        return high

    def _power_without_seeds(self, gap: float, n_subjects: int, level: float) -> float:
        """Return the power of the t test over subjects: noncentral t."""
        if self.subjects == 0:
            return 1.0
        distance, freedom = gap / math.sqrt(self.subjects / n_subjects), n_subjects - 1
        critical = float(stats.t.isf(level / 2, freedom))
        # Far beyond the critical value the library's noncentral t is undefined.
        return float(stats.nct.sf(critical, freedom, distance)) if distance < critical + _SURELY_FOUND else 1.0

    def _critical(self, plan: SeedPlan, n_subjects: int, level: float) -> tuple[FloatArray, FloatArray]:
        """Return critical differences for drawn variances, and the true standard errors of the difference."""
        squares = float(np.square(self.weights).sum())
        between = (self.subjects + squares * plan.rest / plan.n_seeds) / n_subjects
        rest = np.asarray(plan.rest / n_subjects)
        true = [plan.variance * _multiples(plan.inequality, 1001 + k) for k in range(plan.n_losses)]
        own = [(one + rest) * _draws(plan.n_seeds - 1, 1 + k) for k, one in enumerate(true)]
        pooled = pool_seed_noise(own, [rest] * plan.n_losses, [plan.n_seeds] * plan.n_losses)
        noise = [one.weighted(weight) for one, weight in zip(pooled, self.weights, strict=False)]
        variance, reference = combine_variances(between * _draws(n_subjects - 1, 0), n_subjects - 1, noise)
        luck = sum(weight**2 * one for weight, one in zip(self.weights, true, strict=False)) / plan.n_seeds
        return reference.critical(level / 2) * np.sqrt(variance), np.sqrt(between + luck)


@cache
def _draws(freedom: int, which: int) -> FloatArray:
    """Return equally likely values of chi-square / freedom, in a random order of their own for each variance."""
    values = stats.chi2.ppf(_LEVELS, freedom) / freedom
    return np.random.default_rng(which).permutation(values)


@cache
def _multiples(inequality: float, which: int) -> FloatArray:
    """Return equally likely values with mean 1 and a variance (gamma distribution), in a random order of their own."""
    if inequality == 0:
        return np.ones(_N_DRAWS)
    values = stats.gamma.ppf(_LEVELS, 1 / inequality, scale=inequality)
    return np.random.default_rng(which).permutation(values / values.mean())


def plan_again(test: CrossedTest, n_subjects: int, noise: Sequence[SeedNoise], weights: Sequence[float]) -> PlannedTest:
    """Return the plan of further studies whose variances are those that a test has estimated.

    Args:
        test: The test.
        n_subjects: Its number of subjects.
        noise: Seed noise of all losses with several seeds, not weighted; empty if the test is about given trainings.
        weights: Weights of the losses whose seed noise took part in the test.
    """
    if not noise:
        return PlannedTest(n_subjects * float(test.subjects))
    n_seeds = round(1 + noise[0].total_freedom / len(noise))
    # With a lower limit (pooling) the variances of all losses would be too large on average.
    owns, rests = ([n_seeds * float(getattr(one, of)) for one in noise] for of in ("own", "rest"))
    rest = float(np.mean(rests))
    plan = SeedPlan(max(0.0, float(np.mean(owns)) - rest), n_subjects * rest, len(noise), n_seeds)
    residual = float(np.square(weights).sum()) * rest / n_seeds
    return PlannedTest(n_subjects * max(0.0, float(test.subjects) - residual), tuple(weights), plan)
