"""Subject-level agreement: who has lesions, and who has none."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class LesionCountsOfScan(Protocol):
    """What is needed of a scan: a :class:`ScanMetrics`, or any row with these columns."""

    @property
    def n_reference_lesions(self) -> int: ...  # noqa: D102
    @property
    def n_detected_lesions(self) -> int: ...  # noqa: D102
    @property
    def n_predicted_lesions(self) -> int: ...  # noqa: D102
    @property
    def reference_volume_mm3(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class SubjectScores:
    """Sensitivity and specificity over scans, with the counts they are made of."""

    sensitivity: float
    """Share of lesion-bearing scans with at least one detected lesion; NaN without such scans."""
    specificity: float
    """Share of lesion-free scans in which no lesion is predicted; NaN without such scans."""
    n_with_lesions: int
    n_found: int
    """Lesion-bearing scans with at least one detected lesion."""
    n_lesion_free: int
    n_clean: int
    """Lesion-free scans without a predicted lesion."""
    n_left_out: int
    """Scans whose reference lesions are all below the minimum volume: neither lesion-bearing nor lesion-free."""


def subject_scores(scans: Iterable[LesionCountsOfScan]) -> SubjectScores:
    """Score how well a model separates scans with lesions from scans without lesions.

    "Found" needs a *correctly detected* lesion, not any prediction; "clean" needs no predicted lesion above the minimum
    volume. The paper does not define them, but with these definitions every value of its Table 2 is reproduced.
    """
    rows = list(scans)
    with_lesions = [row for row in rows if row.n_reference_lesions > 0]
    free = [row for row in rows if row.reference_volume_mm3 == 0]
    n_found = sum(row.n_detected_lesions > 0 for row in with_lesions)
    n_clean = sum(row.n_predicted_lesions == 0 for row in free)
    return SubjectScores(
        sensitivity=n_found / len(with_lesions) if with_lesions else math.nan,
        specificity=n_clean / len(free) if free else math.nan,
        n_with_lesions=len(with_lesions),
        n_found=n_found,
        n_lesion_free=len(free),
        n_clean=n_clean,
        n_left_out=len(rows) - len(with_lesions) - len(free),
    )
