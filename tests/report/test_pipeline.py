import pytest

from cordlesion.config import StudyConfig
from cordlesion.metrics import RULES
from cordlesion.report.methods.references import read_references
from cordlesion.report.pipeline import describe_pipeline, describe_rule, name_rule


def study(**sections):
    return StudyConfig.model_validate({"name": "x", "dataset": "a", "output": "b", "losses": ["bce"], **sections})


def test_the_study_in_words():
    assert describe_pipeline(study()) == (
        "Probability maps: patches that overlap by 75 % are averaged. Masks: p ≥ t; nothing is removed. Lesions "
        "(rule “study”, that of Hussein et al. 2023): 6-connected, larger than 3 mm³; detected where more than 25 % "
        "is covered and what covers it lies at most 70 % outside. Fewer than 5 subjects get no interval (–)."
    )


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"prediction": {"blending": "hann"}}, "are blended by Hann windows."),
        ({"prediction": {"blending": "gaussian", "mirror": True}}, "Gaussian windows, each a mean over its eight mirr"),
        ({"patches": {"overlap_fraction": 0.5}}, "overlap by 50 %"),
        ({"postprocess": {"minimum_volume_mm3": 2.5}}, "Masks: p ≥ t, in components larger than 2.5 mm³."),
        ({"postprocess": {"cord_margin_mm": 0}}, "Masks: p ≥ t, within 0 mm of the cord mask."),
        (
            {"evaluation": {"rule": "ivadomed"}},
            "18-connected, of any size; detected where 3 or more voxels are covered.",
        ),
        ({"evaluation": {"rule": "iou50"}}, "detected where the IoU is at least 0.5, one to one."),
        ({"evaluation": {"rule": "any_overlap"}}, "detected where 1 or more voxels are covered."),
    ],
)
def test_what_differs_is_said(section, words):
    assert words in describe_pipeline(study(**section))


def test_no_two_rules_read_alike():
    assert len({describe_rule(name) for name in RULES}) == len(RULES)


def test_a_rule_is_named_with_where_it_comes_from():
    assert name_rule("any_overlap") == "“any_overlap”"
    assert name_rule("anima") == "“anima”, that of the MSSEG challenges"
    owners = [rule.owner for rule in RULES.values() if rule.owner]
    assert len(set(owners)) == len(owners)
    assert all(name_rule(name) == f"“{name}”, {rule.owner}" for name, rule in RULES.items() if rule.owner)
    assert {key for rule in RULES.values() for key in rule.references} <= set(read_references())
