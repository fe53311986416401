import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from cordlesion.pictures.style import loss_colors, save_figure
from cordlesion.report.figures import (
    MAX_SCANS_AS_POINTS,
    cohort_figure,
    draw_and_save,
    threshold_figure,
    training_figure,
)
from cordlesion.study_folder.results import StudyResults, read_results


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


def test_training_curves_mark_the_epoch_that_was_kept(results: StudyResults) -> None:
    panels = training_figure(results).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["BCE", "Dice", "Tversky"]
    for axes, history in zip(panels, results.histories.values(), strict=True):
        train, validation, kept = axes.lines
        np.testing.assert_allclose(train.get_ydata(), history["train_loss"])
        np.testing.assert_allclose(validation.get_ydata(), history["validation_loss"])
        best = history.loc[history["validation_loss"].idxmin()]
        assert (kept.get_xdata()[0], kept.get_ydata()[0]) == (best["epoch"], best["validation_loss"])


def test_a_loss_has_one_colour_in_all_figures(results: StudyResults) -> None:
    colors = loss_colors(run.loss for run in results.runs)
    thresholds, training = threshold_figure(results).axes, training_figure(results).axes
    for n, loss in enumerate(("bce", "dice", "tversky")):
        assert to_hex(training[n].lines[1].get_color()) == colors[loss].lower()
        (triangle,) = (line for line in thresholds[n].lines if line.get_marker() == "v")
        assert to_hex(triangle.get_color()) == colors[loss].lower()


def test_saving_writes_svg_and_pdf_and_leaves_no_trace(study_copy: Path) -> None:
    before = dict(matplotlib.rcParams)
    path = draw_and_save(read_results(study_copy), "figure1_cohort")
    assert path.read_bytes().lstrip().startswith(b"<?xml")
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert sorted(file.name for file in path.parent.iterdir()) == ["figure1_cohort.pdf", "figure1_cohort.svg"]
    assert dict(matplotlib.rcParams) == before


def test_report_imports_neither_torch_nor_pyplot() -> None:
    code = "import sys, cordlesion.report.html; print({'torch', 'lightning', 'matplotlib.pyplot'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


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
