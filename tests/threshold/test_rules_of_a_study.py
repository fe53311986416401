"""Which further threshold rules a study tunes, and how each is chosen."""

import sys

import numpy as np
import pandas as pd
import pytest

from cordlesion.config import LossConfig, StudyConfig, ThresholdConfig, read_study, study_yaml
from cordlesion.errors import CordlesionError
from cordlesion.metrics import RULES
from cordlesion.threshold import OBJECTIVES, THRESHOLD_RULES, THRESHOLDS, parse_objective
from cordlesion.threshold.components import PeakThreshold
from cordlesion.threshold.rule import TuningScan
from cordlesion.threshold.study_rules import choose_further, study_rules

MODULE = """
import numpy as np
from typing import Literal

from cordlesion import ThresholdRule


class Fixed(ThresholdRule):
    rule: Literal["own_of_study:Fixed"] = "own_of_study:Fixed"
    value: float

    @classmethod
    def fit(cls, sweep, objective):
        return cls(value=sweep["threshold"].max() / 2)

    def threshold_in(self, probability, spacing_mm):
        return self.value

    @property
    def summary(self):
        return f"{self.value:g}"

    def describe(self):
        return "half of the highest threshold"


class Told(Fixed):
    rule: Literal["own_of_study:Told"] = "own_of_study:Told"

    @classmethod
    def fit(cls, sweep, objective, lesion_rule):
        return cls(value=lesion_rule.min_overlap)


class Broken(Fixed):
    rule: Literal["own_of_study:Broken"] = "own_of_study:Broken"

    @classmethod
    def fit(cls, sweep, objective):
        return cls(value=sweep["no such column"].max())


number = 3


def own(lesion_f1):
    return np.nanmean(lesion_f1, axis=-2)


def jaccard(reference, prediction, spacing_mm):
    return 0.5
"""


def study(code=None, **threshold):
    return StudyConfig(
        name="s", dataset="d", output="o", losses=(LossConfig(name="bce"),), code=code,
        threshold=ThresholdConfig(**threshold),
    )  # fmt: skip


@pytest.fixture
def code(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_of_study.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("own_of_study", None)


OF_LESIONS = {"median_lesion_f1", "mean_lesion_f1", "lesion_sensitivity", "joint_f1_specificity"}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_study_that_names_no_rules_tunes_the_peak_where_the_objective_sees_lesions(objective):
    assert list(study_rules(study(objective=objective))) == (["peak"] if objective in OF_LESIONS else [])
    assert study_rules(study(objective=objective, rules=())) == {}
    assert study_rules(study(objective=objective, rules=("rank_dice",))) == {"rank_dice": THRESHOLD_RULES["rank_dice"]}


def test_an_objective_of_the_user_that_reads_a_metric_of_lesions_sees_lesions(code):
    assert list(study_rules(study(code, objective="own_of_study:own"))) == ["peak"]


def test_no_other_result_depends_on_the_rules_nor_the_file_of_a_study_that_names_none(code):
    without = study(code, objective="mean_lesion_f1")
    named = study(code, objective="mean_lesion_f1", rules=("peak", "own_of_study:Fixed"))
    assert named.decisive == without.decisive
    assert named.imported == ["own_of_study:Fixed"]
    assert "rules" not in study_yaml(without)
    (code / "named.yaml").write_text(study_yaml(named))
    assert read_study(code / "named.yaml").threshold == named.threshold


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (["peek"], "'peek' in `threshold.rules` is no threshold rule; some of global, peak, top_components"),
        (["own_of_study:number"], r"own_of_study:number is no class of cordlesion\.ThresholdRule"),
        (["own_of_study:absent"], "the module own_of_study has no absent"),
    ],
)
def test_mistakes_get_a_sentence(code, rules, sentence):
    with pytest.raises(CordlesionError, match=sentence):
        study_rules(study(code, rules=tuple(rules)))


@pytest.mark.parametrize(
    ("rules", "fault"), [(["peak", "peak"], "one rule is listed twice"), (["global"], "global is")]
)
def test_a_list_that_makes_no_sense_is_a_fault_of_its_line(tmp_path, rules, fault):
    text = f"name: s\ndataset: d\noutput: o\nlosses: [bce]\nthreshold: {{rules: [{', '.join(rules)}]}}\n"
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(CordlesionError, match=rf"study\.yaml:5:\d+ threshold\.rules: {fault}"):
        read_study(tmp_path / "study.yaml")


def test_rules_are_not_tuned_by_a_metric_of_the_user(code):
    measured = {"metrics": ["own_of_study:jaccard"]}
    for rules, expected in ((None, {}), (("peak",), None)):
        one = study(code, objective="mean_jaccard", rules=rules)
        one = one.model_copy(update={"evaluation": type(one.evaluation)(**measured)})
        if expected is None:
            with pytest.raises(CordlesionError, match="names peak, but the objective mean_jaccard reads jaccard"):
                study_rules(one)
        else:
            assert study_rules(one) == expected


def scans(n=6):
    rng = np.random.default_rng(3)
    for number in range(n):
        lesion = np.zeros((8, 8, 8), bool)
        lesion[2:5, 2:5, 2 : 5 + number % 2] = True
        p = np.clip(0.6 * lesion + rng.uniform(0, 0.4, lesion.shape), 0, 1).astype(np.float32)
        yield TuningScan(f"scan-{number}", f"scan-{number}", lesion, p, (1.0, 1.0, 1.0))


def test_a_rule_of_the_program_is_chosen_with_its_interval():
    table = pd.concat([PeakThreshold.measure(scan, RULES["study"]) for scan in scans()])
    goal = parse_objective("mean_lesion_f1")
    rule, choice = choose_further(PeakThreshold, table, goal, "mean_lesion_f1", RULES["study"])
    expected, _ = PeakThreshold.choose(table, goal, RULES["study"])
    assert rule == expected.model_copy(update={"objective": "mean_lesion_f1"})
    assert choice.settings["peak"] == rule.peak
    assert choice.interval is not None


@pytest.mark.parametrize(("name", "value"), [("Fixed", THRESHOLDS[-1] / 2), ("Told", RULES["anima"].min_overlap)])
def test_a_rule_of_the_user_is_fitted_as_its_class_does(code, name, value):
    kind = study_rules(study(code, rules=(f"own_of_study:{name}",)))[f"own_of_study:{name}"]
    table = pd.concat([kind.measure(scan, RULES["anima"]) for scan in scans()])
    rule, choice = choose_further(kind, table, parse_objective("mean_voxel_f1"), "mean_voxel_f1", RULES["anima"])
    assert (rule.value, choice) == (value, None)


def test_a_fault_of_its_class_gets_a_sentence(code):
    kind = study_rules(study(code, rules=("own_of_study:Broken",)))["own_of_study:Broken"]
    table = pd.concat([kind.measure(scan, RULES["study"]) for scan in scans()])
    with pytest.raises(
        CordlesionError, match=r"The threshold rule Broken cannot be fitted \(KeyError: 'no such column'\)"
    ):
        choose_further(kind, table, parse_objective("mean_voxel_f1"), "mean_voxel_f1", RULES["study"])
