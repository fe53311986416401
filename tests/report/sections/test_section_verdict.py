from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.page import compute_findings
from cordlesion.report.section import Findings
from cordlesion.report.sections.recommendation.verdict import sum_up
from cordlesion.report.sections.scores import summarize_runs
from cordlesion.study_folder.results import StudyResults
from support.findings import with_frames

AS_GOOD = " as good or better"
OPEN = f"Not settled: BCE, Dice and SCT may be{AS_GOOD}"


def summed(results: StudyResults, summary: pd.DataFrame, findings: Findings) -> str:
    return sum_up(with_frames(replace(findings, results=results), runs=summary))


@pytest.fixture(scope="module")
def summary(results: StudyResults) -> pd.DataFrame:
    table = summarize_runs(results)
    return table.assign(value=table["value"].where(table["metric"] != "voxel_f1", 0.4))


@pytest.fixture(scope="module")
def findings(results: StudyResults) -> Findings:
    found = compute_findings(results)
    open_still = found.frames["pairs"].assign(verdict="undecided", detectable=0.15, n_seeds_first=3, n_seeds_second=3)
    even = found.frames["operation"].assign(n_found=8, false=1.0, n_clean=3)
    return with_frames(found, operation=even, pairs=open_still)


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
    results: StudyResults, summary: pd.DataFrame, findings: Findings, better: dict[str, float], said: str
) -> None:
    priced = with_frames(findings, operation=at_half(findings.frames["operation"], **better))
    assert summed(results, summary, priced) == f"{OPEN}; {said}"


def test_overlap_is_compared_as_printed(results: StudyResults, summary: pd.DataFrame, findings: Findings) -> None:
    assert "overlap" not in summed(results, at_half(summary, value=0.404), findings)
    assert summed(results, at_half(summary, value=0.41), findings).endswith(
        "on the test set 0.50 reached more overlap."
    )


def test_what_cannot_be_told_is_left_out(results: StudyResults, summary: pd.DataFrame, findings: Findings) -> None:
    alone = with_frames(findings, pairs=findings.frames["pairs"].iloc[:0])
    assert summed(results, summary, alone).startswith("On the test set 0.50")
    half = replace(results, written_thresholds=results.written_thresholds.assign(threshold=0.5))
    assert summed(half, summary, findings) == f"{OPEN}."
    assert summed(half, summary, alone) == ""


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
        (("better", "as good", "better"), 0.1, "Settled on these scans: Dice is as good within 0.05; on"),
        (("as good",) * 3, -0.1, "Settled on these scans: BCE, Dice and SCT are as good within 0.05; on"),
        (("undecided", "as good", "as good"), 0.1, f"Settled in part: BCE may be{AS_GOOD}; on"),
        (("undecided", "better", "undecided"), -0.1, "Doubtful: on the test set Dice did better; on"),
        (("undecided", "seed noise unknown", "better"), -0.1, "Doubtful: on the test set Dice and SCT did better; on"),
    ],
)
def test_only_a_lead_that_other_trainings_keep_is_settled(
    results: StudyResults, summary: pd.DataFrame, findings: Findings, verdicts: tuple[str, ...], lead: float, said: str
) -> None:
    best, pairs = results.best.loss, findings.frames["pairs"]
    other = pairs["first"].where(pairs["second"] == best, pairs["second"])
    verdict = other.map(dict(zip(("bce", "dice", "sct"), verdicts, strict=True))).fillna("undecided")
    judged = pairs.assign(
        verdict=verdict,
        p_equivalent=np.where(verdict == "as good", 0.04, 0.06),
        difference=np.where(pairs["second"] == best, lead, -lead),
    )
    assert summed(results, summary, with_frames(findings, pairs=judged)).startswith(said)


def test_a_simpler_loss_takes_the_place_of_the_leader(
    results: StudyResults, summary: pd.DataFrame, findings: Findings
) -> None:
    replaced = replace(results)
    # The property is read once and then kept.
    replaced.__dict__["best"] = next(run for run in results.ranked if run.loss == "bce")
    text = summed(replaced, summary, findings)
    assert text.startswith("As good within 0.05 as Tversky, the first on the threshold set, and simpler; not settled: ")


def test_a_lead_over_a_method_without_seeds_is_not_settled(
    results: StudyResults, summary: pd.DataFrame, findings: Findings
) -> None:
    pairs = findings.frames["pairs"]
    lead = np.where(pairs["second"] == results.best.loss, 0.1, -0.1)
    ahead = pairs.assign(verdict="better", difference=lead)
    assert summed(results, summary, with_frames(findings, pairs=ahead)).startswith("Settled on these scans; on")
    untrained = ahead.assign(n_seeds_first=ahead["n_seeds_first"].where(pairs["first"] != "bce", 0))
    text = summed(results, summary, with_frames(findings, pairs=untrained))
    assert text.startswith("Ahead on these scans, but noise between trainings is not known for all; on")
