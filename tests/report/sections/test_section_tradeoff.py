from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.sections.answers.operating_point import operating_curve
from cordlesion.report.sections.recommendation.tradeoff import tradeoff_figure
from cordlesion.study_folder.results import StudyResults


def test_both_curves_and_both_thresholds_are_drawn(results: StudyResults) -> None:
    found, false = tradeoff_figure(results).axes
    curve = operating_curve(results, results.best)
    t = results.tuned[results.best]
    for axes, column in ((found, "found"), (false, "false")):
        np.testing.assert_allclose(axes.lines[0].get_ydata(), curve[column])
        points = {line.get_xdata()[0]: line for line in axes.lines if line.get_marker() == "o"}
        assert set(points) == {t, 0.5}
        for place, line in points.items():
            assert line.get_ydata()[0] == pytest.approx(curve.loc[place, column])
        assert points[0.5].get_markerfacecolor() == "none"
    labels = [text.get_text() for text in found.texts]
    assert f"t = {t:.2f}: {curve.loc[t, 'found']:.0%}".replace("%", " %") in labels
    assert false.get_ylim()[1] >= max(curve.loc[[t, 0.5], "false"])


def test_no_value_stands_on_the_labels_of_the_axis(results: StudyResults) -> None:
    clean = replace(results, sweep=results.sweep.assign(n_predicted_lesions=0, n_true_predicted_lesions=0))
    *_, false = tradeoff_figure(clean).axes
    assert false.texts
    assert all(text.get_position()[1] > 0 for text in false.texts)


def test_thresholds_of_folds_are_all_marked_without_values(results: StudyResults) -> None:
    written = results.written_thresholds
    folds = pd.concat([written.assign(fold=1), written.assign(fold=2, threshold=0.9)], ignore_index=True)
    for axes in tradeoff_figure(replace(results, written_thresholds=folds)).axes:
        marked = {line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"}
        assert marked == {results.tuned[results.best], 0.9, 0.5}
        assert not axes.texts


def test_the_whole_interval_is_in_the_picture(results: StudyResults) -> None:
    curve = operating_curve(results, results.best)["false"]
    low = float(curve.index[0])
    wide = replace(results, written_thresholds=results.written_thresholds.assign(interval_low=low))
    *_, false = tradeoff_figure(wide).axes
    assert false.get_ylim()[1] > curve.loc[low]


def test_where_no_lesion_counts_false_ones_alone_are_drawn(results: StudyResults) -> None:
    sweep = results.sweep.assign(n_reference_lesions=0, n_detected_lesions=0)
    (only,) = tradeoff_figure(replace(results, sweep=sweep)).axes
    assert only.get_title(loc="left") == "False positives per scan"
    assert not any("nan" in text.get_text() for text in only.texts)
