"""The headline and the three sentences of the first screen, each number counted again from the tables."""

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.section import Findings
from cordlesion.report.sections.ranking.standings import find_standings
from cordlesion.report.sections.recommendation.budget import describe_budget, summarize_budget
from cordlesion.report.sections.recommendation.found import describe_found, fitness, head
from cordlesion.report.sections.recommendation.verdict import sum_up
from cordlesion.study_folder.results import StudyResults
from support.findings import with_frames


def operating_points(sweep: pd.DataFrame, loss: str) -> pd.DataFrame:
    """Sensitivity and false positives per scan of a loss at every threshold between 0 and 1, in plain sums."""
    rows = sweep[(sweep["loss"] == loss) & (sweep["set"] == "test") & sweep["threshold"].between(0.01, 0.99)]
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


def test_the_end_of_the_grid_is_no_operating_point(results: StudyResults) -> None:
    """Maps of 0 and 1 have the same masks at every threshold: none is quoted at t = 1."""
    sweep = results.sweep
    counts = [column for column in sweep if column.startswith("n_")]
    same = sweep[(sweep["loss"] == "bce") & (sweep["threshold"] == 0.5)].set_index(["set", "scan_id"])[counts]
    binary = sweep["loss"] == "bce"
    keys = pd.MultiIndex.from_frame(sweep.loc[binary, ["set", "scan_id"]])
    sweep = sweep.copy()
    sweep.loc[binary, counts] = same.loc[keys].to_numpy()
    row = summarize_budget(replace(results, sweep=sweep)).set_index("loss").loc["bce"]
    assert row["found"] > 0
    assert row["threshold"] == 0.95


def test_a_loss_with_several_seeds_is_named_so(results: StudyResults) -> None:
    """The curves count the seeds of a loss together, while the recommended model is one training."""
    tables = {name: getattr(results, name) for name in ("thresholds", "written_thresholds", "evaluation", "sweep")}
    seeded = {name: pd.concat([table, table[table["loss"] == "bce"].assign(seed=1)]) for name, table in tables.items()}
    several = replace(results, **seeded)
    said = describe_budget(several, budget_of(bce=0.3, tversky=0.2), "Figure 5")
    assert " BCE (2 seeds together) leads: it finds 30 % of the lesions at t = 0.40, Tversky 20 % " in said
    said = describe_budget(several, budget_of(bce=0.2, tversky=0.3), "Figure 5")
    assert " Tversky leads: it finds 30 % " in said
    assert "; BCE (2 seeds together), the next, 20 % " in said


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
                "Tversky leads: it finds 30 % of the lesions at t = 0.40; BCE, the next, 30 % at t = 0.40; the "
                "difference may be chance (Figure 5)."
            ),
        ),
        (
            budget_of(bce=0.1, tversky=0.3).assign(lead_low=-0.3, lead_high=-0.1),
            ("Tversky leads: it finds 30 % of the lesions at t = 0.40; BCE, the next, 10 % at t = 0.40 (Figure 5)."),
        ),
        (
            budget_of(bce=0.1, tversky=0.3).assign(lead_low=np.nan, lead_high=np.nan),
            (
                "Tversky leads: it finds 30 % of the lesions at t = 0.40; BCE, the next, 10 % at t = 0.40; the "
                "difference may be chance (Figure 5)."
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
    points = {run.loss: operating_points(results.sweep, run.loss) for run in results.tuned}
    at_one = {loss: rows.loc[rows["false"] <= 1, "found"].max() for loss, rows in points.items()}
    assert best.loss == max(at_one, key=at_one.__getitem__)
    _, second = sorted(at_one.values())[:-3:-1]
    allowed = points[best.loss][points[best.loss]["false"] <= 1]
    t = allowed.index[allowed["found"] == at_one[best.loss]].max()
    assert budget.startswith(
        f"At one false positive per scan Tversky leads: it finds {100 * at_one[best.loss]:.0f} % of the "
        f"lesions at t = {t:.2f}; "
    )
    assert f", the next, {100 * second:.0f} % at t = 0." in budget


@pytest.mark.parametrize(
    ("low", "said"),
    [
        (0.95, "fit to propose lesions to a reader in any scan"),
        (0.9, "fit to propose lesions to a reader in any scan"),
        (0.6, "fit to propose lesions that a reader checks one by one"),
        (0.5, "not fit to find out which scans have lesions"),
        (0.1, "not fit to find out which scans have lesions"),
        (np.nan, "too few lesion-free subjects to know whether it finds out which scans have lesions"),
    ],
)
def test_fitness_follows_what_the_interval_shows(low: float, said: str) -> None:
    finds = pd.Series({"n_lesions": 20, "n_found": 10, "found_low": 0.4})
    assert fitness(finds, pd.Series({"value": 1.0, "low": low})).startswith(said)


@pytest.mark.parametrize("low", [0.95, 0.6, 0.1, np.nan])
@pytest.mark.parametrize(
    ("finds", "said"),
    [
        ((196, 0, 0.0), "not fit: it finds none"),
        ((196, 0, np.nan), "not fit: it finds none"),
        ((196, 20, 0.06), "not fit: it may find fewer than 1 lesion in 10"),
        ((8, 3, np.nan), "too few subjects with lesions to know what it finds"),
        ((0, 0, np.nan), "no lesion of these scans counts, so what it finds is unknown"),
    ],
)
def test_what_finds_nothing_is_fit_for_nothing(low: float, finds: tuple[int, int, float], said: str) -> None:
    points = pd.Series(dict(zip(("n_lesions", "n_found", "found_low"), finds, strict=True)))
    assert fitness(points, pd.Series({"value": 1.0, "low": low})) == said


@pytest.mark.parametrize("n_free", [6, 0])
def test_a_model_that_finds_nothing_is_not_called_fit(findings: Findings, n_free: int) -> None:
    blind = findings.frames["operation"].assign(n_found=0, found=0.0, found_low=0.0, n_free=n_free)
    assert describe_found(with_frames(findings, operation=blind))[1].endswith(": not fit: it finds none.")


def test_without_lesion_free_scans_nothing_is_said_of_them(findings: Findings) -> None:
    none = with_frames(findings, operation=findings.frames["operation"].assign(n_free=0, n_clean=0, false=2.04))
    assert "marks 2.0 false positives per scan; no test scan is lesion-free, so fit at most" in describe_found(none)[1]


def test_without_lesions_that_count_no_one_leads(findings: Findings) -> None:
    none = findings.frames["operation"].assign(n_lesions=0, n_found=0, found=math.nan)
    _, use = describe_found(with_frames(findings, operation=none))
    assert use.startswith("It marks false positives in ")


# Verdict, lead of the chosen loss, p of equivalence and seeds of the other one that make each standing.
STANDINGS = {
    "ahead": ("better", 0.1, 1.0, 3),
    "ahead, untrained": ("better", 0.1, 1.0, 0),
    "ahead, one seed": ("seed noise unknown", 0.1, 1.0, 1),
    "equal": ("undecided", -0.1, 0.01, 3),
    "open": ("undecided", 0.1, 1.0, 3),
    "seeds": ("within seed noise", 0.1, 1.0, 3),
    "few": ("too few subjects", 0.1, 1.0, 3),
    "behind, one seed": ("seed noise unknown", -0.1, 1.0, 1),
    "behind": ("better", -0.1, 1.0, 3),
}


def with_standings(findings: Findings, *standings: str) -> Findings:
    """Findings in which the leader stands so against BCE, Dice and SCT."""
    leader, pairs = findings.results.leader.loss, findings.frames["pairs"].query("metric == 'voxel_f1'")
    other = pairs["first"].where(pairs["second"] == leader, pairs["second"])
    of_loss = dict(zip(("bce", "dice", "sct"), standings, strict=True))
    made = [STANDINGS[of_loss.get(str(name), "open")] for name in other]
    verdict, lead, p_equivalent, n_seeds = (list(column) for column in zip(*made, strict=True))
    signed = np.where(pairs["second"] == leader, lead, -np.array(lead))
    numbers = {"difference": signed, "p_equivalent": p_equivalent, "n_seeds_first": n_seeds, "n_seeds_second": 3}
    judged = with_frames(findings, pairs=pairs.assign(verdict=verdict, **numbers))
    assert tuple(find_standings(judged.frames["pairs"], leader).values()) == standings
    return judged


def replaced_by_bce(findings: Findings) -> Findings:
    """Findings in which a simpler loss takes the place of the leader."""
    results = replace(findings.results)
    # The property is read once and then kept.
    results.__dict__["best"] = next(run for run in results.ranked if run.loss == "bce")
    return replace(findings, results=results)


def by_lesion_f1(findings: Findings) -> Findings:
    thresholds = findings.results.thresholds.assign(objective="median_lesion_f1")
    results = replace(findings.results, thresholds=thresholds)
    results.__dict__["best"] = findings.results.best
    return replace(findings, results=results)


@pytest.mark.parametrize(
    ("standings", "said"),
    [
        (("ahead", "ahead", "ahead"), "Best overlap:"),
        (("ahead", "equal", "ahead, untrained"), "Best overlap:"),
        (("ahead, one seed", "ahead", "equal"), "Best overlap:"),
        (("ahead", "open", "open"), "Among the best in overlap:"),
        (("ahead", "seeds", "equal"), "Among the best in overlap:"),
        (("equal", "open", "open"), "No loss stands out in overlap; chosen:"),
        (("ahead, one seed", "few", "few"), "No loss stands out in overlap; chosen:"),
        (("open", "seeds", "few"), "No loss stands out in overlap; chosen:"),
        (("behind", "ahead", "ahead"), "Chosen for overlap:"),
        (("behind, one seed", "equal", "open"), "Chosen for overlap:"),
    ],
)
def test_the_headline_follows_the_comparisons(findings: Findings, standings: tuple[str, ...], said: str) -> None:
    assert head(with_standings(findings, *standings)) == said


@pytest.mark.parametrize(
    ("standings", "said"),
    [
        (("equal", "ahead", "ahead"), "As good as the best in overlap, and simpler:"),
        (("equal", "open", "ahead"), "As good in overlap as the first on the threshold set, and simpler:"),
        (("equal", "behind", "ahead"), "Chosen for overlap:"),
    ],
)
def test_a_simpler_loss_is_not_called_the_best(findings: Findings, standings: tuple[str, ...], said: str) -> None:
    assert head(replaced_by_bce(with_standings(findings, *standings))) == said


def test_no_headline_contradicts_the_line_below(findings: Findings) -> None:
    """Of all that can stand together."""
    for standings in itertools.combinations_with_replacement(STANDINGS, 3):
        judged = with_standings(findings, *standings)
        for one in (judged, replaced_by_bce(judged)):
            below = sum_up(one)
            if "est overlap" in head(one) or "as the best" in head(one):
                assert not re.search("doubtful|not settled|settled in part|may be|did better", below, re.IGNORECASE)
            if "imilar" in head(one) or "as good" in head(one).lower():
                assert "did better" not in below


def test_the_headline_names_another_objective(findings: Findings) -> None:
    """Neither calls it the best in overlap, which did not choose it."""
    chosen = by_lesion_f1(findings)
    for standings in (("ahead",) * 3, ("behind",) * 3, ("equal", "open", "open")):
        assert head(with_standings(chosen, *standings)) == "Chosen by median lesion F1:"
    simpler = replaced_by_bce(by_lesion_f1(findings))
    assert head(with_standings(simpler, "equal", "open", "open")) == (
        "As good in overlap as the first by median lesion F1, and simpler:"
    )
    assert head(with_standings(simpler, "equal", "behind", "open")) == "Chosen by median lesion F1:"


def test_a_method_alone_is_not_called_the_best(findings: Findings) -> None:
    alone = with_frames(findings, pairs=findings.frames["pairs"].iloc[:0])
    assert head(alone) == "No other method to compare with; chosen:"
