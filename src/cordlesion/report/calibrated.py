"""The numbers behind the reliability diagrams, and why each loss wants the threshold it wants."""

from typing import Any

import numpy as np
import pandas as pd

from cordlesion.study_folder.results import Run, StudyResults, of_run


def summarize_calibration(results: StudyResults) -> pd.DataFrame:
    """Tell how far each run's probabilities can be taken at their word, and what its tuned threshold means.

    F1 over voxels is highest when just those are kept whose chance of being lesion exceeds half of that F1 (Lipton et
    al., ECML PKDD 2014). So the share of lesion among voxels at the tuned threshold, and not the threshold itself, is
    what runs should have in common.

    Returns:
        A row per run: ``loss seed threshold share half_f1 temperature ece ece_scaled brier brier_scaled volume_ratio``.
        ``share`` (of lesion where p = t, read from the reliability curve) and ``half_f1`` (half the F1 of all voxels
        taken as one, at t), means over the folds where there are several, are those of the threshold set, on which t
        and the temperature were chosen; the others those
        of the test set. ``volume_ratio`` is the sum of all probabilities over the volume of the reference.
    """
    runs = [run for run in results.tuned if not of_run(results.calibration, run).empty]
    return pd.DataFrame([_row(results, run) for run in runs]).astype({"seed": "Int64"})


def _row(results: StudyResults, run: Run) -> dict[str, Any]:
    tested = of_run(results.calibration, run, set="test").set_index("map")
    raw, scaled = tested.loc["raw"], tested.loc["scaled"]
    bins = of_run(results.reliability, run, set="threshold", map="raw")
    sweep = of_run(results.sweep, run, set="threshold")
    return {
        "loss": run.loss,
        "seed": run.seed,
        "threshold": results.tuned[run],
        "share": float(np.mean([_share_at(bins, t) for t in results.chosen(run).values()])),
        "half_f1": float(np.mean([_pooled_f1(sweep, t) for t in results.chosen(run).values()])) / 2,
        "temperature": scaled["temperature"],
        "ece": raw["expected_calibration_error"],
        "ece_scaled": scaled["expected_calibration_error"],
        "brier": raw["brier_score"],
        "brier_scaled": scaled["brier_score"],
        "volume_ratio": raw["sum_probability"] / raw["n_lesion_voxels"] if raw["n_lesion_voxels"] else np.nan,
    }


def _share_at(bins: pd.DataFrame, t: float) -> float:
    """Read the reliability curve at p = t: straight lines between bins that hold voxels."""
    filled = bins[bins["n_voxels"] > 0]
    return float(np.interp(t, filled["mean_probability"], filled["lesion_share"]))


def _pooled_f1(sweep: pd.DataFrame, t: float) -> float:
    """Return the F1 of all voxels of all scans taken as one."""
    rows = sweep[np.isclose(sweep["threshold"], t, atol=1e-6)]
    common = (rows["voxel_sensitivity"] * rows["reference_volume_mm3"]).sum()
    return float(2 * common / (rows["reference_volume_mm3"].sum() + rows["predicted_volume_mm3"].sum()))
