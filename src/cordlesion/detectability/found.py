"""Which true lesions a mask detects, and what else it marks (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cordlesion.io.arrays import IntArray, Mask, UInt8Array
from cordlesion.metrics.lesion import Components, find_overlaps, label_components
from cordlesion.metrics.overlap import detect
from cordlesion.metrics.rules import LesionRule


@dataclass(frozen=True, eq=False)
class Detections:
    """What one mask detects of the true lesions of a scan."""

    found: dict[int, bool]
    """By the number of the lesion; lesions without a voxel are missing."""
    n_false: int
    """Predicted lesions that no true lesion confirms."""
    false_mm3: float


def detections(numbered: UInt8Array, mask: Mask, spacing_mm: Sequence[float], rule: LesionRule) -> Detections:
    """Match a mask with true lesions: by the lesion rule, but each number is one lesion, whatever its size and pieces.

    Args:
        numbered: Number of the true lesion at each voxel, 0 outside; shape (X, Y, Z).
        mask: The predicted mask.
        spacing_mm: Voxel size.
        rule: When a lesion counts as found, and what is a predicted lesion.
    """
    voxel_mm3 = float(np.prod(spacing_mm))
    sizes = np.bincount(numbered.ravel())[1:]
    numbers = np.flatnonzero(sizes) + 1
    predicted = label_components(mask, rule, voxel_mm3)
    found, true = detect(find_overlaps(_renumbered(numbered, numbers, sizes), predicted), rule)
    return Detections(
        found={int(number): bool(hit) for number, hit in zip(numbers, found, strict=True)},
        n_false=int((~true).sum()),
        false_mm3=float(predicted.sizes[~true].sum() * voxel_mm3),
    )


def _renumbered(numbered: UInt8Array, numbers: IntArray, sizes: IntArray) -> Components:
    table = np.zeros(max(int(numbers.max(initial=0)), 0) + 1, np.int32)
    table[numbers] = np.arange(1, len(numbers) + 1)
    return Components(table[numbered], sizes[numbers - 1])
