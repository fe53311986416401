import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.sections.answers.operating_point import summarize_operating_points
from cordlesion.report.sections.ranking.comparisons import compare_pairs
from cordlesion.report.sections.ranking.ranks import summarize_ranks
from cordlesion.report.sections.recommendation.assurance import change_from_half, sure_of_model, sure_of_threshold
from cordlesion.report.sections.thresholds.tuning import summarize_tuning
from cordlesion.study_folder.results import StudyResults
from support.printed import signed


@pytest.fixture(scope="module")
def pairs(results: StudyResults) -> pd.DataFrame:
    return compare_pairs(results)


@pytest.fixture(scope="module")
def ranks(results: StudyResults) -> pd.DataFrame:
    return summarize_ranks(results)


@pytest.mark.parametrize(
    ("verdict", "lead", "said"),
    [
        ("undecided", 0.1, "Not settled. Tversky is not shown to differ from"),
        ("within seed noise", 0.1, "but noise between seeds may explain it (a true difference of"),
        ("too few subjects", 0.1, "There are too few subjects to compare it with"),
        (
            "seed noise unknown",
            0.1,
            "Ahead on these scans, but trained once. Its masks overlap",
        ),
        ("seed noise unknown", -0.1, "Doubtful. The masks of"),
        ("better", 0.1, "Ahead on these scans, but noise between trainings is not known for all. Its masks overlap"),
        ("better", -0.1, "overlap the reference better on the test set, beyond chance. The choice follows"),
    ],
)
def test_the_model_is_as_sure_as_its_comparisons(
    results: StudyResults, pairs: pd.DataFrame, ranks: pd.DataFrame, verdict: str, lead: float, said: str
) -> None:
    best = results.best.loss
    side = np.where(pairs["second"] == best, lead, -lead)
    text = sure_of_model(results, pairs.assign(verdict=verdict, difference=side), ranks)
    assert said in text
    others = [results.label(run) for run in results.runs if run.loss != best]
    assert all(name in text for name in others)
    assert not (lead < 0 and "ahead" in text)
    assert "Settled" not in text
    trained = pairs.assign(verdict=verdict, difference=side, n_seeds_first=3, n_seeds_second=3)
    assert ("Settled on these scans. " in sure_of_model(results, trained, ranks)) == (verdict == "better" and lead > 0)


def test_the_comparison_is_one_of_losses_where_the_model_is_one_of_several_seeds(
    results: StudyResults, pairs: pd.DataFrame, ranks: pd.DataFrame
) -> None:
    assert "this one training" not in sure_of_model(results, pairs, ranks)
    again = replace(results.best, seed=7)
    rows = results.evaluation[results.evaluation["loss"] == again.loss].assign(seed=7).astype({"seed": "Int64"})
    several = replace(results, evaluation=pd.concat([results.evaluation, rows], ignore_index=True))
    text = sure_of_model(several, pairs, ranks)
    assert text.endswith(" This is about Tversky in the mean of its seeds, not about this one training.")
    of_runs = pd.DataFrame({"of": "run", "loss": again.loss, "seed": [0, 7], "rank": [2, 1]}).astype({"seed": "Int64"})
    both = pd.concat([ranks, of_runs], ignore_index=True)
    assert sure_of_model(several, pairs, both).endswith(
        "this one training; the recommended one has rank 2 of the 2 models."
    )


def test_a_lead_over_some_is_counted(results: StudyResults, pairs: pd.DataFrame, ranks: pd.DataFrame) -> None:
    best = results.best.loss
    first = (pairs["first"] == best) | (pairs["second"] == best)
    other = pairs["first"].where(pairs["second"] == best, pairs["second"])
    beaten = other == other[first].iloc[0]
    lead = np.where(pairs["second"] == best, 0.1, -0.1)
    mixed = pairs.assign(verdict=np.where(beaten, "better", "undecided"), difference=lead)
    assert sure_of_model(results, mixed, ranks).startswith("Settled in part. Its masks")
    once = mixed.assign(verdict=mixed["verdict"].replace("better", "seed noise unknown"))
    assert sure_of_model(results, once, ranks).startswith("Not settled. Its masks")


def test_the_rank_and_equivalence_are_said(results: StudyResults, pairs: pd.DataFrame, ranks: pd.DataFrame) -> None:
    equal = pairs.assign(p_equivalent=0.01)
    text = sure_of_model(results, equal, ranks)
    assert text.startswith("Settled on these scans. Tversky and BCE, Dice and SCT are as good within 0.05.")
    row = ranks[ranks["loss"] == "tversky"].iloc[0]
    stands = f"rank {row['rank']} of 4 (95 % interval {row['rank_low']} to {row['rank_high']})"
    assert f"On the test set it has {stands}, the best with a probability of " in text


def test_where_a_simpler_loss_is_recommended_the_other_is_named(
    results: StudyResults, pairs: pd.DataFrame, ranks: pd.DataFrame
) -> None:
    replaced = replace(results)
    # The property is read once and then kept.
    replaced.__dict__["best"] = next(run for run in results.ranked if run.loss == "bce")
    side = np.where(pairs["second"] == "tversky", 0.1, -0.1)
    text = sure_of_model(
        replaced, pairs.assign(verdict="better", difference=side, n_seeds_first=3, n_seeds_second=3), ranks
    )
    assert "Tversky’s masks overlap the reference better than those of BCE, Dice and SCT" in text
    assert "On the test set Tversky has rank" in text


def test_the_threshold_is_as_sure_as_its_interval(results: StudyResults) -> None:
    chosen = results.written_thresholds
    mine = chosen[chosen["loss"] == results.best.loss].iloc[0]
    text = sure_of_threshold(results)
    where = f"between {mine['interval_low']:.2f} and {mine['interval_high']:.2f}"
    assert f"With other subjects of this kind, tuning would choose one {where} roughly 8 times in 10." in text
    many = replace(results, written_thresholds=chosen.assign(n_subjects=10))
    assert f"{where} roughly 9 times in 10." in sure_of_threshold(many)
    if mine["plateau_low"] < mine["plateau_high"]:
        within = mine["plateau_low"] <= 0.5 <= mine["plateau_high"]
        assert text.endswith("; 0.5 does too." if within else "; 0.5 does not.")
    unknown = replace(results, written_thresholds=chosen.assign(interval_low=np.nan, interval_high=np.nan))
    assert sure_of_threshold(unknown).startswith("Unknown: fewer than 5 subjects")
    narrow = replace(results, written_thresholds=chosen.assign(plateau_low=0.4, plateau_high=0.4))
    assert "no other threshold of the grid" in sure_of_threshold(narrow)


def test_what_changes_against_half_is_counted(results: StudyResults) -> None:
    operation, tuning = summarize_operating_points(results), summarize_tuning(results)
    rows = operation[operation["loss"] == results.best.loss].set_index("tuned")
    text = change_from_half(results, tuning, operation)
    more = int(rows.loc[True, "n_found"] - rows.loc[False, "n_found"])
    assert f"it finds {abs(more)} {'more' if more > 0 else 'fewer'} of {rows.loc[True, 'n_lesions']} lesions" in text
    false = rows.loc[True, "false"] - rows.loc[False, "false"]
    assert f"{abs(false):.1f} {'more' if false > 0 else 'fewer'} false positives per scan" in text
    row = tuning[(tuning["loss"] == results.best.loss) & (tuning["metric"] == "voxel_f1")].iloc[0]
    changed = f"{signed(row['difference'])} [{signed(row['low'])}, {signed(row['high'])}]"
    assert f"Within a scan the overlap changes by {changed} in the median (" in text
    bare = change_from_half(results, tuning.assign(low=np.nan, high=np.nan), operation)
    assert f"overlap changes by {signed(row['difference'])} in the median (" in bare


@pytest.mark.parametrize(
    ("free", "said"),
    [
        ((4, 1), " 1 of 6 lesion-free scans has none, 4 at 0.5. "),
        ((2, 2), " 2 of 6 lesion-free scans have none, as many as at 0.5. "),
    ],
)
def test_lesion_free_scans_without_a_false_positive_are_counted(
    results: StudyResults, free: tuple[int, int], said: str
) -> None:
    operation = summarize_operating_points(results)
    counted = operation.assign(n_free=6, n_clean=np.where(operation["tuned"], free[1], free[0]))
    assert said in change_from_half(results, summarize_tuning(results), counted)
    assert "lesion-free" not in change_from_half(results, summarize_tuning(results), counted.assign(n_free=0))


def test_without_lesions_that_count_only_false_ones_are_named(results: StudyResults) -> None:
    none = summarize_operating_points(results).assign(n_lesions=0, n_found=0)
    text = change_from_half(results, summarize_tuning(results), none)
    assert re.match(r"Against 0\.5 it marks (about as many|\d+\.\d (more|fewer)) false positives per scan\.", text)
