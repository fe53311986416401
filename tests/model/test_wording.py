import pytest

from cordlesion.model.bundle import GlobalThreshold
from cordlesion.model.wording import describe_model, describe_threshold
from models import untrained_bundle
from sct_models import sct_bundle

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
    assert describe_threshold(threshold, cut) == said


@pytest.mark.parametrize(
    ("provenance", "said"),
    [
        ({}, "3-D U-Net trained with cordlesion"),
        (
            {"cordlesion": "0.1.0", "loss": {"name": "dice", "label": None}, "seed": 3},
            "3-D U-Net trained with cordlesion 0.1.0, loss dice, seed 3",
        ),
        ({"loss": {"name": "tversky", "label": "mine"}}, "3-D U-Net trained with cordlesion, loss mine"),
    ],
)
def test_what_a_trained_model_is(provenance, said):
    assert describe_model(untrained_bundle().card.model_copy(update={"provenance": provenance})) == said


def test_what_a_network_of_sct_is():
    card = sct_bundle("soft").card
    card = card.model_copy(update={"provenance": {"source": "t2_ax_lesion.h5", "reference": "Gros et al., 2019"}})
    assert describe_model(card) == "lesion network of the Spinal Cord Toolbox; from t2_ax_lesion.h5; Gros et al., 2019"
    unknown = card.model_copy(update={"provenance": {}})
    assert describe_model(unknown) == "lesion network of the Spinal Cord Toolbox"
