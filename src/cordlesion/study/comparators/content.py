"""What a comparator's files hold: masks given as maps and copies of the references are refused before training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cordlesion.config import ComparatorConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Mask
from cordlesion.io.mask_values import MaskValues
from cordlesion.metrics import binarize


@dataclass(frozen=True)
class FileContent:
    """What the file of one scan holds."""

    holds: Literal["nothing", "mask", "map"]
    """Only zeros; one other value, as in masks; or several values."""
    is_reference: bool | None
    """Whether its lesions are the reference, voxel by voxel; None if the reference holds no lesion."""
    mask_value: float | None = None
    """The value that marks lesion in a mask; None if it is empty."""


def describe_content(config: ComparatorConfig, data: AnyArray, reference: Mask | None) -> FileContent:
    """Return what a comparator's map or mask of a scan holds.

    Args:
        config: The comparator.
        data: Values of at least 0, on the scan's grid.
        reference: On the same grid; None if there is none.
    """
    inside: Mask = data != 0
    values = data[inside]
    found = inside if config.threshold is None else binarize(data, config.threshold)
    return FileContent(
        holds="nothing" if not values.size else "mask" if values.min() == values.max() else "map",
        is_reference=np.array_equal(found, reference) if reference is not None and reference.any() else None,
    )


def require_findings(config: ComparatorConfig, contents: Mapping[Path, FileContent]) -> None:
    """Refuse files that are no result of a method: copies of the references, and masks where maps are needed.

    Masks with different lesion values are refused too: one of the values may mark the cord.

    Args:
        config: The comparator.
        contents: The content of each of its files.

    Raises:
        CordlesionError: They are the references wherever these hold lesions, or masks whose threshold cannot be tuned.
    """
    same = [content.is_reference for content in contents.values() if content.is_reference is not None]
    if same and all(same):
        raise CordlesionError(
            f"{config.path}: its lesions are those of the references, voxel by voxel, in every scan that has any; what "
            f"the comparator {config.name!r} found is needed. Give another folder, or narrow it by `files`."
        )
    masks = MaskValues(f"masks of the comparator {config.name!r}", config.lesion_value)
    for file, content in contents.items():
        masks.add(file, content.mask_value)
    masks.require_one()
    held = {content.holds for content in contents.values()}
    if config.is_tuned and "mask" in held and "map" not in held:
        remedy = "Give them" if config.kind == "maps" else "Save them as NIfTI files and give them"
        raise CordlesionError(
            f"{config.path}: every file holds 0 and one other value, as masks do, and no threshold changes those; the "
            f"comparator {config.name!r} needs maps. {remedy} as `masks:`, or export the probabilities before they are "
            "cut."
        )
