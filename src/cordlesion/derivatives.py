"""Probability maps and masks of a study as a BIDS derivative (no torch)."""

from pathlib import Path

from cordlesion import __version__
from cordlesion.artifacts import StudyFolder, write_json
from cordlesion.metrics import binarize
from cordlesion.volume import read_probability, write_volume


def describe_dataset(folder: StudyFolder) -> None:
    """Write ``dataset_description.json``, which makes the folder a BIDS derivative."""
    write_json(
        folder.derivatives / "dataset_description.json",
        {
            "Name": "cordlesion: lesion probability maps and masks",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "cordlesion", "Version": __version__}],
        },
    )


def describe_map(path: Path, image: Path, run: str) -> None:
    """Write the JSON file beside a probability map."""
    write_json(
        _sidecar(path),
        {"Description": f"Lesion probability per voxel, run {run} (research use only)", "Sources": [str(image)]},
    )


def write_mask(probability: Path, threshold: float, run: str) -> Path:
    """Cut a probability map at ``threshold`` (a voxel is lesion when p >= t) and write the mask beside it."""
    volume = read_probability(probability)
    path = probability.with_name(probability.name.replace("_probseg.nii.gz", "_mask.nii.gz"))
    write_volume(path, binarize(volume.data, threshold), volume)
    description = f"Lesion mask, run {run}, at the threshold tuned on the threshold set (research use only)"
    write_json(_sidecar(path), {"Description": description, "Sources": [probability.name], "Threshold": threshold})
    return path


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name.replace(".nii.gz", ".json"))
