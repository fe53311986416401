"""Further metrics of the field, by name: where a metric of the user can be named, one of these can be, too.

They are measured only where they are asked for. Each is a function of two masks and the voxel size, as those of users
are (:mod:`cordlesion.metrics.own`), with these decisions for empty masks:

* without a lesion in the reference, scores and distances are undefined (NaN), as for all metrics of a scan;
* without one in the prediction only, scores are 0 and distances are undefined: no number of mm is right.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from cordlesion.io.arrays import Mask
from cordlesion.metrics.lesion import Lesions, checked_lesions, lesion_overlaps
from cordlesion.metrics.overlap import Overlaps
from cordlesion.metrics.rules import LesionRule, resolve_rule
from cordlesion.metrics.surface import USUAL_LOAD, normalised_dice, surface_distances
from cordlesion.metrics.voxel import checked_mask, require_same_shape, voxel_volume_mm3

_HALF = 0.5


def hd95_mm(reference: npt.ArrayLike, prediction: npt.ArrayLike, spacing_mm: Sequence[float]) -> float:
    """Return the 95th percentile of the Hausdorff distance; see :func:`cordlesion.metrics.surface_distances`."""
    return surface_distances(reference, prediction, spacing_mm).hausdorff95_mm


def surface_distance_mm(reference: npt.ArrayLike, prediction: npt.ArrayLike, spacing_mm: Sequence[float]) -> float:
    """Return the average symmetric surface distance; see :func:`cordlesion.metrics.surface_distances`."""
    return surface_distances(reference, prediction, spacing_mm).mean_mm


def nsd(
    reference: npt.ArrayLike, prediction: npt.ArrayLike, spacing_mm: Sequence[float], *, tolerance_mm: float = 1.0
) -> float:
    """Return the normalised surface distance: the share of both surfaces within a tolerance of the other.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z).
        prediction: The same.
        spacing_mm: Voxel size along the three axes.
        tolerance_mm: Largest distance that counts as agreement.
    """
    within = surface_distances(reference, prediction, spacing_mm, tolerance_mm).within
    missed = math.isnan(within) and np.any(reference)
    return 0.0 if missed else within


def ndsc(
    reference: npt.ArrayLike, prediction: npt.ArrayLike, spacing_mm: Sequence[float], *, load: float = USUAL_LOAD
) -> float:
    """Return the normalised Dice of a whole scan; see :func:`cordlesion.metrics.normalised_dice`.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z). The share of lesion is that of all its voxels.
        prediction: The same.
        spacing_mm: Voxel size along the three axes; the value does not depend on it.
        load: Usual share of lesion voxels.
    """
    lesion, predicted = _checked(reference, prediction, spacing_mm)
    common = int(np.count_nonzero(lesion & predicted))
    counts = int(np.count_nonzero(lesion)), int(np.count_nonzero(predicted))
    return normalised_dice(*counts, common, lesion.size, load)


def absolute_volume_difference_mm3(
    reference: npt.ArrayLike, prediction: npt.ArrayLike, spacing_mm: Sequence[float]
) -> float:
    """Return the absolute difference of the lesion volumes; defined for empty masks, too."""
    masks = _checked(reference, prediction, spacing_mm)
    n_reference, n_predicted = (int(np.count_nonzero(mask)) for mask in masks)
    return abs(n_predicted - n_reference) * voxel_volume_mm3(spacing_mm)


def relative_volume_difference(
    reference: npt.ArrayLike, prediction: npt.ArrayLike, spacing_mm: Sequence[float]
) -> float:
    """Return the absolute difference of the lesion volumes as a share of that of the reference."""
    masks = _checked(reference, prediction, spacing_mm)
    n_reference, n_predicted = (int(np.count_nonzero(mask)) for mask in masks)
    return abs(n_predicted - n_reference) / n_reference if n_reference else math.nan


def split_lesions(
    reference: Lesions,
    prediction: Lesions,
    spacing_mm: Sequence[float],
    *,
    rule: str | LesionRule = "study",
) -> int:
    """Count the lesions that the prediction splits: each holds more than half of two or more predicted lesions.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z); or lesions that are given, each as it is, from
            :func:`cordlesion.lesions_of_labels`.
        prediction: The same.
        spacing_mm: Voxel size along the three axes.
        rule: What a lesion is: its connectivity in a mask, and its minimum volume.

    References:
        The match by more than half is that of Matula et al., PLOS ONE 2015.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.metrics import merged_lesions, split_lesions
        >>> whole, parts = np.zeros((2, 9, 9, 20), bool)
        >>> whole[3:6, 3:6, 2:18] = parts[3:6, 3:6, 2:18] = True
        >>> parts[..., 9:11] = False
        >>> split_lesions(whole, parts, (1, 1, 1)), merged_lesions(parts, whole, (1, 1, 1))
        (1, 1)
    """
    return _n_holding_several(_lesion_overlaps(reference, prediction, spacing_mm, rule))


def merged_lesions(
    reference: Lesions,
    prediction: Lesions,
    spacing_mm: Sequence[float],
    *,
    rule: str | LesionRule = "study",
) -> int:
    """Count the predicted lesions that merge several: each holds more than half of two or more of the reference.

    Arguments and source as for :func:`split_lesions`.
    """
    return _n_holding_several(_lesion_overlaps(reference, prediction, spacing_mm, rule).swapped())


@dataclass(frozen=True)
class FurtherMetric:
    """A metric that is measured where it is named."""

    function: Callable[..., float]
    """``function(reference, prediction, spacing_mm)``, with keyword arguments as ``parameters``."""
    label: str
    """Name in reports."""
    meaning: str
    """One sentence without its full stop."""
    higher_is_better: bool
    source: str
    """Where it comes from."""
    of_surfaces: bool = False
    """Whether it is a distance between surfaces, of which lesions of the cord have little."""
    of_lesions: bool = False
    """Whether it counts lesions, so that it takes those of :func:`cordlesion.lesions_of_labels` as they are."""


FURTHER_METRICS: Mapping[str, FurtherMetric] = MappingProxyType(
    {
        "hd95_mm": FurtherMetric(
            hd95_mm,
            "HD95 (mm)",
            "Larger of the two 95th percentiles of the distances from one surface to the other; undefined where one of "
            "the masks is empty",
            False,
            "Huttenlocher et al., IEEE PAMI 1993; Taha and Hanbury, BMC Med. Imaging 2015",
            of_surfaces=True,
        ),
        "surface_distance_mm": FurtherMetric(
            surface_distance_mm,
            "ASSD (mm)",
            "Mean distance from both surfaces to the other (average symmetric surface distance); undefined where one "
            "of the masks is empty",
            False,
            "Taha and Hanbury, BMC Med. Imaging 2015",
            of_surfaces=True,
        ),
        "nsd": FurtherMetric(
            nsd,
            "NSD",
            "Share of both surfaces within `tolerance_mm` (1) of the other (normalised surface distance, or surface "
            "Dice); 0 where only the prediction is empty",
            True,
            "Nikolov et al., J. Med. Internet Res. 2021",
            of_surfaces=True,
        ),
        "ndsc": FurtherMetric(
            ndsc,
            "nDSC",
            "Dice in which false positives weigh as if the scan had the usual `load` (0.001 of all voxels of the scan)",
            True,
            "Raina et al., ISBI 2023",
        ),
        "absolute_volume_difference_mm3": FurtherMetric(
            absolute_volume_difference_mm3,
            "AVD (mm³)",
            "Absolute difference of the lesion volumes; defined in lesion-free scans, too",
            False,
            "Styner et al., MIDAS Journal 2008",
        ),
        "relative_volume_difference": FurtherMetric(
            relative_volume_difference,
            "Relative AVD",
            "Absolute difference of the lesion volumes as a share of that of the reference",
            False,
            "Styner et al., MIDAS Journal 2008",
        ),
        "split_lesions": FurtherMetric(
            split_lesions,
            "Split lesions",
            "Number of lesions of the reference that hold more than half of two or more predicted lesions; `rule` "
            "(`study`) defines a lesion",
            False,
            "Matula et al., PLOS ONE 2015",
            of_lesions=True,
        ),
        "merged_lesions": FurtherMetric(
            merged_lesions,
            "Merging lesions",
            "Number of predicted lesions that hold more than half of two or more lesions of the reference; `rule` "
            "(`study`) defines a lesion",
            False,
            "Matula et al., PLOS ONE 2015",
            of_lesions=True,
        ),
    }
)
"""Metrics of the field by name, measured where ``--metric``, ``evaluation.metrics`` or ``metrics=`` names them."""


def _checked(reference: npt.ArrayLike, prediction: npt.ArrayLike, spacing_mm: Sequence[float]) -> tuple[Mask, Mask]:
    voxel_volume_mm3(spacing_mm)
    masks = checked_mask(reference, "reference"), checked_mask(prediction, "prediction")
    require_same_shape(*masks, "prediction")
    return masks


def _lesion_overlaps(
    reference: Lesions, prediction: Lesions, spacing_mm: Sequence[float], rule: str | LesionRule
) -> Overlaps:
    resolved, voxel_mm3 = resolve_rule(rule), voxel_volume_mm3(spacing_mm)
    found = lesion_overlaps(*checked_lesions(reference, prediction), resolved.connectivity)
    return found.without_small(resolved.min_voxels(voxel_mm3))


def _n_holding_several(overlaps: Overlaps) -> int:
    """Count the lesions that hold more than half of each of two or more candidates."""
    inside = overlaps.voxels > _HALF * overlaps.candidate_sizes[overlaps.candidates]
    return int(np.sum(np.bincount(overlaps.lesions[inside]) > 1))
