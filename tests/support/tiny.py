"""A tiny BIDS cohort of bright blobs in a tube: enough to run a whole study in seconds."""

from pathlib import Path

import nibabel as nib
import numpy as np

STUDY = """\
name: tiny
dataset: cohort
output: study
split: {proportions: {train: 4, validation: 2, threshold: 3, test: 3}}
preprocess: {crop_voxels: 16, centerline: file}
patches: {size_voxels: 16, overlap_fraction: 0.5}
network: {filters: [4, 8]}
training: {epochs: 3, batch_size: 4, learning_rate: 0.01}
losses: [bce, tversky]
"""


def make_cohort(folder: Path, subjects: int = 14) -> Path:
    """Write ``subjects`` scans (the last two without lesion) and a study beside them; returns the study file."""
    cohort = folder / "cohort"
    for number in range(1, subjects + 1):
        write_scan(cohort, f"sub-{number:02d}", seed=number, lesions=0 if number > subjects - 2 else 1 + number % 3)
    rows = [f"sub-{n:02d}\tsite{n % 2}" for n in range(1, subjects + 1)]
    (cohort / "participants.tsv").write_text("participant_id\tsite\n" + "\n".join(rows) + "\n")
    study = folder / "study.yaml"
    study.write_text(STUDY)
    return study


def write_scan(cohort: Path, subject: str, seed: int, lesions: int) -> None:
    """Write image, reference, cord mask and centerline of one scan of 24 x 24 x 40 voxels of 0.6 mm."""
    rng = np.random.default_rng(seed)
    shape = (24, 24, 40)
    x, y, _ = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    cord = (x - 12) ** 2 + (y - 12) ** 2 <= 25
    lesion = np.zeros(shape, bool)
    for _ in range(lesions):
        cx, cy, cz = rng.integers(10, 15), rng.integers(10, 15), rng.integers(5, 35)
        lesion[cx - 2 : cx + 2, cy - 2 : cy + 2, cz - 3 : cz + 3] = True
    image = 100.0 * cord + 60 * lesion + 200 * ~cord + rng.normal(0, 8, shape)
    centerline = np.zeros(shape, bool)
    centerline[12, 12, 2:38] = True
    affine = np.diag([-0.6, 0.6, 0.6, 1.0])
    anat, labels = (cohort / part / subject / "anat" for part in ("", "derivatives/labels"))
    for path, data in (
        (anat / f"{subject}_T2w.nii.gz", image.astype(np.float32)),
        (labels / f"{subject}_label-lesion_seg.nii.gz", lesion.astype(np.uint8)),
        (labels / f"{subject}_label-cord_seg.nii.gz", cord.astype(np.uint8)),
        (labels / f"{subject}_label-centerline_seg.nii.gz", centerline.astype(np.uint8)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(data, affine), path)


KILLER = """
import os, signal, sys
from pathlib import Path
from cordlesion.config import read_study
from cordlesion.study.run import run_study

pattern, count = sys.argv[2], int(sys.argv[3])
rename = Path.replace

def rename_or_die(self, target):
    global count
    count -= Path(target).match(pattern)
    if not count:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

Path.replace = rename_or_die
run_study(read_study(sys.argv[1]), until="evaluate")
"""
