import math
import statistics
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cordlesion.errors import CordlesionError
from cordlesion.threshold import OBJECTIVES, THRESHOLDS, choose_threshold
from cordlesion.threshold.objective import mean_over_scans, median_over_scans

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)


def table(scores, subjects=None, thresholds=GRID, column="voxel_f1"):
    """A tidy table from scores of shape (scans, thresholds)."""
    subjects = subjects or [f"sub-{i}" for i in range(len(scores))]
    return pd.DataFrame(
        [
            {"scan_id": f"scan-{i}", "subject": subjects[i], "threshold": t, column: score}
            for i, row in enumerate(scores)
            for t, score in zip(thresholds, row, strict=True)
        ]
    )


def value(*scores, **options):
    return choose_threshold(table(scores), n_resamples=10, **options).value


def test_grid_of_the_study():
    assert len(THRESHOLDS) == 21
    assert [str(t) for t in THRESHOLDS[:4]] == ["0.0", "0.05", "0.1", "0.15"]
    assert tuple(float(f"{i / 20:.2f}") for i in range(21)) == THRESHOLDS


def test_highest_median_wins():
    # Means are highest at 0.75, medians at 0.25.
    scores = [[0, 0.5, 0.4, 0.1, 0], [0, 0.5, 0.4, 0.4, 0], [0, 0.1, 0.4, 1.0, 0]]
    assert value(*scores) == 0.25
    assert value(*scores, objective="mean_voxel_f1") == 0.75
    choice = choose_threshold(table(scores))
    assert choice.score == 0.5
    assert choice.curve["threshold"].tolist() == list(GRID)
    assert choice.curve["score"].tolist() == [0, 0.5, 0.4, 0.4, 0]


def test_other_columns_have_their_objective():
    scores = table([[0, 0.1, 0.9, 0.2, 0]], column="lesion_f1").assign(voxel_f1=0.0)
    assert choose_threshold(scores, "median_lesion_f1").value == 0.5


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0, 1, 1, 1, 0], 0.5),
        ([0, 1, 1, 0, 0], 0.25),
        ([1, 1, 1, 1, 0], 0.25),
        ([1, 0, 0, 1, 1], 0.75),
        ([1, 0, 1, 0, 1], 0),
        ([0, 0, 0, 0, 0], 0.5),
        ([0, 0, 0, 0, 1], 1),
        ([0, 1 - 1e-15, 1, 0, 0], 0.25),
    ],
)
def test_ties_take_the_middle_of_the_longest_run(curve, expected):
    assert value(curve) == expected


def test_scans_without_lesions_are_left_out():
    free = [math.nan] * 5
    assert value([0, 0, 1, 0, 0], free, free, free) == 0.5
    with pytest.raises(CordlesionError, match="No scan of the threshold set has a lesion"):
        value(free, free)


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    rows = table(rng.random((6, 5)), subjects=list("aabbcd"))
    one, other = choose_threshold(rows), choose_threshold(rows.sample(frac=1, random_state=1))
    assert (one.value, one.score, one.interval) == (other.value, other.score, other.interval)


@pytest.mark.parametrize(
    ("curve", "plateau"),
    [
        ([0, 0.94, 1, 0.96, 0.95], (0.5, 1.0)),
        ([1, 0.5, 0, 0, 0], (0.0, 0.0)),
        ([1, 0, 1, 1, 0], (0.5, 0.75)),
        ([1, 1, 1, 1, 1], (0.0, 1.0)),
    ],
)
def test_stability_is_the_plateau_around_the_choice(curve, plateau):
    stability = choose_threshold(table([curve]), n_resamples=10).stability
    assert stability.plateau == plateau
    assert stability.width == plateau[1] - plateau[0]


def naive_interval(rows, n_resamples, seed):
    """The bootstrap once more, with plain lists; subjects in the order of their names."""
    rng = np.random.default_rng(seed)
    names = sorted(rows["subject"].unique())
    chosen = []
    for draw in rng.integers(len(names), size=(n_resamples, len(names))):
        scans = [scan for i in draw for _, scan in rows[rows["subject"] == names[i]].groupby("scan_id")]
        medians = [
            statistics.median(float(s.loc[s["threshold"] == t, "voxel_f1"].iloc[0]) for s in scans) for t in GRID
        ]
        chosen.append(GRID[medians.index(max(medians))])
    chosen.sort()
    return chosen[math.ceil(0.025 * n_resamples) - 1], chosen[math.ceil(0.975 * n_resamples) - 1]


def test_interval_resamples_subjects_with_all_their_scans():
    rng = np.random.default_rng(5)
    rows = table(rng.random((6, 5)), subjects=["c", "a", "a", "a", "b", "d"])
    assert choose_threshold(rows, n_resamples=80, seed=3).interval == naive_interval(rows, 80, 3)


def test_interval_shows_disagreement_between_subjects():
    low, high = [0, 1, 0, 0, 0], [0, 0, 0, 1, 0]
    assert choose_threshold(table([low] * 10)).interval == (0.25, 0.25)
    assert choose_threshold(table([low, high] * 5)).interval == (0.25, 0.75)
    # Ten scans of one subject are one opinion.
    assert choose_threshold(table([low] * 9 + [high], subjects=["a"] * 9 + ["b"])).interval == (0.25, 0.75)


def test_same_seed_same_interval():
    rows = table(np.random.default_rng(0).random((9, 5)))
    assert choose_threshold(rows, seed=1).interval == choose_threshold(rows, seed=1).interval


@settings(deadline=None)
@given(hnp.arrays(np.float64, (3, 5, 4), elements=st.floats(0, 1)), hnp.arrays(bool, (3, 5, 4)))
def test_summaries_leave_out_nan(scores, gaps):
    gaps[:, 2] = False
    scores = np.where(gaps, np.nan, scores)
    np.testing.assert_allclose(median_over_scans(scores), np.nanmedian(scores, axis=1))
    np.testing.assert_allclose(mean_over_scans(scores), np.nanmean(scores, axis=1))


@pytest.mark.parametrize("other", ["test", "train", "validation", "", math.nan])
def test_other_sets_are_refused(other):
    rows = table([[0, 1, 0, 0, 0]] * 3).assign(set="threshold")
    assert choose_threshold(rows, n_resamples=10).value == 0.25
    rows["set"] = rows["set"].astype(object)
    rows.loc[7, "set"] = other
    with pytest.raises(CordlesionError, match=f"scans of the set {other}; only the set 'threshold' may be used"):
        choose_threshold(rows)


def test_mistakes_get_a_sentence():
    rows = table([[0, 1, 0, 0, 0]] * 3)
    with pytest.raises(CordlesionError, match=f"'dice'.*one of {', '.join(OBJECTIVES)}"):
        choose_threshold(rows, "dice")
    with pytest.raises(CordlesionError, match="lacks subject, voxel_f1"):
        choose_threshold(rows.drop(columns=["subject", "voxel_f1"]))
    with pytest.raises(CordlesionError, match="lacks subject;"):
        choose_threshold(rows.assign(subject=[None, *rows["subject"][1:]]))
    with pytest.raises(CordlesionError, match=r"several rows for scan scan-0 at 0\.0.*one run"):
        choose_threshold(pd.concat([rows, rows]))
    with pytest.raises(CordlesionError, match=r"Scan scan-1 has no voxel_f1 at threshold 0\.5"):
        choose_threshold(rows.drop(index=7))
    with pytest.raises(CordlesionError, match="has a lesion"):
        choose_threshold(rows.iloc[:0])


def test_torch_is_not_needed():
    code = (
        "import sys, cordlesion.threshold, cordlesion.metrics, cordlesion.statistics; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
