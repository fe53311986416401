"""From detected lesions to shares, detection limits and false positives, each with an interval (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cordlesion.detectability.names import CONTRAST
from cordlesion.detectability.operating import OperatingPoint, by_point
from cordlesion.detectability.strata import named_bands, strata
from cordlesion.statistics import MIN_SUBJECTS, rate_interval, share_interval
from cordlesion.statistics.detection_curve import CurveFamily, FittedCurve

SHARES = (0.5, 0.9)
"""The probabilities of detection at which sizes are stated."""
MIN_LESIONS = 10
"""A band of contrast with fewer lesions gets no curve."""


@dataclass(frozen=True, eq=False)
class Band:
    """The lesions of one band of contrast, with the curve of their detection at one operating point."""

    name: str
    low: float
    high: float
    lesions: pd.DataFrame
    fitted: FittedCurve


def units_of(lesions: pd.DataFrame) -> tuple[str, "pd.Series[str]"]:
    """Return what intervals resample: subjects, or scans where there are fewer than 5 subjects."""
    if lesions["subject"].nunique() >= MIN_SUBJECTS:
        return "subjects", lesions["subject"]
    return "scans", lesions["scan_id"]


def by_stratum(detected: pd.DataFrame, contrast: Sequence[float] = CONTRAST) -> pd.DataFrame:
    """Return ``detectability.tsv``: the share of lesions that is found, by kind of lesion and operating point.

    Args:
        detected: ``detected_lesions.tsv``.
        contrast: Edges of the bands of contrast.
    """
    rows = []
    for point, lesions in _points(detected):
        for by, band, index in strata(lesions, contrast):
            part = lesions.loc[index]
            units, owner = units_of(lesions)
            low, high = share_interval(part["found"], np.ones(len(part)), owner.loc[index])
            n_chance = int(part["by_chance"].fillna(0).sum())
            rows.append(
                point.columns | {"by": by, "band": band, "n_lesions": len(part), "n_found": int(part["found"].sum()),
                         "sensitivity": part["found"].mean(), "sensitivity_low": low, "sensitivity_high": high,
                         "n_by_chance": n_chance, "units": units}
            )  # fmt: skip
    return pd.DataFrame(rows)


def contrast_bands(detected: pd.DataFrame, contrast: Sequence[float] = CONTRAST) -> list[tuple[OperatingPoint, Band]]:
    """Fit the curve of every band of contrast at every operating point; bands with few lesions are left out."""
    fitted = []
    families: dict[float, tuple[pd.Index, CurveFamily]] = {}
    for point, lesions in _points(detected):
        for name, low, high in named_bands(contrast):
            part = lesions[(lesions["contrast"] >= low) & (lesions["contrast"] < high)]
            if len(part) < MIN_LESIONS:
                continue
            if low not in families:
                families[low] = part.index, CurveFamily(part["volume_mm3"], units_of(lesions)[1].loc[part.index])
            fitted.append((point, Band(name, low, high, part, families[low][1].fit(part["found"]))))
    return fitted


def limits(bands: Sequence[tuple[OperatingPoint, Band]]) -> pd.DataFrame:
    """Return ``detection_limits.tsv``: the volume from which on lesions of a band are found."""
    rows = []
    for point, band in bands:
        row: dict[str, object] = point.columns | {
            "contrast_low": band.low,
            "contrast_high": band.high,
            "n_lesions": len(band.lesions),
            "n_found": int(band.lesions["found"].sum()),
        }
        for share in SHARES:
            limit, name = band.fitted.limit(share), f"size_{100 * share:.0f}"
            row |= {f"{name}_mm3": limit.size, f"{name}_low": limit.low, f"{name}_high": limit.high}
        rows.append(row | {"ceiling": band.fitted.curve.ceiling, "units": units_of(band.lesions)[0]})
    return pd.DataFrame(rows)


def false_lesions(free: pd.DataFrame) -> pd.DataFrame:
    """Return ``false_lesions.tsv``, from a row per lesion-free scan and operating point."""
    rows = []
    for point, scans in by_point(free):
        low, high = rate_interval(scans["n_false"], scans["subject"])
        rows.append(
            point.columns | {
                "n_scans": len(scans), "n_false_lesions": int(scans["n_false"].sum()),
                "false_volume_mm3": scans["false_mm3"].sum(), "false_per_scan": scans["n_false"].mean(),
                "false_per_scan_low": low, "false_per_scan_high": high}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _points(detected: pd.DataFrame) -> list[tuple[OperatingPoint, pd.DataFrame]]:
    """Return the lesions that can be found at each operating point; their rows are numbered alike at all points."""
    askable = detected[detected["found"].notna()]
    return [(point, lesions.reset_index(drop=True)) for point, lesions in by_point(askable)]
