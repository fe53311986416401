import math
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sweeps import sweep_table, sweeps

from cordlesion.errors import CordlesionError
from cordlesion.threshold import OBJECTIVES, choose_threshold
from oracles.bootstrap_oracle import best_cell, empirical_interval
from oracles.objective_oracle import SCORES, TOLERANCES, takes_part

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


def test_highest_median_wins():
    # Means are highest at 0.75, medians at 0.25.
    scores = [[0, 0.5, 0.4, 0.1, 0], [0, 0.5, 0.4, 0.4, 0], [0, 0.1, 0.4, 1.0, 0]]
    assert value(*scores) == 0.25
    assert value(*scores, objective="mean_voxel_f1") == 0.75
    choice = choose_threshold(table(scores))
    assert choice.score == 0.5
    assert choice.curve["threshold"].tolist() == list(GRID)
    assert choice.curve["score"].tolist() == [0, 0.5, 0.4, 0.4, 0]


def test_the_middle_of_the_thresholds_that_are_almost_as_good():
    # At 0.75 the mean is highest; from 0.25 on it is lower by 0.02.
    scores = [[0, 0.48, 0.49, 0.5, 0.3]]
    assert value(*scores, objective="mean_voxel_f1") == 0.75
    assert value(*scores, objective="plateau_voxel_f1") == 0.5
    assert value(*scores, objective="plateau_voxel_f1:0.005") == 0.75
    choice = choose_threshold(table(scores), "plateau_voxel_f1")
    assert choice.score == 0.49
    assert choice.learned


def test_what_is_almost_as_good_is_neither_t_0_nor_a_score_of_0():
    # Marking everything is no threshold that was learned, however near its score is.
    assert value([0.49, 0.5, 0.1, 0, 0], objective="plateau_voxel_f1") == 0.25
    assert value([0, 0.01, 0, 0, 0], objective="plateau_voxel_f1") == 0.25
    # Thresholds that score less than marking everything, or less than half of the best, are not almost as good.
    choice = choose_threshold(table([[0.3, 0.31, 0.292, 0.292, 0.292]]), "plateau_voxel_f1")
    assert (choice.value, choice.learned) == (0.25, True)
    assert value([0, 0.019, 0.0001, 0.0001, 0.0001], objective="plateau_voxel_f1") == 0.25


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


NAMES = sorted(name for name in SCORES if not name.startswith("repeatability"))
"""Samples of scans that repeat each other are compared in test_repeatability_objective.py."""
CELLS = [(v, t) for v in (0.0, 3.0) for t in (0.0, 0.01, 0.02, 0.05, 0.1)]


def naive_draws(sweep, name, n_resamples, seed):
    """Names of the subjects of each sample: first those with lesions only, then those with both kinds, then without."""
    part = [(subject, scan[0].lesion_free) for subject, scan in sweep if takes_part(name, scan[0])]
    kinds = {subject: {free for other, free in part if other == subject} for subject, _ in part}
    rng, draws = np.random.default_rng(seed), [[] for _ in range(n_resamples)]
    for kind in ({False}, {False, True}, {True}):
        if members := sorted(subject for subject in kinds if kinds[subject] == kind):
            for draw, numbers in zip(draws, rng.integers(len(members), size=(n_resamples, len(members))), strict=True):
                draw += [members[number] for number in numbers]
    return draws


def naive_choice(scans, name, above=-1):
    scores = {(v, t): SCORES[name]([scan[c] for scan in scans]) for c, (v, t) in enumerate(CELLS) if t > above}
    return best_cell(scores, sorted({t for _, t in scores}), TOLERANCES.get(name, 0)), max(scores.values())


def naive_resample(scans, name):
    """Marking every voxel is no choice; where nothing else meets the objective's condition, there is none."""
    cell, _ = naive_choice(scans, name)
    other, score = naive_choice(scans, name, above=0)
    return cell if cell[1] > 0 else other if score >= 0 else None


@settings(deadline=None, max_examples=250)
@given(sweep=sweeps(len(CELLS)), name=st.sampled_from(NAMES), seed=st.integers(0, 2**32))
def test_choice_and_intervals_against_loops(sweep, name, seed):
    table = sweep_table(sweep, [{"minimum_volume_mm3": v, "threshold": t} for v, t in CELLS])
    part = [(subject, scan) for subject, scan in sweep if takes_part(name, scan[0])]
    assume(max(SCORES[name]([scan[c] for _, scan in part]) for c in range(len(CELLS))) >= 0)
    with patch("cordlesion.threshold.choice.MIN_SUBJECTS", 1):  # small cases show what larger ones would
        choice = choose_threshold(table, name, n_resamples=7, seed=seed)
    assert (choice.minimum_volume_mm3, choice.value) == naive_choice([scan for _, scan in part], name)[0]
    samples = [
        [scan for drawn in draw for subject, scan in part if subject == drawn]
        for draw in naive_draws(sweep, name, 7, seed)
    ]
    chosen = [cell for sample in samples if (cell := naive_resample(sample, name))]
    volumes, thresholds = zip(*chosen, strict=True) if chosen else ((), ())
    assert choice.interval == (empirical_interval(thresholds, 0.025) if chosen else None)
    assert choice.minimum_volume_interval == (empirical_interval(volumes, 0.025) if chosen else None)


def test_a_minimum_volume_is_tuned_with_the_threshold():
    rows = pd.concat(
        [
            table([[0, 0.4, 0.6, 0.2, 0]] * 5).assign(minimum_volume_mm3=0.0),
            table([[0, 0.8, 0.8, 0.8, 0]] * 5).assign(minimum_volume_mm3=3.0),
            table([[0, 0.8, 0.7, 0.8, 0]] * 5).assign(minimum_volume_mm3=10.0),
        ]
    )
    choice = choose_threshold(rows, n_resamples=10)
    assert (choice.minimum_volume_mm3, choice.value, choice.score) == (3.0, 0.5, 0.8)
    assert choice.minimum_volume_interval == (3.0, 3.0)
    assert choice.stability.plateau == (0.25, 0.75)
    assert choice.curve.columns.tolist() == ["minimum_volume_mm3", "threshold", "score"]
    assert choice.curve["score"].tolist() == [0, 0.4, 0.6, 0.2, 0, 0, 0.8, 0.8, 0.8, 0, 0, 0.8, 0.7, 0.8, 0]
    with pytest.raises(CordlesionError, match=r"Scan scan-0 has no voxel_f1 at t = 1, minimum_volume_mm3 = 3"):
        choose_threshold(rows.query("not (scan_id == 'scan-0' and minimum_volume_mm3 == 3 and threshold == 1)"))
    with pytest.raises(CordlesionError, match="lacks minimum_volume_mm3"):
        choose_threshold(rows.assign(minimum_volume_mm3=[math.nan, *rows["minimum_volume_mm3"][1:]]))
    few = choose_threshold(rows[rows["subject"] != "sub-0"], n_resamples=10)
    assert (few.minimum_volume_mm3, few.value) == (3.0, 0.5)
    assert few.minimum_volume_interval is few.interval is None


def test_without_a_minimum_volume_none_is_chosen():
    choice = choose_threshold(table([[0, 1, 0, 0, 0]]), n_resamples=10)
    assert (choice.minimum_volume_mm3, choice.minimum_volume_interval) == (None, None)


def test_the_widest_run_is_not_the_one_with_most_steps():
    fine = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.25)
    scores = table([[0, 1, 1, 1, 0, 1, 1, 1, 0]], thresholds=fine)
    assert choose_threshold(scores, n_resamples=10).value == 0.15


def lesions(detected, predicted, confirmed=(0, 0, 0), reference=2):
    """Rows of one scan at three thresholds."""
    return {
        "n_detected_lesions": detected,
        "n_reference_lesions": reference,
        "n_predicted_lesions": predicted,
        "n_true_predicted_lesions": confirmed,
        "reference_volume_mm3": 20.0 * reference,
        "voxel_f1": np.array(detected) / 2 if reference else math.nan,
        "threshold": (0.1, 0.5, 0.9),
    }


def lesion_table(*scans):
    rows = [pd.DataFrame(scan).assign(scan_id=f"scan-{n}", subject=f"sub-{n}") for n, scan in enumerate(scans)]
    return pd.concat(rows, ignore_index=True)


def test_a_budget_of_false_lesions_is_kept():
    rows = lesion_table(lesions((2, 1, 0), (6, 2, 0), (2, 1, 0)))
    assert choose_threshold(rows, "lesion_sensitivity:4", n_resamples=10).value == 0.1
    choice = choose_threshold(rows, "lesion_sensitivity:1", n_resamples=10)
    assert (choice.value, choice.score) == (0.5, 0.5)
    assert np.isnan(choice.curve["score"]).tolist() == [True, False, False]
    assert choice.stability.plateau == (0.5, 0.5)
    with pytest.raises(CordlesionError, match=r"at most 0 false.*nearest is t = 0\.5, which finds 1 of 2"):
        choose_threshold(rows[rows["threshold"] < 0.9], "lesion_sensitivity:0")


@pytest.mark.parametrize(
    ("curve", "learned"),
    [
        ([0.1, 0.1, 0.1, 0, 0], False),
        ([0.1, 0.05, 0, 0, 0], False),
        ([0.1, 0.1 + 1e-14, 0, 0, 0], False),
        ([0.1, 0.1001, 0, 0, 0], True),
        ([0, 0, 0, 0, 0], False),
        ([0, 0, 0, 0, 0.01], True),
    ],
)
@pytest.mark.parametrize("objective", ["median_voxel_f1", "mean_voxel_f1"])
def test_a_score_no_better_than_marking_everything_is_nothing_learned(curve, learned, objective):
    choice = choose_threshold(table([curve] * 3), objective, n_resamples=10)
    assert choice.learned == learned
    assert bool(choice.shortfall) != learned


def test_what_was_not_learned_is_said_with_the_score_of_marking_everything():
    name = "median voxel F1"
    choice = choose_threshold(table([[0.106, 0, 0, 0, 0]] * 3))
    everything = "which marking every voxel as lesion (t = 0) does"
    assert choice.shortfall == f"no threshold above 0 reaches a higher {name} than 0.106, {everything}"
    assert choose_threshold(table([[0] * 5] * 3)).shortfall == f"at no threshold is the {name} above 0"
    # Without t = 0 among the thresholds any score will do.
    assert choose_threshold(table([[0.1, 0]] * 3, thresholds=(0.5, 0.9))).learned


def test_a_budget_that_only_masks_of_everything_or_nothing_meet_is_nothing_learned():
    """At t = 0 the whole image is one component: one false positive per scan, as many as are allowed."""
    rows = lesion_table(lesions((0, 2, 0), (1, 6, 0)), lesions((0, 1, 0), (1, 4, 0)))
    rows["threshold"] = rows["threshold"].replace({0.1: 0.0})
    choice = choose_threshold(rows, "lesion_sensitivity:1", n_resamples=10)
    assert (choice.learned, choice.score) == (False, 0)
    said = "no threshold finds a lesion with at most 1 false positives per scan"
    assert choice.shortfall == f"{said}; nearest is t = 0.5, which finds 3 of 4 lesions with 5 false positives per scan"
    assert choose_threshold(rows, "lesion_sensitivity:5", n_resamples=10).learned
    blind = rows.assign(n_detected_lesions=0)
    assert choose_threshold(blind, "lesion_sensitivity:1").shortfall == "no threshold finds any lesion"


def test_with_minimum_volumes_marking_everything_counts_at_each_of_them():
    rows = pd.concat(
        [table([[0.3, 0.1, 0.1, 0, 0]] * 3).assign(minimum_volume_mm3=v) for v in (0.0, 3.0)], ignore_index=True
    )
    assert not choose_threshold(rows, n_resamples=10).learned
    better = (rows["minimum_volume_mm3"] == 3) & (rows["threshold"] == 0.5)
    rows.loc[better, "voxel_f1"] = 0.4
    choice = choose_threshold(rows, n_resamples=10)
    assert (choice.learned, choice.value, choice.minimum_volume_mm3) == (True, 0.5, 3.0)


def test_lesion_free_scans_are_seen_where_the_objective_says_so():
    with_lesions = lesions((2, 2, 1), (2, 2, 1), (2, 2, 1))
    free = lesions((0, 0, 0), (5, 0, 0), reference=0)
    rows = lesion_table(with_lesions, free)
    paper = choose_threshold(rows, n_resamples=10)
    assert (paper.value, paper.n_scans, paper.n_lesion_free, paper.n_left_out) == (0.1, 1, 0, 1)
    assert paper.basis == "1 scan of 1 subject; 1 left out, for which it is undefined"
    joint = choose_threshold(rows, "joint_f1_specificity", n_resamples=10)
    assert (joint.value, joint.score, joint.n_scans, joint.n_lesion_free) == (0.5, 1.0, 2, 1)
    assert joint.basis == "2 scans of 2 subjects, 1 of them lesion-free"
    assert choose_threshold(rows, "lesion_sensitivity:2", n_resamples=10).value == 0.5
    with pytest.raises(CordlesionError, match=r"weighs what is found in lesion-free scans.*lesion_free: stratified"):
        choose_threshold(lesion_table(with_lesions), "joint_f1_specificity")
    with pytest.raises(CordlesionError, match="has a lesion"):
        choose_threshold(lesion_table(free), "joint_f1_specificity")


def test_interval_shows_disagreement_between_subjects():
    low, high = [0, 1, 0, 0, 0], [0, 0, 0, 1, 0]
    assert choose_threshold(table([low] * 10)).interval == (0.25, 0.25)
    assert choose_threshold(table([low, high] * 5)).interval == (0.25, 0.75)
    # Ten scans of one subject are one opinion.
    subjects = ["a"] * 9 + list("bcde")
    assert choose_threshold(table([low] * 9 + [high] * 4, subjects=subjects)).interval == (0.25, 0.75)
    assert choose_threshold(table([low, high] * 2)).interval is None


def test_no_interval_reaches_down_to_marking_everything():
    """In a sample without the scans with few false positives only t = 0 keeps the budget: one of them, the image."""
    zero = {"n_detected_lesions": 0, "n_predicted_lesions": 1, "n_true_predicted_lesions": 0}
    found = {"n_detected_lesions": 1, "n_predicted_lesions": 1, "n_true_predicted_lesions": 1}
    rows = []
    for number in range(8):
        false = {"n_predicted_lesions": 4 if number < 3 else 1}
        for t, counts in ((0.0, zero), (0.5, found | false), (0.75, found | false)):
            name = {"scan_id": f"s{number}", "subject": f"s{number}", "threshold": t}
            rows.append(name | counts | {"n_reference_lesions": 1, "reference_volume_mm3": 9.0})
    choice = choose_threshold(pd.DataFrame(rows), "lesion_sensitivity:1.2")
    assert (choice.value, choice.learned) == (0.5, True)
    assert choice.interval == (0.5, 0.5)


def test_same_seed_same_interval():
    rows = table(np.random.default_rng(0).random((9, 5)))
    assert choose_threshold(rows, seed=1).interval == choose_threshold(rows, seed=1).interval


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
    with pytest.raises(CordlesionError, match=r"Scan scan-1 has no voxel_f1 at t = 0\.5"):
        choose_threshold(rows.drop(index=7))
    with pytest.raises(CordlesionError, match="has a lesion"):
        choose_threshold(rows.iloc[:0])


def test_torch_is_not_needed():
    code = (
        "import sys, cordlesion.threshold, cordlesion.metrics, cordlesion.statistics; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("number", [0, -1])
def test_an_interval_needs_bootstrap_samples(number):
    with pytest.raises(CordlesionError, match=f"{number} bootstrap samples are asked for"):
        choose_threshold(pd.DataFrame(), n_resamples=number)
