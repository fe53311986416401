"""Why a scan or its result is unusual, in sentences: what was found, and what the training scans have."""

from collections.abc import Mapping

import numpy as np

from cordlesion.guard.conformal import look_parts
from cordlesion.guard.features import FEATURES
from cordlesion.guard.profile import LesionExtent, ScanProfile
from cordlesion.lesions.measure import LesionList, LesionLoad

MORE, LARGER = 3.0, 2.0
"""Lesions are unusual if they are more than so many times as many, or as large, as in any training scan. A network
marks other lesions than readers do, and false ones, so references give no p-value for its masks."""
WHOLE_CORD, HALF_SECTION_MM2 = 0.9, 35.0
"""A lesion along so much of the cord, or half of the cord's section along all of it, is unusual for any model. The
section is 70 to 75 mm2 at C2 to C5 (Valosek & Bedard 2024)."""


def look_reason(profile: ScanProfile, features: Mapping[str, float]) -> str:
    """Name what is unlike the training scans: a changed sign, or the feature with the largest part in the distance.

    The value of this feature may lie within their range. It is then unlike them together with the other features, and
    the value is named that training scans with such other features have.
    """
    if changed := _sign_reason(profile, features):
        return changed
    parts, expected = look_parts(np.vstack([profile.points, profile.point(features)]))
    k = int(parts.argmax())
    name = list(profile.features)[k]
    value, (low, high) = features[name], profile.span(name)
    if not low <= value <= high:
        return _describe(name, value, low, high)
    usual = FEATURES[name].unscaled(float(expected[k]))
    digits = _digits(name, value, usual)
    here, there, *span = (_percent(number, digits) for number in (value, usual, low, high))
    return (
        f"{FEATURES[name].meaning} is {here} %, but training scans whose other values are like its own have about "
        f"{there} % (all training scans: {' to '.join(span)} %)"
    )


def _sign_reason(profile: ScanProfile, features: Mapping[str, float]) -> str:
    """Return a sentence about a feature whose sign is that of no training scan; empty if there is none."""
    for name in profile.features:
        feature, value, (low, high) = FEATURES[name], features[name], profile.span(name)
        if feature.signed and (value < 0 < low or high < 0 < value):
            ours, theirs = feature.words if value < 0 else feature.words[::-1]
            here = f"{feature.signed.format(ours)} ({_percent(value)} %)"
            return f"{here}; in the training scans it is {theirs} ({_percent(low)} to {_percent(high)} %)"
    return ""


def _describe(name: str, value: float, low: float, high: float) -> str:
    digits = _digits(name, value, low, high)
    shown, *span = (_percent(number, digits) for number in (value, low, high))
    return f"{FEATURES[name].meaning} is {shown} %; in the training scans {' to '.join(span)} %"


def _digits(name: str, value: float, *others: float) -> int:
    """Return how many decimals show a value apart from others: one just beyond a range must not look as if inside."""
    fewest = 1 if FEATURES[name].is_spread else 0
    apart = (n for n in range(fewest, 4) if _percent(value, n) not in [_percent(other, n) for other in others])
    return next(apart, 4)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}".replace("-0", "0") if abs(share) < 0.005 else f"{100 * share:.{digits}f}"


def voxel_reason(profile: ScanProfile, edges_mm: tuple[float, float, float]) -> str:
    """Compare the voxels of a scan with those of the most similar training scan."""
    ratios = np.abs(np.log(np.array(profile.voxels_mm)) - np.log(edges_mm)).max(axis=1)
    nearest = profile.voxels_mm[int(ratios.argmin())]
    return (
        f"its voxels measure {_edges(edges_mm)} mm (left to right, front to back, up and down); in the most similar "
        f"training scan {_edges(nearest)} mm"
    )


def _edges(edges_mm: tuple[float, float, float]) -> str:
    return " x ".join(f"{edge:.2f}" for edge in edges_mm)


def count_reasons(load: LesionLoad, known: LesionExtent | None) -> list[str]:
    """Return why the number of lesions is unusual; empty if it is not."""
    if known is None or not 0 < MORE * known.n_lesions < load.n_lesions:
        return []
    return [f"{load.n_lesions} lesions were segmented; the training scans have at most {known.n_lesions}"]


def extent_reasons(found: LesionList, known: LesionExtent | None) -> list[str]:
    """Return why the extent of lesions in the cord is unusual; empty if it is not."""
    cord_mm = found.load.cord_mm
    if not cord_mm or not found.lesions:
        return []
    # A lesion may reach beyond the ends of a curve that was drawn.
    share = min(max(one.length_mm for one in found.lesions) / cord_mm, 1.0)
    section = found.load.volume_mm3 / cord_mm
    longest, largest = (known.longest_share, known.mean_section_mm2) if known else (None, None)
    reasons = []
    if share >= _limit(longest, WHOLE_CORD):
        theirs = f"; in the training scans at most {100 * longest:.0f} %" if longest else ""
        reasons.append(f"one lesion takes {100 * share:.0f} % of the length of the cord that was searched{theirs}")
    if section >= _limit(largest, HALF_SECTION_MM2):
        theirs = f"; in the training scans at most {largest:.1f} mm2" if largest else ""
        reasons.append(f"the lesions fill {section:.1f} mm2 of a section, on average along the cord{theirs}")
    return reasons


def _limit(largest: float | None, always: float) -> float:
    return min(always, LARGER * largest) if largest else always
