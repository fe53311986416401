"""Test of the difference between two methods with crossed scores: every training is evaluated on every subject.

Scores are means by subject, shape (..., seeds, subjects); leading axes (for example simulated studies) are kept. The
model is a sum of effects of subject, loss, loss x subject, training (seed) and a residual. The variance between
subjects and the variance between seeds both contain a share of the residual variance, which is subtracted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cordlesion.io.arrays import FloatArray

POWER = 0.8
"""Power for the smallest detectable difference."""
_CONFIDENCE = 0.95
MIN_POOLED = 3
"""Number of losses with several seeds from which the seed noise is pooled."""
_MIN_SUBJECTS = 2
_LEAST_TAIL, _HALVINGS = 1e-16, 50
# Smaller differences between scores are rounding errors.
_DIGITS = 12


@dataclass(frozen=True, eq=False)
class SeedNoise:
    """Variance of the mean score of a loss due to its random seeds; arrays with the leading shape."""

    variance: FloatArray
    """Variance of the mean over seeds."""
    freedom: FloatArray
    """Degrees of freedom of the variance."""
    own: FloatArray
    """The same from the seeds of this loss alone, without the lower limit of ``is_pooled``."""
    rest: FloatArray
    """The residual part of the variance, which the variance between subjects also contains."""
    total_freedom: int
    """Sum of the degrees of freedom of all losses."""
    is_pooled: bool
    """Whether the mean variance of all losses is a lower limit of the variance."""

    def weighted(self, weight: float) -> "SeedNoise":
        """Return the noise of the mean score multiplied by ``weight``."""
        square = weight**2
        return replace(self, variance=square * self.variance, own=square * self.own, rest=square * self.rest)


@dataclass(frozen=True, eq=False)
class CrossedTest:
    """A difference, its variance and Student's t test; arrays with the leading shape."""

    difference: FloatArray
    """Mean over subjects of second - first."""
    variance: FloatArray
    subjects: FloatArray
    """The part of the variance between subjects, which contains the residual part of the seeds."""
    freedom: FloatArray
    """Degrees of freedom, by Satterthwaite's approximation."""
    p_value: FloatArray
    """Two-sided; at least the p-value of equal signs in all subjects, 2 / 2^n."""
    least_p: float
    """2 / 2^n for n subjects: the smallest p-value of a test without assumptions on the distribution."""
    reference: "Reference"
    """Reference distribution of the difference divided by its standard error."""

    @property
    def interval(self) -> tuple[FloatArray, FloatArray]:
        """The 95 % confidence interval of the difference that corresponds to the test."""
        half = self.reference.critical((1 - _CONFIDENCE) / 2) * np.sqrt(self.variance)
        return self.difference - half, self.difference + half

    def detectable(self, significant: float) -> FloatArray:
        """Return the smallest true difference that the test detects with a power of 80 %, given these variances.

        Args:
            significant: Significance level, such as 0.05 divided by the number of comparisons.

        Returns:
            The difference; infinite if there are too few subjects for any difference; NaN if the variance is 0, because
            it is then unknown.
        """
        if self.least_p > significant:
            return np.full_like(self.variance, np.inf)
        reach = self.reference.critical(significant / 2) + stats.t.ppf(POWER, self.freedom)
        return np.where(self.variance > 0, reach * np.sqrt(self.variance), np.nan)

    def equivalence(self, margin: float) -> FloatArray:
        """Return the p-value of two one-sided tests that the true difference is smaller than ``margin`` (TOST).

        It is at most 0.05 where the 90 % interval of the difference lies within the margin on both sides (Schuirmann
        1987, "A comparison of the two one-sided tests procedure and the power approach"). It is at least 1 / 2^n, and
        NaN with fewer than two subjects.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.nan_to_num((margin - np.abs(self.difference)) / np.sqrt(self.variance), nan=-np.inf)
        tail = self.reference.p_value(np.abs(t)) / 2
        return np.maximum(np.where(t >= 0, tail, 1 - tail), self.least_p / 2)


@dataclass(frozen=True, eq=False)
class Reference:
    """Student's t with one number of degrees of freedom, or with separate numbers for subjects and seeds."""

    freedom: FloatArray
    subjects: int = 0
    seeds: FloatArray | None = None
    share: FloatArray | None = None
    """Share of the seeds in the variance, if subjects and seeds are separate."""

    def critical(self, tail: float | FloatArray) -> FloatArray:
        """Return the value that is exceeded with the probability ``tail``.

        If subjects and seeds are separate, it is the root of the mean of both squared values, weighted by the variances
        (Banerjee 1960): for few seeds without pooling, Satterthwaite's approximation gives too small p-values.
        """
        if self.seeds is None or self.share is None:
            return np.asarray(stats.t.isf(tail, self.freedom))
        squares = np.square(stats.t.isf(tail, self.subjects)), np.square(stats.t.isf(tail, self.seeds))
        apart: FloatArray = np.sqrt((1 - self.share) * squares[0] + self.share * squares[1])
        return apart

    def p_value(self, t: FloatArray) -> FloatArray:
        """Return the two-sided p-value of ``t`` >= 0."""
        if self.seeds is None:
            return np.asarray(2 * stats.t.sf(t, self.freedom))
        low, high = np.full_like(t, _LEAST_TAIL), np.full_like(t, 0.5)
        for _ in range(_HALVINGS):
            # Bisection of the logarithm, because tails span many orders of magnitude.
            middle = np.sqrt(low * high)
            beyond = self.critical(middle) > t
            low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
        return 2 * high


def estimate_seed_noise(scores: Sequence[FloatArray]) -> list[SeedNoise]:
    """Estimate the seed noise of every loss, using the other losses.

    The variance of one loss has few degrees of freedom (n - 1 for n seeds) and may be small by chance. With three or
    more losses, the mean variance of all is its lower limit. A variance above that limit has 2 n - 3 degrees of
    freedom: more than n - 1, because it has a lower limit; the number was determined by simulation.

    Args:
        scores: Scores of each loss with several seeds, shape (..., seeds, subjects), with equal leading axes.
    """
    own = [one.mean(axis=-1).var(axis=-1, ddof=1) for one in scores]
    rest = [residual_variance(one) / one.shape[-1] for one in scores]
    return pool_seed_noise(own, rest, [one.shape[-2] for one in scores])


def pool_seed_noise(own: Sequence[FloatArray], rest: Sequence[FloatArray], n_seeds: Sequence[int]) -> list[SeedNoise]:
    """Return the seed noise of every loss from the variances of single losses.

    Args:
        own: Variance between seeds of the mean score of each loss.
        rest: Residual part of this variance.
        n_seeds: Seeds of each loss.
    """
    freedoms = [n - 1 for n in n_seeds]
    total, is_pooled = sum(freedoms), len(own) >= MIN_POOLED
    floor = sum(n * variance for n, variance in zip(freedoms, own, strict=True)) / total if is_pooled else 0.0
    return [
        SeedNoise(
            variance=np.maximum(variance, floor) / (n + 1),
            freedom=np.where(variance > floor, min(2 * n - 1, total) if is_pooled else n, total),
            own=variance / (n + 1),
            rest=one / (n + 1),
            total_freedom=total,
            is_pooled=is_pooled,
        )
        for variance, one, n in zip(own, rest, freedoms, strict=True)
    ]


def crossed_test(first: FloatArray, second: FloatArray, noise: Sequence[SeedNoise] = ()) -> CrossedTest:
    """Test whether two methods differ, over subjects and over the seeds whose noise is given.

    Args:
        first: Scores, shape (..., seeds, subjects). With fewer than two subjects only the difference is known.
        second: Scores of the same subjects, shape (..., other seeds, subjects).
        noise: Seed noise of the first, the second or both. Without it, the test is valid for these trainings only
            (one-sample t test over subjects).
    """
    return contrast_test((first, second), (-1.0, 1.0), noise)


def contrast_test(
    scores: Sequence[FloatArray], weights: Sequence[float], noise: Sequence[SeedNoise] = ()
) -> CrossedTest:
    """Test whether a weighted sum of the mean scores of several methods differs from 0.

    Args:
        scores: Scores of each method, shape (..., seeds, subjects), of the same subjects.
        weights: The weight of each method, such as (-1, 1) for a difference.
        noise: Seed noise of the methods with seeds, already weighted (see :meth:`SeedNoise.weighted`).
    """
    gains = np.sum([weight * one.mean(axis=-2) for weight, one in zip(weights, scores, strict=True)], axis=0)
    n = gains.shape[-1]
    if n < _MIN_SUBJECTS:
        unknown = np.full(gains.shape[:-1], np.nan)
        difference = gains.mean(axis=-1) if n else unknown
        return CrossedTest(difference, unknown, unknown, unknown, unknown, 1.0, Reference(unknown))
    return crossed_from_variances(gains.mean(axis=-1), gains.var(axis=-1, ddof=1) / n, n, noise)


def crossed_from_variances(
    difference: FloatArray, subjects: FloatArray, n_subjects: int, noise: Sequence[SeedNoise] = ()
) -> CrossedTest:
    """Test whether a difference with known variances differs from 0.

    Args:
        difference: The estimate.
        subjects: Its variance between subjects.
        n_subjects: Number of subjects, two or more.
        noise: Seed noise of what is compared, weighted.
    """
    difference = np.round(difference, _DIGITS)
    variance, reference = combine_variances(subjects, n_subjects - 1, noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(difference) / np.sqrt(variance)
    least = least_p(n_subjects)
    p_value = np.where(difference == 0, 1.0, np.maximum(reference.p_value(t), least))
    return CrossedTest(difference, variance, subjects, reference.freedom, p_value, least, reference)


def least_p(n_subjects: int) -> float:
    """Return the p-value of equal signs in all subjects, below which no test of so few can go."""
    return 2.0 ** (1 - n_subjects)


def combine_variances(subjects: FloatArray, n_free: int, noise: Sequence[SeedNoise]) -> tuple[FloatArray, Reference]:
    """Add the variances between subjects and between seeds.

    Args:
        subjects: Variance of the mean over subjects.
        n_free: Its degrees of freedom.
        noise: Seed noise; none if a test is valid for given trainings only.

    Returns:
        The variance of the difference, and the reference distribution of its test.
    """
    if not noise:
        return subjects, Reference(np.full_like(subjects, n_free))
    seeds = np.sum([one.variance for one in noise], axis=0)
    rest = np.sum([one.rest for one in noise], axis=0)
    total = np.maximum(subjects + seeds - rest, np.maximum(subjects, seeds))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sum([np.square(one.variance) / one.freedom for one in noise], axis=0)
        # If both losses use the mean of all, their sum has no more degrees of freedom than that mean.
        of_seeds = np.minimum(np.square(seeds) / spread, noise[0].total_freedom)
        of_seeds = np.where(seeds > 0, of_seeds, noise[0].total_freedom)
        freedom = np.square(total) / (np.square(subjects) / n_free + np.square(seeds) / of_seeds)
        share = np.where(seeds > 0, seeds / (subjects + seeds), 0.0)
    freedom = np.where(total > 0, np.maximum(freedom, 1), n_free)
    if noise[0].is_pooled:
        return total, Reference(freedom)
    return total, Reference(freedom, n_free, of_seeds, share)


def residual_variance(scores: FloatArray) -> FloatArray:
    """Return the variance that neither subject nor seed explains, of scores of shape (..., seeds, subjects)."""
    n_seeds, n_subjects = scores.shape[-2:]
    means = [scores.mean(axis=axis, keepdims=True) for axis in (-1, -2, (-1, -2))]
    rest = scores - means[0] - means[1] + means[2]
    variance: FloatArray = np.square(rest).sum(axis=(-1, -2)) / ((n_seeds - 1) * (n_subjects - 1))
    return variance
