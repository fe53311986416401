"""Lesions with probabilities: matches of instances, and the score of the MS-Multi-Spine challenge.

The challenge (MICCAI 2024 and 2025) ranks detections: every predicted lesion has a probability, and the sensitivity is
measured where lesions below a probability are left out, so that 0.25, 0.5, 1, 2 and 3 false lesions per image remain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, FloatArray, IntArray
from cordlesion.metrics.lesion import (
    CheckedLesions,
    Components,
    Lesions,
    checked_lesions,
    components_of,
    find_overlaps,
    mask_of,
)
from cordlesion.metrics.rules import RULES
from cordlesion.metrics.voxel import bounding_box, checked_array, require_same_shape

MULTI_SPINE_RATES = (0.25, 0.5, 1.0, 2.0, 3.0)
"""False lesions per image at which the challenge measures the sensitivity."""
MULTI_SPINE_IOU = 0.2
"""Least intersection over union of a lesion and a predicted one that match."""


@dataclass(frozen=True, eq=False)
class MatchedInstances:
    """The lesions of one image, and the probability that decides about each."""

    detected_at: FloatArray
    """Of each lesion of the reference the highest probability among the predicted lesions that match it; -1 where none
    does. Shape (L,)."""
    false: FloatArray
    """Probabilities of the predicted lesions that match none, shape (F,)."""


@dataclass(frozen=True)
class MultiSpineScore:
    """The score of the challenge."""

    score: float
    """Mean of the sensitivities."""
    sensitivities: tuple[float, ...]
    """At each rate of false lesions; NaN where no image has a lesion."""


def match_instances(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    probabilities: Sequence[float] | npt.NDArray[np.floating],
    min_iou: float = MULTI_SPINE_IOU,
) -> MatchedInstances:
    """Match the lesions of an image, many to many: a pair matches when its intersection over union is large enough.

    Args:
        reference: Whole numbers, 0 outside and another number for each lesion, shape (X, Y, Z).
        prediction: The same; the numbers are 1 to C.
        probabilities: Of the predicted lesions in the order of their numbers, shape (C,).
        min_iou: Least intersection over union.

    Raises:
        CordlesionError: Shapes differ, numbers are not whole, or there is not one probability in [0, 1] for each
            predicted lesion.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.metrics import match_instances
        >>> reference, prediction = np.zeros((2, 9, 9, 9), int)
        >>> reference[:3, :3, :3] = 1
        >>> prediction[1:3, :3, :3] = 1
        >>> prediction[7, 7, 7] = 2
        >>> found = match_instances(reference, prediction, [0.8, 0.3])
        >>> found.detected_at.tolist(), found.false.tolist()
        ([0.8], [0.3])
    """
    masks = _checked_labels(reference, "reference"), _checked_labels(prediction, "prediction")
    require_same_shape(*masks, "prediction")
    p = np.asarray(probabilities, dtype=np.float64)
    n_predicted = int(masks[1].max(initial=0))
    if p.shape != (n_predicted,) or not ((p >= 0) & (p <= 1)).all():
        raise CordlesionError(
            f"There are {n_predicted} predicted lesions and probabilities of shape {p.shape}; one from 0 to 1 is "
            "needed for each."
        )
    present = np.flatnonzero(np.bincount(masks[1].ravel(), minlength=n_predicted + 1)[1:])
    return match_given(_numbered(masks[0]), _numbered(masks[1]), p[present], min_iou)


def lesions_of_labels(labels: npt.ArrayLike, name: str = "instance map") -> Components:
    """Return the lesions of an instance map, each as it is: touching lesions stay apart, and pieces stay together.

    Args:
        labels: Whole numbers, 0 outside and another number for each lesion, shape (X, Y, Z).
        name: What to call it in messages.

    Returns:
        The lesions in the order of their numbers, for :func:`cordlesion.evaluate` and its like in place of a mask.

    Raises:
        CordlesionError: Numbers are not whole, or below 0.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> touching = np.zeros((8, 8, 8), int)
        >>> touching[2:4], touching[4:6] = 1, 2
        >>> lesions = cordlesion.lesions_of_labels(touching)
        >>> cordlesion.evaluate(touching > 0, touching > 0, (1, 1, 1)).n_reference_lesions
        1
        >>> cordlesion.evaluate(lesions, lesions, (1, 1, 1)).n_reference_lesions
        2
    """
    return _numbered(_checked_labels(labels, name))


def multi_spine_score(
    images: Sequence[MatchedInstances], rates: Sequence[float] = MULTI_SPINE_RATES
) -> MultiSpineScore:
    """Return the score of MS-Multi-Spine: the mean over rates of the mean over images of the sensitivity.

    The sensitivity at a rate is interpolated linearly between the two neighbouring probabilities, where more and where
    fewer false lesions per image remain. Images without a lesion count in the rate of false lesions only. Where even
    all predicted lesions hold fewer false ones, it is that of all.

    Args:
        images: From :func:`match_instances`.
        rates: False lesions per image.

    Raises:
        CordlesionError: There is no image.

    Examples:
        >>> from cordlesion.metrics import MatchedInstances, multi_spine_score
        >>> import numpy as np
        >>> first = MatchedInstances(detected_at=np.array([0.9, 0.4]), false=np.array([0.6]))
        >>> second = MatchedInstances(detected_at=np.array([0.7]), false=np.array([]))
        >>> multi_spine_score([first, second]).sensitivities
        (0.75, 1.0, 1.0, 1.0, 1.0)
    """
    curves = _curves(images)
    return _score(curves.at(np.ones(len(images))), rates)


def weighted_multi_spine_scores(
    images: Sequence[MatchedInstances], weights: FloatArray, rates: Sequence[float] = MULTI_SPINE_RATES
) -> FloatArray:
    """Return the score of several samples of the images, as a bootstrap needs them.

    Args:
        images: From :func:`match_instances`.
        weights: How often each sample has each image, shape (B, images).
        rates: False lesions per image.

    Returns:
        Shape (B,); NaN where a sample has no lesion.
    """
    curves = _curves(images)
    return np.array([_score(curves.at(of_sample), rates).score for of_sample in weights])


def match_components(reference: Lesions, prediction: Lesions, probability: npt.ArrayLike) -> MatchedInstances:
    """Match the 26-connected components of two masks; the probability of a predicted one is the highest in it.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z); or lesions that are given, from :func:`lesions_of_labels`.
        prediction: The same: which voxels of the map are lesion.
        probability: Values in [0, 1], shape (X, Y, Z).

    Raises:
        CordlesionError: Shapes differ, or an array holds other values.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.metrics import match_components
        >>> p = np.zeros((9, 9, 9))
        >>> p[:3, :3, :3], p[7, 7, 7] = 0.6, 0.9
        >>> found = match_components(p == 0.6, p > 0.5, p)
        >>> found.detected_at.tolist(), found.false.tolist()
        ([0.6], [0.9])
    """
    lesions, candidates = checked_lesions(reference, prediction)
    mask, p = mask_of(candidates), checked_array(probability, "probability map")
    require_same_shape(mask, p, "probability map")
    numbered = components_of(candidates, RULES["multi_spine"].connectivity)
    box = bounding_box(mask)
    inside = mask[box]
    peaks = np.zeros(len(numbered.sizes))
    np.maximum.at(peaks, numbered.labels[box][inside] - 1, p[box][inside])
    return match_given(lesions, numbered, peaks)


def match_given(
    reference: CheckedLesions, candidates: Components, p: FloatArray, min_iou: float = MULTI_SPINE_IOU
) -> MatchedInstances:
    """Match lesions, of a mask its 26-connected components, with candidates that are given.

    Args:
        reference: A mask, or its lesions where they are given.
        candidates: The predicted lesions, on the same grid.
        p: Their probabilities, shape (C,).
        min_iou: Least intersection over union.
    """
    found = find_overlaps(components_of(reference, RULES["multi_spine"].connectivity), candidates)
    matched = found.iou >= min_iou
    detected_at = np.full(len(found.sizes), -1.0)
    np.maximum.at(detected_at, found.lesions[matched], p[found.candidates[matched]])
    is_true = np.isin(np.arange(len(p)), found.candidates[matched])
    return MatchedInstances(detected_at, p[~is_true])


@dataclass(frozen=True, eq=False)
class _Curves:
    """Of each image what is found and what is false at falling thresholds."""

    sensitivity: FloatArray
    """Share of its lesions, 0 without lesions; shape (T, images)."""
    false: FloatArray
    """Predicted lesions that match none, shape (T, images)."""
    has_lesions: FloatArray
    """1 or 0, shape (images,)."""

    def at(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return rate and sensitivity where each image counts so often, shapes (T,)."""
        with_lesions = weights * self.has_lesions
        n = with_lesions.sum()
        found: FloatArray = self.sensitivity @ with_lesions / n if n else np.full(len(self.false), np.nan)
        return self.false @ weights / weights.sum(), found


def _curves(images: Sequence[MatchedInstances]) -> _Curves:
    if not images:
        raise CordlesionError("There is no image to score; one or more are needed.")
    every = np.concatenate([part for image in images for part in (image.detected_at, image.false)])
    thresholds = np.unique(np.concatenate([every[every >= 0], [0.0, 1.0]]))[::-1, np.newaxis]
    shares = [(one.detected_at >= thresholds).sum(axis=1) / max(len(one.detected_at), 1) for one in images]
    false = [(one.false >= thresholds).sum(axis=1) for one in images]
    return _Curves(
        np.stack(shares, axis=1),
        np.stack(false, axis=1).astype(np.float64),
        np.array([len(one.detected_at) > 0 for one in images], dtype=np.float64),
    )


def _score(curve: tuple[FloatArray, FloatArray], rates: Sequence[float]) -> MultiSpineScore:
    # Of points with the same rate, interp takes the last at this very rate: that of the lowest threshold.
    found = tuple(np.interp(rates, *curve).tolist())
    return MultiSpineScore(float(np.mean(found)), found)


def _numbered(labels: IntArray) -> Components:
    """Return the lesions of an image, numbered from 1 without gaps in the order of their numbers."""
    inside, numbered = labels > 0, np.zeros(labels.shape, np.int32)
    numbers, places, sizes = np.unique(labels[inside], return_inverse=True, return_counts=True)
    numbered[inside] = places + 1
    return Components(numbered, sizes, numbers)


def _checked_labels(labels: npt.ArrayLike, name: str) -> IntArray:
    array: AnyArray = checked_array(labels, name)
    finite = np.isfinite(array).all()
    whole: IntArray = np.where(np.isfinite(array), array, 0).astype(np.int64)
    if not finite or (whole != array).any() or whole.min() < 0:
        raise CordlesionError(
            f"The {name} has values from {np.min(array):g} to {np.max(array):g}; whole numbers are needed, 0 outside "
            "and another for each lesion."
        )
    return whole
