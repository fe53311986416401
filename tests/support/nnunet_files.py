"""What nnU-Net leaves: folders of predictions and of a trained model, with its own file names."""

import json
import pickle
from pathlib import Path

import numpy as np
from scipy import ndimage

from support.comparator_files import save, save_softmax

AFFINE = np.diag([-0.6, 0.5, 0.7, 1.0])
SHAPE = (20, 24, 28)


def lesion_of(case: str) -> np.ndarray:
    """The reference of a case; no two are equal. Those of a name that ends in ``free`` are empty."""
    lesion = np.zeros(SHAPE, np.uint8)
    if not case.endswith("free"):
        z = sum(map(ord, case)) % 12
        lesion[8:13, 9:14, z + 2 : z + 10] = 1
    return lesion


def probability_of(case: str) -> np.ndarray:
    """The map of a timid network: the lesion's border lies at about 0.3, and there is a false spot of 8 voxels."""
    p = 0.6 * ndimage.gaussian_filter(lesion_of(case).astype(np.float32), 0.8)
    p[2:4, 2:4, 2:4] = 0.55
    return p.astype(np.float32)


def write_labels(folder: Path, cases: list[str]) -> Path:
    """``labelsTr/case.nii.gz``."""
    for case in cases:
        save(folder / f"{case}.nii.gz", lesion_of(case), AFFINE)
    return folder


def write_images(folder: Path, cases: list[str]) -> Path:
    """``imagesTs/case_0000.nii.gz``."""
    for case in cases:
        noise = np.random.default_rng(len(case)).normal(100, 5, SHAPE) + 40 * lesion_of(case)
        save(folder / f"{case}_0000.nii.gz", noise.astype(np.float32), AFFINE)
    return folder


def write_predictions(folder: Path, cases: list[str]) -> Path:
    """What ``nnUNetv2_predict --save_probabilities`` writes."""
    _write_cases(folder, cases)
    _describe(folder)
    (folder / "predict_from_raw_data_args.json").write_text(json.dumps({"save_probabilities": True}))
    return folder


def write_trained_model(folder: Path, folds: list[list[str]], with_all: bool = False) -> Path:
    """What ``nnUNetv2_train --npz`` and ``nnUNetv2_find_best_configuration`` leave in the folder of a trained model."""
    merged = folder / f"crossval_results_folds_{'_'.join(map(str, range(len(folds))))}"
    for number, cases in enumerate(folds):
        _write_cases(folder / f"fold_{number}" / "validation", cases)
        (folder / f"fold_{number}" / "checkpoint_final.pth").write_bytes(b"weights")
        for place in (merged, merged / "postprocessed"):
            for case in cases:
                save(place / f"{case}.nii.gz", _hard(case), AFFINE)
    if with_all:
        _write_cases(folder / "fold_all" / "validation", [case for cases in folds for case in cases])
    _describe(folder)
    _describe(merged)
    return folder


def _hard(case: str) -> np.ndarray:
    return (probability_of(case) >= 0.5).astype(np.uint8)


def _write_cases(folder: Path, cases: list[str]) -> None:
    for case in cases:
        save_softmax(folder / f"{case}.npz", probability_of(case))
        (folder / f"{case}.pkl").write_bytes(pickle.dumps({"sitk_stuff": {"spacing": (0.6, 0.5, 0.7)}}))
        save(folder / f"{case}.nii.gz", _hard(case), AFFINE)
    (folder / "summary.json").write_text("{}")


def _describe(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = {"background": 0, "lesion": 1}
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T2w"}, "labels": labels}))
    (folder / "plans.json").write_text(json.dumps({"image_reader_writer": "SimpleITKIO"}))
