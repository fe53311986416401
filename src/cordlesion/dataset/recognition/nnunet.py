"""Raw datasets of nnU-Net: what its ``dataset.json`` says about the files, as patterns."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cordlesion.config import FilePatterns
from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json

_DESCRIPTION, _IMAGES, _LABELS = "dataset.json", "imagesTr", "labelsTr"
_NIFTI = (".nii.gz", ".nii")
_MOST_SHOWN = 60


@dataclass(frozen=True)
class NnunetLayout:
    """Where the files of a raw dataset of nnU-Net are."""

    folder: Path
    """The dataset (``Dataset501_Cord``)."""
    patterns: FilePatterns
    remarks: tuple[str, ...] = ()
    """What else is there, a sentence each."""


def nnunet_layout(folder: Path) -> NnunetLayout | None:
    """Return the layout of a raw dataset of nnU-Net, or of the only one in a folder of several; None for other folders.

    Raises:
        CordlesionError: There are several datasets, or channel, label or file format cannot be used.
    """
    datasets = [folder] if _is_dataset(folder) else sorted(path for path in _below(folder) if _is_dataset(path))
    if not datasets:
        return None
    if len(datasets) > 1:
        names = ", ".join(path.name for path in datasets)
        raise CordlesionError(
            f"{folder}: holds {len(datasets)} datasets of nnU-Net ({names}); one is needed. Name its folder."
        )
    (root,) = datasets
    about: dict[str, Any] = read_json(root / _DESCRIPTION, dict)
    ending, value = _ending(root, about), _lesion_value(root, about)
    image = f"{_IMAGES}/*{_channel(root, about, ending)}{ending}"
    patterns = FilePatterns(image=(image,), reference=(f"{_LABELS}/*{ending}",), lesion_value=value)
    return NnunetLayout(root, patterns, tuple(_remarks(root, ending)))


def _below(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _is_dataset(folder: Path) -> bool:
    return (folder / _DESCRIPTION).is_file() and (folder / _IMAGES).is_dir() and (folder / _LABELS).is_dir()


def _ending(root: Path, about: Mapping[str, Any]) -> str:
    """Return the ending of the files; nnU-Net 1 had no key for it."""
    ending = str(about.get("file_ending") or _NIFTI[0])
    if ending not in _NIFTI:
        raise CordlesionError(
            f"{root / _DESCRIPTION}: its files end in {ending}; {' or '.join(_NIFTI)} is needed. Convert them to NIfTI."
        )
    return ending


def _channel(root: Path, about: Mapping[str, Any], ending: str) -> str:
    """Return the end of the images' names: the channel with T2w images (``modality`` in nnU-Net 1)."""
    if not any((root / _IMAGES).glob(f"*_0000{ending}")):
        return ""  # a dataset of the Medical Segmentation Decathlon
    key = "channel_names" if "channel_names" in about else "modality"
    names = {numbers[0]: name for name, numbers in _named(root, about, key)}
    t2w = [number for number, name in names.items() if name.lower().replace("-", "_") in ("t2", "t2w", "t2_tse")]
    chosen = t2w or [*names] or [0]
    if len(chosen) > 1:
        listed = ", ".join(f"{number:04d} {name}" for number, name in names.items())
        raise CordlesionError(
            f"{root / _DESCRIPTION}: has the channels {listed}; one is needed. Choose it, for example with --image "
            f"'{_IMAGES}/*_{chosen[0]:04d}{ending}' --reference '{_LABELS}/*{ending}'."
        )
    return f"_{chosen[0]:04d}"


def _lesion_value(root: Path, about: Mapping[str, Any]) -> int | None:
    """Return the label of lesions; None where there is one label besides the background."""
    labels = _named(root, about, "labels")
    others = [(name, values) for name, values in labels if values != [0] and name.lower() != "ignore"]
    if len(others) < 2:
        return None
    lesions = [values for name, values in others if "lesion" in name.lower() and len(values) == 1]
    if len(lesions) != 1:
        listed = ", ".join(f"{name} {'+'.join(map(str, values))}" for name, values in others)
        raise CordlesionError(
            f"{root / _DESCRIPTION}: has the labels {listed}; the one of lesions is needed. Choose it with "
            f"--lesion-value N --image '{_IMAGES}/*_0000.nii.gz' --reference '{_LABELS}/*.nii.gz'."
        )
    return lesions[0][0]


def _named(root: Path, about: Mapping[str, Any], key: str) -> list[tuple[str, list[int]]]:
    """Return the names of channels or labels with their numbers, of which a region has several.

    nnU-Net 1 has the number first, nnU-Net 2 has it first for channels and last for labels; people mix the two, and
    write a list where the numbers are 0, 1, ...
    """
    given = about.get(key) or {}
    pairs = list(enumerate(given) if isinstance(given, list) else given.items() if isinstance(given, dict) else ())
    is_number_first = all(_numbers(first) for first, _ in pairs)
    named = [(str(last), _numbers(first)) if is_number_first else (str(first), _numbers(last)) for first, last in pairs]
    if not isinstance(given, list | dict) or not all(numbers for _, numbers in named):
        raise CordlesionError(
            f'{root / _DESCRIPTION}: its "{key}" are {json.dumps(given, ensure_ascii=False)[:_MOST_SHOWN]}; names with '
            f'whole numbers from 0 on are needed, such as {{"0": "T2"}}. Mend them, or name the files with --image '
            f"'{_IMAGES}/*_0000.nii.gz' --reference '{_LABELS}/*.nii.gz'."
        )
    return named


def _numbers(value: object) -> list[int]:
    """Return the whole numbers that a value of JSON stands for; none if it is anything else."""
    if isinstance(value, list):
        found = [_numbers(one) for one in value]
        return [number for numbers in found for number in numbers] if all(found) else []
    text = str(value).strip()
    return [int(text)] if re.fullmatch("[0-9]{1,9}", text) else []


def _remarks(root: Path, ending: str) -> list[str]:
    unseen = len(list((root / "imagesTs").glob(f"*{ending}")))
    return [f"{root / 'imagesTs'}: its {unseen} images take no part; they have no references."] if unseen else []
