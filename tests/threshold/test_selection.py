"""The choice among runs, and the correction of the score of the chosen one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.threshold import OBJECTIVES, ThresholdScans, correct_selection, score_interval, weigh_runs
from cordlesion.threshold.grid import Grid

MEAN, MEDIAN = OBJECTIVES["mean_voxel_f1"], OBJECTIVES["median_voxel_f1"]
THRESHOLDS = np.array([0.25, 0.5, 0.75])


def scans_of(f1, subjects):
    """Arrange scores of shape (scans, thresholds); equal subjects are neighbours."""
    grid = Grid(THRESHOLDS[: f1.shape[1]])
    return ThresholdScans(grid, f1[None], np.asarray(subjects), np.zeros(len(f1), bool), 0)


def study(seed, n_runs=4, n_scans=11, n_subjects=7):
    rng = np.random.default_rng(seed)
    subjects = np.sort(np.arange(n_scans) % n_subjects)
    scores = rng.random((n_runs, n_scans, len(THRESHOLDS)))
    return [scans_of(one, subjects) for one in scores], rng.integers(0, 2, n_runs)


@settings(deadline=None, max_examples=50)
@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=8), data=st.data())
def test_a_run_competes_by_the_middle_of_its_score_and_that_of_its_loss(scores, data):
    losses = data.draw(st.lists(st.integers(0, 3), min_size=len(scores), max_size=len(scores)))
    losses = np.unique(losses, return_inverse=True)[1]
    expected = [
        (own + np.mean([other for other, b in zip(scores, losses, strict=True) if b == a])) / 2
        for own, a in zip(scores, losses, strict=True)
    ]
    assert weigh_runs(np.array(scores), losses).tolist() == pytest.approx(expected)


def naive(runs, losses, summarize, drawn):
    """Everything once more in loops: choose on the drawn subjects, score on the others."""

    def score(run, cell, subjects):
        scans = [s for subject in subjects for s in np.flatnonzero(run.subjects == subject)]
        return summarize([run.measures[0, s, cell] for s in scans]) if scans else np.nan

    def pick(subjects):
        cells = [
            max(range(len(THRESHOLDS)), key=lambda cell, run=run: (score(run, cell, subjects), -cell)) for run in runs
        ]
        own = [score(run, cell, subjects) for run, cell in zip(runs, cells, strict=True)]
        losses_of = [[o for o, b in zip(own, losses, strict=True) if b == a] for a in losses]
        both = [(one + np.mean(others)) / 2 for one, others in zip(own, losses_of, strict=True)]
        best = int(np.argmax(both))
        return best, cells[best]

    everyone = range(runs[0].subjects.max() + 1)
    chosen = pick(everyone)
    apparent = score(runs[chosen[0]], chosen[1], everyone)
    picked = [pick(sample) for sample in drawn]
    unseen = [
        score(runs[run], cell, sorted(set(everyone) - set(sample.tolist())))
        for (run, cell), sample in zip(picked, drawn, strict=True)
    ]
    shares = [np.mean([run == k for run, _ in picked]) for k in range(len(runs))]
    return apparent, min(np.nanmean(unseen), apparent), shares


@pytest.mark.parametrize(("goal", "summarize"), [(MEAN, np.mean), (MEDIAN, np.median)])
@pytest.mark.parametrize("seed", range(4))
def test_against_loops(goal, summarize, seed):
    runs, losses = study(seed)
    drawn = runs[0].draw_subjects(60, np.random.default_rng(0))
    found = correct_selection(runs, losses, goal, n_resamples=60)
    apparent, corrected, shares = naive(runs, losses, summarize, drawn)
    assert (found.apparent, found.corrected) == (pytest.approx(apparent), pytest.approx(corrected))
    assert found.chosen.tolist() == pytest.approx(shares)
    assert found.optimism == pytest.approx(apparent - corrected)
    assert 0 <= found.low <= found.corrected <= found.high <= 1


def test_the_best_of_many_equal_runs_is_corrected_to_what_all_are():
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(20):
        scores = np.clip(0.5 + rng.normal(0, 0.2, (25, 20, 3)), 0, 1)
        found = correct_selection([scans_of(one, range(20)) for one in scores], np.arange(25), MEAN, n_resamples=60)
        errors.append((found.apparent - 0.5, found.corrected - 0.5))
    apparent, corrected = np.mean(errors, axis=0)
    assert apparent > 0.08
    assert abs(corrected) < 0.012


def test_without_a_choice_there_is_no_optimism():
    scores = np.random.default_rng(2).random((30, 1))
    found = correct_selection([scans_of(scores, range(30))], np.array([0]), MEAN)
    assert found.apparent == pytest.approx(scores.mean())
    assert found.optimism < 0.01
    half = found.high - found.corrected
    # Student's interval of a mean over subjects.
    assert half == pytest.approx(2.045 * scores.std(ddof=1) / np.sqrt(30), rel=0.1)
    score, ends = score_interval(scans_of(scores, range(30)), MEAN)
    assert score == pytest.approx(scores.mean())
    assert np.subtract(*ends[::-1]) == pytest.approx(2 * half, rel=0.01)


def test_few_subjects_give_no_correction():
    runs, losses = study(0, n_scans=8, n_subjects=4)
    assert correct_selection(runs, losses, MEAN) is None
    score, ends = score_interval(runs[0], MEAN)
    assert score == pytest.approx(runs[0].measures[0, :, 0].mean())
    assert np.isnan(ends).all()


def test_a_kind_of_subject_that_is_always_drawn_gives_no_correction():
    """One subject without lesions is in every sample, so the joint objective has nothing to be scored on."""
    f1 = np.full((6, 3), 0.5)
    f1[-1] = np.nan
    clean = np.where(np.arange(6)[:, None] == 5, 1.0, np.nan) * np.ones(3)
    grid = Grid(THRESHOLDS)
    scans = ThresholdScans(grid, np.stack([f1, clean]), np.arange(6), np.arange(6) == 5, 0)
    assert correct_selection([scans], np.array([0]), OBJECTIVES["joint_f1_specificity"], n_resamples=20) is None


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), coarse=st.booleans(), tolerance=st.sampled_from([0.0, 0.1]))
def test_the_best_cells_are_those_of_each_curve(seed, coarse, tolerance):
    curves = np.random.default_rng(seed).random((6, 6))
    curves = np.round(2 * curves) if coarse else curves
    grid = Grid(THRESHOLDS, {"minimum_volume_mm3": np.array([0.0, 5.0])})
    expected = [volume * 3 + threshold for volume, threshold in (grid.best(curve, tolerance) for curve in curves)]
    assert grid.best_cells(curves, tolerance).tolist() == expected
