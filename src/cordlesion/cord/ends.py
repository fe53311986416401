"""Why a curve that a detector found ends where it does.

A scan may show more than the cord: the brain above it, the cauda equina below it. There the curve has to end. An end
that neither the border of the image nor the anatomy explains is lost: the cord goes on, and nobody has looked there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from cordlesion.io.arrays import FloatArray

EndReason: TypeAlias = Literal["border", "brainstem", "conus", "lost"]
END_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "border": "image border",
        "brainstem": "brainstem",
        "conus": "conus",
        "lost": "cord lost",
        "drawn": "as drawn",
    }
)
"""The reasons in words, and ``drawn`` for a curve that no detector found."""
LOOK_MM = 12.0
"""What follows the cord is judged by so much of the scan beyond the end of the curve."""
MIN_EVIDENCE = 0.5


@dataclass(frozen=True)
class Ends:
    """The reasons for both ends of a curve."""

    superior: EndReason
    """``border``, ``brainstem`` or ``lost``."""
    inferior: EndReason
    """``border``, ``conus`` or ``lost``."""

    @property
    def lost(self) -> tuple[str, ...]:
        """The ends that are lost: ``superior``, ``inferior``, both or none."""
        return tuple(end for end in ("superior", "inferior") if getattr(self, end) == "lost")


@dataclass(frozen=True, eq=False)
class Beyond:
    """What a detector sees beyond one end of its curve: slab by slab, from the end outward, shape (N,) each.

    Probabilities are those at the place where the curve would go on: its last direction continued, or the highest one
    near it. They need not sum to 1.
    """

    extents_mm: FloatArray
    """Extent of each slab along the body."""
    cord: FloatArray
    """Probability of cord."""
    next_structure: FloatArray
    """Probability of what follows the cord: the brainstem above the superior end, the cauda equina below the inferior
    one."""


def end_reasons(
    first: float,
    last: float,
    n_slices: int,
    slab_slices: int,
    *,
    above: Beyond | None = None,
    below: Beyond | None = None,
) -> Ends:
    """Say why a curve ends where it does.

    The border is reached if at most one slab is left beyond the end. Otherwise what follows decides: over the next
    :data:`LOOK_MM` the brainstem or the cauda equina must have a mean probability of at least :data:`MIN_EVIDENCE`, and
    a higher one than the cord. Without such evidence the end is lost.

    Args:
        first: Axial position (LAS index) of the lowest point of the curve.
        last: Axial position of its highest point.
        n_slices: Axial slices of the scan.
        slab_slices: Slices that the detector sees together.
        above: What lies above the superior end; None where the detector does not know.
        below: What lies below the inferior end.
    """
    superior: EndReason = "brainstem" if _is_followed(above) else "lost"
    inferior: EndReason = "conus" if _is_followed(below) else "lost"
    return Ends(
        "border" if n_slices - 1 - last <= slab_slices else superior, "border" if first <= slab_slices else inferior
    )


def _is_followed(beyond: Beyond | None) -> bool:
    """Return whether the structure that follows the cord is there."""
    if beyond is None or not len(beyond.extents_mm):
        return False
    reached = np.minimum(np.cumsum(beyond.extents_mm), LOOK_MM)
    counted = np.diff(reached, prepend=0.0)
    follows, cord = (float(np.average(p, weights=counted)) for p in (beyond.next_structure, beyond.cord))
    return follows >= MIN_EVIDENCE and follows > cord
