"""Scans as a raw dataset of nnU-Net v2: ``imagesTr``, ``labelsTr``, ``imagesTs``, ``dataset.json``, the split.

nnU-Net learns from our train and validation sets. The scans of threshold and test go to ``imagesTs`` without their
references: nnU-Net predicts them, and its probabilities are then tuned and evaluated like those of a study. With
several folds each fold has its own folder, because another fold learns from its test scans.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion import __version__
from cordlesion.dataset.scan import Scan, read_reference
from cordlesion.errors import CordlesionError
from cordlesion.io.outputs import check_new_folder
from cordlesion.io.volume import read_volume, write_volume
from cordlesion.io.writing import atomic_path, write_json
from cordlesion.nnunet.splits import to_nnunet

_ENDING = ".nii.gz"
_LEARNING = ("train", "validation")


@dataclass(frozen=True)
class Case:
    """A scan in one folder of the dataset."""

    scan: Scan
    images: str
    """Name of the folder."""
    labelled: bool
    """Whether the reference is written, too."""

    def write(self, dataset: Path) -> None:
        """Write image and reference into the dataset, the reference as 0 and 1 on the image's grid.

        Raises:
            CordlesionError: A file is missing or damaged, the grids differ, or there is no reference.
        """
        name = self.scan.scan_id
        image = read_volume(self.scan.image)
        if self.labelled:
            if self.scan.reference is None:
                raise CordlesionError(f"{self.scan.image}: has no reference; one is needed to learn from. Add it.")
            reference = read_reference(self.scan, image).data
            # With the image's own header, since nnU-Net refuses transforms that differ by rounding.
            write_volume(dataset / "labelsTr" / f"{name}{_ENDING}", reference.astype(np.uint8), image)
        target = dataset / self.images / f"{name}_0000{_ENDING}"
        with self.scan.image.open("rb") as stream:
            gzipped = stream.read(2) == b"\x1f\x8b"
        if gzipped and len(image.header.get_data_shape() if image.header else ()) == 3:
            with atomic_path(target) as temporary:
                shutil.copyfile(self.scan.image, temporary)
        else:
            write_volume(target, image.data, image)


def check_dataset_folder(folder: Path) -> None:
    """Refuse a folder that nnU-Net would not accept, or that is not empty.

    Raises:
        CordlesionError: Its name is not ``Dataset<three digits>_<name>``, it is not empty, or it cannot be created.
    """
    check_new_folder(folder)
    if not re.fullmatch(r"Dataset\d{3}_\w+", folder.resolve().name):
        raise CordlesionError(
            f"{folder}: nnU-Net asks for folders named like Dataset501_Cord (three digits and a name). "
            "Choose such a name."
        )


def nnunet_cases(table: pd.DataFrame, scans: Mapping[str, Scan]) -> Sequence[Case]:
    """List the cases of the dataset.

    Args:
        table: ``splits.tsv``.
        scans: All scans of the table, by name.
    """
    return list(_cases(table, scans))


def _cases(table: pd.DataFrame, scans: Mapping[str, Scan]) -> Iterator[Case]:
    for name in sorted(set(table.loc[table["set"].isin(_LEARNING), "scan_id"])):
        yield Case(scans[name], "imagesTr", labelled=True)
    unseen = table[~table["set"].isin(_LEARNING)]
    folders = unseen["fold"].map("imagesTs_fold-{}".format) if "fold" in unseen else ["imagesTs"] * len(unseen)
    for name, folder in sorted(zip(unseen["scan_id"], folders, strict=True)):
        yield Case(scans[name], folder, labelled=False)


def write_nnunet_description(dataset: Path, table: pd.DataFrame) -> None:
    """Write ``splits_final.json`` and, last, ``dataset.json``: a folder with it is complete.

    Args:
        dataset: Folder of the dataset.
        table: ``splits.tsv`` without the scans that could not be written.
    """
    write_json(dataset / "splits_final.json", to_nnunet(table))
    write_json(
        dataset / "dataset.json",
        {
            "channel_names": {"0": "T2w"},
            "labels": {"background": 0, "lesion": 1},
            "numTraining": table.loc[table["set"].isin(_LEARNING), "scan_id"].nunique(),
            "file_ending": _ENDING,
            "name": dataset.resolve().name,
            "description": f"MS lesions of the spinal cord, exported by cordlesion {__version__} (research use only); "
            "copy splits_final.json to the preprocessed dataset before training.",
        },
    )
