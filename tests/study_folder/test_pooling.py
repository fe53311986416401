import math

import numpy as np
import pandas as pd
import pytest

from cordlesion.metrics import count_reliability
from cordlesion.study_folder.pooling import pool_folds, representative_threshold

THRESHOLDS = {1: 0.3, 2: 0.5, 3: 0.6}


def bins_of(counts, **about):
    edges = np.linspace(0, 1, len(counts.n_voxels) + 1)
    return pd.DataFrame(
        {
            **about,
            "bin_low": edges[:-1],
            "bin_high": edges[1:],
            "n_voxels": counts.n_voxels,
            "n_lesion_voxels": counts.n_lesion,
            "mean_probability": counts.mean_probability,
            "lesion_share": counts.lesion_share,
        }
    )


@pytest.fixture
def voxels():
    """Probability and reference of the voxels of each fold's test set."""
    rng = np.random.default_rng(3)
    sizes = {1: 400, 2: 900, 3: 150}
    p = {fold: rng.random(n).astype(np.float32) ** fold for fold, n in sizes.items()}
    return {fold: (one, rng.random(one.size) < one**2) for fold, one in p.items()}


@pytest.fixture
def tables(voxels):
    """One run over three folds; three scans each tested once, of which two are in the threshold set of all folds."""
    about = {"loss": "dice", "seed": 0}
    rows = []
    for fold, tuned in THRESHOLDS.items():
        for threshold in sorted({0.5, tuned}):
            place = {**about, "fold": fold, "threshold": threshold}
            rows.append({**place, "scan_id": f"tested-{fold}", "set": "test", "voxel_f1": fold + threshold})
            rows += [{**place, "scan_id": name, "set": "threshold", "voxel_f1": threshold} for name in ("a", "b")]
    evaluation = pd.DataFrame(rows)
    thresholds = [
        {**about, "fold": fold, "threshold": t, "score": t, "n_scans": 2, "basis": "2 scans"}
        for fold, t in THRESHOLDS.items()
    ]
    splits = [{"scan_id": name, "fold": fold, "set": "threshold"} for fold in THRESHOLDS for name in ("a", "b")]
    splits += [{"scan_id": f"tested-{fold}", "fold": fold, "set": "test"} for fold in THRESHOLDS]
    counts = {fold: count_reliability(p, lesion) for fold, (p, lesion) in voxels.items()}
    reliability = [bins_of(one, **about, fold=fold, set="test", map="raw") for fold, one in counts.items()]
    calibration = [
        {
            **about,
            "fold": fold,
            "set": "test",
            "map": "raw",
            "temperature": float(fold),
            "n_scans": 1,
            "expected_calibration_error": one.expected_calibration_error,
            "brier_score": one.brier_score,
            "n_voxels": one.n_voxels.sum(),
            "n_lesion_voxels": one.n_lesion.sum(),
            "sum_probability": one.sum_probability.sum(),
        }
        for fold, one in counts.items()
    ]
    froc = [
        {
            **about,
            "set": "test",
            "fold": fold,
            "threshold": 0.5,
            "sensitivity": sensitivity,
            "false_per_scan": false,
            "n_scans": n,
            "n_reference_lesions": lesions,
        }
        for fold, sensitivity, false, n, lesions in ((1, 0.5, 1.0, 2, 4), (2, 1.0, 0.25, 4, 2), (3, math.nan, 0, 2, 0))
    ]
    return {
        "froc": pd.DataFrame(froc),
        "thresholds": pd.DataFrame(thresholds),
        "evaluation": evaluation,
        "sweep": evaluation,
        "splits": pd.DataFrame(splits),
        "reliability": pd.concat(reliability),
        "calibration": pd.DataFrame(calibration),
    }


def test_a_study_with_one_split_stays_as_it_is(tables):
    single = {name: table.drop(columns="fold") for name, table in tables.items()}
    assert pool_folds(single) == single


@pytest.mark.parametrize(
    ("folds", "expected"), [([0.3, 0.35, 0.6], 0.35), ([0.3, 0.5, 0.6], 0.6), ([0.5, 0.5], 0.5), ([0.5, 0.2], 0.2)]
)
def test_the_representative_threshold_is_one_of_the_folds_and_half_only_where_all_are(folds, expected):
    assert representative_threshold(pd.Series(folds)) == expected


def test_every_scan_has_a_row_at_half_and_one_at_its_own_folds_threshold(tables):
    pooled = pool_folds(tables)
    label = pooled["thresholds"]["threshold"].item()
    tested = pooled["evaluation"].query("set == 'test'").set_index("scan_id")
    assert label == 0.6
    assert dict(tested.loc[tested["threshold"] == 0.5, "voxel_f1"]) == {f"tested-{f}": f + 0.5 for f in THRESHOLDS}
    assert dict(tested.loc[tested["threshold"] == label, "voxel_f1"]) == {
        f"tested-{fold}": fold + t for fold, t in THRESHOLDS.items()
    }


def test_a_scan_of_several_threshold_sets_counts_once(tables):
    pooled = pool_folds(tables)
    for name in ("sweep", "evaluation"):
        half = pooled[name].query("set == 'threshold' and threshold == 0.5")
        assert half[["scan_id", "fold"]].to_numpy().tolist() == [["a", 1], ["b", 1]]


def test_froc_is_that_of_all_scans_together(tables):
    (row,) = pool_folds(tables)["froc"].to_dict("records")
    assert (row["n_scans"], row["n_reference_lesions"]) == (8, 6)
    assert row["sensitivity"] == pytest.approx(4 / 6)
    assert row["false_per_scan"] == pytest.approx(3 / 8)


def test_scores_are_means_and_numbers_of_scans_are_sums(tables):
    row = pool_folds(tables)["thresholds"].iloc[0]
    assert row["score"] == pytest.approx(np.mean(list(THRESHOLDS.values())))
    assert row["n_scans"] == 6
    assert row["basis"] == "folds with t = 0.3, 0.5, 0.6 (means are shown): 2 scans"


def test_a_scan_is_listed_once_in_each_set(tables):
    splits = pool_folds(tables)["splits"]
    assert sorted(splits["scan_id"]) == ["a", "b", "tested-1", "tested-2", "tested-3"]


def test_calibration_is_that_of_all_voxels_together(tables, voxels):
    pooled = pool_folds(tables)
    together = count_reliability(*(np.concatenate(parts) for parts in zip(*voxels.values(), strict=True)))
    row = pooled["calibration"].iloc[0]
    assert len(pooled["calibration"]) == 1
    assert row["expected_calibration_error"] == pytest.approx(together.expected_calibration_error)
    assert row["brier_score"] == pytest.approx(together.brier_score)
    assert row["temperature"] == 2
    assert row["n_scans"] == 3
    bins = pooled["reliability"]
    np.testing.assert_array_equal(bins["n_voxels"], together.n_voxels)
    np.testing.assert_allclose(bins["lesion_share"], together.lesion_share)
    np.testing.assert_allclose(bins["mean_probability"], together.mean_probability)


def test_retention_curves_are_means_over_the_scans_of_all_folds(tables):
    about = {"loss": "dice_ensemble", "seed": pd.NA, "set": "test", "level": "voxel", "uncertainty": "spread"}
    folds = {1: ([1.0, 0.4], 3), 2: ([1.0, 0.8], 1)}
    curves = [
        pd.DataFrame({**about, "fold": fold, "retained": [0.0, 1.0], "score": score, "n_scans": n})
        for fold, (score, n) in folds.items()
    ]
    pooled = pool_folds({**tables, "retention": pd.concat(curves)})["retention"]
    assert pooled["score"].tolist() == pytest.approx([1.0, (3 * 0.4 + 0.8) / 4])
    assert pooled["n_scans"].tolist() == [4, 4]
    none = pool_folds({**tables, "retention": curves[0].iloc[:0]})["retention"]
    assert none.empty
