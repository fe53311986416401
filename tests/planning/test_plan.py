"""Plans: the pilot and its file, power of tuning against the report's own verdict, tables, words, figure, command."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.planning.answers import describe_plan
from cordlesion.planning.figure import plot_plan
from cordlesion.planning.pilot import EXAMPLE, Pilot, measure_pilot, read_pilot, save_pilot
from cordlesion.planning.plan import Sizes, make_plan
from cordlesion.planning.tables import BEATS, DECLARED, PLAN, THRESHOLD, TUNING
from cordlesion.planning.tuning import _lower_ends as lower_ends
from cordlesion.planning.tuning import median_gain, tuning_power
from cordlesion.report.sections.thresholds.tuning import tuning_verdict
from cordlesion.statistics import ScoreComponents, estimate_components, holm, median_interval, wilcoxon

SMALL = Sizes(gaps=(0.1, 0.2), subjects=(10, 40), seeds=(3, 10), scans_per_subject=(1, 2))
GAINS = {
    "bce": [[0.1, 0.14], [0.0], [0.3], [-0.05], [0.12], [0.2], [0.04, -0.02], [0.15]],
    "dice": [[0.0], [0.01], [-0.02], [0.0], [0.0], [0.03], [-0.01], [0.0]],
    "tversky": [[0.05], [0.06], [0.04, 0.05], [0.05], [0.06], [0.07], [0.03], [0.05]],
}


@pytest.fixture(scope="module")
def pilot(results) -> Pilot:
    return measure_pilot(results)


@pytest.fixture(scope="module")
def plan(pilot):
    return make_plan(pilot, read_pilot(), SMALL)


def test_a_pilot_is_measured_from_the_test_scans_of_the_trained_losses(results, pilot):
    scans = results.evaluation[(results.evaluation["set"] == "test") & results.evaluation["seed"].notna()]
    scans = scans[scans["threshold"] == scans["loss"].map({run.loss: t for run, t in results.tuned.items()})]
    wide = scans.pivot(index="scan_id", columns="loss", values="voxel_f1").dropna()
    found = estimate_components(
        [wide[[loss]].to_numpy().T for loss in ("bce", "dice", "tversky")], np.arange(len(wide))
    )
    assert pilot.components == found
    assert pilot.components.seed is None
    assert list(pilot.gains) == ["bce", "dice", "tversky"]
    half = results.evaluation[(results.evaluation["set"] == "test") & (results.evaluation["threshold"] == 0.5)]
    bce = wide["bce"] - half[half["loss"] == "bce"].set_index("scan_id")["voxel_f1"]
    assert median_gain(pilot.gains["bce"]) == pytest.approx(bce.median(), abs=1e-3)
    assert all(set(widths) == set(pilot.threshold_widths["bce"]) for widths in pilot.threshold_widths.values())
    assert "3 losses, 1 seed of each, 9 test scans of 9 subjects" in pilot.origin


def test_a_saved_pilot_gives_the_same_plan(pilot, plan, tmp_path):
    save_pilot(pilot, tmp_path / "pilot.json")
    again = make_plan(read_pilot(tmp_path / "pilot.json"), read_pilot(), SMALL)
    pd.testing.assert_frame_equal(again.table, plan.table, rtol=1e-3)
    save_pilot(again.pilot, tmp_path / "twice.json")
    assert json.loads((tmp_path / "twice.json").read_text())["gains"] == pilot.gains


def test_the_pilot_in_the_package_can_be_planned_from():
    found = read_pilot()
    assert found.components.seed is not None
    assert found.n_losses >= 3
    assert found.gains
    assert found.threshold_widths
    assert EXAMPLE.stat().st_size < 100_000


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[]", "list"),
        ("{}", "not a pilot"),
        ("nonsense", "JSON"),
        ('{"name": "a", "components": {"subject": "x"}}', "not a pilot"),
    ],
)
def test_another_file_is_refused_in_one_sentence(content, fault, tmp_path):
    path = tmp_path / "pilot.json"
    path.write_text(content)
    with pytest.raises(CordlesionError, match=fault) as caught:
        read_pilot(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_pilot_and_an_output_over_it_are_refused(cli, pilot, tmp_path):
    assert "no such file or folder" in cli("plan", tmp_path / "absent", "-o", tmp_path / "plan").error
    save_pilot(pilot, tmp_path / "pilot.json")
    before = (tmp_path / "pilot.json").read_bytes()
    ended = cli("plan", tmp_path / "pilot.json", "-o", tmp_path / "plan", "--save-components", tmp_path / "pilot.json")
    assert ended.status == 2
    assert (tmp_path / "pilot.json").read_bytes() == before
    assert not (tmp_path / "plan").exists()


def test_a_pilot_for_another_score_is_refused(pilot, tmp_path):
    save_pilot(pilot, tmp_path / "pilot.json")
    with pytest.raises(CordlesionError, match="is a pilot for voxel_f1"):
        read_pilot(tmp_path / "pilot.json", "lesion_f1")


def test_the_table_has_a_row_per_question_and_size(plan):
    table = plan.table
    assert table.columns.tolist() == list(PLAN.names)
    counts = table["question"].value_counts()
    assert counts[BEATS] == counts[DECLARED] == 2 * 2 * 2 * 2
    assert counts[TUNING] == 3 * 2
    assert not table.duplicated(list(PLAN.key)).any()
    power = table[table["question"].isin([BEATS, DECLARED])]
    assert (power["low"] <= power["value"] + 1e-9).all()
    assert (power["value"] <= power["high"] + 1e-9).all()


def test_more_seeds_scans_and_larger_gaps_raise_the_power_and_a_declared_comparison_has_more(plan):
    power = plan.table[plan.table["question"].isin([BEATS, DECLARED])]
    keys = ["question", "scans_per_subject", "n_seeds", "gap", "n_subjects"]
    wide = power.set_index(keys)["value"]
    for key in keys:
        others = [name for name in keys if name != key]
        values = wide.reset_index().sort_values(key, key=None if key != "question" else lambda q: q == DECLARED)
        assert (values.groupby(others)["value"].diff().dropna() >= -0.02).all(), key


def test_one_seed_borrows_the_noise_of_the_example_and_says_so(plan):
    assert plan.borrowed
    assert plan.pilot.components.seed is None
    assert plan.components.seed == read_pilot().components.seed
    assert any("noise between seeds is unknown" in line for line in describe_plan(plan))


def test_tuning_power_is_how_often_the_report_would_say_that_it_helps():
    """The same draws of subjects, tested with the functions of the report."""
    n, n_draws = 12, 150
    power = tuning_power(GAINS, n)
    rng = np.random.default_rng(1)
    helps = dict.fromkeys(GAINS, 0)
    for _ in range(n_draws):
        drawn = rng.integers(8, size=n)
        rows = {}
        for loss, gains in GAINS.items():
            values = [gain for subject in drawn for gain in gains[subject]]
            owners = [place for place, subject in enumerate(drawn) for _ in gains[subject]]
            test = wilcoxon(np.zeros(len(values)), values, owners)
            low, high = median_interval(values, owners)
            rows[loss] = {
                "n_subjects": n, "p_value": test.p_value if test.n_nonzero else np.nan, "effect": test.rank_biserial,
                "low": low, "high": high, "difference": np.median(values),
            }  # fmt: skip
        corrected = holm([row["p_value"] for row in rows.values()])
        for (loss, row), p in zip(rows.items(), corrected, strict=True):
            helps[loss] += tuning_verdict(pd.Series(row | {"p_holm": p})) == "helps"
    for loss, count in helps.items():
        assert power[loss] == pytest.approx(count / n_draws, abs=0.09), loss
    assert power["tversky"] > 0.9 > 0.1 > power["dice"]


def test_lower_ends_of_many_medians_are_those_of_single_intervals():
    values = np.random.default_rng(0).normal(0.1, 1, (20, 13)).round(1)
    expected = [median_interval(one, range(13))[0] for one in values]
    assert lower_ends(values) == pytest.approx(expected)


def test_few_subjects_never_show_that_tuning_helps():
    assert tuning_power(GAINS, 5) == dict.fromkeys(GAINS, 0.0)


@pytest.mark.parametrize(
    ("sizes", "n_losses", "fault"),
    [
        (replace(SMALL, seeds=(1, 3)), None, "1 seed"),
        (replace(SMALL, gaps=(0.0,)), None, "A gap of 0"),
        (replace(SMALL, power=1.0), None, "A power of 1"),
        (SMALL, 1, "1 losses"),
    ],
)
def test_impossible_sizes_are_refused(pilot, sizes, n_losses, fault):
    with pytest.raises(CordlesionError, match=fault):
        make_plan(pilot, read_pilot(), sizes, n_losses)


def test_the_answer_names_the_first_number_that_is_enough(pilot):
    quiet = ScoreComponents(0.03, 0.02, 0.004, 0.0, 1e-4, 0.0, 0.002, 7, 3, 20, 20)
    plan = make_plan(replace(pilot, components=quiet), read_pilot(), replace(SMALL, gaps=(0.1,), seeds=(3, 5)))
    needed = plan.needed(0.1, 3)
    test = quiet.plan(n_losses=7, n_seeds=3)
    assert (
        test.power(0.1, needed.subjects, level=0.05 / 6) >= 0.8 > test.power(0.1, needed.subjects - 1, level=0.05 / 6)
    )
    assert needed.fewest <= needed.subjects <= needed.most
    line = next(line for line in describe_plan(plan) if "gap 0.10, corrected for 6 comparisons" in line)
    assert f"about {needed.subjects} ({needed.fewest} to {needed.most}) with 3 seeds" in line


def test_the_figure_has_a_panel_per_gap_and_two_more(plan):
    figure = plot_plan(plan)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] == ["A beats B: true gap 0.10", "A beats B: true gap 0.20"]
    assert len(titles) == 4


def test_the_command_writes_a_table_a_figure_and_an_answer(cli, tmp_path, study_copy):
    small = ["--gap", "0.2", "--subjects", "10", "--seeds", "3", "--scans-per-subject", "1"]
    ended = cli("plan", study_copy, "-o", tmp_path / "plan", "--save-components", tmp_path / "p.json", *small)
    assert ended.status == 0, ended.error
    assert "beats another" in ended.output
    assert (tmp_path / "plan" / "plan.png").stat().st_size > 10_000
    table = read_table(tmp_path / "plan" / "plan.tsv", PLAN)
    assert set(table["question"]) >= {BEATS, DECLARED, TUNING}
    again = cli("plan", tmp_path / "p.json", "-o", tmp_path / "again", "--figure-format", "svg", *small)
    assert again.output == ended.output
    assert (tmp_path / "again" / "plan.svg").is_file()


def test_a_study_with_one_loss_is_no_pilot(cli, study_copy):
    names = ("evaluation", "sweep", "thresholds", "rules", "strata", "froc", "calibration", "reliability")
    for name in (*names, "operating_points", "lesion_probabilities", "multi_spine"):
        if not (study_copy / f"{name}.tsv").is_file():
            continue
        table = pd.read_csv(study_copy / f"{name}.tsv", sep="\t", keep_default_na=False)
        table[table["loss"] == "bce"].to_csv(study_copy / f"{name}.tsv", sep="\t", index=False)
    ended = cli("plan", study_copy, "-o", study_copy / "plan")
    assert ended.status == 2
    assert "has 1 trained losses" in ended.error
    assert not (study_copy / "plan").exists()


def test_widths_shrink_with_the_subjects_of_the_threshold_set(pilot):
    for widths in pilot.threshold_widths.values():
        assert widths[120] <= widths[5]
    assert THRESHOLD in set(make_plan(pilot, read_pilot(), SMALL).table["question"])


def test_the_line_in_the_documentation_is_what_the_pilot_in_the_package_gives():
    page = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"```text\n(.*)\n```", page)
    example = read_pilot()
    assert line in [text.strip() for text in describe_plan(make_plan(example, example, Sizes()))]
