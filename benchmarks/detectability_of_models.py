"""What trained models can detect: the same implanted lesions for all of them, for docs/detectability.md.

python benchmarks/detectability_of_models.py work --scans ../shared/data/real --model dice=demo/runs/dice_seed-0/bundle

The folder of scans holds healthy T2w cords with masks: t2, t2_full (the same person; the mask of t2 is resampled to
it), sub-unf01_T2w and PAM50_small_t2 (a template). Each step is skipped if its output is there; a further model is one
more --model. The pictures and the table that the page shows are written to the work folder.
"""

import argparse
import math
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
from cordlesion.detectability.tables import DETECTED, FALSE_LESIONS
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
BANDS = (1.0, 1.5, math.inf)
"""Edges of the bands of contrast: two, because there are about 200 lesions."""


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
    """Return the row of a method for the table of the page, at its own operating point."""
    detected = own(folder)
    false = read_table(folder / FALSE_LESIONS.file, FALSE_LESIONS).iloc[0]
    asked = detected[detected["found"].notna()]
    t = asked["threshold"].iloc[0]
    bands = []
    for _, band in contrast_bands(detected, BANDS):
        limit = band.fitted.limit(0.5)
        sizes = ["not reached" if np.isinf(end) else f"{end:.0f}" for end in (limit.size, limit.low, limit.high)]
        share = f"{band.lesions['found'].mean():.0%}".replace("%", " %")
        bands.append(f"{share} | {sizes[0]}" + ("" if sizes[1] == sizes[2] else f" ({sizes[1]} to {sizes[2]})"))
    return (
        f"| {name} | {'mask' if np.isnan(t) else f'{t:g}'} | {asked['found'].sum():.0f} of {len(asked)} | "
        f"{asked['by_chance'].sum():.0f} | {' | '.join(bands)} | "
        f"{false['n_false_lesions']:.0f} in {false['n_scans']:.0f} |"
    )


def own(folder: Path) -> pd.DataFrame:
    """Return the lesions at the own operating point of a method."""
    detected = read_table(folder / DETECTED.file, DETECTED)
    return detected[detected["operating_point"] == "own"]


def draw(folders: dict[str, Path], output: Path) -> None:
    """Draw the curves of all models at their own operating points, a panel each."""
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 2.5 * -(-len(folders) // 2)), layout="constrained", facecolor="white")
        panels = figure.subplots(-(-len(folders) // 2), 2, squeeze=False, sharex=True, sharey=True)
        for axes, (name, folder) in zip(panels.flat, folders.items(), strict=False):
            draw_curves(axes, [band for _, band in contrast_bands(own(folder), BANDS)])
            axes.set_title(name)
        for spare in panels.flat[len(folders) :]:
            spare.remove()
        save_figure(figure, output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], help="name=folder of a bundle")
    parser.add_argument("--masks", action="append", default=[], help="name=folder of masks of any tool")
    parser.add_argument("--copies", type=int, default=COPIES)
    options = parser.parse_args()
    implanted = options.work / "implanted"
    if not implanted.is_dir():
        healthy = make_healthy(options.scans, options.work / "healthy")
        implant_files([healthy], implanted, copies=options.copies, lesions=LESIONS, design=Design())
    for option in ("model", "masks"):
        for name, place in (given.split("=", 1) for given in getattr(options, option)):
            folder = options.work / name
            if not (folder / "detectability.png").is_file():
                measure_detectability(
                    implanted, folder, **{"bundle" if option == "model" else "prediction": Path(place)}
                )
            print(summary(name, folder))
    done = {folder.name: folder for folder in sorted(options.work.iterdir()) if (folder / DETECTED.file).is_file()}
    if done:
        draw(done, options.work / "detectability.png")


if __name__ == "__main__":
    main()
