import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.losses import run_scores
from cordlesion.report.page import compute_findings
from cordlesion.report.section import Findings
from cordlesion.report.sections.answers.questions import (
    answer_questions,
    ranking_answer,
    stability_answer,
    tuning_answer,
)
from cordlesion.report.sections.ranking.comparisons import compare_pairs, name_compared, summarize_seeds
from cordlesion.report.sections.ranking.ranks import summarize_ranks
from cordlesion.report.sections.ranking.tables import pairs_table
from cordlesion.report.sections.thresholds.tuning import tuning_verdict
from cordlesion.study_folder.results import StudyResults
from support.printed import signed


@pytest.fixture(scope="module")
def findings(results: StudyResults) -> Findings:
    return compute_findings(results)


def with_seeds(results: StudyResults, noise: float) -> StudyResults:
    """Three seeds of bce, dice and tversky; those of bce are far worse, and each seed is off by up to ``noise``."""
    tables = {}
    for name in ("thresholds", "evaluation", "sweep"):
        table = getattr(results, name)
        table = table[table["loss"] != "sct"]
        tables[name] = pd.concat([table.assign(seed=seed) for seed in (0, 1, 2)], ignore_index=True)
    evaluation = tables["evaluation"]
    shift = evaluation["loss"].map({"bce": -0.3, "dice": 0.0, "tversky": 0.0}) + noise * (evaluation["seed"] - 1)
    for metric in ("voxel_f1", "lesion_f1"):
        base = evaluation["scan_id"].map({scan: k / 50 for k, scan in enumerate(evaluation["scan_id"].unique())})
        evaluation[metric] = (0.5 + base + shift).where(evaluation[metric].notna())
    return replace(results, **tables)


def test_every_question_is_answered_with_intervals(findings: Findings) -> None:
    tuning, stability, ranking = answer_questions(findings)
    rows = findings.frames["tuning"]
    rows = rows[rows["metric"] == "voxel_f1"].set_index("loss")
    for loss, printed in (("bce", "BCE"), ("dice", "Dice"), ("tversky", "Tversky"), ("sct", "SCT")):
        row = rows.loc[loss]
        ends = f"[{signed(row['low'])}, {signed(row['high'])}]"
        assert f"{printed} ({signed(row['difference'])} {ends})" in tuning.text
    first, last = findings.frames["stability"].iloc[0], findings.frames["stability"].iloc[-1]
    assert f"changes the V-F1 of Tversky least: by {first['change']:.3f} [{first['low']:.3f}" in stability.text
    assert f"BCE most: by {last['change']:.3f} [{last['low']:.3f}, {last['high']:.3f}]" in stability.text
    assert "more than chance" in stability.text
    ranks = findings.frames["ranks"]
    first = {"bce": "BCE", "dice": "Dice", "tversky": "Tversky"}[ranks.loc[ranks["rank"] == 1, "loss"].iloc[0]]
    assert ranking.text.startswith(f"On the test set {first} has rank 1 of 4 (95 % interval ")
    assert ranking.text.endswith("for others of the same losses it is unknown.")


def test_what_tuning_does_follows_the_corrected_test() -> None:
    named = {"metric": "voxel_f1", "difference": 0.1, "low": 0.0, "high": 0.2, "n": 9, "n_subjects": 9}
    above, below = {"low": 0.05}, {"difference": -0.1, "low": -0.2, "high": -0.05}
    rows = [
        {**named, **above, "loss": "bce", "effect": 0.9, "p_value": 0.001, "p_holm": 0.004},
        {**named, **below, "loss": "dice", "effect": -0.9, "p_value": 0.002, "p_holm": 0.006},
        {**named, "loss": "combo", "effect": 0.5, "p_value": 0.04, "p_holm": 0.08},
        {**named, "loss": "tversky", "effect": 0.0, "p_value": np.nan, "p_holm": np.nan},
        # One large change up and two small ones down: an effect of 0, and not "no change".
        {**named, "loss": "focal", "effect": 0.0, "p_value": np.nan, "p_holm": np.nan, "n_subjects": 3},
    ]
    text = tuning_answer(pd.DataFrame(rows), "Table 4a")
    ends = r"\(\+0.10 \[0.00, \+0.20\]\)"
    assert re.match(
        r"It helps BCE \(\+0.10 \[\+0.05, \+0.20\]\)\. It harms Dice \(−0.10 \[−0.20, −0.05\]\)\. "
        rf"For Combo {ends} the effect is unclear \(p above 0.05 after Holm's correction, or an interval with 0\)\. "
        rf"For Tversky {ends} it changes no scan\. There are too few subjects to test it for Focal {ends}\.",
        text,
    )


@pytest.mark.parametrize(
    ("difference", "low", "high", "effect", "p_holm", "verdict"),
    [
        (0.10, 0.02, 0.2, 0.9, 0.01, "helps"),
        (0.10, 0.0, 0.2, 0.9, 0.01, "undecided"),
        (0.0, 0.0, 0.025, 0.9, 0.01, "undecided"),  # as of 14 zeros, 8 gains and 4 tiny losses
        (0.10, np.nan, np.nan, 0.9, 0.01, "undecided"),
        (0.10, 0.02, 0.2, 0.9, 0.06, "undecided"),
        (0.10, 0.02, 0.2, -0.1, 0.01, "undecided"),
        (0.003, 0.001, 0.004, 0.9, 0.01, "negligible"),
        (-0.003, -0.004, -0.001, -0.9, 0.01, "negligible"),
        (-0.10, -0.2, -0.02, -0.9, 0.01, "harms"),
        (-0.10, -0.2, 0.0, -0.9, 0.01, "undecided"),
    ],
)
def test_tuning_helps_where_p_direction_and_interval_agree(
    difference: float, low: float, high: float, effect: float, p_holm: float, verdict: str
) -> None:
    row = {"n_subjects": 26, "difference": difference, "low": low, "high": high, "effect": effect, "p_value": p_holm}
    assert tuning_verdict(pd.Series(row | {"p_holm": p_holm})) == verdict


def test_where_there_is_no_interval_none_is_printed() -> None:
    row = {
        "metric": "voxel_f1",
        "difference": 0.1,
        "low": np.nan,
        "high": np.nan,
        "n": 9,
        "n_subjects": 3,
        "loss": "bce",
    }
    untested = dict.fromkeys(("effect", "p_value", "p_holm"), np.nan)
    assert "to test it for BCE (+0.10). Median" in tuning_answer(pd.DataFrame([row | untested]), "Table 4a")


def test_few_subjects_are_not_called_chance() -> None:
    row = {"loss": "bce", "n": 9, "change": 0.1, "low": np.nan, "high": np.nan}
    more = {"excess": 0.2, "excess_low": np.nan, "excess_high": np.nan, "p_value": np.nan, "p_all_pairs": np.nan}
    more["n_subjects"] = 3
    table = pd.DataFrame([{**row, **dict.fromkeys(more, np.nan)}, {**row, **more, "loss": "dice"}])
    text = stability_answer(table, "Table 4b")
    assert "Dice, the next, changes by 0.200 more: too few subjects to test it (Table 4b)." in text
    assert "–" not in text


@pytest.mark.parametrize(
    ("noise", "said"),
    [(0.0, "Dice beats BCE"), (0.4, "on these subjects, but seed noise may explain")],
)
def test_the_ranking_is_set_against_the_noise_between_seeds(results: StudyResults, noise: float, said: str) -> None:
    seeded = with_seeds(results, noise)
    pairs, seeds, ranks = compare_pairs(seeded), summarize_seeds(seeded), summarize_ranks(seeded)
    text = ranking_answer(pairs, seeds, ranks, several=True)
    assert said in text
    assert "V-F1, of the 2 comparisons with " in text
    assert "Of 4 exploratory comparisons (V-F1 and L-F1), " in text
    medians = run_scores(seeded, "test", tuned=True).groupby(["loss", "seed"])["voxel_f1"].median().unstack()
    assert f"{medians.var(axis=1).mean() ** 0.5:.3f} between seeds of one loss" in text
    assert ("which does not show that there is none" in text) == (noise > 0)


def test_few_subjects_are_called_so_in_table_sentence_and_answer_alike(results: StudyResults) -> None:
    """Of three scans: what the table, the sentences and the answer say is one verdict."""
    evaluation = results.evaluation
    bearing = evaluation[(evaluation["set"] == "test") & (evaluation["reference_volume_mm3"] > 0)]
    dropped = sorted(set(bearing["scan_id"]))[3:]
    few = replace(results, evaluation=evaluation[~evaluation["scan_id"].isin(dropped)])
    found = compute_findings(few)
    pairs = found.frames["pairs"]
    assert set(pairs["n_scans"]) == {3}
    (group, *_) = pairs_table(few, pairs).groups
    assert {row[2].text for row in group.rows} == {"too few subjects"}
    assert pairs["sentence"].str.contains("cannot be compared in .*: at least 6 subjects are needed").all()
    *_, ranking = answer_questions(found)
    said = "3 cannot be compared on fewer than 6 subjects."
    best = f"of the 3 comparisons with {few.label(few.best)}"
    assert f"V-F1, {best}: {said} Of 9 exploratory comparisons (V-F1 and L-F1), none is decided." in ranking.text


def test_comparators_are_not_called_losses(results: StudyResults, findings: Findings) -> None:
    pairs = findings.frames["pairs"]
    assert name_compared(pairs) == "losses and comparators"
    assert pairs_table(results, pairs).lead.startswith("Every pair of losses and comparators: test set")
    seeded = compare_pairs(with_seeds(results, 0.0))
    assert name_compared(seeded) == name_compared(seeded.iloc[:0]) == "losses"


def test_a_verdict_about_a_method_without_seeds_says_so(results: StudyResults) -> None:
    seeded = with_seeds(results, 0.0)
    pairs, seeds, ranks = compare_pairs(seeded), summarize_seeds(seeded), summarize_ranks(seeded)
    assert "as far as there are seeds" not in ranking_answer(pairs, seeds, ranks, several=True)
    pairs.loc[pairs["first"] == "bce", "n_seeds_first"] = 0
    text = ranking_answer(pairs, seeds, ranks, several=True)
    assert "beyond noise between subjects and seeds (as far as there are seeds: BCE was not trained here)" in text


def test_sentences_have_printed_names_and_real_minus_signs(findings: Findings) -> None:
    text = " ".join(findings.frames["pairs"]["sentence"])
    assert "Tversky and BCE" in text
    assert "V-F1" in text
    assert " −0." in text
    assert not re.search(r"-\d", text)
