"""The repeatability of lesion volume and number, and which lesions are found twice, as rows of a table."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.columns import Column, count
from cordlesion.statistics import MIN_SUBJECTS, limits_of_agreement, repeatability, repeatability_intervals
from cordlesion.statistics.intervals import draw_counts, percentile_interval
from cordlesion.statistics.repeatability import LimitsOfAgreement, expanded_confidence

MEASURES: Mapping[str, str] = {"predicted_volume_mm3": "lesion volume in mm³", "n_predicted_lesions": "lesions"}
"""Columns that are looked at, and what they are."""
SCANS = ("subject", "group", "scan_id")
"""Columns by which scans are ordered: their person, which of them repeat each other, and their name."""
_RESAMPLES = 2000
_FEW = "`n/a` for fewer than five subjects"


def _estimate(name: str, meaning: str) -> tuple[Column, ...]:
    """Declare a number and the ends of its interval."""
    return (
        Column(name, meaning, may_be_missing=True),
        Column(f"{name}_low", f"Lower end of its 95 % bootstrap interval over subjects; {_FEW}", may_be_missing=True),
        Column(f"{name}_high", "Upper end", may_be_missing=True),
    )


COLUMNS = (
    Column("measure", "`predicted_volume_mm3` (lesion volume of a mask) or `n_predicted_lesions`", "text"),
    Column("mean", "Mean over the scans"),
    *_estimate("within_sd", "Standard deviation between scans of one person without a change"),
    *_estimate("coefficient_of_variation", "`within_sd / mean`; `n/a` where the mean is 0"),
    *_estimate("icc", "Intraclass correlation ICC(1,1) (Shrout and Fleiss 1979); `n/a` where nothing varies"),
    *_estimate("smallest_detectable_change", "1.96 √2 `within_sd`: 95 % of differences without a change are smaller"),
    Column(
        "bias",
        "Mean difference, second minus first scan (in the order of their names); `n/a` where more than two scans "
        "repeat each other",
        may_be_missing=True,
    ),
    Column("limit_low", "Lower limit of agreement of Bland and Altman; `n/a` as `bias`", may_be_missing=True),
    Column("limit_high", "Upper limit", may_be_missing=True),
    *_estimate(
        "found_twice",
        "Share of lesions that are found in the other scan, too, of those in its view; `n/a` where scans do not share "
        "a space, or there is none",
    ),
    count("n_subjects", "Subjects with scans that repeat each other"),
    count("n_scans", "Their scans"),
)
"""What is measured of one method at one threshold."""
ESTIMATES = ("within_sd", "coefficient_of_variation", "icc", "smallest_detectable_change")


def repeatability_rows(
    scans: pd.DataFrame, found: Mapping[str, tuple[int, int]] | None = None, *, seed: int = 0
) -> list[dict[str, float | str]]:
    """Estimate the repeatability of one method at one threshold.

    Args:
        scans: A row per scan with the columns ``scan_id``, ``subject``, ``group`` and those of :data:`MEASURES`. Scans
            of a group repeat each other; groups with one scan take no part.
        found: By group lesions that are found again, and lesions in view; None where scans do not share a space.
        seed: Of the bootstraps over subjects.

    Returns:
        A row per measure, with :data:`COLUMNS`.

    Raises:
        CordlesionError: Fewer than two groups have several scans.
    """
    several = scans[scans.groupby("group")["scan_id"].transform("size") > 1].sort_values(list(SCANS))
    if several["group"].nunique() < 2:
        raise CordlesionError(
            f"{several['group'].nunique()} groups of scans repeat each other; at least 2 are needed to estimate the "
            "repeatability."
        )
    twice = _share_found(several, found, seed)
    return [{"measure": name, **_of_measure(several, name, seed), **twice} for name in MEASURES]


def _of_measure(scans: pd.DataFrame, name: str, seed: int) -> dict[str, float | str]:
    values = scans[name].to_numpy(dtype=np.float64)
    estimated = vars(repeatability(values, scans["group"]))
    intervals = repeatability_intervals(values, scans["group"], scans["subject"], n_resamples=_RESAMPLES, seed=seed)
    limits = _limits(scans, name)
    return {
        "mean": estimated["mean"],
        **{key: value for one in ESTIMATES for key, value in _with_ends(one, estimated[one], intervals[one]).items()},
        "bias": limits.bias,
        "limit_low": limits.low,
        "limit_high": limits.high,
        "n_subjects": scans["subject"].nunique(),
        "n_scans": len(scans),
    }


def _limits(scans: pd.DataFrame, name: str) -> LimitsOfAgreement:
    """Return the limits of agreement of pairs; of three scans and more, no two are the pair."""
    groups = scans.groupby("group")[name]
    if (groups.size() > 2).any():
        return LimitsOfAgreement(math.nan, math.nan, math.nan)
    return limits_of_agreement(groups.nth(0).to_numpy(), groups.nth(1).to_numpy())


def _share_found(scans: pd.DataFrame, found: Mapping[str, tuple[int, int]] | None, seed: int) -> dict[str, float]:
    """Return the share of lesions that are found twice, with subjects as units of its interval."""
    if found is None:
        return _with_ends("found_twice", math.nan, (math.nan, math.nan))
    counts: dict[str, list[int]] = {}
    for group, subject in scans.groupby("group")["subject"].first().items():
        n_found, n_seen = found.get(str(group), (0, 0))
        of_subject = counts.setdefault(str(subject), [0, 0])
        of_subject[0], of_subject[1] = of_subject[0] + n_found, of_subject[1] + n_seen
    table = np.array(list(counts.values()), dtype=np.float64)
    share = float(table[:, 0].sum() / table[:, 1].sum()) if table[:, 1].any() else math.nan
    if len(table) < MIN_SUBJECTS or math.isnan(share):
        return _with_ends("found_twice", share, (math.nan, math.nan))
    drawn = draw_counts(len(table), _RESAMPLES, np.random.default_rng(seed)) @ table
    shares = drawn[drawn[:, 1] > 0]
    return _with_ends(
        "found_twice", share, percentile_interval(shares[:, 0] / shares[:, 1], expanded_confidence(len(table)))
    )


def _with_ends(name: str, value: float, ends: Sequence[float]) -> dict[str, float]:
    return {name: value, f"{name}_low": ends[0], f"{name}_high": ends[1]}
