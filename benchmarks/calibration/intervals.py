"""Coverage of the intervals of the report in simulated studies.

Scans of a subject are alike (half of the variance is between subjects); counts of lesions vary between subjects and
scans more than chance does. Intervals that the report calls approximate have no target.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from calibration.generators import owners
from calibration.rows import Row, measured
from cordlesion.statistics import (
    change_of_ratios,
    change_of_shares,
    median_interval,
    rate_interval,
    share_interval,
)
from cordlesion.threshold import choose_threshold

Array = npt.NDArray[np.float64]
Subjects = npt.NDArray[np.int64]
Interval = tuple[float, float]
Study = Callable[[np.random.Generator, Subjects], tuple[Interval, float]]
"""Simulates a study and returns an interval of it with the truth."""

DESIGNS = ((11, 8), (14, 10), (26, 20))
"""Scans and subjects."""
OF_SHARES = (*DESIGNS, (46, 20))
LEAST = 0.93
_ALIKE = 0.5
_LARGE = 200_000
"""Number of scans that represent the population."""
_GRID = np.round(np.arange(1, 20) * 0.05, 2)


def rows(rng: np.random.Generator, n_studies: int = 1500) -> list[Row]:
    """Measure the coverage of every kind of interval.

    Args:
        rng: Of the simulated studies.
        n_studies: Of each design.
    """
    return [
        *_table(rng, n_studies, "Coverage: medians over scans (nominal 95 %)", _MEDIANS, DESIGNS, LEAST),
        *_table(rng, n_studies, "Coverage: shares (nominal 95 %)", _SHARES, OF_SHARES, LEAST),
        *_table(rng, n_studies // 10, "Coverage: tuned threshold (nominal 95 %)", _THRESHOLDS, DESIGNS, LEAST),
        *_table(rng, n_studies, "Coverage: false lesions per scan (approximate)", _RATES, DESIGNS, None),
        *_table(rng, n_studies, "Coverage: tuned t against 0.5, paired (approximate)", _CHANGES, OF_SHARES, None),
    ]


def _table(
    rng: np.random.Generator,
    n_studies: int,
    title: str,
    kinds: dict[str, Study],
    designs: tuple[tuple[int, int], ...],
    least: float | None,
) -> Iterator[Row]:
    for n_scans, n_subjects in designs:
        of_scan = owners(n_scans, n_subjects)
        for figure, simulate in kinds.items():
            held = []
            for _ in range(n_studies):
                (low, high), truth = simulate(rng, of_scan)
                held.append(low - 1e-9 <= truth <= high + 1e-9)
            yield measured(title, f"{n_scans} scans of {n_subjects}", figure, held, least=least)


def _latent(rng: np.random.Generator, of_scan: Subjects) -> Array:
    """Draw standard normal values, correlated within subjects."""
    of_subject = rng.standard_normal(int(of_scan.max()) + 1)[of_scan]
    return np.sqrt(_ALIKE) * of_subject + np.sqrt(1 - _ALIKE) * rng.standard_normal(len(of_scan))


def _score(latent: Array, zeros: float) -> Array:
    """Convert standard normal values to scores: a share of zeros, and a beta distribution."""
    share = stats.norm.cdf(latent)
    return np.where(share < zeros, 0, stats.beta.ppf(np.clip((share - zeros) / (1 - zeros), 0, 1), 3.29, 3.95))


def _median_score(zeros: float, steps: int | None = None) -> Study:
    """The median of a score; optionally with few steps, as for lesion scores."""

    def rounded(scores: Array) -> Array:
        return scores if steps is None else np.round(scores * steps) / steps

    truth = float(np.median(rounded(_score(np.random.default_rng(0).standard_normal(_LARGE), zeros))))

    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        return median_interval(rounded(_score(_latent(rng, of_scan), zeros)), of_scan), truth

    return simulate


def _differences(latent: Array) -> Array:
    """Convert standard normal values to changes within scans: a third are 0, gains are larger than losses."""
    return np.where(np.abs(latent + 0.3) < 0.35, 0, 0.05 * latent + 0.03 * np.maximum(latent, 0) ** 2 + 0.03)


def _median_change(of_size: bool) -> Study:
    """The median change within scans, as by tuning; or of its absolute value, as for a changed threshold."""

    def shown(latent: Array) -> Array:
        return np.abs(_differences(latent)) if of_size else _differences(latent)

    truth = float(np.median(shown(np.random.default_rng(0).standard_normal(_LARGE))))

    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        return median_interval(shown(_latent(rng, of_scan)), of_scan), truth

    return simulate


def _share_of_scans(share: float) -> Study:
    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        hits = stats.norm.cdf(_latent(rng, of_scan)) < share
        return share_interval(hits, np.ones(len(hits)), of_scan), share

    return simulate


def _lesions(rng: np.random.Generator, of_scan: Subjects) -> npt.NDArray[np.int64]:
    """Draw the number of lesions of each scan: at least one, four on average."""
    return 1 + rng.negative_binomial(1, 0.25, len(of_scan))


def _share_of_lesions(share: float) -> Study:
    """The share of detected lesions; lesions of a subject are correlated (0.2), and so are those of a scan."""

    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        n = _lesions(rng, of_scan)
        chance = rng.beta(4 * share, 4 * (1 - share), int(of_scan.max()) + 1)[of_scan]
        return share_interval(rng.binomial(n, chance), n, of_scan), share

    return simulate


def _false_lesions(mean: float, shape: float) -> Study:
    """Poisson counts with means that vary between subjects (gamma, ``shape``) and scans (gamma, 2)."""

    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        of_subject = rng.gamma(shape, 1 / shape, int(of_scan.max()) + 1)[of_scan]
        events = rng.poisson(mean * of_subject * rng.gamma(2, 0.5, len(of_scan)))
        return rate_interval(events, of_scan), mean

    return simulate


def _change_of_scans(gained: float, lost: float) -> Study:
    """Some scans differ between the thresholds, in both directions."""

    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        place = stats.norm.cdf(_latent(rng, of_scan))
        difference = (place < gained).astype(float) - (place > 1 - lost)
        return change_of_shares(difference, of_scan), gained - lost

    return simulate


def _change_of_lesions(default: float, tuned: float) -> Study:
    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        n, ease = _lesions(rng, of_scan), stats.norm.cdf(_latent(rng, of_scan))
        ends = [stats.beta.ppf(ease, 4 * share, 4 * (1 - share)) for share in (default, tuned)]
        more = rng.binomial(n, ends[1] - ends[0])
        return change_of_ratios(more, n, of_scan, is_share=True), tuned - default

    return simulate


def _change_of_false_lesions(default: float, tuned: float) -> Study:
    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        of_subject = rng.gamma(1, 1, int(of_scan.max()) + 1)[of_scan] * rng.gamma(2, 0.5, len(of_scan))
        difference = rng.poisson((tuned - default) * of_subject)
        return change_of_ratios(difference, np.ones(len(of_scan)), of_scan), tuned - default

    return simulate


def _rare_changes(of_lesions: bool) -> Study:
    """Equal gains and losses in few scans: a study may contain only one direction, or none."""
    rate = 0.05

    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        units = _lesions(rng, of_scan) if of_lesions else np.ones(len(of_scan), int)
        changed = rng.binomial(units, 2 * rate) if of_lesions else rng.poisson(2 * rate, len(units))
        gained = rng.binomial(changed, 0.5)
        return change_of_ratios(2 * gained - changed, units, of_scan, is_share=of_lesions), 0.0

    return simulate


def _curves(rng: np.random.Generator, latent: Array, spread: float) -> Array:
    """Draw the score of each scan at every threshold, shape (scans, thresholds): one peak at a random position each."""
    logit = np.log(_GRID / (1 - _GRID))
    peak = -1.0 + spread * rng.standard_normal(len(latent))
    height = _score(latent, 0.12)
    return height[:, None] * np.exp(-(((logit - peak[:, None]) / 2.5) ** 2))


def _threshold(spread: float) -> Study:
    """The threshold with the highest median score in the population, and the interval of the chosen one."""
    everybody = np.random.default_rng(0)
    truth = float(_GRID[np.median(_curves(everybody, everybody.standard_normal(_LARGE), spread), axis=0).argmax()])

    def simulate(rng: np.random.Generator, of_scan: Subjects) -> tuple[Interval, float]:
        scores = _curves(rng, _latent(rng, of_scan), spread)
        n_scans, n_thresholds = scores.shape
        table = pd.DataFrame(
            {
                "scan_id": np.repeat(np.arange(n_scans), n_thresholds).astype(str),
                "subject": np.repeat(of_scan, n_thresholds).astype(str),
                "threshold": np.tile(_GRID, n_scans),
                "voxel_f1": scores.ravel(),
                "reference_volume_mm3": 1.0,
                "predicted_volume_mm3": 1.0,
            }
        )
        interval = choose_threshold(table).interval
        assert interval is not None
        return interval, truth

    return simulate


_MEDIANS: dict[str, Study] = {
    "V-F1, 12 % zeros": _median_score(0.12),
    "V-F1, 25 % zeros": _median_score(0.25),
    "L-F1, steps of 1/6": _median_score(0.12, 6),
    "gain by tuning": _median_change(of_size=False),
    "stability": _median_change(of_size=True),
}
_SHARES: dict[str, Study] = {
    **{f"scans, {share:.2f}": _share_of_scans(share) for share in (0.5, 0.8, 0.95)},
    **{f"lesions, {share:.2f}": _share_of_lesions(share) for share in (0.52, 0.78, 0.93)},
}
_THRESHOLDS: dict[str, Study] = {f"peaks {spread:g} apart": _threshold(spread) for spread in (0.5, 1.5)}
_RATES: dict[str, Study] = {
    f"mean {mean:g}, shape {shape:g}": _false_lesions(mean, shape)
    for mean in (3.4, 1.0, 0.2, 0.05)
    for shape in (1.0, 0.4)
}
_CHANGES: dict[str, Study] = {
    "scans, +0.05": _change_of_scans(0.05, 0),
    "scans, +0.2 −0.05": _change_of_scans(0.2, 0.05),
    "lesions found, +0.1": _change_of_lesions(0.5, 0.6),
    "lesions found, +0.01": _change_of_lesions(0.5, 0.51),
    "false lesions, +1": _change_of_false_lesions(1, 2),
    "false lesions, +0.05": _change_of_false_lesions(1, 1.05),
    "lesions found, +0.05 −0.05": _rare_changes(of_lesions=True),
    "false lesions, +0.05 −0.05": _rare_changes(of_lesions=False),
}
