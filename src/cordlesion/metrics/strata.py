"""Lesion-wise scores by lesion size: are the small lesions found too?"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, Mask
from cordlesion.metrics.scan import LesionMatches

STRATA_MM3: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"small": (0.0, 40.0), "medium": (40.0, 100.0), "large": (100.0, math.inf)}
)
"""Lesion volumes from (included) and up to (excluded), in mm3, by the stratum's name.

A convention of this program: each holds about a third of the cord's lesions if their volumes are log-normal with a
median of 60 mm3 and a standard deviation of the logarithm of 0.87. This is an estimate from published lengths and
cross-sections (Bot et al., Neurology 2004, median length 0.8 vertebral segments; Kearney, abstract on 51 lesions, mean
areas of 4 to 11 mm2). Lesions of the brain are smaller; do not carry the limits over.
"""


@dataclass(frozen=True)
class StratumScores:
    """Scores of the lesions of one size, pooled over scans, with the counts they are made of."""

    sensitivity: float
    """Share of the reference's lesions of this size that are detected; NaN without such lesions."""
    precision: float
    """Share of the *predicted* lesions of this size that are true; NaN without such lesions."""
    n_reference_lesions: int
    n_detected_lesions: int
    n_predicted_lesions: int
    n_true_predicted_lesions: int


def stratum_scores(
    scans: Iterable[LesionMatches], strata_mm3: Mapping[str, tuple[float, float]] = STRATA_MM3
) -> dict[str, StratumScores]:
    """Score lesions by size, pooled over scans.

    Sensitivity goes by the volume of the lesion in the reference, precision by the volume of the predicted lesion:
    there is no F1, because a large lesion found small counts in two strata.

    Args:
        scans: From :func:`cordlesion.metrics.match_lesions`.
        strata_mm3: Volumes from (included) and up to (excluded), by name.

    Returns:
        Scores by the stratum's name.

    Raises:
        CordlesionError: A stratum ends before it starts.
    """
    rows = list(scans)
    reference = _pooled((row.reference_volumes_mm3, row.detected) for row in rows)
    predicted = _pooled((row.predicted_volumes_mm3, row.true_predicted) for row in rows)
    return {name: _scores(reference, predicted, name, *limits) for name, limits in strata_mm3.items()}


def _pooled(lesions: Iterable[tuple[FloatArray, Mask]]) -> tuple[FloatArray, Mask]:
    volumes, confirmed = [np.zeros(0)], [np.zeros(0, dtype=np.bool_)]
    for of_scan, confirmed_of_scan in lesions:
        volumes.append(of_scan)
        confirmed.append(confirmed_of_scan)
    return np.concatenate(volumes), np.concatenate(confirmed)


def _scores(
    reference: tuple[FloatArray, Mask],
    predicted: tuple[FloatArray, Mask],
    name: str,
    low: float,
    high: float,
) -> StratumScores:
    if not low < high:
        raise CordlesionError(f"The stratum {name!r} goes from {low:g} to {high:g} mm3; it must end after it starts.")
    n_reference, n_detected = _count(*reference, low, high)
    n_predicted, n_true = _count(*predicted, low, high)
    return StratumScores(
        sensitivity=n_detected / n_reference if n_reference else math.nan,
        precision=n_true / n_predicted if n_predicted else math.nan,
        n_reference_lesions=n_reference,
        n_detected_lesions=n_detected,
        n_predicted_lesions=n_predicted,
        n_true_predicted_lesions=n_true,
    )


def _count(volumes_mm3: FloatArray, confirmed: Mask, low: float, high: float) -> tuple[int, int]:
    inside = (volumes_mm3 >= low) & (volumes_mm3 < high)
    return int(np.count_nonzero(inside)), int(np.count_nonzero(inside & confirmed))
