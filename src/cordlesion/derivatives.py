"""Probability maps and masks of a study as a BIDS derivative (no torch)."""

import os
from pathlib import Path

from cordlesion import __version__
from cordlesion.artifacts import StudyFolder, write_json
from cordlesion.metrics import binarize
from cordlesion.volume import read_probability, write_volume


def describe_dataset(folder: StudyFolder, dataset: Path) -> None:
    """Write ``dataset_description.json``, which makes the folder a BIDS derivative of ``dataset``."""
    write_json(
        folder.derivatives / "dataset_description.json",
        {
            "Name": "cordlesion: lesion probability maps and masks",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "cordlesion", "Version": __version__}],
            "DatasetLinks": {"raw": os.path.relpath(dataset, folder.derivatives)},
        },
    )


def describe_map(path: Path, image: Path, dataset: Path, run: str) -> None:
    """Write the JSON file beside the probability map of ``image``, which lies in ``dataset``."""
    source = f"bids:raw:{image.relative_to(dataset).as_posix()}"
    description = f"Lesion probability per voxel, run {run} (research use only)"
    write_json(_sidecar(path), {"Description": description, "Sources": [source]})


def mask_path(probability: Path) -> Path:
    """Name the mask that belongs to a probability map."""
    return probability.with_name(probability.name.replace("_probseg.nii.gz", "_mask.nii.gz"))


def write_mask(probability: Path, derivatives: Path, threshold: float, run: str) -> Path:
    """Cut a probability map at ``threshold`` (a voxel is lesion when p >= t) and write the mask beside it."""
    volume = read_probability(probability)
    path = mask_path(probability)
    write_volume(path, binarize(volume.data, threshold), volume)
    description = f"Lesion mask, run {run}, at the threshold tuned on the threshold set (research use only)"
    source = f"bids::{probability.relative_to(derivatives).as_posix()}"
    write_json(_sidecar(path), {"Description": description, "Sources": [source], "Threshold": threshold})
    return path


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name.replace(".nii.gz", ".json"))
