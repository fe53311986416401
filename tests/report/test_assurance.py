from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.assurance import beside_half, sure_of_model, sure_of_threshold
from cordlesion.report.comparisons import compare_pairs
from cordlesion.report.operation import summarize_operation
from cordlesion.report.results import StudyResults
from cordlesion.report.robustness import summarize_tuning


@pytest.fixture(scope="module")
def pairs(results: StudyResults) -> pd.DataFrame:
    return compare_pairs(results)


@pytest.mark.parametrize(
    ("verdict", "lead", "said"),
    [
        ("undecided", 0.1, "Not settled: on the test set it is clearly ahead of no other. It cannot be told apart"),
        ("within seed noise", 0.1, "no more than trainings of one loss differ"),
        ("too few subjects", 0.1, "There are too few subjects to compare it with"),
        ("seed noise unknown", 0.1, "this may be luck of the training"),
        ("seed noise unknown", -0.1, "Doubtful: on the test set it is not the best."),
        ("better", 0.1, "Settled on these scans: it is clearly ahead of every other."),
        ("better", -0.1, "overlap the reference better on the test set, beyond chance. The recommendation follows"),
    ],
)
def test_the_model_is_as_sure_as_its_comparisons(
    results: StudyResults, pairs: pd.DataFrame, verdict: str, lead: float, said: str
) -> None:
    best = results.best.loss
    side = np.where(pairs["second"] == best, lead, -lead)
    text = sure_of_model(results, pairs.assign(verdict=verdict, median_difference=side))
    assert said in text
    others = [results.label(run) for run in results.runs if run.loss != best]
    assert all(name in text for name in others)
    assert not (lead < 0 and "ahead" in text)


def test_a_lead_over_some_is_counted(results: StudyResults, pairs: pd.DataFrame) -> None:
    best = results.best.loss
    first = (pairs["first"] == best) | (pairs["second"] == best)
    other = pairs["first"].where(pairs["second"] == best, pairs["second"])
    beaten = other == other[first].iloc[0]
    lead = np.where(pairs["second"] == best, 0.1, -0.1)
    mixed = pairs.assign(verdict=np.where(beaten, "better", "undecided"), median_difference=lead)
    assert "clearly ahead of 1 of the 3 others" in sure_of_model(results, mixed)


def test_the_threshold_is_as_sure_as_its_interval(results: StudyResults) -> None:
    chosen = results.written_thresholds
    mine = chosen[chosen["loss"] == results.best.loss].iloc[0]
    text = sure_of_threshold(results)
    assert f"between {mine['interval_low']:.2f} and {mine['interval_high']:.2f} (95 % interval)" in text
    if mine["plateau_low"] < mine["plateau_high"]:
        within = mine["plateau_low"] <= 0.5 <= mine["plateau_high"]
        assert text.endswith("; 0.5 does too." if within else "; 0.5 does not.")
    unknown = replace(results, written_thresholds=chosen.assign(interval_low=np.nan, interval_high=np.nan))
    assert sure_of_threshold(unknown).startswith("Unknown: fewer than 5 subjects")
    narrow = replace(results, written_thresholds=chosen.assign(plateau_low=0.4, plateau_high=0.4))
    assert "no other threshold of the grid" in sure_of_threshold(narrow)


def test_what_is_gained_over_half_is_counted(results: StudyResults) -> None:
    operation, tuning = summarize_operation(results), summarize_tuning(results)
    rows = operation[operation["loss"] == results.best.loss].set_index("tuned")
    text = beside_half(results, tuning, operation)
    more = int(rows.loc[True, "n_found"] - rows.loc[False, "n_found"])
    assert f"it finds {abs(more)} {'more' if more > 0 else 'fewer'} of {rows.loc[True, 'n_lesions']} lesions" in text
    false = rows.loc[True, "false"] - rows.loc[False, "false"]
    assert f"{abs(false):.1f} {'more' if false > 0 else 'fewer'} false ones per scan" in text
    row = tuning[(tuning["loss"] == results.best.loss) & (tuning["metric"] == "voxel_f1")].iloc[0]
    assert f"{row['difference']:+.2f}".replace("-", "−") in text
