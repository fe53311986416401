"""Lesion-wise agreement: which lesions are detected, and which predicted components are true.

Hussein et al. count a lesion as detected when the candidates overlap it by 25 % and lie outside by at most 70 %.
This is the two-part criterion of the MSSEG challenge (Commowick et al., Sci. Rep. 2018), whose evaluation tool was
published by the same laboratory; the points that the paper leaves open are settled as that tool settles them:

* lesions are 6-connected components of more than 3 mm3; smaller ones count as background in both masks;
* the overlap of a lesion is the sum over all candidates that touch it, so a lesion found in pieces is found;
* "outside" is the share of a candidate outside *every* lesion, relative to the candidate's own size;
* only the largest contributors that together explain a share ``gamma`` of the overlap must stay inside;
* precision is the same count with the masks' roles swapped, so true predictions and detected lesions may differ in
  number, and F1 is the harmonic mean of the two ratios.

:mod:`cordlesion.metrics.rules` has this and the other rules of the field in one table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cordlesion.io.arrays import Int32Array, IntArray, Mask
from cordlesion.metrics.overlap import Overlaps, detect, side_by_side
from cordlesion.metrics.rules import CONNECTIVITY_RANK, LesionRule
from cordlesion.metrics.voxel import UNDEFINED, Scores, bounding_box, checked_mask, require_same_shape


@dataclass(frozen=True, eq=False)
class Components:
    """The lesions of one mask."""

    labels: Int32Array
    """Number of the lesion (from 1) at each voxel, 0 outside; shape (X, Y, Z)."""
    sizes: IntArray
    """Voxels of each lesion; lesion k has size ``sizes[k - 1]``."""
    numbers: IntArray | None = None
    """Its number in the instance map that it comes from, shape (L,); None where it comes from a mask."""

    @property
    def mask(self) -> Mask:
        """Which voxels are lesion."""
        inside: Mask = self.labels > 0
        return inside


Lesions: TypeAlias = npt.ArrayLike | Components
"""A mask, whose lesions are its connected components; or lesions that are given, as those of an instance map."""
CheckedLesions: TypeAlias = Mask | Components
"""The same, with a mask of booleans."""


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of both masks, and how many of them the other mask confirms."""

    n_reference: int
    n_detected: int
    n_predicted: int
    n_true_predicted: int


def label_components(mask: Mask, rule: LesionRule, voxel_mm3: float) -> Components:
    """Find the lesions of a mask: its connected components above the rule's minimum volume.

    Args:
        mask: Shape (X, Y, Z).
        rule: Gives the connectivity and the minimum volume.
        voxel_mm3: Volume of a voxel.
    """
    found = every_component(mask, rule.connectivity)
    kept = found.sizes >= rule.min_voxels(voxel_mm3)
    number = np.concatenate([[0], kept * kept.cumsum()]).astype(np.int32)
    box = bounding_box(mask)
    found.labels[box] = number[found.labels[box]]
    return Components(found.labels, found.sizes[kept])


def every_component(mask: Mask, connectivity: int) -> Components:
    """Find the connected components of a mask, whatever their size.

    Args:
        mask: Shape (X, Y, Z).
        connectivity: 6, 18 or 26.
    """
    labels = np.zeros(mask.shape, dtype=np.int32)
    box = bounding_box(mask)
    # Contiguous, because the labelling is several times slower on the Fortran order of NIfTI files.
    inside = np.ascontiguousarray(mask[box])
    found = np.zeros(inside.shape, dtype=np.int32)
    n = ndimage.label(inside, ndimage.generate_binary_structure(3, CONNECTIVITY_RANK[connectivity]), output=found)
    labels[box] = found
    return Components(labels, np.bincount(found.ravel(), minlength=n + 1)[1:])


def checked_lesions(reference: Lesions, prediction: Lesions) -> tuple[CheckedLesions, CheckedLesions]:
    """Return the lesions of a scan, with masks as booleans.

    Raises:
        CordlesionError: Shapes differ, or a mask is not 3-D, empty, or with values other than 0 and 1.
    """
    first, second = (
        one if isinstance(one, Components) else checked_mask(one, name)
        for one, name in ((reference, "reference"), (prediction, "prediction"))
    )
    require_same_shape(_voxels(first), _voxels(second), "prediction")
    return first, second


def mask_of(lesions: CheckedLesions) -> Mask:
    """Return which voxels are lesion."""
    return lesions.mask if isinstance(lesions, Components) else lesions


def lesion_overlaps(reference: CheckedLesions, prediction: CheckedLesions, connectivity: int) -> Overlaps:
    """Count the voxels that lesions and candidates of every size share.

    Args:
        reference: A mask, or its lesions where they are given.
        prediction: The same.
        connectivity: Of the components of masks: 6, 18 or 26.
    """
    return find_overlaps(*(components_of(one, connectivity) for one in (reference, prediction)))


def components_of(lesions: CheckedLesions, connectivity: int) -> Components:
    """Return lesions of every size: those that are given, or the connected components of a mask."""
    return lesions if isinstance(lesions, Components) else every_component(lesions, connectivity)


def find_overlaps(reference: Components, prediction: Components) -> Overlaps:
    """Count the voxels that each lesion shares with each candidate.

    Args:
        reference: Lesions of the reference.
        prediction: Lesions of the prediction, on the same grid.
    """
    common = (reference.labels > 0) & (prediction.labels > 0)
    # One whole number per pair: sorting those is many times faster than sorting pairs.
    n_columns = len(prediction.sizes) + 1
    keys = reference.labels[common].astype(np.int64) * n_columns + prediction.labels[common]
    pairs, voxels = np.unique(keys, return_counts=True)
    return Overlaps(reference.sizes, prediction.sizes, pairs // n_columns - 1, pairs % n_columns - 1, voxels)


def count_detected(overlaps: Sequence[Overlaps], rule: LesionRule, min_voxels: int = 1) -> list[LesionCounts]:
    """Count the detected reference lesions and, with the roles swapped, the true predicted ones.

    Many predictions are counted at once, as parts of one scan.

    Args:
        overlaps: Of each prediction with its reference.
        rule: Decides what is detected.
        min_voxels: Smaller components count as background.
    """
    if not overlaps:
        return []
    lesions, candidates = _parts([part.sizes for part in overlaps]), _parts([part.candidate_sizes for part in overlaps])
    counts = count_by_part(side_by_side(overlaps), lesions, candidates, len(overlaps), rule, min_voxels)
    return [LesionCounts(*numbers) for numbers in counts.tolist()]


def count_by_part(
    together: Overlaps, lesions: IntArray, candidates: IntArray, n_parts: int, rule: LesionRule, min_voxels: int = 1
) -> IntArray:
    """Count as :func:`count_detected` does, of predictions that stand side by side as parts of one scan.

    Args:
        together: Of all parts.
        lesions: The part of each lesion, shape (L,).
        candidates: The part of each candidate, shape (C,).
        n_parts: How many there are.
        rule: Decides what is detected.
        min_voxels: Smaller components count as background.

    Returns:
        The fields of :class:`LesionCounts`, shape (n_parts, 4).
    """
    detected, true = detect(together.without_small(min_voxels), rule)
    lesions = lesions[together.sizes >= min_voxels]
    candidates = candidates[together.candidate_sizes >= min_voxels]
    counted = (lesions, lesions[detected], candidates, candidates[true])
    return np.stack([np.bincount(parts, minlength=n_parts) for parts in counted], axis=1)


def _voxels(lesions: CheckedLesions) -> Mask | Int32Array:
    return lesions.labels if isinstance(lesions, Components) else lesions


def _parts(components: Sequence[IntArray]) -> IntArray:
    """Return of each component of several parts to which part it belongs."""
    return np.repeat(np.arange(len(components)), [len(part) for part in components])


def lesion_scores(counts: LesionCounts) -> Scores:
    """Score a mask from its lesion counts.

    Without a reference lesion (an empty reference, or only lesions below the minimum volume) all three are undefined
    (NaN). Without a predicted one they are 0.
    """
    if counts.n_reference == 0:
        return UNDEFINED
    sensitivity = counts.n_detected / counts.n_reference
    precision = counts.n_true_predicted / counts.n_predicted if counts.n_predicted else 0.0
    total = sensitivity + precision
    return Scores(sensitivity, precision, 2 * sensitivity * precision / total if total else 0.0)
