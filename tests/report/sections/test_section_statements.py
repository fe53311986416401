"""What a study says about the paper's statements: printed values, tests, verdicts, and the words for them."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.losses import LOSSES
from cordlesion.report.sections.paper import printed_table
from cordlesion.report.sections.statements.claims import DICE_BASED, STATEMENTS, TVERSKY_BASED, WITHIN, Part, Statement
from cordlesion.report.sections.statements.measures import (
    Estimate,
    estimate,
    gain_by_tuning,
    sensitivity_at_half,
    tuned_threshold,
)
from cordlesion.report.sections.statements.table import count_verdicts, describe_statements, statements_table
from cordlesion.report.sections.statements.thresholds import compare_with_half
from cordlesion.report.sections.statements.verdicts import judge_statements, lead
from cordlesion.report.summary_tables import STATEMENT_ROWS
from cordlesion.statistics import contrast_test, plan_again
from cordlesion.study_folder.results import StudyResults


def estimated(mean: float, sd: float, n: int = 16) -> Estimate:
    """An effect over n subjects with this mean and standard deviation."""
    values = np.tile([-1.0, 1.0], n // 2)
    values = mean + sd * values / values.std(ddof=1)
    test = contrast_test([values[np.newaxis]], [1.0])
    return Estimate(test, plan_again(test, n, (), ()), n, n, 1, over_seeds=False)


def statement(*parts: tuple[str, Estimate | None], number: int = 1) -> Statement:
    made = tuple(Part(f"effect {k}", claim, "", lambda _, one=one: one) for k, (claim, one) in enumerate(parts))
    return Statement(number, "name", "Text.", "place", "quotation", "printed", "needs", made)


def judged(results: StudyResults, *statements: Statement) -> pd.DataFrame:
    numbered = [replace(one, number=number) for number, one in enumerate(statements, start=1)]
    return judge_statements(results, numbered)


@pytest.mark.parametrize(
    ("claim", "mean", "verdict"),
    [
        ("above 0", 0.3, "confirmed"),
        ("above 0", -0.3, "contradicted"),
        ("above 0", 0.01, "undecided"),
        ("below 0", -0.3, "confirmed"),
        ("below 0", 0.3, "contradicted"),
        ("within", 0.3, "contradicted"),
        ("within", 0.0, "undecided"),
    ],
)
def test_the_verdict_follows_the_side_of_the_effect(results, claim, mean, verdict):
    rows = judged(results, statement((claim, estimated(mean, 0.2))))
    assert rows["verdict"].tolist() == [verdict]


def test_within_is_confirmed_where_the_whole_interval_lies_inside(results):
    rows = judged(results, statement(("within", estimated(0.005, 0.02)))).iloc[0]
    assert -WITHIN < rows["low"] < rows["high"] < WITHIN
    assert rows["verdict"] == "confirmed"
    at_limit = judged(results, statement(("within", estimated(WITHIN, 0.001)))).iloc[0]
    assert at_limit["verdict"] == "undecided"


def test_a_statement_needs_all_its_parts_and_fails_by_one(results):
    sure, open_, against = estimated(0.3, 0.2), estimated(0.05, 0.2), estimated(-0.3, 0.2)
    rows = judged(
        results,
        statement(("above 0", sure), ("above 0", open_)),
        statement(("above 0", sure), ("above 0", against)),
        statement(("above 0", sure), ("above 0", None)),
        statement(("above 0", None), ("above 0", sure)),
    )
    verdicts = rows.groupby("statement")["verdict"].first().tolist()
    assert verdicts == ["undecided", "contradicted", "confirmed", "not asked"]
    assert rows["n_tested"].unique().tolist() == [3]


def test_p_values_are_corrected_over_the_statements_that_are_tested(results):
    alone = judged(results, statement(("above 0", estimated(0.12, 0.2))))
    together = judged(results, *[statement(("above 0", estimated(0.12, 0.2)))] * 3)
    assert alone["verdict"].tolist() == ["confirmed"]
    assert together["verdict"].tolist() == ["undecided"] * 3
    assert together["p_holm"].iloc[0] == pytest.approx(3 * alone["p_holm"].iloc[0])


def test_five_subjects_are_not_tested(results):
    values = np.linspace(0.3, 0.31, 5)
    test = contrast_test([values[np.newaxis]], [1.0])
    few = Estimate(test, plan_again(test, 5, (), ()), 5, 5, 1, over_seeds=False)
    assert judged(results, statement(("above 0", few)))["verdict"].tolist() == ["not asked"]


def test_needed_subjects_decide_in_four_of_five_studies(results):
    row = judged(results, statement(("above 0", estimated(0.1, 0.25)))).iloc[0]
    rng = np.random.default_rng(0)
    samples = rng.normal(row["value"], 0.25, (4000, 1, int(row["needed_subjects"])))
    test = contrast_test([samples], [1.0])
    found = ((test.p_value <= 0.05) & (test.difference > 0)).mean()
    assert found == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("n_seeds", "seed_sd"), [(1, 0.0), (3, 0.03), (5, 0.06)])
def test_studies_without_an_effect_rarely_confirm_or_contradict(n_seeds, seed_sd):
    """Two groups of losses that are equal, over subjects and seeds: at most 5 % of intervals miss 0."""
    from cordlesion.statistics import estimate_seed_noise

    rng = np.random.default_rng(2)
    shape = (5, 1500, n_seeds, 20)
    scores = rng.normal(0, 0.2, (1, 1500, 1, 20)) + rng.normal(0, 0.1, shape)
    scores = scores + rng.normal(0, seed_sd, (5, 1500, n_seeds, 1))
    weights = [0.5, 0.5, -1 / 3, -1 / 3, -1 / 3]
    noise = estimate_seed_noise(list(scores)) if n_seeds > 1 else []
    weighted = [one.weighted(weight) for one, weight in zip(noise, weights, strict=False)]
    false = (contrast_test(list(scores), weights, weighted).p_value <= 0.05).mean()
    assert 0.005 < false < 0.062


def test_tuned_thresholds_are_tested_over_subjects_and_seeds():
    """Simulated thresholds with known noise: the variance is that of their mean, and few equal ones differ from 0.5."""
    rng = np.random.default_rng(4)
    subject_sd, seed_sd, own_sd, n_seeds = 0.05, 0.06, 0.08, 3
    false, variances, means = [], [], []
    for _ in range(400):
        common, draws = rng.normal(0, subject_sd), rng.normal(0, subject_sd, 300)
        tuned, drawn = {}, {}
        for loss in "abcd":
            center = 0.5 + rng.normal(0, seed_sd, n_seeds) + common
            tuned[loss] = center + rng.normal(0, own_sd, n_seeds)
            drawn[loss] = tuned[loss][:, np.newaxis] + draws + rng.normal(0, own_sd, (n_seeds, 300))
        test, noise = compare_with_half(tuned, drawn, dict.fromkeys("abc", 1 / 3), 30)
        assert set(noise) == set("abcd")
        false.append(float(test.p_value) <= 0.05)
        variances.append(float(test.variance))
        means.append(float(test.difference))
    true = subject_sd**2 + (seed_sd**2 + own_sd**2) / (3 * n_seeds)
    assert np.var(means) == pytest.approx(true, rel=0.2)
    assert true < np.mean(variances) < 1.5 * true
    assert np.mean(false) < 0.07


def test_printed_values_are_those_of_the_papers_tables():
    half, tuned = (printed_table(tuned=kind).query("set == 'test'").set_index("loss") for kind in (False, True))
    precision, sensitivity = half["voxel_precision_median"], half["voxel_sensitivity_median"]
    dice, tversky, most = list(DICE_BASED), list(TVERSKY_BASED), [*DICE_BASED, *TVERSKY_BASED, "bce"]
    gains = tuned["voxel_f1_median"] - half["voxel_f1_median"]
    expected = [
        (precision - sensitivity)[dice].mean(),
        sensitivity[tversky].mean() - sensitivity[dice].mean(),
        gains["bce"],
        tuned["threshold"][most].mean() - 0.5,
        tuned["threshold"]["generalized_dice"] - 0.5,
        gains["tversky"],
    ]
    printed = [part.printed for one in STATEMENTS for part in one.parts if part.printed]
    assert [float(text.replace("−", "-")) for text in printed] == pytest.approx(expected, abs=0.0051)
    words = " ".join(one.printed for one in STATEMENTS)
    named = [*sensitivity[[*dice, *tversky]], *precision[dice], *tuned["threshold"].drop("sct")]
    assert all(f"{value:.2f}" in words for value in named)


def test_quotations_are_in_the_paper(shared):
    text = " ".join(shared("study", "paper_isbi2023.txt").read_text(encoding="utf-8").split())
    assert all(one.quotation in text for one in STATEMENTS)


def test_every_loss_of_the_statements_exists():
    assert {*DICE_BASED, *TVERSKY_BASED, "bce", "generalized_dice"} <= set(LOSSES)


def test_losses_that_a_study_lacks_are_not_asked_about(results):
    assert estimate(results, gain_by_tuning, ("combo",)) is None
    assert estimate(results, gain_by_tuning, ("bce",), less=("combo",)) is None
    assert estimate(results, gain_by_tuning, ("bce",)).n_seeds == 1


@pytest.fixture(scope="module")
def several_seeds(results) -> StudyResults:
    """The study with three seeds of each loss: two more with changed scores at the same thresholds."""

    def repeated(table: pd.DataFrame) -> pd.DataFrame:
        trained = table[table["seed"].notna()]
        parts = [table]
        for seed, factor in ((1, 0.9), (2, 0.97)):
            more = trained.assign(seed=seed)
            scores = [name for name in ("voxel_sensitivity", "voxel_precision", "voxel_f1") if name in more]
            noise = 1 - 0.02 * np.random.default_rng(seed).random((len(more), len(scores)))
            parts.append(more.assign(**dict(zip(scores, (more[scores] * factor * noise).to_numpy().T, strict=True))))
        return pd.concat(parts, ignore_index=True).astype({"seed": "Int64"})

    names = ("evaluation", "sweep", "thresholds", "written_thresholds")
    return replace(results, **{name: repeated(getattr(results, name)) for name in names})


def test_an_effect_is_tested_over_subjects_and_seeds(several_seeds):
    from cordlesion.statistics import estimate_seed_noise

    rows = several_seeds.evaluation.query("set == 'test' and threshold == 0.5 and reference_volume_mm3 > 0")
    scores = {
        loss: rows[rows["loss"] == loss].pivot(index="seed", columns="subject", values="voxel_sensitivity").to_numpy()
        for loss in ("bce", "dice", "tversky")
    }
    noise = estimate_seed_noise([one.astype(float) for one in scores.values()])
    expected = contrast_test([scores["tversky"], scores["dice"]], [1.0, -1.0], noise[1:])
    found = estimate(several_seeds, sensitivity_at_half, TVERSKY_BASED, less=DICE_BASED)
    assert (found.over_seeds, found.n_seeds) == (True, 3)
    assert float(found.test.difference) == pytest.approx(float(expected.difference))
    assert float(found.test.variance) == pytest.approx(float(expected.variance))
    assert float(found.test.p_value) == pytest.approx(float(expected.p_value))


def test_with_several_seeds_no_verdict_is_limited_to_these_trainings(several_seeds):
    rows = judge_statements(several_seeds)
    assert set(rows["over"].dropna()) == {"subjects and seeds"}
    assert rows["n_seeds"].dropna().unique().tolist() == [3]
    assert not any("these trainings" in one.text for one in describe_statements(rows))


def test_losses_with_one_seed_are_left_out_where_others_have_several(several_seeds):
    one = several_seeds.evaluation["loss"].eq("bce") & several_seeds.evaluation["seed"].gt(0).fillna(False)
    rows = several_seeds.thresholds["loss"].eq("bce") & several_seeds.thresholds["seed"].gt(0).fillna(False)
    mixed = replace(
        several_seeds,
        evaluation=several_seeds.evaluation[~one.to_numpy(bool)],
        thresholds=several_seeds.thresholds[~rows.to_numpy(bool)],
        written_thresholds=several_seeds.thresholds[~rows.to_numpy(bool)],
    )
    without = estimate(mixed, gain_by_tuning, ("dice", "tversky"))
    everything = estimate(mixed, gain_by_tuning)
    assert float(everything.test.difference) == float(without.test.difference)
    assert estimate(mixed, gain_by_tuning, ("bce",)).over_seeds is False
    thresholds = tuned_threshold(mixed)
    assert thresholds.over_seeds
    assert float(thresholds.test.difference) == pytest.approx(
        np.mean([t for run, t in mixed.tuned.items() if run.loss in ("dice", "tversky")]) - 0.5
    )


def test_rows_have_the_declared_columns_and_every_statement(results):
    rows = judge_statements(results)
    assert rows.columns.tolist() == list(STATEMENT_ROWS.names)
    assert rows["statement"].tolist() == [1, 2, 3, 4, 4, 5, 5, 6]


def test_words_and_table_name_what_was_not_asked(results):
    rows = judged(results, *[statement(("above 0", None))] * 6)
    said = describe_statements(rows)
    assert all(one.text.startswith("Not asked: ") for one in said)
    assert {row[3].main for group in statements_table(rows).groups for row in (("", *group.rows[0]),)} == {"not asked"}


def test_words_of_every_verdict(results):
    sure, open_ = estimated(0.3, 0.2), estimated(0.06, 0.2)
    rows = judged(results, *[statement(("above 0", sure))] * 2, *[statement(("above 0", open_))] * 4)
    assert count_verdicts(rows) == "Of 6 statements, 2 are confirmed and 4 are undecided."
    texts = [one.text for one in describe_statements(rows)]
    assert texts[0].startswith("Confirmed for these trainings. effect 0: +0.300 [+0.193, +0.407].")
    assert " If the effect is the one seen here, " in texts[2]
    assert "would decide. The paper: " in texts[2]
    tiny = judged(results, *[statement(("above 0", estimated(0.001, 0.2)))] * 6)
    assert "is not decided by 2000 test subjects" in describe_statements(tiny)[0].text


def test_lead_is_the_distance_to_the_limit():
    assert lead("above 0", 0.2) == 0.2
    assert lead("below 0", 0.2) == -0.2
    assert math.isclose(lead("within", -0.02), WITHIN - 0.02)
