import pytest

from support.models import untrained_bundle
from support.sct_models import sct_bundle


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
    assert untrained_bundle().card.model_copy(update={"provenance": provenance}).describe() == said


def test_what_a_network_of_sct_is():
    card = sct_bundle("soft").card
    card = card.model_copy(update={"provenance": {"source": "t2_ax_lesion.h5", "reference": "Gros et al., 2019"}})
    assert card.describe() == "lesion network of the Spinal Cord Toolbox; from t2_ax_lesion.h5; Gros et al., 2019"
    unknown = card.model_copy(update={"provenance": {}})
    assert unknown.describe() == "lesion network of the Spinal Cord Toolbox"
