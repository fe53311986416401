import numpy as np
import pandas as pd
import pytest

from cordlesion.report.sections.calibration import calibration_remark, reliability_figure, summarize_calibration
from cordlesion.study_folder.results import StudyResults


@pytest.fixture(scope="module")
def calibration(results: StudyResults) -> pd.DataFrame:
    return summarize_calibration(results)


def test_the_remark_on_thresholds_sorts_losses_by_what_their_p_means(calibration: pd.DataFrame) -> None:
    made_up = calibration.assign(threshold=[0.1, 0.5, 0.9], share=[0.3, 0.48, 0.2], half_f1=[0.3, 0.3, 0.2])
    text = calibration_remark(made_up)
    assert "Tversky (p = 0.90, lesion 0.20): there p overstates the chance of lesion, and t is set above it." in text
    assert "BCE (p = 0.10, lesion 0.30): there p understates the chance of lesion, and t is set below it." in text
    assert "Dice (p = 0.50, lesion 0.48): there p is about the chance of lesion." in text
    assert "thresholds go from 0.10 to 0.90" in text
    seeds = pd.concat(
        [made_up.assign(seed=0, share=made_up["share"] - 0.1), made_up.assign(seed=1, share=made_up["share"] + 0.1)]
    )
    assert calibration_remark(seeds) == text
    assert "from 0.20 to 0.48: the losses agree better on the chance of lesion" in text
    assert "cut at half of that F1 (Lipton et al. 2014), here 0.20 to 0.30" in text


def test_where_calibration_explains_nothing_that_is_said(calibration: pd.DataFrame) -> None:
    made_up = calibration.assign(threshold=[0.4, 0.45, 0.5], share=[0.1, 0.4, 0.9])
    assert "calibration does not explain" in calibration_remark(made_up)
    none = calibration.iloc[:0]
    assert calibration_remark(none) == ""


def test_reliability_panels_show_the_bins_that_hold_voxels(results: StudyResults) -> None:
    panels = reliability_figure(results).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["BCE", "Dice", "Tversky"]
    for axes, loss in zip(panels, ("bce", "dice", "tversky"), strict=True):
        table = results.reliability
        bins = table[(table["loss"] == loss) & (table["set"] == "test") & (table["map"] == "raw")].dropna()
        assert len(bins) == 14
        (line,) = (line for line in axes.lines if line.get_marker() == "o")
        np.testing.assert_allclose(line.get_xdata(), bins["mean_probability"])
        np.testing.assert_allclose(line.get_ydata(), bins["lesion_share"])
        (tuned,) = results.thresholds.loc[results.thresholds["loss"] == loss, "threshold"]
        assert any(list(line.get_xdata()) == [tuned, tuned] for line in axes.lines)
