"""What trained models can detect: the same implanted lesions for all of them, for docs/detectability.md.

python benchmarks/detectability_of_models.py work --scans ../shared/data/real --model dice=demo/runs/dice_seed-0/bundle

The folder of scans holds healthy T2w cords with masks: t2, t2_full (the same person; the mask of t2 is resampled to
it), sub-unf01_T2w and PAM50_small_t2 (a template). Each step is skipped if its output is there; a further model is one
more --model. The pictures and the table that the page shows are written to the work folder.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage

from cordlesion.detectability.design import Design
from cordlesion.detectability.figure import draw_curves
from cordlesion.detectability.implant import implant_files
from cordlesion.detectability.measure import measure_detectability
from cordlesion.detectability.summary import contrast_bands
from cordlesion.detectability.tables import DETECTED
from cordlesion.io.tables import read_table
from cordlesion.io.volume import Volume, read_mask, read_scan, write_volume
from cordlesion.pictures.style import WIDTH_INCHES, save_figure, style

HEALTHY = {
    "sub-testing_acq-crop": ("t2.nii.gz", "t2_seg-manual.nii.gz"),
    "sub-testing_acq-full": ("t2_full.nii.gz", "t2_seg-manual.nii.gz"),
    "sub-unf01": ("sub-unf01_T2w.nii.gz", "sub-unf01_T2w_seg-manual.nii.gz"),
    "sub-PAM50": ("PAM50_small_t2.nii.gz", "PAM50_small_cord.nii.gz"),
}
COPIES, LESIONS = 30, 2


def make_healthy(scans: Path, folder: Path) -> Path:
    """Write the healthy scans and their cord masks as a BIDS dataset."""
    for name, (image, mask) in HEALTHY.items():
        subject = name.split("_")[0]
        place = folder / subject / "anat" / f"{name}_T2w.nii.gz"
        if place.is_file():
            continue
        scan, cord = read_scan(scans / image), read_mask(scans / mask)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((scans / image).read_bytes())
        labels = folder / "derivatives/labels" / subject / "anat" / f"{name}_label-cord_seg.nii.gz"
        write_volume(labels, resampled(cord, scan), scan)
    return folder


def resampled(mask: Volume, like: Volume) -> np.ndarray:
    """Return a mask on another grid, by the nearest voxel."""
    change = np.linalg.inv(mask.affine) @ like.affine
    moved = ndimage.affine_transform(
        mask.data.astype(np.uint8), change[:3, :3], change[:3, 3], output_shape=like.data.shape, order=0
    )
    return moved.astype(bool)


def summary(name: str, folder: Path) -> str:
    """Return the rows of a model for the table of the page."""
    limits, false = (pd.read_csv(folder / f"{table}.tsv", sep="\t") for table in ("detection_limits", "false_lesions"))
    shares = pd.read_csv(folder / "detectability.tsv", sep="\t")
    everything = shares[shares["by"] == "all"]
    rows = []
    for own in everything.head(1).itertuples():
        same = (limits["operating_point"] == own.operating_point) & (
            limits["threshold"].isna() if pd.isna(own.threshold) else limits["threshold"] == own.threshold
        )
        sizes = " | ".join(size(row, 50) for row in limits[same].itertuples())
        t = "mask" if pd.isna(own.threshold) else f"{own.threshold:g}"
        rows.append(
            f"| {name} | {t} | {own.n_found} of {own.n_lesions} | {own.n_by_chance} | {sizes} | "
            f"{false.iloc[0].n_false_lesions} in {false.iloc[0].n_scans} |"
        )
    return "\n".join(rows)


def size(row: object, share: int) -> str:
    """Return a size with its interval."""
    value, low, high = (getattr(row, f"size_{share}_{end}") for end in ("mm3", "low", "high"))
    shown = ["not reached" if np.isinf(end) else f"{end:.0f}" for end in (value, low, high)]
    return shown[0] if shown[0] == shown[2] == shown[1] else f"{shown[0]} ({shown[1]} to {shown[2]})"


def draw(folders: dict[str, Path], output: Path) -> None:
    """Draw the curves of all models at their own operating points, a panel each."""
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 2.5 * -(-len(folders) // 2)), layout="constrained", facecolor="white")
        panels = figure.subplots(-(-len(folders) // 2), 2, squeeze=False, sharex=True, sharey=True)
        for axes, (name, folder) in zip(panels.flat, folders.items(), strict=False):
            detected = read_table(folder / DETECTED.file, DETECTED)
            own = detected[detected["operating_point"] == "own"]
            draw_curves(axes, [band for _, band in contrast_bands(own)])
            axes.set_title(name)
        for spare in panels.flat[len(folders) :]:
            spare.remove()
        save_figure(figure, output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], help="name=folder of a bundle")
    parser.add_argument("--copies", type=int, default=COPIES)
    options = parser.parse_args()
    implanted = options.work / "implanted"
    if not implanted.is_dir():
        healthy = make_healthy(options.scans, options.work / "healthy")
        implant_files([healthy], implanted, copies=options.copies, lesions=LESIONS, design=Design())
    for name, bundle in (given.split("=", 1) for given in options.model):
        folder = options.work / name
        if not (folder / "detectability.png").is_file():
            measure_detectability(implanted, folder, bundle=Path(bundle))
        print(summary(name, folder))
    done = {folder.name: folder for folder in sorted(options.work.iterdir()) if (folder / DETECTED.file).is_file()}
    if done:
        draw(done, options.work / "detectability.png")


if __name__ == "__main__":
    main()
