"""The probability maps of each network of an ensemble in one scan, and what they disagree about (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cordlesion.io.arrays import Float32Array, Int32Array
from cordlesion.io.probability import binarize
from cordlesion.metrics.uncertainty import lesion_disagreement, spread

Place = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class MemberMaps:
    """The maps in the box of the scan, in LAS order, outside of which the probability is 0."""

    boxes: Float32Array
    """Of each network, shape (M, X, Y, Z)."""
    place: Place
    """Of the box in the scan."""
    shape: tuple[int, int, int]
    """Of the scan in LAS order."""

    def mean(self) -> Float32Array:
        """Return the mean probability of every voxel of the scan."""
        return self._whole(self.boxes.mean(axis=0, dtype=np.float64).astype(np.float32))

    def spread(self) -> Float32Array:
        """Return the standard deviation over the networks of every voxel of the scan."""
        return self._whole(spread(self.boxes))

    def doubts(self, lesions: Sequence[Int32Array], threshold: float, connectivity: int) -> list["LesionDoubt"]:
        """Return what the networks disagree about in each lesion.

        Args:
            lesions: Indices of the voxels of each lesion, shape (V, 3).
            threshold: Where every network's map is cut.
            connectivity: Of lesions.
        """
        corner = np.array([part.start for part in self.place], dtype=np.int32)
        inside = [voxels - corner for voxels in lesions]
        disagreement = lesion_disagreement(inside, [binarize(box, threshold) for box in self.boxes], connectivity)
        deviation = spread(self.boxes)
        means = [float(deviation[tuple(voxels.T)].mean()) for voxels in inside]
        return [LesionDoubt(*pair) for pair in zip(means, disagreement.tolist(), strict=True)]

    def _whole(self, box: Float32Array) -> Float32Array:
        whole = np.zeros(self.shape, np.float32)
        whole[self.place] = box
        return whole


@dataclass(frozen=True)
class LesionDoubt:
    """What the networks of an ensemble disagree about in one lesion."""

    spread: float
    """Mean over the lesion of the standard deviation over the networks."""
    disagreement: float
    """1 - the mean over networks of the overlap (intersection over union) with the network's own lesion."""
