"""The lesions of masks that `cut` makes, each with its number and the probability that it is real (no torch)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cordlesion.dataset.scan_names import file_stem
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.volume import Volume
from cordlesion.lesions.instances import InstanceFiles, write_instances
from cordlesion.lesions.measure import measure_lesions
from cordlesion.threshold.lesion_calibration import why_uncalibrated
from cordlesion.threshold.mask_rule import MaskRule


def instances_of(mask: Path) -> InstanceFiles:
    """Return the files of the instances of a mask: beside it, named after its scan."""
    return InstanceFiles.of(mask.parent, file_stem(mask).removesuffix("_mask").replace("_label-lesion", ""))


def check_instances(masks: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse instances that would replace each other, another mask, or files that are there.

    Raises:
        CordlesionError: Two masks have one name of instances, or a file is there and ``overwrite`` is not given.
    """
    taken = {mask: mask for mask in masks}
    for mask in masks:
        files = instances_of(mask)
        if (same := taken.setdefault(files.image, mask)) is not mask:
            raise CordlesionError(
                f"{mask}: would give the same lesions as {same.name} ({files.image.name}); names of their own are "
                "needed. Put the maps to cut into a separate folder."
            )
        there = next((path for path in files.all if path.exists()), None)
        if there is not None and not overwrite:
            raise CordlesionError(
                f"{there}: is there already; nothing is replaced unasked. Choose another folder, or --overwrite."
            )


def write_cut_instances(path: Path, mask: Mask, probability: Volume, rule: MaskRule) -> Path:
    """Write the instances of a mask beside it.

    Args:
        path: Of the mask.
        mask: As the rule made it.
        probability: The map.
        rule: With the chance that a lesion of its masks is real, where that is known.

    Returns:
        The image of the instances.

    Raises:
        CordlesionError: A file cannot be written.
    """
    p = probability.data.astype(np.float32, copy=False)
    unknown = why_uncalibrated(rule.lesions, rule.rule)
    lesions = measure_lesions(probability, mask, p, calibration=None if unknown else rule.lesions).lesions
    files = instances_of(path)
    write_instances(files, mask, probability, lesions, path.name, unknown)
    return files.image


def remove_instances(path: Path) -> None:
    """Remove the instances of an earlier mask of this name; files that are not of it stay."""
    files = instances_of(path)
    for stale in files.all if files.are_of(path) else ():
        stale.unlink(missing_ok=True)
