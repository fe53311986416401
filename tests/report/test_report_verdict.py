from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.numbers import Numbers, compute_numbers
from cordlesion.report.summaries import summarize_runs
from cordlesion.report.verdict import sum_up
from cordlesion.study_folder.results import StudyResults

AS_GOOD = " as good (a true difference of 0.15 would be found in 80 % of such studies)"
OPEN = f"Not settled: BCE, Dice and SCT may be{AS_GOOD}"


@pytest.fixture(scope="module")
def summary(results: StudyResults) -> pd.DataFrame:
    table = summarize_runs(results)
    return table.assign(value=table["value"].where(table["metric"] != "voxel_f1", 0.4))


@pytest.fixture(scope="module")
def numbers(results: StudyResults) -> Numbers:
    found = compute_numbers(results)
    open_still = found.pairs.assign(verdict="undecided", detectable=0.15, n_seeds_first=3, n_seeds_second=3)
    even = found.operation.assign(n_found=8, false=1.0, n_clean=3)
    return replace(
        found,
        operation=even,
        pairs=open_still,
    )


def test_of_losses_trained_once_the_reach_is_that_of_these_trainings(
    results: StudyResults, summary: pd.DataFrame, numbers: Numbers
) -> None:
    once = replace(numbers, pairs=numbers.pairs.assign(n_seeds_first=1))
    assert "a true difference of 0.15 between these trainings would be found" in sum_up(results, summary, once)


def at_half(table: pd.DataFrame, **better: float) -> pd.DataFrame:
    return table.assign(**{name: np.where(table["tuned"], table[name], value) for name, value in better.items()})


@pytest.mark.parametrize(
    ("better", "said"),
    [
        ({}, "on the test set 0.50 is better in none of the figures below."),
        ({"false": 1.04}, "on the test set 0.50 is better in none of the figures below."),
        ({"n_found": 9}, "on the test set 0.50 found more lesions."),
        ({"false": 0.4}, "on the test set 0.50 marked fewer false lesions."),
        (
            {"false": 1.4, "n_found": 7, "n_clean": 2},
            "on the test set 0.50 is better in none of the figures below.",
        ),
        (
            {"false": 0.4, "n_clean": 4},
            "on the test set 0.50 marked fewer false lesions and left more scans without lesions clean.",
        ),
    ],
)
def test_the_price_against_half_stands_beside_the_verdict(
    results: StudyResults, summary: pd.DataFrame, numbers: Numbers, better: dict[str, float], said: str
) -> None:
    priced = replace(numbers, operation=at_half(numbers.operation, **better))
    assert sum_up(results, summary, priced) == f"{OPEN}; {said}"


def test_overlap_is_compared_as_printed(results: StudyResults, summary: pd.DataFrame, numbers: Numbers) -> None:
    assert "overlap" not in sum_up(results, at_half(summary, value=0.404), numbers)
    assert sum_up(results, at_half(summary, value=0.41), numbers).endswith("on the test set 0.50 reached more overlap.")


def test_what_cannot_be_told_is_left_out(results: StudyResults, summary: pd.DataFrame, numbers: Numbers) -> None:
    alone = replace(numbers, pairs=numbers.pairs.iloc[:0])
    assert sum_up(results, summary, alone).startswith("On the test set 0.50")
    half = replace(results, written_thresholds=results.written_thresholds.assign(threshold=0.5))
    assert sum_up(half, summary, numbers) == f"{OPEN}."
    assert sum_up(half, summary, alone) == ""


@pytest.mark.parametrize(
    ("verdicts", "lead", "said"),
    [
        (("better", "better", "better"), 0.1, "Settled on these scans; on"),
        (("better", "seed noise unknown", "better"), 0.1, "Ahead on these scans, but trained once; on"),
        (("seed noise unknown",) * 3, 0.1, "Ahead on these scans, but trained once; on"),
        (("better", "undecided", "seed noise unknown"), 0.1, f"Settled in part: Dice may be{AS_GOOD}; on"),
        (
            ("undecided", "seed noise unknown", "too few subjects"),
            0.1,
            f"Not settled: BCE and SCT may be{AS_GOOD}; on",
        ),
        (("undecided", "better", "undecided"), -0.1, "Doubtful: on the test set Dice did better; on"),
        (("undecided", "seed noise unknown", "better"), -0.1, "Doubtful: on the test set Dice and SCT did better; on"),
    ],
)
def test_only_a_lead_that_other_trainings_keep_is_settled(
    results: StudyResults, summary: pd.DataFrame, numbers: Numbers, verdicts: tuple[str, ...], lead: float, said: str
) -> None:
    best, pairs = results.best.loss, numbers.pairs
    other = pairs["first"].where(pairs["second"] == best, pairs["second"])
    judged = pairs.assign(
        verdict=other.map(dict(zip(("bce", "dice", "sct"), verdicts, strict=True))).fillna("undecided"),
        difference=np.where(pairs["second"] == best, lead, -lead),
    )
    assert sum_up(results, summary, replace(numbers, pairs=judged)).startswith(said)


def test_a_lead_over_a_method_without_seeds_is_not_settled(
    results: StudyResults, summary: pd.DataFrame, numbers: Numbers
) -> None:
    pairs = numbers.pairs
    lead = np.where(pairs["second"] == results.best.loss, 0.1, -0.1)
    ahead = pairs.assign(verdict="better", difference=lead)
    assert sum_up(results, summary, replace(numbers, pairs=ahead)).startswith("Settled on these scans; on")
    untrained = ahead.assign(n_seeds_first=ahead["n_seeds_first"].where(pairs["first"] != "bce", 0))
    text = sum_up(results, summary, replace(numbers, pairs=untrained))
    assert text.startswith("Ahead on these scans, but noise between trainings is not known for all; on")
