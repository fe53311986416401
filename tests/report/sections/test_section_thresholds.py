import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.pictures.style import save_figure
from cordlesion.report.sections.thresholds.figure import MAX_SCANS_AS_POINTS, threshold_figure
from cordlesion.report.sections.thresholds.table import thresholds_table
from cordlesion.study_folder.results import StudyResults


def test_threshold_table(results: StudyResults) -> None:
    table = thresholds_table(results)
    row = results.thresholds.set_index("loss").loc["bce"]
    texts = [c.text for c in table.groups[0].rows[0]]
    assert texts[0] == f"{row['threshold']:.2f}"
    assert texts[1] == f"[{row['interval_low']:.2f}, {row['interval_high']:.2f}]"
    assert texts[3] == f"{row['plateau_high'] - row['plateau_low']:.2f}"
    assert "Basis: 7 scans of 7 subjects." in table.note
    assert [group.rows[0][4].best for group in table.groups] == [run == results.best for run in results.tuned]
    assert "Score: median voxel F1 over the threshold set." in table.lead


def test_threshold_table_of_tuned_minimum_volumes(results: StudyResults) -> None:
    sizes = {"minimum_volume_mm3": 5.0, "volume_interval_low": 0.0, "volume_interval_high": 10.0}
    written = results.written_thresholds.assign(**sizes)
    written.loc[1, ["volume_interval_low", "volume_interval_high"]] = math.nan
    table = thresholds_table(replace(results, written_thresholds=written))
    assert table.columns[-2:] == ("Tuned minimum volume (mm³)", "95 % interval (mm³)")
    assert [[cell.text for cell in group.rows[0][-2:]] for group in table.groups[:2]] == [["5", "[0, 10]"], ["5", "–"]]
    assert "removed from the prediction; tuned together with t." in table.note


@pytest.mark.parametrize("set_name", ["threshold", "test"])
def test_threshold_panels(results: StudyResults, set_name: str) -> None:
    panels = threshold_figure(results, set_name).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["BCE", "Dice", "Tversky", "SCT"]
    sweep = results.sweep[(results.sweep["set"] == set_name) & (results.sweep["reference_volume_mm3"] > 0)]
    for axes, run in zip(panels, results.runs, strict=True):
        rows = sweep[sweep["loss"] == run.loss]
        points = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets())])
        assert len(points) == len(rows)
        np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(rows["voxel_f1"]))
        medians = rows.groupby("threshold")["voxel_f1"].median()
        assert any(
            len(line.get_xdata()) == 21
            and np.allclose(line.get_ydata(), medians)
            and np.allclose(line.get_xdata(), medians.index)
            for line in axes.lines
        )
        (triangle,) = (line for line in axes.lines if line.get_marker() == "v")
        assert triangle.get_xdata()[0] == results.tuned[run]
        assert f"t = {results.tuned[run]:.2f}" in [text.get_text() for text in axes.texts]
    assert len({axes.get_xlim() + axes.get_ylim() for axes in panels}) == 1


def test_threshold_panel_of_several_seeds_averages_scans_and_follows_each(results: StudyResults) -> None:
    sweep = results.sweep[results.sweep["loss"] == "dice"]
    again = sweep.assign(seed=1, voxel_f1=sweep["voxel_f1"] / 2)
    written = results.written_thresholds[results.written_thresholds["loss"] == "dice"]
    other = written.assign(seed=1, threshold=0.8, interval_low=math.nan, interval_high=math.nan)
    both = replace(
        results,
        sweep=pd.concat([results.sweep, again]),
        written_thresholds=pd.concat([results.written_thresholds, other]),
    )
    axes = threshold_figure(both).axes[1]
    rows = sweep[(sweep["set"] == "threshold") & (sweep["reference_volume_mm3"] > 0)]
    points = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets())])
    np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(rows["voxel_f1"] * 0.75))
    medians = rows.groupby("threshold")["voxel_f1"].median().to_numpy()
    curves = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 21]
    for factor in (1, 0.5, 0.75):
        assert any(np.allclose(curve, factor * medians) for curve in curves)
    (triangles,) = (line for line in axes.lines if line.get_marker() == "v")
    assert triangles.get_xdata().tolist() == [*written["threshold"], 0.8]
    assert "t of 2 trainings" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("more", [0, 1])
def test_of_many_scans_figure_2_shows_boxes_alone_and_stays_light(
    results: StudyResults, tmp_path: Path, more: int
) -> None:
    few = results.sweep[results.sweep["set"] == "test"]
    copies = MAX_SCANS_AS_POINTS // 9 + more
    many = pd.concat([few.assign(scan_id=few["scan_id"] + f"-{n}") for n in range(copies)], ignore_index=True)
    figure = threshold_figure(replace(results, sweep=many), "test")
    points = [axes for axes in figure.axes if any(len(found.get_offsets()) > 1 for found in axes.collections)]
    assert len(points) == (0 if more else len(figure.axes))
    save_figure(figure, tmp_path / "many.svg")
    # Seven losses, two such figures: far from the 5 MB that the page may have.
    assert (tmp_path / "many.svg").stat().st_size / len(figure.axes) * 7 * 2 < 2e6
