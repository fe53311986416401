"""Implanted lesions with what the model of the package marks, for docs/packaged_model.md.

python benchmarks/packaged_model_picture.py IMPLANTED LIMITS PICTURE

IMPLANTED is a dataset of `cordlesion implant`, LIMITS what `cordlesion detectability` wrote for the model. Lesions of
each band of volumes are chosen by their order in the table, so that no picture is picked by its look.
"""

import sys
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cordlesion.io.arrays import Array
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_probability, read_scan
from cordlesion.pictures.style import style

VOLUMES_MM3 = (10, 30, 100, 300, 1000)
CONTRAST = (1.5, 1.9)
PER_BAND = 3
HALF_MM = 11.0


def chosen(limits: Path) -> pd.DataFrame:
    """Return the lesions to draw: the first of each band of volumes at the model's own threshold, bright ones."""
    table = pd.read_csv(limits / "detected_lesions.tsv", sep="\t")
    table = table[(table["operating_point"] == "own") & table["contrast"].between(*CONTRAST)]
    table = table[table["subject"] != "sub-PAM50"]  # an average of fifty people
    bands = [table[table["volume_mm3"].between(*band)] for band in pairwise(VOLUMES_MM3)]
    return pd.concat([band.drop_duplicates("scan_id").head(PER_BAND) for band in bands])


def window(data: Array, spacing: tuple[float, ...], centre: Array) -> Array:
    """Return an axial window around a voxel."""
    halves = [round(HALF_MM / step) for step in spacing[:2]]
    x, y = (slice(max(round(c) - half, 0), round(c) + half + 1) for c, half in zip(centre, halves, strict=False))
    return np.asarray(data[x, y, round(centre[2])], dtype=float).T


def draw(dataset: Path, limits: Path, picture: Path) -> None:
    """Draw one lesion per panel: white the true outline, blue what the model marks."""
    rows = chosen(limits)
    with style():
        figure = Figure(figsize=(2 * PER_BAND * 1.5, 2 * 1.85), layout="constrained")
        panels = figure.subplots(2, 2 * PER_BAND).ravel()
        for axes, (_, row) in zip(panels, rows.iterrows(), strict=True):
            anat = Path(row["subject"]) / "anat"
            scan = read_scan(dataset / anat / f"{row['scan_id']}_T2w.nii.gz")
            labels = dataset / "derivatives/labels" / anat
            numbered = nib.load(labels / f"{row['scan_id']}_label-lesion_desc-numbered_dseg.nii.gz")
            number = to_las(Volume(np.asarray(numbered.dataobj), numbered.affine)).data
            probability = to_las(read_probability(limits / f"maps/{row['scan_id']}_label-lesion_probseg.nii.gz")).data
            las, lesion = to_las(scan), number == row["lesion"]
            centre = np.argwhere(lesion).mean(axis=0)
            centre[2] = lesion.sum(axis=(0, 1)).argmax()
            image, true, p = (window(part, las.spacing_mm, centre) for part in (las.data, lesion, probability))
            extent = (-HALF_MM, HALF_MM, -HALF_MM, HALF_MM)
            axes.imshow(image, cmap="gray", origin="lower", extent=extent, vmax=np.percentile(image, 97))
            for part, level, color in ((true, 0.5, "white"), (p, row["threshold"], "#56B4E9")):
                if part.max() >= level:
                    axes.contour(part, [level], colors=color, linewidths=1.2, origin="lower", extent=extent)
            found = "found" if row["found"] else "missed"
            axes.set_title(f"{row['volume_mm3']:.0f} mm³ × {row['contrast']:.2f}: {found}", fontsize=7)
            axes.axis("off")
        figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    draw(*(Path(argument) for argument in sys.argv[1:4]))
