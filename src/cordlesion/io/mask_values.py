"""By which value masks mark lesions: one value per kind of mask, or the value that the user gives.

Where the cord is 1 and lesions are 2, a scan without lesions has a mask of ones: read alone, its cord is one lesion.
Only the other masks of its folder show it, so what was found in each is kept until all have been read.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.io.volume import VALUE_ROUNDING, SeveralValuesError, Volume, read_mask

_REMEDY = "Say which value is lesion (--lesion-value; in a study `lesion_value`), or binarise the masks."


@dataclass(eq=False)
class MaskValues:
    """What the masks of one kind held, as far as they have been read; several threads may add to it."""

    kind: str
    """What the masks are, in the plural."""
    value: float | None = None
    """The value that is lesion, where it was given; others count as background then."""
    _found: dict[Path, float | None] = field(default_factory=dict)
    _several: dict[Path, SeveralValuesError] = field(default_factory=dict)

    def read(self, path: Path, like: Volume | None = None) -> Volume:
        """Read a mask and remember by which value it marks.

        Raises:
            CordlesionError: As :func:`cordlesion.io.volume.read_mask`.
        """
        try:
            mask = read_mask(path, like, self.value)
        except SeveralValuesError as error:
            if error.are_labels:  # an image in a mask's place says nothing about the other masks
                self._several[path] = error
            raise
        self.add(path, mask.mask_value)
        return mask

    def add(self, path: Path, value: float | None) -> None:
        """Remember by which value a mask marks that was read before; None where it is empty."""
        self._found[path] = value

    def require_one(self) -> None:
        """Refuse all masks where some mark by another value than others: it may be that of the cord.

        Raises:
            CordlesionError: One mask holds several values, or two hold different ones.
        """
        if self._several:
            path = min(self._several)
            raise CordlesionError(
                f"{self._several[path]} Until then none of the {self.kind} is used: the only value of a mask without "
                "lesions may mark the cord."
            )
        if self.value is not None:
            self._require_given(self.value)
            return
        first: dict[float, Path] = {}
        for path, value in sorted(self._found.items()):
            if value is not None and not any(math.isclose(value, known, rel_tol=VALUE_ROUNDING) for known in first):
                first[value] = path
        if len(first) > 1:
            found = ", ".join(f"{value:.9g} in {path}" for value, path in sorted(first.items()))
            raise CordlesionError(
                f"the {self.kind} mark by different values ({found}); one value is needed, since another may mark the "
                f"cord. {_REMEDY}"
            )

    def _require_given(self, value: float) -> None:
        """Refuse masks none of which holds the value that was given for them, though they mark by others."""
        held = {path: found for path, found in self._found.items() if found is not None}
        if held and value not in held.values():
            path = min(held)
            raise CordlesionError(
                f"none of the {len(self._found)} {self.kind} holds the value {value:g}, which was given as that of "
                f"lesions; {path} holds {held[path]:.9g}. Give the value of these masks (--lesion-value of the "
                "references, --predicted-value of the predictions), or leave it out where they mark lesions only."
            )
