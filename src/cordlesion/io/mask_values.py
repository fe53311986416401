"""The value that marks lesions in masks: one value for all masks of a kind, or the value that the user gives.

If the cord is 1 and lesions are 2, the mask of a scan without lesions contains only 1. Read alone, its cord would be a
lesion. Only the other masks of its folder show this, so the values of all masks are collected first.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cordlesion.errors import CordlesionError
from cordlesion.io.volume import VALUE_ROUNDING, SeveralValuesError, Volume, read_mask

_REMEDY = "Set the value of lesions (--lesion-value; in a study `lesion_value`), or binarize the masks."


class MaskReader(Protocol):
    """Reads the masks of one kind, from whatever files hold them."""

    def read(self, path: Path, like: Volume | None = None) -> Volume:
        """Return the mask of a file, on the grid of ``like``."""
        ...

    def require_one(self) -> None:
        """Reject all masks that were read if their values for lesion differ."""
        ...


@dataclass(eq=False)
class MaskValues:
    """The values of all masks of one kind that have been read; thread-safe."""

    kind: str
    """Name of this kind of masks, in the plural."""
    value: float | None = None
    """The value of lesions that the user gave, if any; other values are then background."""
    _found: dict[Path, float | None] = field(default_factory=dict)
    _several: dict[Path, SeveralValuesError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a value that no lesion has.

        Raises:
            CordlesionError: The value is not above 0.
        """
        if self.value is not None and not 0 < self.value < math.inf:
            raise CordlesionError(
                f"the value {self.value:g} was given as that of lesions in the {self.kind}; a number above 0 is "
                "needed, since 0 is what is no lesion. Give the value that marks lesions."
            )

    def read(self, path: Path, like: Volume | None = None) -> Volume:
        """Read a mask and store its value.

        Raises:
            CordlesionError: As :func:`cordlesion.io.volume.read_mask`.
        """
        try:
            mask = read_mask(path, like, self.value)
        except SeveralValuesError as error:
            if error.are_labels:  # an image instead of a mask gives no information about the other masks
                self._several[path] = error
            raise
        self.add(path, mask.mask_value)
        return mask

    def add(self, path: Path, value: float | None) -> None:
        """Store the value of a mask that was read before; None if the mask is empty."""
        self._found[path] = value

    def require_one(self) -> None:
        """Reject all masks if their values differ, because one of them may mark the cord.

        Raises:
            CordlesionError: One mask has several values, or two masks have different values.
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
                f"the {self.kind} have different values ({found}); one value is needed, because another may mark the "
                f"cord. {_REMEDY}"
            )

    def _require_given(self, value: float) -> None:
        """Reject the masks if none of them has the given value, although some have others."""
        marked = {path: found for path, found in self._found.items() if found is not None}
        if marked and value not in marked.values():
            path = min(marked)
            raise CordlesionError(
                f"none of the {len(self._found)} {self.kind} holds the value {value:g}, which was given as that of "
                f"lesions; {path} holds {marked[path]:.9g}. Give the value of these masks (--lesion-value for "
                "references, --predicted-value for predictions), or omit the option if they contain only lesions."
            )
