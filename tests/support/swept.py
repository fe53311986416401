"""Sweeps of simulated subjects, whose lesions are missed and marked falsely as at thresholds of a network."""

from dataclasses import replace

import numpy as np
import pandas as pd

GRID = tuple(np.round(np.linspace(0, 1, 21), 2).tolist())


def scans_of(rng, n_subjects, thresholds=GRID, quality=2.5, free=0.2):
    """Counts of lesions of 1 to 3 scans per subject: more are missed at high thresholds, more are false at low ones."""
    rows = []
    for subject in range(n_subjects):
        ease = rng.normal(0, 1)
        for scan in range(rng.integers(1, 4)):
            n = 0 if rng.random() < free and subject else rng.integers(1, 6)
            lesions, marks = rng.logistic(quality + ease, 1, n), rng.logistic(-4, 1.5, 8)
            for t in thresholds:
                cut = np.log((t + 1e-3) / (1 - t + 1e-3))
                found, false = int((lesions > cut).sum()), int((marks > cut).sum())
                counts = {"n_reference_lesions": n, "n_detected_lesions": found, "n_predicted_lesions": found + false}
                f1 = 2 * found / max(n + found + false, 1) if n else np.nan
                rows.append(
                    {"scan_id": f"{subject:03}-{scan}", "subject": f"{subject:03}", "threshold": t, "voxel_f1": f1}
                    | counts
                    | {"n_true_predicted_lesions": found, "reference_volume_mm3": 10.0 * n}
                )
    return pd.DataFrame(rows)


def drawn_from(risks, who):
    """The risks of subjects who are drawn, some several times, where all have lesions."""
    subjects = np.arange(len(who))
    losses = {name: values[who] for name, values in risks.losses.items()}
    return replace(risks, losses=losses, subjects=dict.fromkeys(losses, subjects))
