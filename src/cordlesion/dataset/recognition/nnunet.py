"""Raw datasets of nnU-Net: what its ``dataset.json`` says about the files, as patterns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cordlesion.config import FilePatterns
from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json

_DESCRIPTION, _IMAGES, _LABELS = "dataset.json", "imagesTr", "labelsTr"
_NIFTI = (".nii.gz", ".nii")


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
    ending = str(about.get("file_ending", _NIFTI[0]))
    if ending not in _NIFTI:
        raise CordlesionError(
            f"{root / _DESCRIPTION}: its files end in {ending}; {' or '.join(_NIFTI)} is needed. Convert them to NIfTI."
        )
    return ending


def _channel(root: Path, about: Mapping[str, Any], ending: str) -> str:
    """Return the end of the images' names: the channel with T2w images (``modality`` in nnU-Net 1)."""
    if not any((root / _IMAGES).glob(f"*_0000{ending}")):
        return ""  # a dataset of the Medical Segmentation Decathlon
    channels = about.get("channel_names", about.get("modality", {}))
    names = {int(number): str(name) for number, name in channels.items()} if isinstance(channels, dict) else {}
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
    labels = about.get("labels", {})
    # nnU-Net 1 has the number first, nnU-Net 2 the name.
    named = {str(k): v for k, v in labels.items()} if isinstance(labels, dict) else {}
    if all(name.isdigit() for name in named):
        named = {str(name): int(number) for number, name in named.items()}
    others = {name: value for name, value in named.items() if value != 0 and name.lower() not in ("ignore",)}
    if len(others) < 2:
        return None
    lesions = [value for name, value in others.items() if "lesion" in name.lower() and isinstance(value, int)]
    if len(lesions) != 1:
        listed = ", ".join(f"{name} {value}" for name, value in others.items())
        raise CordlesionError(
            f"{root / _DESCRIPTION}: has the labels {listed}; the one of lesions is needed. Choose it with "
            f"--lesion-value N --image '{_IMAGES}/*_0000.nii.gz' --reference '{_LABELS}/*.nii.gz'."
        )
    return lesions[0]


def _remarks(root: Path, ending: str) -> list[str]:
    unseen = len(list((root / "imagesTs").glob(f"*{ending}")))
    return [f"{root / 'imagesTs'}: its {unseen} images take no part; they have no references."] if unseen else []
