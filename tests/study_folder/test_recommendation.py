"""Which run is recommended: chosen on the threshold set, replaced only by a simpler one that is as good."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.config import ComparatorConfig, LossConfig, StudyConfig
from cordlesion.report.page import compute_findings
from cordlesion.report.sections.recommendation.brief import write_brief
from cordlesion.study_folder.recommendation import number_losses, rank_runs, simplest
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run


def thresholds(**scores: float) -> pd.DataFrame:
    rows = [(*name.rsplit("_", 1), score) for name, score in scores.items()]
    table = pd.DataFrame(rows, columns=["loss", "seed", "score"])
    return table.assign(seed=pd.to_numeric(table["seed"], errors="coerce").astype("Int64"))


def names(runs: tuple[Run, ...]) -> list[str]:
    return [run.name for run in runs]


def test_a_loss_competes_by_the_middle_of_its_mean_and_its_best_seed() -> None:
    table = thresholds(lucky_0=0.30, lucky_1=0.60, steady_0=0.54, steady_1=0.56)
    # 0.525 of lucky's better seed, 0.555 of steady's.
    assert names(rank_runs(table)) == ["steady_seed-1", "steady_seed-0", "lucky_seed-1", "lucky_seed-0"]
    assert names(rank_runs(table, left_out=[Run("lucky", 0)]))[0] == "lucky_seed-1"
    assert rank_runs(table, left_out=[Run("lucky", 0), Run("lucky", 1), Run("steady", 0), Run("steady", 1)]) == ()


def test_a_method_without_seeds_competes_as_itself() -> None:
    table = thresholds(dice_0=0.3, dice_1=0.5, tool_x=0.46, dice_x=0.44)
    assert names(rank_runs(table)) == ["tool", "dice_seed-1", "dice", "dice_seed-0"]
    assert number_losses([Run("dice", 0), Run("dice", 1), Run("tool", None), Run("dice", None)]).tolist() == [
        0,
        0,
        1,
        2,
    ]


def test_of_equal_runs_the_first_listed_is_first() -> None:
    assert names(rank_runs(thresholds(b_0=0.5, a_0=0.5))) == ["b_seed-0", "a_seed-0"]


STUDY = StudyConfig(
    name="x",
    dataset="cohort",
    output="study",
    losses=(
        LossConfig(name="tversky"),
        LossConfig(name="log_cosh_dice"),
        LossConfig(name="bce"),
        LossConfig(name="bce", label="weighted", parameters={"lesion_weight": 2.0}),
    ),
    comparators=(ComparatorConfig(name="tool", maps="maps"),),
)


@pytest.mark.parametrize(
    ("good", "expected"),
    [
        (("tversky", "bce"), "bce"),
        (("bce", "log_cosh_dice"), "log_cosh_dice"),
        (("weighted", "tversky"), "weighted"),
        (("tool", "tversky"), "tversky"),
        (("tool",), "tool"),
        (("bce_ensemble", "tversky"), "tversky"),
        (("tool", "bce_ensemble"), "bce_ensemble"),
    ],
)
def test_the_simplest_has_fewest_parameters_and_is_named_first(good: tuple[str, ...], expected: str) -> None:
    assert simplest(good, STUDY) == expected
    assert simplest(good[::-1], STUDY) == expected


@pytest.fixture
def seeded(results: StudyResults) -> StudyResults:
    """Two seeds of three losses; tversky leads on the threshold set, and bce is as good on the test set."""
    tables = {}
    for name in ("thresholds", "written_thresholds", "evaluation", "sweep"):
        table = getattr(results, name)
        table = table[table["loss"] != "sct"]
        tables[name] = pd.concat([table.assign(seed=seed) for seed in (0, 1)], ignore_index=True)
    for name in ("thresholds", "written_thresholds"):
        tables[name]["score"] = tables[name]["loss"].map({"bce": 0.4, "dice": 0.45, "tversky": 0.5})
    evaluation = tables["evaluation"]
    scans = {scan: k for k, scan in enumerate(evaluation["scan_id"].unique())}
    place = evaluation["scan_id"].map(scans)
    score = 0.3 + place / 60 + np.where(evaluation["loss"] == "dice", 0.1 * (place % 3), 0)
    noise = 0.002 * np.sin(7 * place + 3 * evaluation["seed"]) * evaluation["loss"].map(len)
    evaluation["voxel_f1"] = (score + noise).where(evaluation["voxel_f1"].notna())
    return replace(results, **tables)


def test_a_simpler_loss_that_is_as_good_is_recommended(seeded: StudyResults) -> None:
    assert seeded.leader == Run("tversky", 0)
    assert seeded.equivalent == ("bce",)
    assert seeded.best == Run("bce", 0)
    findings = compute_findings(seeded)
    pairs = findings.frames["pairs"].set_index(["metric", "first", "second"])
    assert pairs.loc[("voxel_f1", "bce", "tversky"), "p_equivalent"] <= 0.05
    assert set(pairs["recommended"]) == {"tversky"}
    assert pairs.loc["voxel_f1"].loc[("bce", "tversky"), "sentence"].count("as good as each other within 0.05") == 1
    brief = write_brief(findings)
    assert brief.model.startswith("BCE")
    assert brief.head == "As good as the best in overlap, and simpler:"
    assert "; as good within 0.05 as Tversky, the first on the threshold set, and simpler; " in brief.found[0]
    assert brief.why.startswith("Model and threshold chosen by the median overlap (voxel F1)")
    assert "Tversky and BCE are as good within 0.05." in brief.reasons[0].text
    assert "This is about Tversky in the mean of its seeds, not about this one training" in brief.reasons[0].text


def test_losses_of_one_seed_are_never_equivalent(results: StudyResults) -> None:
    assert results.equivalent == ()
    assert results.best == results.leader
