"""Implanted lesions beside real and simulated ones, as a reader sees them, for docs/detectability.md.

python benchmarks/_implanted_look.py output.png ../shared/data/real

Real lesions: axial slices of an MS patient (t2_ms) in which the lesion network of SCT marks lesions. Implanted: ten
lesions, five of them in other slices of the same scan and five in healthy scans. Simulated: axial slices of simulated
scans through their largest lesions.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.centerlines import CordInput
from cordlesion.detectability.appearance import appearance
from cordlesion.detectability.cord_input import cord_mask_of
from cordlesion.detectability.cord_space import CordSpace, cord_space
from cordlesion.detectability.design import Wish, lesion_like, scaled
from cordlesion.detectability.drawing import draw_lesion
from cordlesion.io.orient import to_las
from cordlesion.io.volume import read_mask, read_scan
from cordlesion.pictures.style import save_figure, style
from cordlesion.simulate import plan_cohort, simulate_scan
from cordlesion.simulate.randomness import NoiseTile, keyed_rng

REAL = (14, 10, 8, 6, 5)
"""Slices of t2_ms in which SCT's network marks lesions."""
SAME = ((15, 200, 1.70, "lateral"), (12, 180, 1.65, "lateral"), (11, 250, 1.60, "posterior"), (9, 220, 1.70, "lateral"),
        (16, 260, 1.60, "posterior"))  # fmt: skip
"""Slices of the same scan: wanted volume, contrast and column."""
HEALTHY = (
    ("t2", "t2_seg-manual", 20, 90, 1.60, "lateral"),
    ("t2", "t2_seg-manual", 38, 150, 1.60, "posterior"),
    ("sub-unf01_T2w", "sub-unf01_T2w_seg-manual", 8, 60, 1.60, "lateral"),
    ("sub-unf01_T2w", "sub-unf01_T2w_seg-manual", 8, 130, 1.50, "posterior"),
    ("PAM50_small_t2", "PAM50_small_cord", 225, 100, 1.60, "lateral"),
)
SHOWN_MM, SIMULATED = 24.0, 5


def section(data: np.ndarray, cord: np.ndarray, z: int, spacing: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a square of an axial slice around the cord in units of the cord's signal."""
    centre = np.argwhere(cord[:, :, z]).mean(axis=0)
    n = np.rint(SHOWN_MM / spacing[:2]).astype(int)
    low = np.rint(centre - n / 2).astype(int)
    padded = np.pad(data[:, :, z], [(size, size) for size in n], mode="edge")
    square = padded[low[0] + n[0] : low[0] + 2 * n[0], low[1] + n[1] : low[1] + 2 * n[1]]
    return square / np.median(data[:, :, z][cord[:, :, z]])


def implanted(space: CordSpace, z: int, volume: float, contrast: float, column: str, seed: int) -> np.ndarray:
    """Return the axial slice through the middle of a lesion that is put into a scan at a slice."""
    rng, texture, look = keyed_rng("look", seed), NoiseTile((seed,)), appearance(space)
    s = float(np.interp(z * space.spacing_mm[2], space.curve[:, 2], space.position))
    lesion = scaled(lesion_like(Wish(volume, contrast, column, 0), s, space, rng), volume, space, texture)
    one = draw_lesion(lesion, space, look, texture)
    data = space.scan.data.astype(float)
    data[one.box] += one.added
    middle = int(one.fill.sum(axis=(0, 1)).argmax()) + one.box[2].start
    return section(data, space.inside, middle, space.spacing_mm)


def simulated() -> list[np.ndarray]:
    """Return slices through the largest lesions of simulated axial scans."""
    plans = [plan for subject in plan_cohort(161, 0) for plan in subject.scans(0)]
    shown = []
    for plan in [plan for plan in plans if plan.plane == "axial" and not plan.lesion_free]:
        scan = simulate_scan(plan)
        image, lesions, cord = (to_las(volume) for volume in (scan.image, scan.true_lesions, scan.cord))
        area = lesions.data.sum(axis=(0, 1)) * np.prod(image.spacing_mm[:2])
        if image.spacing_mm[2] > 2 and area.max() > 8:
            z = int(area.argmax())
            shown.append(section(image.data.astype(float), cord.data.astype(bool), z, np.array(image.spacing_mm)))
        if len(shown) == SIMULATED:
            break
    return shown


def main(output: Path, real: Path) -> None:
    scan = read_scan(real / "t2_ms.nii.gz")
    patient = cord_space(scan, cord_mask_of(scan, CordInput(real / "t2_ms_centerline.nii.gz"))[0])
    rows = {
        "real lesions of an MS patient": [
            section(patient.scan.data, patient.inside, z, patient.spacing_mm) for z in REAL
        ],
        "implanted into other slices of the same scan": [
            implanted(patient, *wish, seed) for seed, wish in enumerate(SAME)
        ],
        "implanted into healthy scans": [],
        "simulated": simulated(),
    }
    for seed, (image, mask, *wish) in enumerate(HEALTHY):
        healthy = read_scan(real / f"{image}.nii.gz")
        space = cord_space(healthy, read_mask(real / f"{mask}.nii.gz", like=healthy).data.astype(bool))
        rows["implanted into healthy scans"].append(implanted(space, *wish, seed + 20))
    with style():
        figure = Figure(figsize=(7.2, 6.4), layout="constrained", facecolor="white")
        figure.set_layout_engine("constrained", hspace=0.09, rect=(0, 0, 1, 0.975))
        axes = figure.subplots(len(rows), 5, squeeze=False)
        for line, (name, pictures) in zip(axes, rows.items(), strict=True):
            for panel, picture in zip(line, pictures, strict=True):
                show(panel, picture)
            label = line[0].annotate(name, (0, 1.04), xycoords="axes fraction", fontsize=9, fontweight="bold")
            label.set_in_layout(False)
        save_figure(figure, output)


def show(axes: Axes, picture: np.ndarray) -> None:
    # The patient's right is on the left: the index increases to the patient's left.
    extent = (0, SHOWN_MM, 0, SHOWN_MM)
    axes.imshow(picture.T, origin="lower", cmap="gray", vmin=0.35, vmax=2.3, interpolation="bicubic", extent=extent)
    axes.axis("off")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
