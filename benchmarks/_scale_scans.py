"""Creates a cohort of any size from a few simulated scans, and a study of it."""

import csv
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np

from cordlesion.config import StudyConfig, builtin_study, read_study
from cordlesion.simulate import simulate_cohort

SIMULATED = 20
"""Number of different scans; all others are copies with noise, because a study rejects equal images."""
_NOISE = 3.0


def simulate_base(folder: Path) -> Path:
    """Simulate the base scans of cohorts, unless they exist."""
    simulate_cohort(folder, scans=SIMULATED, seed=2023)
    return folder


def write_cohort(base: Path, folder: Path, scans: int) -> Path:
    """Write a cohort of ``scans`` scans: repeated copies of ``base`` with other subject names."""
    images = sorted(base.glob("sub-*/**/*_T2w.nii.gz"))
    for number in range(scans):
        copy, image = divmod(number, len(images))
        _copy_scan(base, folder, images[image], copy)
    _write_participants(base / "participants.tsv", folder / "participants.tsv", -(-scans // len(images)))
    return folder


def small_study(dataset: Path, output: Path) -> StudyConfig:
    """Return the study of the demo with one loss and one epoch."""
    demo = read_study(builtin_study("demo")).model_dump()
    training = {**demo["training"], "epochs": 1}
    own = {"dataset": dataset, "output": output, "losses": ["bce"], "training": training}
    return StudyConfig(**{**demo, **own})


def _copy_scan(base: Path, folder: Path, image: Path, copy: int) -> None:
    scan = image.name.removesuffix("_T2w.nii.gz")
    labels = base / "derivatives/labels" / image.parent.relative_to(base)
    for path in (image.with_name(f"{scan}_T2w.json"), *labels.glob(f"{scan}_*")):
        target = folder / _renamed(path.relative_to(base).as_posix(), copy)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
    target = folder / _renamed(image.relative_to(base).as_posix(), copy)
    target.parent.mkdir(parents=True, exist_ok=True)
    original = nib.load(image)
    noise = np.random.default_rng(copy).normal(0, _NOISE, original.shape)
    voxels = np.clip(np.asarray(original.dataobj) + noise, 0, None)
    nib.save(nib.Nifti1Image(np.rint(voxels).astype(np.int16), original.affine, original.header), target)


def _renamed(path: str, copy: int) -> str:
    return path.replace("sub-", f"sub-{copy:03d}")


def _write_participants(source: Path, target: Path, copies: int) -> None:
    with source.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream, delimiter="\t")
    lines = [header, *([_renamed(row[0], copy), *row[1:]] for copy in range(copies) for row in rows)]
    target.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    description = {"Name": "copies of simulated scans", "BIDSVersion": "1.10.0"}
    target.with_name("dataset_description.json").write_text(json.dumps(description), encoding="utf-8")
