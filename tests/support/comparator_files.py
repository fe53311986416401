"""What four other methods left of a tiny cohort: a model, maps, masks, and nnU-Net's softmax exports."""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from cordlesion.model.bundle import save_bundle
from support.models import untrained_bundle

COMPARATORS = """\
comparators:
  - {name: theirs, bundle: theirs}
  - {name: soft, maps: maps}
  - {name: hard, masks: masks}
  - {name: nnunet, npz: npz}
  - {name: shipped, maps: maps, threshold: 0.2}
"""


def write_comparators(folder: Path) -> None:
    """Write ``theirs``, ``maps``, ``masks`` and ``npz`` beside the cohort, and one map of no scan."""
    save_bundle(folder / "theirs", untrained_bundle())
    for path in sorted((folder / "cohort").rglob("*_label-lesion_seg.nii.gz")):
        subject, image = path.name.split("_")[0], nib.load(path)
        lesion = np.asarray(image.dataobj)
        noise = np.random.default_rng(int(subject[4:])).random(lesion.shape)
        p = np.clip(0.8 * ndimage.gaussian_filter(lesion.astype(np.float32), 1) + 0.15 * noise, 0, 1)
        save(folder / "maps" / f"{subject}_probseg.nii.gz", p.astype(np.float32), image.affine)
        save(folder / "masks" / f"{subject}_T2w_lesionseg.nii.gz", np.roll(lesion, 1, axis=2), image.affine)
        save_softmax(folder / "npz" / f"{subject}.npz", p**2)
    save(folder / "maps" / "sub-99_probseg.nii.gz", p.astype(np.float32), image.affine)


def save(path: Path, data: np.ndarray, affine: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def save_softmax(path: Path, lesion: np.ndarray, dtype: type = np.float16, name: str = "probabilities") -> Path:
    """Write background and lesion as nnU-Net does: class first, then the axes of the scan in reverse order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    reversed_axes = lesion.transpose(2, 1, 0)
    np.savez_compressed(path, **{name: np.stack([1 - reversed_axes, reversed_axes]).astype(dtype)})
    return path
