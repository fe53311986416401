"""Power of "tuning helps": the report's test on subjects that are drawn from those of a pilot."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from scipy import stats

from cordlesion.io.arrays import Array, FloatArray, Mask
from cordlesion.report.losses import mean_over_seeds, run_scores
from cordlesion.statistics import MIN_PAIRS, SIGNIFICANT, median_interval
from cordlesion.study_folder.results import StudyResults

Gains: TypeAlias = list[list[float]]
"""The gain of each scan by tuning, grouped by subject."""

_N_DRAWS, _N_DRAWS_SLOW = 1000, 300
"""Draws where every subject has one scan, and where some have several, whose intervals take longer."""
_CLEAR = (1.2, 2.8)
"""Standard errors of the sign test below and above which the interval of the median surely holds 0, or does not."""
_DIGITS = 4
_NEGLIGIBLE = 0.005
"""The report prints smaller median gains as 0.00 and calls them negligible."""


def gains_by_tuning(results: StudyResults, metric: str) -> dict[str, Gains]:
    """Return the gains of test scans with lesions, tuned threshold - 0.5, as means over the seeds of each loss."""
    scores = [run_scores(results, "test", tuned=tuned) for tuned in (False, True)]
    default, tuned = (
        mean_over_seeds(rows[rows["seed"].notna()], [metric]).set_index(["loss", "subject", "scan_id"])[metric]
        for rows in scores
    )
    gains = (tuned - default).dropna().round(_DIGITS)
    return {
        str(loss): [[float(gain) for gain in of_one] for _, of_one in of_loss.groupby(level="subject", sort=False)]
        for loss, of_loss in gains.groupby(level="loss", sort=False)
    }


def median_gain(gains: Gains) -> float:
    """Return the median gain over scans."""
    return float(np.median([gain for of_one in gains for gain in of_one]))


def tuning_power(gains: Mapping[str, Gains], n_subjects: int, *, seed: int = 0) -> dict[str, float]:
    """Return how often each loss would get the verdict "tuning helps" in a study of other subjects.

    Subjects are drawn with replacement from those of the pilot, for all losses together where they have the same
    subjects. Each draw is tested like a study: Wilcoxon's signed-rank test of the subjects' mean gains with Holm's
    correction over the losses (normal approximation), and the interval of the median gain over scans.

    Args:
        gains: For each loss the gains of the pilot.
        n_subjects: Subjects of the test set.
        seed: Of the draws.
    """
    if n_subjects < MIN_PAIRS:
        return dict.fromkeys(gains, 0.0)
    n_draws = _N_DRAWS if all(len(of_one) == 1 for one in gains.values() for of_one in one) else _N_DRAWS_SLOW
    shape = n_draws, n_subjects
    drawn = {name: _draw(one, shape, np.random.default_rng(seed)) for name, one in gains.items()}
    p_values = np.stack([_wilcoxon(scans) for scans in drawn.values()], axis=1)
    significant = _holm(p_values) <= SIGNIFICANT
    return {
        name: float(_median_is_above(scans, significant[:, place]).mean())
        for place, (name, scans) in enumerate(drawn.items())
    }


def needed_subjects(gains: Mapping[str, Gains], sizes: Sequence[int], power: float) -> dict[str, int | None]:
    """Return the first of some numbers of subjects with which tuning is found to help; None where none is enough."""
    found: dict[str, int | None] = dict.fromkeys(gains)
    for n in sorted(sizes):
        for name, reached in tuning_power(gains, n).items():
            if found[name] is None and reached >= power:
                found[name] = n
    return found


def _draw(gains: Gains, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Return the gains of drawn subjects, shape (draws, subjects, most scans of one); NaN where one has fewer."""
    padded = np.full((len(gains), max(map(len, gains))), np.nan)
    for place, of_one in enumerate(gains):
        padded[place, : len(of_one)] = of_one
    drawn: FloatArray = padded[rng.integers(len(gains), size=shape)]
    return drawn


def _wilcoxon(scans: FloatArray) -> FloatArray:
    """Return two-sided p-values of the subjects' means; 1 where the mean rank is on the wrong side."""
    means = np.round(np.nanmean(scans, axis=-1), 12)
    size = np.where(means == 0, np.nan, np.abs(means))
    ranks = np.nan_to_num(stats.rankdata(size, axis=-1, nan_policy="omit"))
    signed, spread = (np.sign(means) * ranks).sum(axis=-1), np.sqrt(np.square(ranks).sum(axis=-1))
    z = np.divide(signed, spread, out=np.zeros_like(signed), where=spread > 0)
    return np.where(z > 0, 2 * stats.norm.sf(z), 1.0)


def _median_is_above(scans: FloatArray, asked: Mask) -> Mask:
    """Return whether the interval of the median gain lies above 0, and the median above what is negligible.

    Where subjects have several scans, a sign test over subjects, (scans above 0 - others) of each with random signs,
    decides clear cases, and the interval is computed for the others.

    Args:
        scans: Gains, shape (draws, subjects, scans).
        asked: The draws for which it is asked; False for the others.
    """
    above: Mask = asked & (np.nanmedian(scans, axis=(-2, -1)) >= _NEGLIGIBLE)
    if scans.shape[-1] == 1:
        return above & (_lower_ends(scans[..., 0]) > 0)
    defined = ~np.isnan(scans)
    excess = np.where(defined, np.where(scans > 0, 1, -1), 0).sum(axis=-1)
    lead, spread = excess.sum(axis=-1), np.sqrt(np.square(excess).sum(axis=-1))
    z = np.divide(lead, spread, out=np.zeros(len(lead)), where=spread > 0)
    above &= z > _CLEAR[0]
    for draw in np.flatnonzero(above & (z < _CLEAR[1])):
        owners = np.nonzero(defined[draw])[0]
        above[draw] = median_interval(scans[draw][defined[draw]], owners)[0] > 0
    return above


def _lower_ends(values: FloatArray) -> FloatArray:
    """Return the lower ends of the intervals of medians, of one value per subject, shape (draws, subjects).

    Their place between order statistics depends on the number of subjects only.
    """
    n = values.shape[1]
    place = median_interval(np.arange(n), np.arange(n))[0]
    below = math.floor(place)
    ordered = np.sort(values, axis=1)
    ends: FloatArray = ordered[:, below] + (place - below) * (ordered[:, min(below + 1, n - 1)] - ordered[:, below])
    return ends


def _holm(p_values: FloatArray) -> Array:
    """Correct p-values over the last axis."""
    order = np.argsort(p_values, axis=1, kind="stable")
    steps = np.arange(p_values.shape[1], 0, -1)
    stepped = np.minimum(np.maximum.accumulate(np.take_along_axis(p_values, order, axis=1) * steps, axis=1), 1)
    corrected = np.empty_like(stepped)
    np.put_along_axis(corrected, order, stepped, axis=1)
    return corrected
