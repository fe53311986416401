"""Further threshold rules against the one threshold: every number once more with pandas and scipy."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cordlesion.report.sections.threshold_rules import (
    SECTION,
    _compare,
    better_rule,
    summarize_threshold_rules,
    threshold_rules_remark,
    threshold_rules_table,
)
from cordlesion.study_folder.results import read_results
from support.fake_study import RUNS, add_rules

LOSSES = tuple(loss for loss, _ in RUNS)


@pytest.fixture(scope="module")
def folder(fake_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules") / "study"
    shutil.copytree(fake_study.folder, folder)
    add_rules(folder)
    return folder


@pytest.fixture(scope="module")
def with_rules(folder):
    return read_results(folder)


@pytest.fixture(scope="module")
def summary(with_rules):
    return summarize_threshold_rules(with_rules)


def holm(p):
    """Holm's correction, step by step."""
    adjusted, largest = {}, 0.0
    for step, name in enumerate(sorted(p, key=p.get)):
        largest = max(largest, min(1.0, (len(p) - step) * p[name]))
        adjusted[name] = largest
    return adjusted


def scans(folder, loss):
    """The test scans of a loss by the one threshold and by the rule, from the files."""
    evaluation, rules, thresholds = (
        pd.read_csv(folder / f"{name}.tsv", sep="\t") for name in ("evaluation", "threshold_rules", "thresholds")
    )
    t = thresholds.set_index("loss").loc[loss, "threshold"]
    rows = evaluation[(evaluation["set"] == "test") & (evaluation["loss"] == loss) & (evaluation["threshold"] == t)]
    return rows.set_index("scan_id"), rules[rules["loss"] == loss].set_index("scan_id").loc[rows["scan_id"]]


def values(rows, metric):
    if metric == "false_lesions":
        return rows["n_predicted_lesions"] - rows["n_true_predicted_lesions"]
    if metric == "specificity":
        free = rows[rows["reference_volume_mm3"] == 0]
        return (free["n_predicted_lesions"] == 0).astype(float)
    return rows[metric].dropna()


def test_means_differences_and_tests_are_those_of_the_files(folder, summary):
    assert list(dict.fromkeys(summary["loss"])) == list(LOSSES)
    p = {}
    for loss in LOSSES:
        one, other = scans(folder, loss)
        for metric in ("lesion_f1", "voxel_f1", "false_lesions", "specificity"):
            first, second = values(one, metric), values(other, metric)
            both = pd.concat([first, second], axis=1, keys=["first", "second"]).dropna()
            people = both.groupby(one["subject"].loc[both.index]).mean()
            change = people["second"] - people["first"]
            row = summary[(summary["loss"] == loss) & (summary["metric"] == metric)].iloc[0]
            assert (row["n"], row["n_subjects"]) == (len(both), len(change))
            of = both if metric == "specificity" else people
            assert row["reference"] == pytest.approx(of["first"].mean())
            assert row["value"] == pytest.approx(of["second"].mean())
            assert row["difference"] == pytest.approx(of["second"].mean() - of["first"].mean())
            nonzero = change[change.round(12) != 0]
            expected = stats.wilcoxon(nonzero, method="exact").pvalue if len(nonzero) else 1.0
            if len(set(nonzero.abs().round(12))) == len(nonzero):  # scipy has no exact test with ties
                assert row["p_value"] == pytest.approx(expected)
            if metric != "specificity" and change.std() > 0:
                half = stats.t.isf(0.025, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
                assert (row["low"], row["high"]) == pytest.approx((change.mean() - half, change.mean() + half))
            p[loss, metric] = row["p_value"]
    for metric in ("lesion_f1", "voxel_f1", "false_lesions", "specificity"):
        adjusted = holm({loss: p[loss, metric] for loss in LOSSES})
        mine = summary[summary["metric"] == metric].set_index("loss")["p_holm"]
        assert mine.to_dict() == pytest.approx(adjusted)


def test_a_share_of_scans_and_its_interval_are_of_the_same_scans():
    """28 subjects with one scan and no change, 12 with six scans that the rule keeps clean."""
    subjects = np.r_[np.arange(28), np.repeat(np.arange(28, 40), 6)]
    second = np.where(subjects < 28, np.arange(100) % 2, 1.0)
    first = np.where(subjects < 28, second, 0.0)
    row = _compare(pd.DataFrame({"subject": subjects, "first": first, "second": second}), "specificity")
    assert (row["reference"], row["value"], row["difference"]) == pytest.approx((0.14, 0.86, 0.72))
    assert row["low"] < row["difference"] < row["high"]
    assert (row["n"], row["n_subjects"]) == (100, 40)
    of_subjects = _compare(pd.DataFrame({"subject": subjects, "first": first, "second": second}), "lesion_f1")
    assert of_subjects["difference"] == pytest.approx(12 / 40)
    assert of_subjects["low"] < 12 / 40 < of_subjects["high"]


def test_the_table_has_a_row_of_the_one_threshold_and_one_of_the_rule(with_rules, summary):
    table = threshold_rules_table(with_rules, summary)
    assert [group.name for group in table.groups] == ["BCE", "Dice", "Tversky", "SCT"]
    one, other = table.groups[0].rows
    row = summary[(summary["loss"] == "bce") & (summary["metric"] == "lesion_f1")].iloc[0]
    assert (one[0].main, other[0].main) == ("global", "peak")
    assert one[2].main == f"{row['reference']:.2f}"
    assert other[2].main == f"{row['value']:.2f}"
    printed = float(other[2].main) - float(one[2].main)
    assert float(other[3].main.replace("−", "-")) == pytest.approx(printed)
    assert other[3].bold == (row["p_holm"] <= 0.05)
    assert len({len(row) for group in table.groups for row in group.rows}) == 1
    assert len(one) + 1 == len(table.columns)


def test_the_remark_says_for_how_many_methods_it_is_more_than_chance(with_rules, summary):
    sure = summary[(summary["metric"] == "lesion_f1") & (summary["p_holm"] <= 0.05)]
    assert 0 < len(sure) < 4
    assert (sure["difference"] > 0).all()
    said = threshold_rules_remark(with_rules, summary)
    assert said.startswith(
        f"By the rule peak, lesion F1 is higher for {len(sure)} of 4 methods by more than chance, and voxel F1 differs "
        "for no method; largest difference in lesion F1: BCE, +0."
    )
    assert "Named after the test set was opened: peak." in said
    opened = {**with_rules.manifest, "test_set_opened": {"primary_sha256": None, "threshold_rules": ["peak"]}}
    assert "Named after" not in threshold_rules_remark(replace(with_rules, manifest=opened), summary)


def test_chance_is_called_chance(with_rules, summary):
    same = summary.assign(p_holm=0.4)
    said = threshold_rules_remark(with_rules, same)
    assert "lesion F1 differs for no method by more than chance, and voxel F1 differs for no method;" in said
    lower = summary.assign(p_holm=0.01, difference=-0.1)
    assert "is lower for 4 of 4 methods by more than chance" in threshold_rules_remark(with_rules, lower)
    assert better_rule(with_rules, same) is None


def test_a_rule_is_better_only_where_the_recommended_loss_gains_and_loses_no_overlap(with_rules, summary):
    best = with_rules.best.loss
    gains = (
        summary["p_holm"]
        .where(summary["loss"] != best, 0.9)
        .where((summary["loss"] != best) | (summary["metric"] != "lesion_f1"), 0.01)
    )
    sure = summary.assign(p_holm=gains, difference=summary["difference"].where(summary["metric"] != "lesion_f1", 0.06))
    assert better_rule(with_rules, sure)["threshold_rule"] == "peak"
    mine = (sure["loss"] == best) & (sure["metric"] == "voxel_f1")
    worse = sure.assign(p_holm=gains.where(~mine, 0.01), difference=sure["difference"].where(~mine, -0.05))
    assert better_rule(with_rules, worse) is None


def test_a_rule_by_which_a_model_learned_nothing_takes_no_part(with_rules):
    choices = with_rules.rule_choices
    none = choices.assign(learned=choices["learned"] & (choices["loss"] != "bce"))
    assert set(summarize_threshold_rules(replace(with_rules, rule_choices=none))["loss"]) == {"dice", "tversky", "sct"}


def test_a_study_without_further_rules_has_no_such_section(results):
    summary = summarize_threshold_rules(results)
    assert summary.empty
    table = threshold_rules_table(results, summary)
    assert not SECTION.is_shown({"threshold_rules": table})
