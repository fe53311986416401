"""The lesions of a predicted mask with their probabilities, and which of them the reference confirms (no torch)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume
from cordlesion.lesions.measure import STUDY_RULE, label_image, number_lesions
from cordlesion.metrics import Components, LesionRule, label_components
from cordlesion.metrics.lesion import find_overlaps
from cordlesion.metrics.overlap import detect


@dataclass(frozen=True)
class JudgedLesion:
    """One lesion of a predicted mask."""

    lesion: int
    """Its number, as :func:`~.measure.measure_lesions` numbers it."""
    volume_mm3: float
    peak_probability: float
    mean_probability: float
    is_real: int
    """1: the reference confirms it under the lesion rule; 0: it does not."""


def judge_predicted(
    reference: Volume, mask: Mask, probability: Float32Array, rule: LesionRule, counted: LesionRule = STUDY_RULE
) -> list[JudgedLesion]:
    """Find out which lesions of a predicted mask the reference confirms.

    Args:
        reference: The mask of the reference.
        mask: The predicted one, on its grid.
        probability: The map that the mask was made of, on the same grid.
        rule: Decides what is a lesion of the reference, and which predicted ones it confirms.
        counted: What is a lesion of the predicted mask: as `segment` and `cut` list them.

    Returns:
        The lesions in the order of their numbers.
    """
    las = to_las(reference)
    inside, p = (to_las(Volume(array, reference.affine)).data for array in (mask, probability))
    voxel_mm3 = float(np.prod(las.spacing_mm))
    voxels = number_lesions(inside.astype(np.bool_, copy=False), voxel_mm3, counted).voxels
    if not voxels:
        return []
    predicted = Components(label_image(voxels, inside.shape), np.array([len(index) for index in voxels]))
    truth = label_components(las.data.astype(np.bool_, copy=False), rule, voxel_mm3)
    _, is_real = detect(find_overlaps(truth, predicted), rule)
    values = [p[tuple(index.T)] for index in voxels]
    return [
        JudgedLesion(number, len(of_one) * voxel_mm3, float(of_one.max()), float(of_one.mean()), int(real))
        for number, (of_one, real) in enumerate(zip(values, is_real, strict=True), start=1)
    ]


def judged_table(lesions: Sequence[JudgedLesion]) -> pd.DataFrame:
    """Return a row per lesion, with its fields as columns."""
    table = pd.DataFrame([asdict(one) for one in lesions], columns=list(JudgedLesion.__dataclass_fields__))
    return table.astype({"lesion": int, "is_real": int})
