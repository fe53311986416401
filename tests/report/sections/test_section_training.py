from dataclasses import replace

import numpy as np

from cordlesion.report.sections.training import training_figure
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run


def test_training_curves_mark_the_epoch_that_was_kept(results: StudyResults) -> None:
    panels = training_figure(results).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["BCE", "Dice", "Tversky"]
    for axes, history in zip(panels, results.histories.values(), strict=True):
        train, validation, kept = axes.lines
        np.testing.assert_allclose(train.get_ydata(), history["train_loss"])
        np.testing.assert_allclose(validation.get_ydata(), history["validation_loss"])
        best = history.loc[history["validation_loss"].idxmin()]
        assert (kept.get_xdata()[0], kept.get_ydata()[0]) == (best["epoch"], best["validation_loss"])


def test_the_legend_explains_the_lines_of_several_seeds_once(results: StudyResults) -> None:
    histories = {Run(run.loss, seed): one for run, one in results.histories.items() for seed in range(5)}
    first, *others = training_figure(replace(results, histories=histories)).axes
    assert len(first.lines) == 15
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["training", "validation", "epoch kept"]
    assert all(axes.get_legend() is None for axes in others)
