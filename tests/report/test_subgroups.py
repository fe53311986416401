import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.subgroups import SUBGROUPS, summarize_subgroups
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.study_folder.results import StudyResults


@pytest.fixture(scope="module")
def summary(results: StudyResults) -> pd.DataFrame:
    return summarize_subgroups(results)


def scans_of(results: StudyResults, loss: str) -> pd.DataFrame:
    """Test scans with lesions at the tuned threshold, with what splits.tsv tells of them."""
    tuned = results.thresholds.set_index("loss")["threshold"]
    rows = results.evaluation[(results.evaluation["loss"] == loss) & (results.evaluation["set"] == "test")]
    rows = rows[(rows["threshold"] == tuned[loss]) & (rows["n_reference_lesions"] > 0)]
    return rows.merge(results.splits[["scan_id", *SUBGROUPS]], on="scan_id")


@pytest.mark.parametrize("loss", ["bce", "sct"])
def test_scores_by_orientation(results: StudyResults, summary: pd.DataFrame, loss: str) -> None:
    expected = scans_of(results, loss).groupby("orientation")["voxel_f1"].agg(["median", "mean", "std", "count"])
    shown = summary.query("by == 'orientation' and metric == 'voxel_f1' and loss == @loss").set_index("value")
    assert list(shown.index) == ["axial", "sagittal", "all"]
    np.testing.assert_allclose(shown.loc[expected.index, ["median", "mean", "std", "n"]], expected)
    assert shown.loc["all", "n"] == expected["count"].sum()


def test_scans_about_which_nothing_is_known_are_listed_as_such(summary: pd.DataFrame) -> None:
    shown = summary.query("by == 'scanner' and metric == 'lesion_f1' and loss == 'dice'")
    assert list(shown["value"]) == ["GE Signa 3T", "Philips Achieva 1.5T", "not recorded", "all"]
    assert list(shown["n"]) == [3, 3, 3, 9]


def test_sites_in_natural_order_and_spacings_in_millimetres(results: StudyResults) -> None:
    splits = results.splits.copy()
    splits["site"] = splits["site"].replace("Site 2", "Site 10")
    splits["slice_spacing_mm"] = splits["slice_spacing_mm"].replace(3.3, 2.9999999)
    summary = summarize_subgroups(replace(results, splits=splits))
    names = {by: list(dict.fromkeys(rows["value"])) for by, rows in summary.groupby("by")}
    assert names["site"] == [*sorted(set(names["site"]) - {"Site 10", "all"}), "Site 10", "all"]
    assert names["slice_spacing_mm"] == ["2 to 3 mm", "3 to 4 mm", "all"]


def test_few_subjects_have_no_interval(summary: pd.DataFrame) -> None:
    few = summary["n_subjects"] < MIN_SUBJECTS
    assert few.any()
    assert summary.loc[few, ["low", "high"]].isna().all().all()
    assert not few.all()
    enough = summary[~few]
    assert ((enough["low"] <= enough["median"]) & (enough["median"] <= enough["high"])).all()


def test_subjects_are_counted_once(results: StudyResults) -> None:
    splits = results.splits.copy()
    test = splits["set"] == "test"
    splits.loc[test, "subject"] = "sub-one"
    summary = summarize_subgroups(replace(results, splits=splits))
    assert set(summary["n_subjects"]) == {1}
    assert summary["low"].isna().all()


def test_seeds_are_averaged_per_scan(results: StudyResults) -> None:
    tables = {}
    for name in ("thresholds", "evaluation", "sweep"):
        table = getattr(results, name)
        tables[name] = pd.concat([table, table[table["loss"] == "dice"].assign(seed=1)], ignore_index=True)
    again = tables["evaluation"]["seed"].eq(1).fillna(False).astype(bool)
    tables["evaluation"].loc[again, "voxel_f1"] *= 0.5
    one, two = (
        summarize_subgroups(study).query("by == 'site' and metric == 'voxel_f1' and loss == 'dice'")
        for study in (results, replace(results, **tables))
    )
    assert set(two["n_seeds"]) == {2}
    np.testing.assert_allclose(two[["median", "mean"]], 0.75 * one[["median", "mean"]])
    assert list(two["n"]) == list(one["n"])


def test_nothing_recorded_gives_no_rows(results: StudyResults) -> None:
    blank = results.splits.assign(**dict.fromkeys(SUBGROUPS, "") | {"slice_spacing_mm": math.nan})
    assert summarize_subgroups(replace(results, splits=blank)).empty
