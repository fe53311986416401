from types import SimpleNamespace

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import ModelCard
from cordlesion.threshold import GlobalThreshold
from cordlesion.threshold.rules import choose_rule, describe_origin

TUNED = GlobalThreshold(value=0.35, objective="median_voxel_f1", interval=(0.2, 0.5))


SET_ASIDE = "the model's own, tuned on scans set aside for that (objective: median voxel F1"


@pytest.mark.parametrize(
    ("threshold", "cut", "said"),
    [
        (TUNED, 0.35, f"{SET_ASIDE}, 95 % interval 0.2 to 0.5)"),
        (TUNED.model_copy(update={"interval": None}), 0.35, f"{SET_ASIDE})"),
        (TUNED, 0.5, "given by the user; the model's own is 0.35"),
        (None, 0.5, "given by the user; the model has none of its own"),
        (
            GlobalThreshold(value=0.1, objective="none: SCT's own", interval=None),
            0.1,
            "the model's own, as it was published; it was not tuned",
        ),
    ],
)
def test_where_a_threshold_comes_from(threshold, cut, said):
    used = choose_rule(threshold, None, cut, "model")
    assert used.threshold_in(None, None) == cut
    assert describe_origin(threshold, used) == said


def test_what_was_learned_is_written_only_where_nothing_was():
    """Files of models that learned stay as they are, readable by versions that do not know the field."""
    assert "learned" not in TUNED.model_dump(mode="json")
    blind = TUNED.model_copy(update={"learned": False})
    assert blind.model_dump(mode="json")["learned"] is False
    assert GlobalThreshold.model_validate(blind.model_dump(mode="json")) == blind
    assert GlobalThreshold.model_validate(TUNED.model_dump(mode="json")) == TUNED
    assert ModelCard.model_json_schema()


@pytest.mark.parametrize("changes", [{"value": 0.0}, {"value": 0.15, "learned": False}])
def test_a_model_that_learned_nothing_makes_no_mask_of_its_own(changes):
    own = TUNED.model_copy(update=changes)
    with pytest.raises(CordlesionError, match="model: the model learned too little"):
        choose_rule(own, None, None, "model")
    conditional = own.model_copy(update={"objective": "repeatability:0.3"})
    with pytest.raises(CordlesionError, match="model: has no threshold for the objective repeatability"):
        choose_rule(conditional, None, None, "model")
    assert choose_rule(own, None, 0.4, "model").value == 0.4
    with pytest.raises(CordlesionError, match="model: has no tuned threshold"):
        choose_rule(None, None, None, "model")


def test_a_rule_of_a_user_that_finds_nothing_needs_no_objective_to_be_refused():
    with pytest.raises(CordlesionError, match="model: the model learned too little"):
        choose_rule(SimpleNamespace(finds_lesions=False), None, None, "model")


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(CordlesionError, match="a value above 0 and up to 1 is needed"):
        choose_rule(TUNED, None, threshold, "model")


def test_a_model_with_a_built_in_threshold_takes_no_other():
    assert choose_rule(TUNED, 0.1, 0.1, "model").value == 0.1
    with pytest.raises(CordlesionError, match="model: gives the mask that SCT ships"):
        choose_rule(TUNED, 0.1, 0.2, "model")
