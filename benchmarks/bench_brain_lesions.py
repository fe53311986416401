"""Losses and thresholds on real lesions: MS brains with expert masks instead of cords (region `foreground`).

python benchmarks/bench_brain_lesions.py [epochs]

Two FLAIR scans with consensus masks (Lesjak et al., Neuroinformatics 2018) are in `data/brain` of $CORDLESION_SHARED
or ../shared. Four sets need more than two scans, so each brain is cut into quarters, and each quarter is used as a
scan. This shows the effect of losses and thresholds on real lesions, not how well brains can be segmented.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _timing import header

from cordlesion.config import FilePatterns, NetworkConfig, PatchConfig, PreprocessConfig, StudyConfig, TrainingConfig
from cordlesion.dataset.columns import SPLITS
from cordlesion.io.progress import shown
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.volume import Volume, read_mask, read_scan, write_volume
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder

SHARED = Path(os.environ.get("CORDLESION_SHARED", Path(__file__).parents[2] / "shared"))
LOSSES = ("bce", "dice", "tversky")
EPOCHS = 20
CUT = (91, 100)
"""Cuts through both brains (LAS, 1 mm): the first sagittal slice on the left, the first coronal slice in front."""
SIDES = {"right": slice(CUT[0]), "left": slice(CUT[0], None)}
ENDS = {"back": slice(CUT[1]), "front": slice(CUT[1], None)}
SETS = {
    ("19", "left", "back"): "train",
    ("19", "left", "front"): "train",
    ("19", "right", "front"): "validation",
    ("07", "right", "back"): "threshold",
    ("07", "right", "front"): "threshold",
    ("19", "right", "back"): "test",
    ("07", "left", "back"): "test",
    ("07", "left", "front"): "test",
}
"""(patient, side, end) -> set. Patient 07 is never used for training; one quarter of patient 19 is for testing."""


def cut_volume(volume: Volume, side: str, end: str) -> Volume:
    """Crop one quarter of a brain; its world coordinates are kept."""
    box = (SIDES[side], ENDS[end])
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ [box[0].start or 0, box[1].start or 0, 0, 1])[:3]
    return Volume(np.ascontiguousarray(volume.data[box]), affine)


def write_quarters(brains: Path, dataset: Path) -> pd.DataFrame:
    """Write each quarter as the scan of a separate subject; returns the split."""
    rows = []
    for (patient, side, end), name in SETS.items():
        stem = f"sub-{patient}_FLAIR"
        image = read_scan(brains / f"{stem}.nii.gz")
        reference = read_mask(brains / f"{stem}_label-lesion_seg.nii.gz", like=image)
        subject = f"sub-{patient}{side}{end}"
        for part, suffix in ((image, ""), (reference, "_label-lesion_seg")):
            quarter = cut_volume(part, side, end)
            write_volume(dataset / subject / "anat" / f"{subject}_FLAIR{suffix}.nii.gz", quarter.data, quarter)
        volume_mm3 = float(quarter.data.sum() * np.prod(quarter.spacing_mm))
        rows.append((subject, subject, "", "", name, 0, volume_mm3, "quarter of a brain"))
    return pd.DataFrame(rows, columns=list(SPLITS.required_names))


def make_study(folder: Path, epochs: int) -> StudyConfig:
    """Return a study that takes minutes on two cores: cubes of 32 mm, few filters and little overlap."""
    return StudyConfig(
        name="brain lesions",
        dataset=folder / "quarters",
        output=folder / "study",
        patterns=FilePatterns(image=("*_FLAIR.nii.gz",)),
        preprocess=PreprocessConfig(region="foreground", spacing_mm=1.0),
        patches=PatchConfig(size_voxels=32, overlap_fraction=0.25),
        network=NetworkConfig(filters=(8, 16, 32), prior=0.02),
        training=TrainingConfig(epochs=epochs, batch_size=4, learning_rate=0.003, schedule="cosine"),
        losses=LOSSES,
    )


def pooled_f1(rows: pd.DataFrame) -> float:
    """Return the voxel F1 pooled over all scans."""
    hits_mm3 = (rows["voxel_sensitivity"] * rows["reference_volume_mm3"]).sum()
    return float(2 * hits_mm3 / (rows["reference_volume_mm3"] + rows["predicted_volume_mm3"]).sum())


def scores(rows: pd.DataFrame, label: str) -> dict[str, float]:
    """Return the voxel F1 of a set: median over its quarters, pooled, and of each quarter."""
    each = {f"{row.subject[4:]} {label}": row.voxel_f1 for row in rows.itertuples()}
    return {f"median {label}": rows["voxel_f1"].median(), f"pooled {label}": pooled_f1(rows), **each}


def results(folder: StudyFolder) -> pd.DataFrame:
    """Return a column per loss: its threshold, and the voxel F1 of the test quarters at 0.5 and at the threshold."""
    sweep, tuned = read_table(folder.sweep), read_table(folder.thresholds)
    columns = {}
    for run in tuned.itertuples():
        mine = sweep[(sweep["loss"] == run.loss) & (sweep["set"] == "test")]
        untuned = scores(mine[mine["threshold"] == 0.5], "at 0.5")
        cut = scores(mine[mine["threshold"] == run.threshold], "tuned")
        pairs = zip(untuned.items(), cut.items(), strict=True)
        columns[run.loss] = {"threshold": run.threshold} | {name: f1 for pair in pairs for name, f1 in pair}
    return pd.DataFrame(columns)


def main() -> None:
    """Train, tune and test, and print the results."""
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else EPOCHS
    brains = SHARED / "data" / "brain"
    if not brains.is_dir():
        sys.exit(f"{brains}: no such folder; the two brain scans are needed. Set CORDLESION_SHARED.")
    with tempfile.TemporaryDirectory() as temporary, shown():
        study, start = make_study(Path(temporary), epochs), time.perf_counter()
        folder = StudyFolder(study.output)
        split = write_quarters(brains, study.dataset)
        write_table(folder.splits, split)
        run_study(study, until="evaluate")
        minutes = (time.perf_counter() - start) / 60
        print(header(["cordlesion", "torch", "numpy"]))
        print(f"{epochs} epochs per loss, {torch.get_num_threads()} threads, {minutes:.1f} minutes in all")
        print("Quarters of two brains, not independent scans; no figure here is a segmentation quality to quote.")
        for name, quarters in split.groupby("set", sort=False):
            volume_ml = quarters["reference_volume_mm3"].sum() / 1000
            print(f"  {name:<11}{', '.join(q[4:] for q in quarters['subject'])} ({volume_ml:.2f} ml of lesion)")
        print("Voxel F1 on the test quarters, at 0.5 and at the threshold tuned on the threshold quarters:")
        print(results(folder).to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
