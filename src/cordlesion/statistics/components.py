"""Variance components of the scores of losses, seeds, subjects and scans, from the scans of one study."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cordlesion.io.arrays import FloatArray, IndexArray
from cordlesion.statistics.power import PlannedTest, SeedPlan

_MIN_LOSSES, _MIN_SUBJECTS = 2, 2
_MOST_UNEQUAL = 4.0
"""Limit of the inequality of seed noise, which few losses estimate poorly."""


@dataclass(frozen=True)
class ScoreComponents:
    """Variances of the effects that add up to the score of a scan; those of losses are means over the losses.

    The score of loss k with seed s in scan j of subject i is a mean of the loss, plus independent effects of subject,
    scan, loss x subject, loss x scan, seed (of a loss), seed x subject, and a residual (seed x scan). Differences
    between losses contain the last five.
    """

    subject: float
    scan: float
    loss_subject: float
    loss_scan: float
    seed: float | None
    """None if no loss has several seeds; its interactions are then part of those of the loss."""
    seed_subject: float
    residual: float
    n_losses: int
    n_seeds: int
    """Seeds of a loss, the mean over losses, rounded."""
    n_subjects: int
    n_scans: int
    seed_inequality: float = 0.0
    """How unequal the seed noise of the losses is: variance of ``seed`` over losses / its square."""

    def at(self, share: float) -> "ScoreComponents":
        """Return the components with the variances that matter for differences at the end of an interval.

        Args:
            share: Probability that a true variance is below this end, such as 0.1 and 0.9 for an interval of 80 %: each
                variance is a multiple of chi-square, with (subjects - 1) degrees of freedom for those between subjects
                and scans and losses x (seeds - 1) for that between seeds.
        """
        between, seeds = self.n_subjects - 1, max(1, self.n_losses * (self.n_seeds - 1))
        factor = between / float(stats.chi2.isf(share, between))
        seed = self.seed
        if seed is not None:
            rest = (self.seed_subject + self.residual * self.n_subjects / self.n_scans) / self.n_subjects
            seed = max(0.0, (seed + rest) * seeds / float(stats.chi2.isf(share, seeds)) - rest)
        return replace(self, loss_subject=factor * self.loss_subject, loss_scan=factor * self.loss_scan, seed=seed)

    def plan(self, *, n_losses: int, n_seeds: int, scans_per_subject: int = 1) -> PlannedTest:
        """Return the planned comparison of two of several losses.

        Args:
            n_losses: Losses of the study; their seed noise is pooled.
            n_seeds: Seeds of each, two or more.
            scans_per_subject: Scans of each subject.

        Raises:
            ValueError: The variance between seeds is unknown.
        """
        if self.seed is None:
            raise ValueError("the variance between seeds is unknown")
        subjects = 2 * (self.loss_subject + self.loss_scan / scans_per_subject)
        rest = self.seed_subject + self.residual / scans_per_subject
        return PlannedTest(subjects, (-1.0, 1.0), SeedPlan(self.seed, rest, n_losses, n_seeds, self.seed_inequality))


def estimate_components(scores: Sequence[FloatArray], subjects: IndexArray) -> ScoreComponents:
    """Estimate the variance components by the method of moments (nested and crossed analysis of variance).

    Between and within subjects are separated as in a one-way random-effects model with unequal groups (Searle, Casella
    & McCulloch 1992, section 3.6). With one scan per subject the two cannot be separated: all counts as between
    subjects, so that more scans of the same subjects are not planned to help.

    Args:
        scores: Scores of each loss, shape (seeds, scans), without NaN.
        subjects: The subject of each scan, numbered from 0, shape (scans,).

    Raises:
        ValueError: Fewer than two losses or two subjects.
    """
    n_subjects = int(subjects.max(initial=-1)) + 1
    if len(scores) < _MIN_LOSSES or n_subjects < _MIN_SUBJECTS:
        raise ValueError(f"{len(scores)} losses and {n_subjects} subjects; two of each are needed")
    means = np.stack([one.mean(axis=0) for one in scores])
    inverse = float(np.mean([1 / len(one) for one in scores]))
    luck = [one - one.mean(axis=0) for one in scores if len(one) > 1]
    seed_subject, residual = (
        _nested(np.concatenate(luck), sum(len(one) - 1 for one in luck), subjects)
        if luck
        else (
            0.0,
            0.0,
        )
    )
    common = means.mean(axis=0)
    of_loss = _less(_nested(means - common, len(scores) - 1, subjects), (seed_subject, residual), inverse)
    of_all = _less(
        _nested(common[np.newaxis], 1, subjects),
        (of_loss[0] + inverse * seed_subject, of_loss[1] + inverse * residual),
        1 / len(scores),
    )
    seed, inequality = _seed_noise(scores, subjects, seed_subject, residual) if luck else (None, 0.0)
    return ScoreComponents(
        *of_all,
        *of_loss,
        seed=seed,
        seed_subject=seed_subject,
        residual=residual,
        n_losses=len(scores),
        n_seeds=round(float(np.mean([len(one) for one in scores]))),
        n_subjects=n_subjects,
        n_scans=len(subjects),
        seed_inequality=inequality,
    )


def _nested(values: FloatArray, freedom: int, subjects: IndexArray) -> tuple[float, float]:
    """Return the variances between subjects and between scans of a subject.

    Args:
        values: Rows of equal variance, shape (rows, scans).
        freedom: Independent rows among them: fewer than rows if they sum to 0.
        subjects: The subject of each scan.
    """
    sizes = np.bincount(subjects)
    n, n_subjects = len(subjects), len(sizes)
    groups = np.stack([np.bincount(subjects, row) / sizes for row in values])
    centers = values.mean(axis=1, keepdims=True)
    between = float((sizes * np.square(groups - centers)).sum()) / freedom
    within = float(np.square(values - groups[:, subjects]).sum()) / freedom
    if n == n_subjects:
        return between / (n_subjects - 1), 0.0
    scan = within / (n - n_subjects)
    effective = (n - float(np.square(sizes).sum()) / n) / (n_subjects - 1)
    subject = (between / (n_subjects - 1) - scan) / effective
    # A negative variance is 0; the two together keep their sum.
    return (subject, scan) if subject > 0 else (0.0, (between + within) / (n - 1))


def _less(found: tuple[float, float], noise: tuple[float, float], share: float) -> tuple[float, float]:
    """Subtract the noise of means from variances; what would be negative is 0."""
    return max(0.0, found[0] - share * noise[0]), max(0.0, found[1] - share * noise[1])


def _seed_noise(
    scores: Sequence[FloatArray], subjects: IndexArray, seed_subject: float, residual: float
) -> tuple[float, float]:
    """Return the variance between seeds of the mean over subjects, and how unequal it is over losses.

    An estimate with f degrees of freedom varies by 2 / f of its square even if all losses are equal.
    """
    sizes = np.bincount(subjects)
    several = [one for one in scores if len(one) > 1]
    own = [
        float(np.stack([np.bincount(subjects, row) / sizes for row in one]).mean(axis=1).var(ddof=1)) for one in several
    ]
    mean, rest = float(np.mean(own)), (seed_subject + residual * float(np.mean(1 / sizes))) / len(sizes)
    if mean <= rest or len(own) < _MIN_LOSSES:
        return max(0.0, mean - rest), 0.0
    by_chance = 2 * len(own) / sum(len(one) - 1 for one in several)
    between = (float(np.var(own, ddof=1)) - by_chance * mean**2) / (1 + by_chance)
    return mean - rest, min(max(0.0, between) / (mean - rest) ** 2, _MOST_UNEQUAL)
