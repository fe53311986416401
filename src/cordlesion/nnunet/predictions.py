"""Predictions as nnU-Net leaves them: hard masks beside softmax exports, in one folder or in those of the folds.

``nnUNetv2_predict --save_probabilities`` writes ``case.npz``, ``case.pkl`` and the mask ``case.nii.gz`` of each case
into one folder. ``nnUNetv2_train --npz`` writes the same for the validation cases of each fold, into
``fold_<n>/validation`` (``validation_raw`` in the first version) of the trained model. The pickle is never opened: the
mask, the reference or the scan has the grid.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cordlesion.dataset.matching import IMAGE_SUFFIXES, PROBABILITY_NAMES, list_files
from cordlesion.dataset.scan_names import file_stem
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message
from cordlesion.io.volume import Volume, read_grid, read_probability
from cordlesion.lesions.instances import SUFFIX
from cordlesion.nnunet.softmax import read_softmax

EXPORT = ".npz"
_FOLD = re.compile(r"fold_(\d+|all)")
_VALIDATION = ("validation", "validation_raw")


def list_masks(folder: Path) -> list[Path]:
    """Return the masks in a folder; of a model that nnU-Net trained only those of the validation of its folds.

    Raises:
        CordlesionError: As :func:`list_maps`.
    """
    found = of_folds(folder, list_files(folder))
    masks = set(found)
    return [path for path in found if _numbered_mask(path) not in masks]


def list_instances(folder: Path) -> list[Path]:
    """Return the instance maps in a folder: the files that are named ``*_dseg``; where there is none, its NIfTI files.

    Raises:
        CordlesionError: As :func:`list_maps`.
    """
    found = of_folds(folder, list_part(folder, "labels"))
    return [path for path in found if file_stem(path).endswith("_dseg")] or found


def _numbered_mask(path: Path) -> Path | None:
    """Return the mask whose numbered lesions (`cut --instances`) a file of this name holds; None for other names."""
    stem = file_stem(path)
    plain = stem.removesuffix(f"_{SUFFIX}")
    return None if plain == stem else path.with_name(path.name.replace(stem, plain))


def list_maps(folder: Path) -> list[Path]:
    """Return the probability maps in a folder: NIfTI files, and nnU-Net's exports without the masks beside them.

    If some NIfTI files are named ``*_probseg``, the others are no maps. Of a model that nnU-Net trained only the
    validation of its folds counts.

    Args:
        folder: The folder with its subfolders, or one file.

    Raises:
        CordlesionError: There is no such folder, or it holds only predictions of scans that the network learned from.
    """
    found = of_folds(folder, list_files(folder, (EXPORT, *IMAGE_SUFFIXES)))
    exports = [path for path in found if path.suffix == EXPORT]
    of_exports = {path.with_suffix("") for path in exports}
    images = [path for path in found if path.suffix != EXPORT and path.with_name(file_stem(path)) not in of_exports]
    named = [path for path in images if any(path.match(name) for name in PROBABILITY_NAMES)]
    return sorted([*exports, *(named or images)])


def list_part(folder: Path, part: Literal["images", "labels"]) -> list[Path]:
    """Return the NIfTI files in a folder; of a raw dataset of nnU-Net only its images, or only its references.

    Raises:
        CordlesionError: There is no such folder.
    """
    files = list_files(folder)
    if not (folder / "dataset.json").is_file():
        return files
    places = {f"{part}{end}" for end in ("Tr", "Ts", "Val")}
    return [path for path in files if path.relative_to(folder).parts[0] in places] or files


def read_map(path: Path, like: Volume | None = None, lesion_class: int | None = None) -> Volume:
    """Read a probability map, of NIfTI or of nnU-Net's softmax export.

    Args:
        path: The file.
        like: The grid it must share; by default that of the file, or for an export that of the mask beside it.
        lesion_class: Number of the class of an export that is lesion; by default 1 where there are two.

    Raises:
        CordlesionError: The file is damaged or no map, lies on another grid, or the grid is unknown.
    """
    if path.suffix != EXPORT:
        if lesion_class is not None:
            raise CordlesionError(
                f"{path}: is a map of one class, but the number of a class was given; nnU-Net's exports (.npz) are "
                "needed for one. Leave out --lesion-class."
            )
        return read_probability(path, like=like)
    grid = read_grid(_mask_beside(path)) if like is None else like
    return replace(grid, data=read_softmax(path, grid, lesion_class), path=path, mask_value=None)


def _mask_beside(path: Path) -> Path:
    """Return the mask that nnU-Net wrote with an export."""
    for ending in IMAGE_SUFFIXES:
        if (mask := path.with_suffix(ending)).is_file():
            return mask
    raise CordlesionError(
        f"{path}: no mask {path.with_suffix('.nii.gz').name} is beside it, so its place in space is unknown; nnU-Net's "
        "mask or the scan is needed. Copy the mask there, or name the folder of the scans (--images)."
    )


def of_folds(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Keep only the validation of each fold, where there are folds of a model that nnU-Net trained.

    Args:
        folder: The folder.
        files: Files in it.

    Raises:
        CordlesionError: Only those of ``fold_all`` are left, which are predictions of scans that it learned from.
    """
    by_fold = [(path, fold) for path in files if (fold := _fold_of(path.relative_to(folder)))]
    held_out = [path for path, fold in by_fold if fold != "fold_all"]
    if len(held_out) == len(by_fold):
        return held_out or list(files)
    if not held_out:
        raise CordlesionError(
            f"{folder}: holds only predictions of fold_all, which was trained on the very scans that it predicts here; "
            "predictions of other scans are needed. Predict them, or train the folds 0 to 4."
        )
    show_message(f"{folder}: fold_all is left out, because it was trained on the scans that it predicts here.")
    return held_out


def _fold_of(relative: Path) -> str:
    """Return the fold in whose validation folder a file lies; empty if in none."""
    pairs = zip(relative.parts, relative.parts[1:], strict=False)
    return next((fold for fold, inner in pairs if _FOLD.fullmatch(fold) and inner in _VALIDATION), "")
