"""Random sweeps of a threshold set: counts of voxels and lesions, and the table they give."""

import math

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from oracles.objective_oracle import Counts, lesion_f1, ratio, voxel_f1

VOXEL_MM3 = 0.5


def sweeps(n_cells, *, repeats=False):
    """Scans, each with its subject: one has lesions for certain, one has none, up to three are of any kind.

    With repeats there are also two or three groups of scans that repeat each other.

    Only the seed is searched by hypothesis: drawing every count would take ten times as long.
    """
    return st.builds(lambda seed: random_sweep(np.random.default_rng(seed), n_cells, repeats), st.integers(0, 2**32))


def random_sweep(rng, n_cells, repeats=False):
    """Counts small enough for many ties."""
    references = [rng.choice([1, 3, 6]), 0, *rng.choice([0, 1, 3, 6], rng.integers(4))]
    # Beyond the first, a scan's lesions may all be below the minimum volume: voxels without a lesion.
    lesions = [rng.integers(number == 0, 3) if reference else 0 for number, reference in enumerate(references)]
    scans = [random_scan(rng, int(r), int(n), n_cells) for r, n in zip(references, lesions, strict=True)]
    sweep = [(str(rng.choice(list("abcd"))), scan) for scan in scans]
    return [*sweep, *random_groups(rng, n_cells)] if repeats else sweep


def random_groups(rng, n_cells):
    """Groups of two or three scans; subjects may have two groups, and names of groups are those of others, too."""
    names = [(str(subject), name) for name in ("first", "second") for subject in "pq"]
    groups = [names[k] for k in rng.permutation(4)[: rng.integers(2, 4)]]
    sizes = rng.integers(2, 4, len(groups))
    alone = ("r", "first")  # repeated by no other scan
    named = [*(group for group, size in zip(groups, sizes, strict=True) for _ in range(size)), alone]
    references = rng.choice([0, 1, 3, 6], len(named))
    return [
        (group[0], random_scan(rng, int(r), int(rng.integers(2)) if r else 0, n_cells, group))
        for group, r in zip(named, references, strict=True)
    ]


def random_scan(rng, reference, n_reference, n_cells, group=None):
    """One scan at every cell: the reference stays, the prediction differs."""
    common = rng.integers(0, reference + 1, n_cells)
    predicted = common + rng.integers(0, 5, n_cells)
    n_detected = rng.integers(0, n_reference + 1, n_cells)
    n_predicted = rng.integers(0, 4, n_cells)
    n_true = rng.integers(0, n_predicted + 1) * (n_reference > 0)
    columns = (array.tolist() for array in (predicted, common, n_detected, n_predicted, n_true))
    return [Counts(reference, p, c, n_reference, d, n, t, group) for p, c, d, n, t in zip(*columns, strict=True)]


def sweep_table(sweep, cells):
    """The tidy table; ``cells`` are the columns of each cell, such as ``{"threshold": 0.5}``."""
    rows = []
    for number, (subject, scan) in enumerate(sweep):
        named = {"scan_id": f"scan-{number}", "subject": subject, "repeat": scan[0].group and scan[0].group[1]}
        rows += [named | cell | metrics(counts) for cell, counts in zip(cells, scan, strict=True)]
    return pd.DataFrame(rows)


def metrics(scan):
    undefined = scan.lesion_free
    return {
        "voxel_sensitivity": math.nan if undefined else scan.common / scan.reference,
        "voxel_precision": math.nan if undefined else float(ratio(scan.common, scan.predicted)),
        "voxel_f1": math.nan if undefined else float(voxel_f1(scan)),
        "lesion_f1": float(lesion_f1(scan)) if scan.n_reference else math.nan,
        "n_reference_lesions": scan.n_reference,
        "n_detected_lesions": scan.n_detected,
        "n_predicted_lesions": scan.n_predicted,
        "n_true_predicted_lesions": scan.n_true,
        "reference_volume_mm3": scan.reference * VOXEL_MM3,
        "predicted_volume_mm3": scan.predicted * VOXEL_MM3,
    }
