"""Pictures of the public API: what is drawn is what the tables hold."""

import numpy as np
import pandas as pd
import pytest

import cordlesion
from cordlesion.errors import CordlesionError
from cordlesion.pictures.plots import plot_scan, plot_scores, plot_threshold_curve
from support.strategies import make_scan

RNG = np.random.default_rng(0)
REFERENCE = np.zeros((12, 12, 8), bool)
REFERENCE[4:8, 4:8, 2:5] = True
SWEEP = cordlesion.sweep_maps(
    [REFERENCE] * 6, [0.4 * REFERENCE + RNG.uniform(0, 0.3, REFERENCE.shape) for _ in range(6)], (1, 1, 1)
)
CHOICE = cordlesion.choose_threshold(SWEEP)
TABLE = pd.DataFrame(
    {"voxel_f1": RNG.uniform(0, 1, 9), "lesion_f1": [*RNG.uniform(0, 1, 8), np.nan], "name": ["a"] * 9}
)


def test_the_curve_is_that_of_the_choice_and_each_scan_has_a_line():
    (axes,) = plot_threshold_curve(CHOICE, SWEEP).axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["all scans together"].get_ydata(), CHOICE.curve["score"])
    assert lines[f"chosen: t = {CHOICE.value:g}"].get_xydata().tolist() == [[CHOICE.value, CHOICE.score]]
    drawn = sorted(tuple(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 21)
    scans = [tuple(rows["voxel_f1"]) for _, rows in SWEEP.groupby("scan_id")]
    assert drawn == sorted([*scans, tuple(CHOICE.curve["score"])])
    (alone,) = plot_threshold_curve(CHOICE).axes
    assert len(alone.lines) == len(axes.lines) - 6


def test_boxes_have_the_median_of_each_table_and_undefined_scores_are_left_out():
    other = TABLE.assign(lesion_f1=TABLE["lesion_f1"] / 2)
    voxels, lesions = plot_scores({"nnU-Net": TABLE, "dice": other}, ("voxel_f1", "lesion_f1")).axes
    assert [voxels.get_ylabel(), lesions.get_ylabel()] == ["voxel F1", "lesion F1"]
    assert [label.get_text() for label in lesions.get_xticklabels()] == ["nnU-Net", "Dice"]
    heights = {round(float(line.get_ydata()[0]), 12) for line in lesions.lines if len(line.get_ydata()) == 2}
    assert {round(float(np.nanmedian(table["lesion_f1"])), 12) for table in (TABLE, other)} <= heights


@pytest.mark.parametrize(("number", "rotation"), [(6, 0), (7, 30)])
def test_the_names_of_many_methods_are_slanted(number, rotation):
    (axes,) = plot_scores({f"method {k}": TABLE for k in range(number)}, ["voxel_f1"]).axes
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {rotation}


@pytest.mark.parametrize(
    ("tables", "scores", "sentence"),
    [
        (TABLE, ["voxel_f1"], "Tables by name and a list of scores are needed"),
        ({"a": TABLE}, "voxel_f1", "Tables by name and a list of scores are needed"),
        ({}, ["voxel_f1"], "At least one table"),
        ({"a": TABLE}, ["absent"], "The table of a lacks the columns absent"),
        ({"a": TABLE}, ["name"], "has no numbers in the columns name"),
    ],
)
def test_wrong_tables_get_a_sentence(tables, scores, sentence):
    with pytest.raises(CordlesionError, match=sentence):
        plot_scores(tables, scores)


def test_a_sweep_without_the_columns_of_the_objective_is_refused():
    with pytest.raises(CordlesionError, match="lacks the columns voxel_f1"):
        plot_threshold_curve(CHOICE, SWEEP.drop(columns="voxel_f1"))


def test_what_is_no_scan_or_no_mask_gets_a_sentence():
    scan = make_scan("RAS", (1, 1, 1), (12, 12, 8), (0, 0, 0), seed=1)
    assert plot_scan(scan, REFERENCE).axes
    with pytest.raises(CordlesionError, match="The scan is str; a volume is needed"):
        plot_scan("scan.nii.gz", REFERENCE)
    for reference in (None, REFERENCE):
        with pytest.raises(CordlesionError, match="The mask has values other than 0 and 1"):
            plot_scan(scan, scan, reference)
    with pytest.raises(CordlesionError, match="The reference has values other than 0 and 1"):
        plot_scan(scan, REFERENCE, scan)
