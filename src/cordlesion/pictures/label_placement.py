"""Finds positions for letters and scale bars at which they do not cover lesions (no drawing here)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from cordlesion.io.arrays import Mask


@dataclass(frozen=True)
class Box:
    """A rectangle on a picture, in millimetres from its lower left corner."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: "Box") -> bool:
        """Return whether two boxes overlap."""
        is_beside = self.x + self.width <= other.x or other.x + other.width <= self.x
        is_above = self.y + self.height <= other.y or other.y + other.height <= self.y
        return not (is_beside or is_above)


@dataclass(frozen=True, eq=False)
class LabelPlacer:
    """Positions of a picture that are covered: pixels that must stay visible, and labels so far."""

    inside: Mask
    """Pixels that must stay visible, first row at the top."""
    size_mm: tuple[float, float]
    boxes: list[Box] = field(default_factory=list)

    def place(self, candidates: Sequence[Box]) -> Box:
        """Reserve and return the first free candidate; if none is free, the first candidate."""
        chosen = next((box for box in candidates if self._is_free(box)), candidates[0])
        self.boxes.append(chosen)
        return chosen

    def _is_free(self, box: Box) -> bool:
        rows, columns = self.inside.shape
        per_mm_x, per_mm_y = columns / self.size_mm[0], rows / self.size_mm[1]
        top = self.size_mm[1] - box.y - box.height
        across = slice(max(math.floor(box.x * per_mm_x), 0), math.ceil((box.x + box.width) * per_mm_x))
        down = slice(max(math.floor(top * per_mm_y), 0), math.ceil((top + box.height) * per_mm_y))
        return not self.inside[down, across].any() and not any(box.overlaps(other) for other in self.boxes)
