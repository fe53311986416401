"""The model of the package on real scans: false lesions in healthy cords, a synthetic lesion, a patient; SCT beside it.

Real scans and SCT's network are in a folder outside the repository (``CORDLESION_SHARED`` or ``../shared``). None of
them was used for training or for choosing weights, threshold or smallest lesion.

python benchmarks/packaged_model.py [folder of a model, by default the one in the package] [folder for pictures]
"""

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from cordlesion.config import PACKAGED_BUNDLE
from cordlesion.cord.centerline import centerline_from_cord_mask
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import Volume, read_mask, read_scan, write_volume
from cordlesion.model.architectures import Predictor
from cordlesion.model.bundle import load_bundle
from cordlesion.scan.outputs import Segmentation
from cordlesion.scan.segment import segment
from cordlesion.sct.import_network import import_sct

SHARED = Path(os.environ.get("CORDLESION_SHARED", Path(__file__).parents[2] / "shared")) / "data"
REAL = SHARED / "real"
HEALTHY = {
    "t2": "t2_seg-manual",
    "t2_full": "t2_seg-manual",
    "sub-unf01_T2w": "sub-unf01_T2w_seg-manual",
    "PAM50_small_t2": "PAM50_small_cord",
}
"""Healthy cord -> its cord mask."""
FAKE = ("t2_fake_lesion", "t2_fake_lesion_sc_seg", "t2_fake_lesion_lesion_seg")
PATIENT = ("t2_ms", "t2_ms_centerline")


@dataclass(frozen=True)
class Found:
    """What a model marks in a scan."""

    scan: str
    model: str
    cord: str
    """Where the centerline comes from."""
    result: Segmentation
    seconds: float

    @property
    def row(self) -> str:
        """A row of a table."""
        volumes = ", ".join(f"{lesion.volume_mm3:.0f}" for lesion in self.result.lesions[:6])
        highest = float(self.result.probability.max())
        load = self.result.load
        return (
            f"| {self.scan} | {self.cord} | {self.model} | {load.n_lesions} | {volumes} | {highest:.2f} | "
            f"{self.seconds:.1f} |"
        )


def cord_mask_of(scan: Volume, mask: Path, folder: Path) -> Path:
    """Return a cord mask on the grid of a scan; one of another field of view is placed by its world coordinates."""
    given = read_mask(mask)
    if given.data.shape == scan.data.shape and np.allclose(given.affine, scan.affine, atol=1e-3):
        return mask
    to_mask = np.linalg.inv(given.affine) @ scan.affine
    placed = ndimage.affine_transform(
        given.data.astype(np.uint8), to_mask[:3, :3], to_mask[:3, 3], scan.data.shape, order=0, cval=0
    )
    path = folder / f"placed_{mask.name}"
    write_volume(path, placed.astype(bool), scan)
    return path


def look(name: str, model: Predictor, label: str, **cord: Path | str) -> Found | None:
    """Segment a scan; prints why where it cannot be."""
    start = time.perf_counter()
    try:
        result = segment(REAL / f"{name}.nii.gz", model, **cord)  # type: ignore[arg-type]
    except CordlesionError as error:
        print(f"| {name} | {next(iter(cord), 'found')} | {label} | – | {error} | | |")
        return None
    source = {"cord_mask": "mask", "centerline": "curve"}.get(next(iter(cord), ""), "found")
    found = Found(name, label, source, result, time.perf_counter() - start)
    print(found.row, flush=True)
    return found


def overlap(found: Found, reference: Path) -> str:
    """Return how a synthetic lesion was found."""
    true, marked = read_mask(reference).data > 0, found.result.mask
    both = int((true & marked).sum())
    return (
        f"{found.model}: {both} of {int(true.sum())} voxels of the synthetic lesion, {int(marked.sum()) - both} "
        f"others; highest probability in it {found.result.probability[true].max():.2f}"
    )


def main(bundle: Path, pictures: Path | None) -> None:
    """Print the tables, and draw pictures where a folder is given."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        import_sct(SHARED / "sct/t2_ax_lesion.h5", folder / "sct")
        models = {"package": load_bundle(bundle), "SCT t2_ax": load_bundle(folder / "sct")}
        print("| scan | cord | model | lesions | volumes, mm3 | highest p | seconds |\n|---|---|---|---|---|---|---|")
        results = []
        for name, mask in HEALTHY.items():
            scan = read_scan(REAL / f"{name}.nii.gz")
            cord = cord_mask_of(scan, REAL / f"{mask}.nii.gz", folder)
            centerline_from_cord_mask(cord, scan)
            for label, model in models.items():
                results += [look(name, model, label, cord_mask=cord), look(name, model, label)]
        fake = [look(FAKE[0], model, label, cord_mask=REAL / f"{FAKE[1]}.nii.gz") for label, model in models.items()]
        curve = REAL / f"{PATIENT[1]}.nii.gz"
        patient = [look(PATIENT[0], model, label, centerline=curve) for label, model in models.items()]
        for found in fake:
            if found:
                print(overlap(found, REAL / f"{FAKE[2]}.nii.gz"))
        if pictures is not None:
            for found in (*results, *fake, *patient):
                if found:
                    found.result.save(pictures / found.model.replace(" ", "_") / found.cord, overwrite=True)


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(given[0] if given else PACKAGED_BUNDLE, given[1] if len(given) > 1 else None)
