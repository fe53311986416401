"""Probability maps and masks of a study as a BIDS derivative (no torch)."""

import os
from collections.abc import Sequence
from pathlib import Path

from cordlesion import __version__
from cordlesion.config import Method
from cordlesion.io.volume import read_probability, write_volume
from cordlesion.io.writing import write_json
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.threshold import ThresholdRule
from cordlesion.threshold.postprocess import make_mask, read_cord


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
    """Write the sidecar (JSON) of the probability map of ``image``, which lies in ``dataset``."""
    _describe(path, image, dataset, f"Lesion probability per voxel, run {run} (research use only)")


def describe_mean_map(path: Path, members: Sequence[Path], derivatives: Path, run: str) -> None:
    """Write the sidecar (JSON) of an ensemble's map, the mean of the maps ``members`` in the same derivative."""
    write_json(
        sidecar(path),
        {
            "Description": f"Lesion probability per voxel, {run}: mean of {len(members)} maps (research use only)",
            "Sources": [f"bids::{member.relative_to(derivatives).as_posix()}" for member in members],
        },
    )


def describe_comparator(path: Path, image: Path, dataset: Path, name: str, what: str) -> None:
    """Write the sidecar (JSON) of a comparator's map or mask (``what``) of ``image``, which lies in ``dataset``."""
    _describe(path, image, dataset, f"{what}, comparator {name}, not trained in this study (research use only)")


def _describe(path: Path, image: Path, dataset: Path, description: str) -> None:
    source = f"bids:raw:{image.relative_to(dataset).as_posix()}"
    write_json(sidecar(path), {"Description": description, "Sources": [source]})


def mask_path(probability: Path) -> Path:
    """Return the path of the mask that belongs to a probability map."""
    return probability.with_name(probability.name.replace("_probseg.nii.gz", "_mask.nii.gz"))


def write_mask(
    probability: Path, path: Path, derivatives: Path, rule: ThresholdRule, run: Method, cord_mask: Path | None = None
) -> None:
    """Make the post-processed mask of a probability map and write it.

    Args:
        probability: The map.
        path: Of the mask.
        derivatives: The folder of the derivatives; the sidecar names the map relative to it.
        rule: The tuned threshold rule.
        run: The run or comparator, with its post-processing.
        cord_mask: Of the scan; needed where lesions are restricted to the cord.
    """
    volume = read_probability(probability)
    removal = run.postprocess
    mask, threshold = make_mask(volume, rule, removal, read_cord(cord_mask, volume, removal))
    write_volume(path, mask, volume)
    tuned = "at the threshold tuned on the threshold set"
    write_json(
        sidecar(path),
        {
            "Description": f"Lesion mask, run {run.name}, {tuned} (research use only)",
            "Sources": [f"bids::{probability.relative_to(derivatives).as_posix()}"],
            "Threshold": threshold,
            "Postprocessing": removal.model_dump(mode="json"),
        },
    )


def sidecar(path: Path) -> Path:
    """Return the path of the sidecar (JSON) of a map or mask."""
    return path.with_name(path.name.replace(".nii.gz", ".json"))
