"""`operating_points.tsv`: thresholds from the threshold set, what they cost from the test set, for every method."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cordlesion.config import PromisesConfig, RunConfig, StudyConfig, ThresholdConfig
from cordlesion.study.operating_points import method_points, write_operating_points
from cordlesion.study.sets import TunedThreshold
from cordlesion.study.tune import promised_rules
from cordlesion.study_folder.checked_tables import read_checked
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.threshold import VOLUME, GlobalThreshold, choose_threshold, promise, study_goal
from cordlesion.threshold.further import FurtherRule
from support.swept import scans_of

PROMISES = PromisesConfig(missed=0.25, false_positives=0.01, certainty=0.9)


def configured(folder, **threshold):
    tuned = ThresholdConfig(objective="mean_voxel_f1", promises=PROMISES, **threshold)
    return StudyConfig(name="s", dataset=folder, output=folder, losses=("dice", "bce"), threshold=tuned)


def both_sets(seed, loss, free=0.2):
    """60 subjects of the threshold set, 40 of the test set, of whom some scans are lesion-free there at least."""
    tuning = scans_of(np.random.default_rng(seed), 60, free=free).assign(set="threshold")
    test = scans_of(np.random.default_rng(seed + 1), 40).assign(set="test")
    test[["scan_id", "subject"]] = "t" + test[["scan_id", "subject"]]
    return pd.concat([tuning, test], ignore_index=True).assign(loss=loss, seed=0, session="1")


def run_of(config, loss):
    return next(run for run in config.runs if run.loss.title == loss)


def missed_by_subject(rows, threshold):
    """Shares of lesions missed, in the mean over the scans of each subject."""
    here = rows[np.isclose(rows["threshold"], threshold) & (rows["n_reference_lesions"] > 0)]
    return (1 - here["n_detected_lesions"] / here["n_reference_lesions"]).groupby(here["subject"]).mean()


def means(rows, threshold):
    """Both risks, in the mean over subjects."""
    here = rows[np.isclose(rows["threshold"], threshold)]
    missed = 1 - here["n_detected_lesions"] / here["n_reference_lesions"].where(here["n_reference_lesions"] > 0)
    false = here["n_predicted_lesions"] - here["n_true_predicted_lesions"]
    return [values.groupby(here["subject"]).mean().mean() for values in (missed, false)]


@pytest.mark.parametrize("free", [0.2, 0])
def test_points_are_those_of_the_threshold_set_and_measured_on_the_test_set(tmp_path, free):
    config, sweep = configured(tmp_path), both_sets(5, "dice", free)
    tuning, test = (sweep[sweep["set"] == name] for name in ("threshold", "test"))
    choice = choose_threshold(tuning, "mean_voxel_f1", n_resamples=1)
    tuned = TunedThreshold(GlobalThreshold.chosen(choice))
    rows = method_points(config, run_of(config, "dice"), sweep, tuned, study_goal(config))
    balanced, sensitive, specific = rows
    kept = promise(tuning, "mean_voxel_f1", {"missed": 0.25}, certainty=0.9).choice
    assert [row["point"] for row in rows] == ["balanced", "sensitive", "specific"]
    assert (balanced["threshold"], sensitive["threshold"]) == (choice.value, kept.value)
    # Nothing is compared with lesion-free test scans where the threshold set had none.
    assert all(row["lesion_free"] == (free > 0) for row in rows)
    test = test if free else test[test["reference_volume_mm3"] > 0]
    for row in (balanced, sensitive):
        assert [row["missed"], row["false_positives"]] == pytest.approx(means(tuning, row["threshold"]))
        assert [row["test_missed"], row["test_false_positives"]] == pytest.approx(means(test, row["threshold"]))
        assert row["test_missed_low"] < row["test_missed"] < row["test_missed_high"]
        ends = stats.ttest_1samp(missed_by_subject(test, row["threshold"]), 0).confidence_interval()
        assert [row["test_missed_low"], row["test_missed_high"]] == pytest.approx([*ends])
        assert row["test_false_positives_low"] < row["test_false_positives"] < row["test_false_positives_high"]
        assert row["n_test_subjects"] == test["subject"].nunique()
    assert (sensitive["limit"], sensitive["certainty"], sensitive["risk"]) == (0.25, 0.9, "missed")
    assert np.isnan(specific["threshold"])
    assert np.isnan(specific["test_missed"])
    assert [specific["missed"], specific["false_positives"]] == pytest.approx(means(tuning, specific["nearest"]))


def test_a_point_without_a_limit_is_left_out(tmp_path):
    config = configured(tmp_path)
    promises = PROMISES.model_copy(update={"false_positives": None})
    config = config.model_copy(update={"threshold": config.threshold.model_copy(update={"promises": promises})})
    tuned = TunedThreshold(GlobalThreshold.given(0.5))
    rows = method_points(config, run_of(config, "dice"), both_sets(1, "dice"), tuned, study_goal(config))
    assert [row["point"] for row in rows] == ["balanced", "sensitive"]


def test_a_tuned_minimum_volume_shares_the_error_rate(tmp_path):
    """With a million candidates nothing can be promised of the one that was chosen."""
    volumes = tuple(np.arange(3000.0))
    config, sweep = configured(tmp_path, minimum_volumes_mm3=volumes), both_sets(5, "dice").assign(**{VOLUME: 3.0})
    tuned = TunedThreshold(GlobalThreshold.given(0.5), 3.0)
    few = method_points(config, run_of(config, "dice"), sweep, tuned, study_goal(config))[1]
    one = method_points(configured(tmp_path), run_of(config, "dice"), sweep, tuned, study_goal(config))[1]
    assert few[VOLUME] == 3
    assert np.isnan(few["threshold"]) or few["threshold"] < one["threshold"]


def test_the_table_has_every_method_and_is_read_as_declared(tmp_path):
    config, folder = configured(tmp_path), StudyFolder(tmp_path)
    sweep = pd.concat([both_sets(5, "dice"), both_sets(8, "bce")])
    sweep.to_csv(folder.sweep, sep="\t", index=False, na_rep="n/a")
    chosen = [{"loss": loss, "seed": 0, "threshold": 0.5, "objective": "mean_voxel_f1"} for loss in ("dice", "bce")]
    pd.DataFrame(chosen).to_csv(folder.thresholds, sep="\t", index=False)
    write_operating_points(folder, config)
    table = read_checked(tmp_path / "operating_points.tsv")
    assert table[["loss", "point"]].to_numpy().tolist() == [
        [loss, point] for loss in ("dice", "bce") for point in ("balanced", "sensitive", "specific")
    ]
    assert table["threshold"].notna().tolist() == [True, True, False] * 2


def test_a_method_that_learned_nothing_promises_nothing(tmp_path):
    config, sweep = configured(tmp_path), both_sets(5, "dice")
    blind = sweep.assign(voxel_f1=0.0, n_detected_lesions=0, n_true_predicted_lesions=0)
    tuned = TunedThreshold(GlobalThreshold(value=0.5, objective="mean_voxel_f1", interval=None))
    rows = method_points(config, run_of(config, "dice"), blind, tuned, study_goal(config))
    assert [row["point"] for row in rows] == ["balanced"]
    assert isinstance(run_of(config, "dice"), RunConfig)


def test_promises_that_are_kept_are_further_rules_of_the_model(tmp_path):
    config, sweep = configured(tmp_path), both_sets(5, "dice")
    tuning, goal = sweep[sweep["set"] == "threshold"], study_goal(config)
    choice = replace(choose_threshold(tuning, goal), objective="mean_voxel_f1")
    rules = promised_rules(config, tuning, choice, goal)
    tuned = TunedThreshold(GlobalThreshold.chosen(choice))
    rows = method_points(config, run_of(config, "dice"), sweep, tuned, goal)
    assert {name: one.rule.value for name, one in rules.items()} == {"sensitive": rows[1]["threshold"]}
    rule = rules["sensitive"]
    assert FurtherRule.model_validate(rule.model_dump(mode="json")) == rule
    assert rule.rule.objective == "mean_voxel_f1"
    assert rule.rule.promises[0].limit == 0.25
    # The tuned minimum volume is that of the model, and of this rule with it.
    volumes = pd.concat(
        [tuning.assign(**{VOLUME: 0.0}), tuning.assign(**{VOLUME: 3.0, "voxel_f1": tuning["voxel_f1"] / 2})]
    )
    several = configured(tmp_path, minimum_volumes_mm3=(0.0, 3.0))
    chosen = choose_threshold(volumes, goal)
    assert chosen.minimum_volume_mm3 == 0
    assert promised_rules(several, volumes, chosen, goal)["sensitive"].minimum_volume_mm3 is None
