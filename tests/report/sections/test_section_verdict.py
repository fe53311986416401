from dataclasses import replace

import numpy as np
import pytest

from cordlesion.report.page import compute_findings
from cordlesion.report.section import Findings
from cordlesion.report.sections.recommendation.verdict import sum_up
from cordlesion.study_folder.results import StudyResults
from support.findings import with_frames

AS_GOOD = " as good or better"
OPEN = f"Not settled: BCE, Dice and SCT may be{AS_GOOD}"


def summed(results: StudyResults, findings: Findings) -> str:
    return sum_up(replace(findings, results=results))


@pytest.fixture(scope="module")
def findings(results: StudyResults) -> Findings:
    found = compute_findings(results)
    open_still = found.frames["pairs"].assign(verdict="undecided", detectable=0.15, n_seeds_first=3, n_seeds_second=3)
    return with_frames(found, pairs=open_still)


def test_what_cannot_be_told_is_left_out(results: StudyResults, findings: Findings) -> None:
    assert summed(results, findings) == f"{OPEN}."
    assert summed(results, with_frames(findings, pairs=findings.frames["pairs"].iloc[:0])) == ""


@pytest.mark.parametrize(
    ("verdicts", "lead", "said"),
    [
        (("better", "better", "better"), 0.1, "Settled on these scans."),
        (("better", "seed noise unknown", "better"), 0.1, "Ahead on these scans, but trained once."),
        (("seed noise unknown",) * 3, 0.1, "Ahead on these scans, but trained once."),
        (("better", "undecided", "seed noise unknown"), 0.1, f"Settled in part: Dice may be{AS_GOOD}."),
        (
            ("undecided", "seed noise unknown", "too few subjects"),
            0.1,
            f"Not settled: BCE and SCT may be{AS_GOOD}.",
        ),
        (("better", "as good", "better"), 0.1, "Settled on these scans: Dice is as good within 0.05."),
        (("as good",) * 3, -0.1, "Settled on these scans: BCE, Dice and SCT are as good within 0.05."),
        (("undecided", "as good", "as good"), 0.1, f"Settled in part: BCE may be{AS_GOOD}."),
        (("undecided", "better", "undecided"), -0.1, "Doubtful: on the test set Dice did better."),
        (("undecided", "seed noise unknown", "better"), -0.1, "Doubtful: on the test set Dice and SCT did better."),
    ],
)
def test_only_a_lead_that_other_trainings_keep_is_settled(
    results: StudyResults, findings: Findings, verdicts: tuple[str, ...], lead: float, said: str
) -> None:
    best, pairs = results.best.loss, findings.frames["pairs"]
    other = pairs["first"].where(pairs["second"] == best, pairs["second"])
    verdict = other.map(dict(zip(("bce", "dice", "sct"), verdicts, strict=True))).fillna("undecided")
    judged = pairs.assign(
        verdict=verdict,
        p_equivalent=np.where(verdict == "as good", 0.04, 0.06),
        difference=np.where(pairs["second"] == best, lead, -lead),
    )
    assert summed(results, with_frames(findings, pairs=judged)).startswith(said)


def test_a_simpler_loss_takes_the_place_of_the_leader(results: StudyResults, findings: Findings) -> None:
    replaced = replace(results)
    # The property is read once and then kept.
    replaced.__dict__["best"] = next(run for run in results.ranked if run.loss == "bce")
    text = summed(replaced, findings)
    assert text.startswith("As good within 0.05 as Tversky, the first on the threshold set, and simpler; not settled: ")


def test_a_lead_over_a_method_without_seeds_is_not_settled(results: StudyResults, findings: Findings) -> None:
    pairs = findings.frames["pairs"]
    lead = np.where(pairs["second"] == results.best.loss, 0.1, -0.1)
    ahead = pairs.assign(verdict="better", difference=lead)
    assert summed(results, with_frames(findings, pairs=ahead)).startswith("Settled on these scans.")
    untrained = ahead.assign(n_seeds_first=ahead["n_seeds_first"].where(pairs["first"] != "bce", 0))
    text = summed(results, with_frames(findings, pairs=untrained))
    assert text.startswith("Ahead on these scans, but noise between trainings is not known for all.")
