import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sweeps import sweep_table, sweeps

from cordlesion.errors import CordlesionError
from cordlesion.threshold import OBJECTIVES, choose_threshold, parse_objective
from cordlesion.threshold.objective import LesionSensitivity, MedianFBeta, mean_over_scans, median_over_scans
from oracles.objective_oracle import SCORES, takes_part

GRID = [{"threshold": t} for t in (0.0, 0.2, 0.5, 1.0)]


def test_every_objective_has_an_oracle():
    assert {name.partition(":")[0] for name in SCORES} == set(OBJECTIVES)


@pytest.mark.parametrize("name", SCORES)
@settings(deadline=None, max_examples=60)
@given(sweep=sweeps(len(GRID), repeats=True))
def test_curve_against_fractions(name, sweep):
    table = sweep_table(sweep, GRID)
    expected = [float(SCORES[name]([scan[cell] for _, scan in sweep])) for cell in range(len(GRID))]
    if max(expected) < 0:
        with pytest.raises(CordlesionError, match=r"No threshold (finds (a lesion with|any lesion)|has a mean)"):
            choose_threshold(table, name, n_resamples=1)
        return
    choice = choose_threshold(table, name, n_resamples=1)
    curve = [score if score >= 0 else math.nan for score in expected]
    np.testing.assert_allclose(choice.curve["score"], curve, atol=1e-12)
    scans = [scan[0] for _, scan in sweep]
    part = [scan for scan in scans if takes_part(name, scan, scans)]
    assert (choice.n_scans, choice.n_left_out) == (len(part), len(sweep) - len(part))
    assert choice.n_lesion_free == sum(scan.lesion_free for scan in part)


@settings(deadline=None, max_examples=50)
@given(sweep=sweeps(len(GRID)))
def test_f_beta_of_one_is_the_paper_s_objective(sweep):
    table = sweep_table(sweep, GRID)
    one, paper = choose_threshold(table, "f_beta:1", n_resamples=1), choose_threshold(table, n_resamples=1)
    np.testing.assert_allclose(one.curve["score"], paper.curve["score"], atol=1e-12)


@settings(deadline=None)
@given(hnp.arrays(np.float64, (3, 5, 4), elements=st.floats(0, 1)), hnp.arrays(bool, (3, 5, 4)))
def test_summaries_leave_out_nan(scores, gaps):
    gaps[:, 2] = False
    scores = np.where(gaps, np.nan, scores)
    np.testing.assert_allclose(median_over_scans(scores), np.nanmedian(scores, axis=1))
    np.testing.assert_allclose(mean_over_scans(scores), np.nanmean(scores, axis=1))


def test_names_with_a_number():
    assert parse_objective("f_beta:0.5") == MedianFBeta(beta=0.5)
    assert parse_objective("lesion_sensitivity:0") == LesionSensitivity(false_lesions_per_scan=0)
    assert all(parse_objective(name) is objective for name, objective in OBJECTIVES.items())


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("repeatability:0.4", "ICC of the lesion volume with a mean voxel F1 of at least 0.4"),
        ("median_voxel_f1", "median voxel F1"),
        ("f_beta:2", "median voxel F-beta with β = 2"),
        ("lesion_sensitivity:0.5", "lesion sensitivity with at most 0.5 false positives per scan"),
        ("joint_f1_specificity", "harmonic mean of median voxel F1 and share of clean lesion-free scans"),
    ],
)
def test_names_in_print(text, title):
    assert parse_objective(text).title == title


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("dice", f"'dice' is no objective; one of {', '.join(OBJECTIVES)} is needed"),
        ("", "'' is no objective"),
        ("median_voxel_f1:2", "has '2' after its colon; it needs no number"),
        ("f_beta:", "has '' after its colon; it needs a positive number"),
        ("f_beta:0", "it needs a positive number"),
        ("f_beta:-1", "it needs a positive number"),
        ("f_beta:inf", "it needs a positive number"),
        ("f_beta:two", "has 'two' after its colon"),
        ("lesion_sensitivity:-1", "a number of false positives per scan, 0 or more"),
        ("repeatability:0", "it needs a mean voxel F1 above 0 and below 1"),
        ("repeatability:nan", "it needs a mean voxel F1 above 0 and below 1"),
        ("lesion_sensitivity:nan", "a number of false positives per scan, 0 or more"),
    ],
)
def test_wrong_names_get_a_sentence(text, fault):
    with pytest.raises(CordlesionError, match=fault):
        parse_objective(text)


def test_what_is_chosen_is_said_as_it_is():
    assert parse_objective("mean_voxel_f1").choice == "the one with the highest mean voxel F1"
    near = "the middle of those with a mean voxel F1 within 0.1 of the highest"
    assert parse_objective("plateau_voxel_f1:0.1").choice == near
