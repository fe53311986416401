from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.report.sections.cohort import cohort_figure, cohort_table
from cordlesion.study_folder.results import StudyResults, read_results


def test_cohort_table(results: StudyResults) -> None:
    table = cohort_table(results)
    rows = {group.name: dict(zip(table.columns[1:], group.rows[0], strict=True)) for group in table.groups}
    assert list(rows) == ["training", "validation", "threshold", "test", "all"]
    test = results.splits[results.splits["set"] == "test"]
    bearing = test[test["n_reference_lesions"] > 0]
    assert [rows["test"][name].main for name in ("Scans", "with lesions", "without")] == ["15", "9", "6"]
    assert rows["test"]["Lesions"].main == str(test["n_reference_lesions"].sum())
    assert rows["test"]["mm³ per scan"].main == f"{bearing['reference_volume_mm3'].median():.0f}"
    assert rows["training"]["Subjects"].main == "4"
    assert rows["all"]["Sites"].main == "5"


def test_unknown_sites(study_copy: Path) -> None:
    splits = pd.read_csv(study_copy / "splits.tsv", sep="\t").assign(site="n/a")
    splits.to_csv(study_copy / "splits.tsv", sep="\t", index=False)
    table = cohort_table(read_results(study_copy))
    assert {group.rows[0][table.columns.index("Sites") - 1].main for group in table.groups} == {"–"}


def test_box_plots_and_points_show_every_scan_with_lesions(results: StudyResults) -> None:
    counts, volumes = cohort_figure(results).axes
    for axes, column in ((counts, "n_reference_lesions"), (volumes, "reference_volume_mm3")):
        for points, set_name in zip(axes.collections, ("train", "validation", "threshold", "test"), strict=True):
            splits = results.splits[(results.splits["set"] == set_name) & (results.splits["n_reference_lesions"] > 0)]
            np.testing.assert_allclose(np.sort(points.get_offsets()[:, 1]), np.sort(splits[column]))
    assert counts.get_yscale() == "linear"
    assert volumes.get_yscale() == "log"
    assert [tick.get_text() for tick in volumes.get_xticklabels()][3] == "test\nn = 9"


def test_ticks_of_volumes_within_a_decade_are_numbers(results: StudyResults) -> None:
    volumes = results.splits["reference_volume_mm3"].rank(pct=True) * 50 + 15
    splits = results.splits.assign(reference_volume_mm3=volumes.where(results.splits["n_reference_lesions"] > 0, 0))
    figure = cohort_figure(replace(results, splits=splits))
    figure.draw_without_rendering()
    ticks = figure.axes[1].get_yticklabels(which="both")
    labels = [tick.get_text() for tick in ticks if tick.get_text()]
    assert len(labels) > 1
    assert all(float(label) > 0 for label in labels)
