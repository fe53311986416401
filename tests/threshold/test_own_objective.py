"""Objectives of the user: a function of columns, tried out, and equal to a plain loop over scans."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from sweeps import sweep_table, sweeps

from cordlesion.errors import CordlesionError
from cordlesion.threshold import choose_threshold, objective_of, parse_objective
from cordlesion.threshold.objective_names import is_own_objective
from oracles.objective_oracle import SCORES

GRID = [{"threshold": t} for t in (0.0, 0.2, 0.5, 1.0)]
SOURCE = """
import numpy as np
from cordlesion.threshold import Objective
from cordlesion.threshold.objective import ScanScore, mean_over_scans

def worst(voxel_f1, *, share: float = 0.1):
    return np.nanquantile(voxel_f1, share, axis=-2)

clean = ScanScore("mean lesion F1 of mine", "lesion_f1", mean_over_scans)
"""


def mean_f1(voxel_f1):
    return np.nanmean(voxel_f1, axis=-2)


def found_without_false(n_detected_lesions, n_reference_lesions, n_predicted_lesions, n_true_predicted_lesions):
    found = n_detected_lesions.sum(axis=-2, where=~np.isnan(n_detected_lesions))
    false = np.nansum(n_predicted_lesions - n_true_predicted_lesions, axis=-2)
    return found / np.maximum(np.nansum(n_reference_lesions, axis=-2) + false, 1)


@settings(deadline=None, max_examples=40)
@given(sweep=sweeps(len(GRID)))
def test_a_function_of_scores_is_the_built_in_objective_that_it_repeats(sweep):
    table = sweep_table(sweep, GRID)
    own, built_in = (choose_threshold(table, one, n_resamples=50) for one in (mean_f1, "mean_voxel_f1"))
    np.testing.assert_allclose(own.curve["score"], built_in.curve["score"], atol=1e-12)
    assert (own.value, own.interval, own.basis) == (built_in.value, built_in.interval, built_in.basis)


@settings(deadline=None, max_examples=40)
@given(sweep=sweeps(len(GRID)))
def test_a_function_of_counts_sees_every_scan(sweep):
    choice = choose_threshold(sweep_table(sweep, GRID), found_without_false, n_resamples=50)
    for cell, score in enumerate(choice.curve["score"]):
        scans = [scan[cell] for _, scan in sweep]
        n_false = sum(scan.n_predicted - scan.n_true for scan in scans)
        expected = sum(s.n_detected for s in scans) / max(sum(s.n_reference for s in scans) + n_false, 1)
        assert score == pytest.approx(expected)
    assert (choice.n_scans, choice.n_left_out) == (len(sweep), 0)
    assert choice.n_lesion_free == sum(scan[0].lesion_free for _, scan in sweep)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_goals.py").write_text(SOURCE)
    yield tmp_path
    sys.modules.pop("own_goals", None)


def test_names_by_import_path(folder):
    plain, numbered = (parse_objective(f"own_goals:worst{number}", folder) for number in ("", ":0.5"))
    assert (plain.title, numbered.title) == ("worst", "worst (0.5)")
    assert plain.columns == ("voxel_f1",)
    scores = np.random.default_rng(0).uniform(0, 1, (1, 7, 3))
    np.testing.assert_allclose(numbered.summarize(scores), np.quantile(scores[0], 0.5, axis=0))
    np.testing.assert_allclose(plain.summarize(scores), np.quantile(scores[0], 0.1, axis=0))
    assert parse_objective("own_goals:clean", folder).title == "mean lesion F1 of mine"
    assert parse_objective("median_dsc", metrics=["dsc"]).columns == ("dsc",)
    names = {"own_goals:worst:0.5": True, "own_goals:worst": True, "f_beta:2": False, "median_dsc": False}
    assert {name: is_own_objective(name) for name in names} == names


def test_an_objective_of_the_table_of_objectives_has_a_function_as_its_equal():
    assert {"mean_voxel_f1"} <= set(SCORES)
    assert objective_of(parse_objective("mean_voxel_f1")) is parse_objective("mean_voxel_f1")


def over_wrong_axis(voxel_f1):
    return np.nanmean(voxel_f1, axis=0)


def over_all(voxel_f1):
    return np.nanmean(voxel_f1)


def mixes_samples(voxel_f1):
    return np.nanmean(voxel_f1, axis=-2) / np.nanmax(voxel_f1)


def keeps_gaps(voxel_f1):
    return voxel_f1.mean(axis=-2)


def in_percent(voxel_f1):
    return 100 * np.nanmean(voxel_f1, axis=-2)


def fails(voxel_f1):
    return {}[voxel_f1.ndim]


def without_columns():
    return 0.0


def with_two_numbers(voxel_f1, *, a=1.0, b=2.0):
    return np.nanmean(voxel_f1, axis=-2) * a * b


def with_any(*voxel_f1):
    return np.nanmean(voxel_f1[0], axis=-2)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (over_wrong_axis, r"over_wrong_axis turns columns .* scores of the shape .* axis=-2"),
        (over_all, r"scores of the shape \(\); \(2, 4\) is needed"),
        (mixes_samples, "mixes bootstrap samples"),
        (keeps_gaps, "keeps_gaps is undefined where a scan has no value"),
        (in_percent, r"in_percent gives \d+\.\d+; numbers up to 1, the best, are needed"),
        (fails, r"fails fails on columns of scans \(KeyError: 3\)"),
        (without_columns, "without_columns reads no column"),
        (with_two_numbers, "has the parameter b=2.0; .* at most one keyword-only number"),
        (with_any, r"has the parameter \*voxel_f1"),
        (3, "The objective 3 is no function"),
    ],
)
def test_mistakes_get_a_sentence(function, sentence):
    with pytest.raises(CordlesionError, match=sentence) as error:
        objective_of(function)
    assert "\n" not in str(error.value)


def test_wrong_names_get_a_sentence(folder):
    for text, sentence in (
        ("own_goals:absent", "the module own_goals has no absent"),
        ("own_goals:worst:much", "has 'much' after its colon; it needs a finite number"),
        ("own_goals:clean:2", "it needs no number"),
        ("own_absent:worst", "own_absent:worst: cannot be imported"),
        ("median_dsc", "'median_dsc' is no objective"),
    ):
        with pytest.raises(CordlesionError, match=sentence):
            parse_objective(text, folder)
    with pytest.raises(CordlesionError, match="mean_ or median_ and one of dsc, or <module>:<function>"):
        parse_objective("mean_other", metrics=["dsc"])


def clean(n_predicted_lesions, reference_volume_mm3):
    return np.nanmean(np.where(reference_volume_mm3 == 0, n_predicted_lesions == 0, np.nan), axis=-2)


def test_an_objective_that_is_undefined_for_the_scans_is_refused():
    row = {"scan_id": "a", "subject": "a", "threshold": 0.5, "n_predicted_lesions": 1, "reference_volume_mm3": 2.0}
    with pytest.raises(CordlesionError, match=r"objective clean gives no number at t = 0\.5"):
        choose_threshold(pd.DataFrame([row]), clean)


def test_a_column_that_the_table_lacks_is_named():
    table = pd.DataFrame({"scan_id": ["a"], "subject": ["a"], "threshold": [0.5], "reference_volume_mm3": [1.0]})
    with pytest.raises(CordlesionError, match="lacks voxel_f1"):
        choose_threshold(table, mean_f1)
