"""What comes from Hussein et al. 2023 has four names; files and fingerprints hold one."""

import pytest

from cordlesion.config import StudyConfig, builtin_study, study_yaml


def study(**sections):
    return StudyConfig.model_validate({"name": "x", "dataset": "a", "output": "b", "losses": ["bce"], **sections})


@pytest.mark.parametrize("name", ["hussein2023", "isbi2023", "paper", "study"])
def test_a_study_by_another_name_is_the_same_study(name):
    renamed = study(evaluation={"rule": name}, threshold={"grid": name})
    assert renamed == study()
    assert study_yaml(renamed) == study_yaml(study())
    assert renamed.decisive == study().decisive
    assert builtin_study(name) == builtin_study("isbi2023")


def test_other_names_are_what_they_are():
    assert study(evaluation={"rule": "anima"}, threshold={"grid": "fine"}).evaluation.rule == "anima"
    with pytest.raises(ValueError, match="'paper' or 'fine'"):
        study(threshold={"grid": "coarse"})
