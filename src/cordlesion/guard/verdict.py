"""The verdict on a scan: like the training scans, unusual, or refused; and on what was segmented in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from cordlesion.guard.conformal import look_scores, p_value, voxel_scores
from cordlesion.guard.profile import ScanProfile
from cordlesion.guard.reasons import count_reasons, extent_reasons, look_reason, voxel_reason
from cordlesion.lesions.measure import LesionList

Status: TypeAlias = Literal["not compared", "like the training scans", "unusual", "refused"]
LEVEL = 0.05
"""Share of scans like the training scans that are called unusual, at most."""
REFUSED_AT = 2.0
"""A scan is refused at so many times the distance of the training scan that is the farthest from all others."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """How a scan, and the lesions found in it, compare with the scans that a model was trained on.

    Examples:
        Here ``scan.nii.gz`` is a scan, ``centerline.nii.gz`` a curve drawn in it, and ``bundle`` a model of an earlier
        version, which has no profile of its training scans.

        >>> import cordlesion
        >>> verdict = cordlesion.segment("scan.nii.gz", "bundle", centerline="centerline.nii.gz").verdict
        >>> verdict.p_value is None, verdict.n_subjects
        (True, 0)
    """

    status: Status
    reasons: tuple[str, ...] = ()
    """Why, as sentences without a full stop; each names what was found and what the training scans have."""
    p_value: float | None = None
    """Probability of a scan as unusual as this one among scans like the training scans."""
    level: float | None = None
    """The scan is called unusual if the p-value is at most this."""
    distance: float | None = None
    """Distance from the training scans; 1 for the training scan that is the farthest from the others."""
    n_subjects: int = 0
    """Subjects in the profile."""
    features: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """For each feature its value, and the lowest and highest value of the training scans."""
    forced: bool = False
    """Segmented all the same."""

    @property
    def sentence(self) -> str:
        """The verdict in words, without a full stop."""
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"{self.status}{self._by_force}{why}"

    @property
    def summary(self) -> str:
        """The verdict with the numbers that it rests on."""
        if self.p_value is None:
            return self.sentence
        subjects = f"p = {self.p_value:.2g} among {self.n_subjects} subjects of the training scans"
        return f"{self.status} ({subjects}; unusual from {self.level:.2g} down)"

    @property
    def heading(self) -> str:
        """What a reader must know before the results, and above the reasons; empty if nothing stands out."""
        stands_out = self.status in ("unusual", "refused")
        return f"This scan is {self.status} for this model{self._by_force}:" if stands_out else ""

    @property
    def _by_force(self) -> str:
        return ", but accepted with --force" if self.forced else ""

    def record(self) -> dict[str, Any]:
        """Return the verdict as JSON."""
        return {
            "Verdict": self.status,
            "Forced": self.forced,
            "Reasons": list(self.reasons),
            "PValue": self.p_value,
            "Level": self.level,
            "Distance": self.distance,
            "Subjects": self.n_subjects,
            "Features": {
                name: {"Value": value, "TrainingScans": [low, high]}
                for name, (value, low, high) in self.features.items()
            },
        }


NOT_COMPARED = Verdict("not compared")


def judge_scan(profile: ScanProfile, features: Mapping[str, float], edges_mm: tuple[float, float, float]) -> Verdict:
    """Compare a scan with the training scans.

    Two p-values are computed, of the intensities and of the voxels; the smaller one, doubled, is that of the scan
    (Bonferroni). With few subjects it cannot be as low as :data:`LEVEL`; the level is then the lowest possible value.

    Args:
        profile: Of the training scans.
        features: Of the scan, see :func:`.features.stack_features`.
        edges_mm: Voxel edges of the scan in LAS order.
    """
    point = profile.point(features)
    looks = look_scores(np.vstack([profile.points, point]))
    # Relative to the training scan that is the farthest from the others.
    distance = float(looks[-1] / max(look_scores(profile.points).max(), _ROUNDING))
    voxels = voxel_scores(
        np.array([*profile.voxels_mm, edges_mm]),
        np.array([*profile.subjects, profile.n_subjects]),
        np.array([*profile.drawn, len(profile.voxels_mm)]),
    )
    p_look, p_voxels = p_value(looks), p_value(voxels)
    level = max(LEVEL, 2 / (profile.n_subjects + 1))
    reasons = [look_reason(profile, features)] if 2 * p_look <= level + _ROUNDING else []
    reasons += [voxel_reason(profile, edges_mm)] if 2 * p_voxels <= level + _ROUNDING else []
    is_refused = looks[-1] > looks[:-1].max() and distance >= REFUSED_AT
    status: Status = "refused" if is_refused else "unusual" if reasons else "like the training scans"
    return Verdict(
        status,
        tuple(reasons),
        round(min(1.0, 2 * p_look, 2 * p_voxels), 4),
        round(level, 4),
        round(distance, 2),
        profile.n_subjects,
        {name: (round(features[name], 3), *profile.span(name)) for name in profile.features},
    )


def judge_result(verdict: Verdict, found: LesionList, profile: ScanProfile | None, *, cord_only: bool) -> Verdict:
    """Add what is unusual about the lesions that were found.

    Args:
        verdict: On the scan.
        found: The lesions.
        profile: Of the training scans; without it only what is unusual for any model is noticed.
        cord_only: Lesions were looked for in the cord only.
    """
    known = profile.lesions if profile else None
    added = (*count_reasons(found.load, known), *(extent_reasons(found, known) if cord_only else ()))
    if not added:
        return verdict
    status: Status = "refused" if verdict.status == "refused" else "unusual"
    return replace(verdict, status=status, reasons=(*verdict.reasons, *added))
