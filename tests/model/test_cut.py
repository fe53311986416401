from types import SimpleNamespace

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import GlobalThreshold, ModelCard
from cordlesion.model.cut import choose_cut, describe_cut

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
    assert describe_cut(threshold, cut) == said


def test_what_was_learned_is_written_only_where_nothing_was():
    """Files of models that learned stay as they are, readable by versions that do not know the field."""
    assert "learned" not in TUNED.model_dump(mode="json")
    blind = TUNED.model_copy(update={"learned": False})
    assert blind.model_dump(mode="json")["learned"] is False
    assert GlobalThreshold.model_validate(blind.model_dump(mode="json")) == blind
    assert GlobalThreshold.model_validate(TUNED.model_dump(mode="json")) == TUNED
    assert ModelCard.model_json_schema()


@pytest.mark.parametrize("threshold", [{"value": 0.0}, {"value": 0.15, "learned": False}])
def test_a_model_that_learned_nothing_makes_no_mask_of_its_own(threshold):
    bundle = SimpleNamespace(card=SimpleNamespace(threshold=TUNED.model_copy(update=threshold)))
    with pytest.raises(CordlesionError, match="model: the model learned too little"):
        choose_cut(bundle, None, "model")
    assert choose_cut(bundle, 0.4, "model") == 0.4
