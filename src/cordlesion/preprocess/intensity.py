"""Intensity standardisation by landmarks (Nyul, Udupa & Zhang, IEEE TMI 2000), fitted on the training stacks only."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
STANDARD_RANGE = (0.0, 100.0)
"""Where the first and the last percentile of every stack go."""


@dataclass(frozen=True)
class IntensityLandmarks:
    """The standard scale: the mean place of each percentile on the training stacks."""

    percentiles: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.percentiles) or len(self.values) < 2:
            raise ValueError(f"{len(self.percentiles)} percentiles but {len(self.values)} values")
        if any(a >= b for a, b in pairwise(self.percentiles)) or any(a > b for a, b in pairwise(self.values)):
            raise ValueError("percentiles and values must grow")

    def apply(self, stack: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Map the stack's own percentiles to the standard scale, linear in between and beyond.

        Args:
            stack: Intensities, any shape.
            inside: The same shape; padding (False) has no part in the percentiles but is mapped too.
        """
        own = np.percentile(stack[inside], self.percentiles)
        own, keep = np.unique(own, return_index=True)
        if len(own) < 2:
            return np.full_like(stack, np.mean(self.values))
        standard = np.asarray(self.values)[keep]
        mapped = np.interp(stack, own, standard)
        low, high = (np.diff(standard) / np.diff(own))[[0, -1]]
        mapped += np.minimum(stack - own[0], 0) * low + np.maximum(stack - own[-1], 0) * high
        standardized: npt.NDArray[np.float32] = mapped.astype(np.float32)
        return standardized


def fit_landmarks(stacks: Iterable[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]) -> IntensityLandmarks:
    """Average the percentiles of the training stacks after bringing the first to 0 and the last to 100.

    Args:
        stacks: Pairs of intensities and of the voxels that lie in the image. Give the training set only.

    Raises:
        ValueError: There is no stack, or no stack with contrast.
    """
    rows = [np.percentile(stack[inside], PERCENTILES) for stack, inside in stacks]
    rows = [row for row in rows if row[-1] > row[0]]
    if not rows:
        raise ValueError("landmarks need at least one training stack with contrast")
    low, high = STANDARD_RANGE
    scaled = [low + (row - row[0]) / (row[-1] - row[0]) * (high - low) for row in rows]
    return IntensityLandmarks(PERCENTILES, tuple(float(v) for v in np.mean(scaled, axis=0)))


def standardize_patch(patch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Bring a patch to zero mean and unit standard deviation; a constant patch becomes zeros."""
    centered = patch - patch.mean(dtype=np.float64)
    deviation = centered.std(dtype=np.float64)
    # A constant patch leaves rounding noise of the order of its value, which must not be blown up to unit variance.
    if deviation <= 1e-6 * max(1.0, float(np.abs(patch).max())):
        return np.zeros_like(patch)
    standardized: npt.NDArray[np.float32] = (centered / deviation).astype(np.float32)
    return standardized
