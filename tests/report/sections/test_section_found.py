"""The headline and the three sentences of the first screen, each number counted again from the tables."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.page import compute_findings
from cordlesion.report.section import Findings
from cordlesion.report.sections.recommendation.budget import describe_budget, summarize_budget
from cordlesion.report.sections.recommendation.found import describe_found, fitness, head
from cordlesion.study_folder.results import StudyResults
from support.findings import with_frames


@pytest.fixture(scope="module")
def findings(results: StudyResults) -> Findings:
    return compute_findings(results)


def operating_points(sweep: pd.DataFrame, loss: str) -> pd.DataFrame:
    """Sensitivity and false positives per scan of a loss at every threshold above 0, in plain sums."""
    rows = sweep[(sweep["loss"] == loss) & (sweep["set"] == "test") & (sweep["threshold"] > 0)]
    sums = rows.groupby("threshold")[[
        "n_reference_lesions", "n_detected_lesions", "n_predicted_lesions", "n_true_predicted_lesions",
    ]].sum()  # fmt: skip
    n = rows.groupby("threshold").size()
    found = sums["n_detected_lesions"] / sums["n_reference_lesions"]
    return pd.DataFrame({"found": found, "false": (sums["n_predicted_lesions"] - sums["n_true_predicted_lesions"]) / n})


def test_at_one_false_positive_the_best_threshold_is_found(results: StudyResults, findings: Findings) -> None:
    budget = findings.frames["budget"].set_index("loss")
    assert set(budget.index) == {run.loss for run in results.tuned}
    for loss, row in budget.iterrows():
        points = operating_points(results.sweep, str(loss))
        allowed = points[points["false"] <= 1]
        best = allowed["found"].max()
        assert row["found"] == pytest.approx(best)
        assert row["threshold"] == allowed.index[allowed["found"] == best].max()
        assert row["false"] == pytest.approx(points["false"][row["threshold"]])
        assert row["low"] <= row["found"] <= row["high"]
        if loss == results.best.loss:
            assert math.isnan(row["lead"])
        else:
            assert row["lead"] == pytest.approx(row["found"] - budget.loc[results.best.loss, "found"])


def budget_of(**found: float) -> pd.DataFrame:
    row = {"threshold": 0.4, "lead_low": 0.1, "lead_high": 0.3}
    return pd.DataFrame([{"loss": loss, "found": share, **row} for loss, share in found.items()])


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (
            budget_of(bce=0.3, tversky=0.2),
            "BCE leads: it finds 30 % of the lesions at t = 0.40, Tversky 20 % at t = 0.40 (Figure 5).",
        ),
        (
            budget_of(bce=0.3, tversky=0.2).assign(lead_low=-0.1),
            (
                "BCE leads: it finds 30 % of the lesions at t = 0.40, Tversky 20 % at t = 0.40; the difference may be "
                "chance (Figure 5)."
            ),
        ),
        (
            budget_of(bce=0.3, tversky=0.3),
            (
                "Tversky leads as well: it finds 30 % of the lesions at t = 0.40; BCE, the next, 30 % at t = 0.40 "
                "(Figure 5)."
            ),
        ),
        (
            budget_of(bce=0.3, tversky=0),
            "BCE leads: it finds 30 % of the lesions at t = 0.40, Tversky none (Figure 5).",
        ),
        (budget_of(bce=0, tversky=0), "no model finds a lesion (Figure 5)."),
        (budget_of(tversky=0.3), "it finds 30 % of the lesions at t = 0.40 (Figure 5)."),
    ],
)
def test_who_leads_at_one_false_positive_is_named(results: StudyResults, budget: pd.DataFrame, said: str) -> None:
    assert describe_budget(results, budget, "Figure 5") == f"At one false positive per scan {said}"


def test_the_sentences_hold_the_numbers_of_the_tables(results: StudyResults, findings: Findings) -> None:
    best = results.best
    scans = results.evaluated(best, "test", results.tuned[best])
    overlap, use, budget = describe_found(findings)
    assert f" by {scans['voxel_f1'].median():.2f} " in overlap
    assert f"in the median of {scans['voxel_f1'].notna().sum()} test scans with lesions" in overlap
    found, lesions = scans["n_detected_lesions"].sum(), scans["n_reference_lesions"].sum()
    free = scans[scans["reference_volume_mm3"] == 0]
    marked = (free["n_predicted_lesions"] > 0).sum()
    assert use.startswith(f"It finds {found} of {lesions} lesions ({100 * found / lesions:.0f} %) and marks false ")
    assert f"false positives in {marked} of {len(free)} lesion-free test scans: " in use
    assert budget == describe_budget(results, summarize_budget(results), findings.refs["figure5_froc"])
    assert re.search(r"at t = 0\.\d\d", budget)


@pytest.mark.parametrize(
    ("low", "said"),
    [
        (0.95, "fit to propose lesions to a reader in any scan"),
        (0.9, "fit to propose lesions to a reader in any scan"),
        (0.6, "fit to propose lesions that a reader checks one by one"),
        (0.5, "not fit to find out which scans have lesions"),
        (0.1, "not fit to find out which scans have lesions"),
        (np.nan, "not fit to find out which scans have lesions"),
    ],
)
def test_fitness_follows_what_the_interval_shows(low: float, said: str) -> None:
    assert fitness(pd.Series({"value": 1.0, "low": low})).startswith(said)


def test_without_lesion_free_scans_nothing_is_said_of_them(findings: Findings) -> None:
    none = with_frames(findings, operation=findings.frames["operation"].assign(n_free=0, n_clean=0, false=2.04))
    assert "marks 2.0 false positives per scan; no test scan is lesion-free, so fit at most" in describe_found(none)[1]


def test_without_lesions_that_count_no_one_leads(findings: Findings) -> None:
    none = findings.frames["operation"].assign(n_lesions=0, n_found=0, found=math.nan)
    _, use = describe_found(with_frames(findings, operation=none))
    assert use.startswith("It marks false positives in ")


@pytest.mark.parametrize(
    ("verdict", "lead", "said"),
    [
        ("better", 0.1, "Best overlap:"),
        ("undecided", 0.1, "No loss stands out in overlap; chosen:"),
        ("better", -0.1, "Chosen for overlap:"),
    ],
)
def test_the_headline_does_not_contradict_the_test_set(
    results: StudyResults, findings: Findings, verdict: str, lead: float, said: str
) -> None:
    pairs = findings.frames["pairs"]
    signed = np.where(pairs["second"] == results.best.loss, lead, -lead)
    judged = pairs.assign(verdict=verdict, difference=signed, p_equivalent=1.0, n_seeds_first=3, n_seeds_second=3)
    assert head(with_frames(findings, pairs=judged)) == said


def test_the_headline_names_another_objective(results: StudyResults, findings: Findings) -> None:
    thresholds = results.thresholds.assign(objective="median_lesion_f1")
    other = replace(findings, results=replace(results, thresholds=thresholds))
    assert head(other) == "Best by median lesion F1:"


def test_a_simpler_loss_is_not_called_the_best(results: StudyResults, findings: Findings) -> None:
    replaced = replace(results)
    replaced.__dict__["best"] = next(run for run in results.ranked if run.loss == "bce")
    assert head(replace(findings, results=replaced)) == "As good as the best in overlap, and simpler:"
