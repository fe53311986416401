"""FROC: lesion sensitivity against false lesions per scan, over all thresholds (Chakraborty, Acad. Radiol. 1989)."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray

FALSE_LESIONS_PER_SCAN = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Operating points of the FROC score, those of the LUNA16 challenge (Setio et al., Med. Image Anal. 2017)."""


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """The free-response operating points of a set of scans, one per threshold."""

    thresholds: FloatArray
    """Rising, shape (T,)."""
    sensitivity: FloatArray
    """Share of all lesions of the set that are detected; NaN without lesions. Shape (T,)."""
    false_per_scan: FloatArray
    """Predicted lesions that are not true, per scan. Shape (T,)."""
    n_scans: int
    n_reference_lesions: int

    def sensitivity_at(self, false_per_scan: float) -> float:
        """Return the best sensitivity with at most so many false lesions per scan; 0 if no threshold has so few.

        No interpolation: it is the sensitivity of a threshold that exists. The curve need not be monotone, because
        components merge as the threshold falls.
        """
        if math.isnan(self.sensitivity[0]):
            return math.nan
        return float(self.sensitivity[self.false_per_scan <= false_per_scan].max(initial=0.0))

    def score(self, rates: tuple[float, ...] = FALSE_LESIONS_PER_SCAN) -> float:
        """Return the mean of the sensitivities at these numbers of false lesions per scan."""
        return float(np.mean([self.sensitivity_at(rate) for rate in rates]))


def froc_curve(
    thresholds: npt.ArrayLike,
    n_reference_lesions: npt.ArrayLike,
    n_detected_lesions: npt.ArrayLike,
    n_predicted_lesions: npt.ArrayLike,
    n_true_predicted_lesions: npt.ArrayLike,
) -> FrocCurve:
    """Pool the lesion counts of sweeps into a FROC curve.

    Lesion-free scans belong to the set: their false lesions count. The arguments are columns of one long table with a
    row per scan and threshold, in any order, such as :func:`cordlesion.metrics.sweep` gives; shape (R,) each.

    Args:
        thresholds: Decision threshold of each row.
        n_reference_lesions: Lesions of the reference.
        n_detected_lesions: Those that are detected.
        n_predicted_lesions: Predicted lesions.
        n_true_predicted_lesions: Those that are true.

    Raises:
        CordlesionError: There is no row, lengths differ, or some scans lack some thresholds.
    """
    columns = [
        np.asarray(column, dtype=np.float64)
        for column in (
            thresholds,
            n_reference_lesions,
            n_detected_lesions,
            n_predicted_lesions,
            n_true_predicted_lesions,
        )
    ]
    if columns[0].size == 0 or {column.shape for column in columns} != {(columns[0].size,)}:
        raise CordlesionError(
            f"The columns of the sweep have shapes {[column.shape for column in columns]}; columns of one length, with "
            "a row per scan and threshold, are needed."
        )
    values, row, n_rows = np.unique(columns[0], return_inverse=True, return_counts=True)
    reference, detected, predicted, true = (np.bincount(row, column) for column in columns[1:])
    if len(set(n_rows.tolist())) > 1 or len(set(reference.tolist())) > 1:
        raise CordlesionError(
            "The sweep has other scans at some thresholds than at others; every scan is needed at every threshold. "
            "Sweep all scans over one grid of thresholds."
        )
    n_scans, n_lesions = int(n_rows[0]), int(reference[0])
    sensitivity = detected / n_lesions if n_lesions else np.full(len(values), math.nan)
    return FrocCurve(values, sensitivity, (predicted - true) / n_scans, n_scans, n_lesions)
