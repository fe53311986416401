"""Where letters and bars lie on a picture without covering what it shows (no drawing here)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from cordlesion.pictures.slices import Mask


@dataclass(frozen=True)
class Box:
    """A rectangle on a picture, in millimetres from its lower left corner."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: "Box") -> bool:
        """Say whether two boxes have a part in common."""
        beside = self.x + self.width <= other.x or other.x + other.width <= self.x
        above = self.y + self.height <= other.y or other.y + other.height <= self.y
        return not (beside or above)


@dataclass(frozen=True, eq=False)
class Room:
    """What is taken of a picture."""

    inside: Mask
    """Pixels that are to stay in view, first row at the top."""
    size_mm: tuple[float, float]
    boxes: list[Box] = field(default_factory=list)

    def take(self, places: Sequence[Box]) -> Box:
        """Take the first place that is clear, or where none is the first of all."""
        chosen = next((place for place in places if self._is_clear(place)), places[0])
        self.boxes.append(chosen)
        return chosen

    def _is_clear(self, box: Box) -> bool:
        rows, columns = self.inside.shape
        per_mm_x, per_mm_y = columns / self.size_mm[0], rows / self.size_mm[1]
        top = self.size_mm[1] - box.y - box.height
        across = slice(max(math.floor(box.x * per_mm_x), 0), math.ceil((box.x + box.width) * per_mm_x))
        down = slice(max(math.floor(top * per_mm_y), 0), math.ceil((top + box.height) * per_mm_y))
        return not self.inside[down, across].any() and not any(box.meets(other) for other in self.boxes)
