"""The verdict on a scan: like the training scans, unusual, or refused; and on what was segmented in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from cordlesion.guard.conformal import look_scores, p_value, voxel_scores
from cordlesion.guard.features import FEATURES
from cordlesion.guard.profile import ScanProfile
from cordlesion.io.arrays import FloatArray
from cordlesion.lesions.measure import LesionList

Word: TypeAlias = Literal["not compared", "like the training scans", "unusual", "refused"]
LEVEL = 0.05
"""Share of scans like the training scans that are called unusual, at most."""
REFUSED_AT = 2.0
"""A scan is refused at so many times the distance of the training scan that is the farthest from all others."""
LARGER = 2.0
"""Number and extent of lesions are unusual beyond so many times the largest of any training scan. A network marks other
lesions than readers do, so references give no p-value for its masks."""
WHOLE_CORD, HALF_SECTION_MM2 = 0.9, 35.0
"""A lesion along so much of the cord, or half of the cord's section along all of it, is unusual for any model. The
section is 70 to 75 mm2 at C2 to C5 (Valosek & Bedard 2024)."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """How a scan, and the lesions found in it, compare with the scans that a model was trained on."""

    word: Word
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
        forced = ", but segmented all the same (--force)" if self.forced else ""
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"{self.word}{forced}{why}"

    @property
    def summary(self) -> str:
        """The verdict with the numbers that it rests on."""
        if self.p_value is None:
            return self.sentence
        subjects = f"p = {self.p_value:.2g} among {self.n_subjects} subjects of the training scans"
        return f"{self.word} ({subjects}; unusual from {self.level:.2g} down)"

    @property
    def remark(self) -> str | None:
        """What a reader must know before the results; None for a scan like the training scans."""
        if self.word in ("not compared", "like the training scans"):
            return None
        return f"compared with the training scans of the model, this scan is {self.sentence}."

    def record(self) -> dict[str, Any]:
        """Return the verdict as JSON."""
        return {
            "Verdict": self.word,
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


NOT_COMPARED = Verdict("not compared", ("the model has no profile of the scans that it was trained on",))


def judge_scan(profile: ScanProfile, features: Mapping[str, float], edges_mm: tuple[float, float, float]) -> Verdict:
    """Compare a scan with the training scans.

    Two p-values are computed, of the intensities and of the voxels; the smaller one, doubled, is that of the scan
    (Bonferroni). With few subjects it cannot be as low as :data:`LEVEL`; the level is then the lowest possible value.

    Args:
        profile: Of the training scans.
        features: Of the scan, see :func:`.features.stack_features`.
        edges_mm: Voxel edges of the scan in LAS order.
    """
    point = np.array([features[name] for name in profile.features])
    looks = look_scores(np.vstack([profile.points, point]))
    distance = float(_distance(profile, point))
    voxels = voxel_scores(
        np.array([*profile.voxels_mm, edges_mm]),
        np.array([*profile.subjects, profile.n_subjects]),
        np.array([*profile.drawn, len(profile.voxels_mm)]),
    )
    p_look, p_voxels = p_value(looks), p_value(voxels)
    level = max(LEVEL, 2 / (profile.n_subjects + 1))
    reasons = [_look_reason(profile, point)] if 2 * p_look <= level + _ROUNDING else []
    reasons += [_voxel_reason(profile, edges_mm)] if 2 * p_voxels <= level + _ROUNDING else []
    is_refused = looks[-1] > looks[:-1].max() and distance >= REFUSED_AT
    word: Word = "refused" if is_refused else "unusual" if reasons else "like the training scans"
    return Verdict(
        word,
        tuple(reasons),
        round(min(1.0, 2 * p_look, 2 * p_voxels), 4),
        round(level, 4),
        round(distance, 2),
        profile.n_subjects,
        {name: (round(features[name], 3), *_range(profile, name)) for name in profile.features},
    )


def judge_result(verdict: Verdict, found: LesionList, profile: ScanProfile | None, *, cord_only: bool) -> Verdict:
    """Add what is unusual about the lesions that were found.

    Args:
        verdict: On the scan.
        found: The lesions.
        profile: Of the training scans; without it only what is unusual for any model is noticed.
        cord_only: Lesions were looked for in the cord only.
    """
    reasons = [_count_reason(found, profile), *(_extent_reasons(found, profile) if cord_only else ())]
    added = tuple(reason for reason in reasons if reason)
    if not added:
        return verdict
    word: Word = "refused" if verdict.word == "refused" else "unusual"
    return replace(verdict, word=word, reasons=(*verdict.reasons, *added))


def _distance(profile: ScanProfile, point: FloatArray) -> float:
    """Return how far a scan is from the training scans, relative to the farthest of them from the others."""
    inside = look_scores(profile.points).max()
    return look_scores(np.vstack([profile.points, point]))[-1] / max(inside, 1e-9)


def _range(profile: ScanProfile, name: str) -> tuple[float, float]:
    values = profile.features[name]
    return round(min(values), 3), round(max(values), 3)


def _look_reason(profile: ScanProfile, point: FloatArray) -> str:
    """Name the feature that is the farthest outside of the training scans' range, or from their mean."""
    points = profile.points
    spread = np.maximum(points.std(axis=0), 1e-9)
    outside = np.maximum(points.min(axis=0) - point, point - points.max(axis=0)) / spread
    away = np.abs(point - points.mean(axis=0)) / spread
    is_outside = bool(outside.max() > 0)
    name = list(profile.features)[int((outside if is_outside else away).argmax())]
    described = _describe(name, float(point[list(profile.features).index(name)]), *_range(profile, name))
    return described if is_outside else f"its intensities together are unlike those of any training scan; {described}"


def _describe(name: str, value: float, low: float, high: float) -> str:
    feature = FEATURES[name]
    signs = {-1: feature.below_zero, 1: feature.above_zero}
    ours, theirs = signs.get(int(np.sign(value)), ""), signs.get(int(np.sign(low)), "")
    if ours and theirs and ours != theirs and np.sign(low) == np.sign(high):
        return f"{ours} ({value:.2f}); in the training scans {theirs} ({low:.2f} to {high:.2f})"
    return f"{feature.meaning} is {value:.2f}; in the training scans {low:.2f} to {high:.2f}"


def _voxel_reason(profile: ScanProfile, edges_mm: tuple[float, float, float]) -> str:
    ratios = np.abs(np.log(np.array(profile.voxels_mm)) - np.log(edges_mm)).max(axis=1)
    nearest = profile.voxels_mm[int(ratios.argmin())]
    return (
        f"its voxels measure {_edges(edges_mm)} mm (left to right, front to back, up and down); in the most similar "
        f"training scan {_edges(nearest)} mm"
    )


def _edges(edges_mm: tuple[float, float, float]) -> str:
    return " x ".join(f"{edge:.2f}" for edge in edges_mm)


def _count_reason(found: LesionList, profile: ScanProfile | None) -> str:
    most = profile.lesions.n_lesions if profile else None
    if most is None or found.load.n_lesions <= LARGER * most:
        return ""
    return f"{found.load.n_lesions} lesions were segmented; the training scans have at most {most}"


def _extent_reasons(found: LesionList, profile: ScanProfile | None) -> list[str]:
    cord_mm, known = found.load.cord_mm, profile.lesions if profile else None
    if not cord_mm or not found.lesions:
        return []
    share, section = max(one.length_mm for one in found.lesions) / cord_mm, found.load.volume_mm3 / cord_mm
    longest, largest = (known.longest_share, known.mean_section_mm2) if known else (None, None)
    reasons = []
    if share >= _limit(longest, WHOLE_CORD):
        theirs = "" if longest is None else f"; in the training scans at most {100 * longest:.0f} %"
        reasons.append(f"one lesion takes {100 * share:.0f} % of the length of the cord that was searched{theirs}")
    if section >= _limit(largest, HALF_SECTION_MM2):
        theirs = "" if largest is None else f"; in the training scans at most {largest:.1f} mm2"
        reasons.append(f"on average the lesions fill {section:.1f} mm2 of the section of the cord{theirs}")
    return reasons


def _limit(largest: float | None, always: float) -> float:
    return always if largest is None else min(always, LARGER * largest)
