import pickle

import pytest
import torch

from cordlesion.errors import CordlesionError
from cordlesion.losses import LOSSES, make_loss


@pytest.fixture
def patches():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((3, 1, 4, 5, 6), generator=generator)
    return logits, (torch.rand(logits.shape, generator=generator) < 0.3).float()


def test_parameters_override_the_table(patches):
    for parameters in ({}, {"fn_weight": 0.9}, {"smooth": 2, "per_patch": True}):
        assert make_loss("tversky", parameters)(*patches) == LOSSES["tversky"](*patches, **parameters)


def test_given_parameters_are_not_changed():
    parameters = {"gamma": 1.0}
    make_loss("monai:FocalLoss", parameters)
    make_loss("monai:DiceLoss", {})
    assert parameters == {"gamma": 1.0}


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("tverski", {}, "no loss 'tverski'; choose one of bce, dice, .*monai:"),
        ("tversky", {"alpha": 0.7}, "tversky has no parameter alpha; it has fn_weight, fp_weight, smooth, per_patch"),
        ("bce", {"smooth": 1}, "bce has no parameter smooth; it has none"),
        ("dice", {"smooth": "1"}, "smooth: '1'; a number is needed"),
        ("dice", {"smooth": float("nan")}, "smooth: nan; a number is needed"),
        ("dice", {"smooth": True}, "smooth: True; a number is needed"),
        ("dice", {"squared": 1}, "squared: 1; true or false is needed"),
        ("dice", {"smooth": 0}, "dice does not give one finite number"),
        ("monai:NoSuchLoss", {}, "MONAI .* has no loss 'NoSuchLoss'"),
        ("monai:tversky", {}, "has no loss"),
        ("monai:DiceLoss", {"smooth": 1}, "no parameter smooth; it has include_background"),
        ("monai:DiceLoss", {"sigmoid": False}, "it gets logits"),
        ("monai:DiceLoss", {"softmax": True}, "cannot be built with"),
        ("monai:DiceLoss", {"reduction": "none"}, "does not give one finite number"),
        ("monai:BendingEnergyLoss", {}, "does not work on logits and masks"),
        # Their documentation says logits, their code wants probabilities (MONAI 1.6.1).
        ("monai:AsymmetricUnifiedFocalLoss", {}, "does not raise the logits of missed lesion voxels"),
        ("combo", {"ce_weight": 1, "lesion_weight": 0}, "does not raise the logits of missed lesion voxels"),
    ],
)
def test_mistakes_get_a_sentence(name, parameters, sentence):
    with pytest.raises(CordlesionError, match=sentence):
        make_loss(name, parameters)


def test_monai_loss_gets_logits(patches):
    from monai.losses import DiceFocalLoss

    loss = make_loss("monai:DiceFocalLoss", {"gamma": 1.5})
    assert loss(*patches) == DiceFocalLoss(sigmoid=True, gamma=1.5)(*patches)
    assert loss(patches[0].bfloat16(), patches[1]).dtype == torch.float32
    assert pickle.loads(pickle.dumps(loss))(*patches) == loss(*patches)


# MONAI's alpha weighs FP and its beta FN; its smoothing stands in numerator and denominator, its default is per patch.
SMOOTH = {"smooth_nr": 1.0, "smooth_dr": 1.0}


@pytest.mark.parametrize(
    ("name", "parameters", "peer", "peer_parameters"),
    [
        ("tversky", {}, "TverskyLoss", {"alpha": 0.3, "beta": 0.7, "batch": True, **SMOOTH}),
        ("tversky", {"per_patch": True}, "TverskyLoss", {"alpha": 0.3, "beta": 0.7, **SMOOTH}),
        ("dice", {}, "DiceLoss", {"squared_pred": True, "batch": True, **SMOOTH}),
        ("dice", {"per_patch": True}, "DiceLoss", {"squared_pred": True, **SMOOTH}),
        ("sct_dice", {}, "DiceLoss", {"batch": True, **SMOOTH}),
        ("bce", {}, "DiceCELoss", {"lambda_dice": 0.0}),
        ("dice_bce", {}, "DiceCELoss", {"batch": True, **SMOOTH}),
        ("dice_bce", {"per_patch": True, "ce_weight": 0.2}, "DiceCELoss", {"lambda_ce": 0.2, **SMOOTH}),
        ("focal", {}, "FocalLoss", {"alpha": 0.25, "gamma": 2.0}),
        ("f_beta", {"beta": 2}, "TverskyLoss", {"alpha": 0.2, "beta": 0.8, "batch": True, **SMOOTH}),
    ],
)
def test_agrees_with_monai(patches, name, parameters, peer, peer_parameters):
    torch.testing.assert_close(
        make_loss(name, parameters)(*patches), make_loss(f"monai:{peer}", peer_parameters)(*patches)
    )


def test_generalized_dice_agrees_with_monai_on_two_classes(patches):
    from monai.losses import GeneralizedDiceLoss

    logits, lesion = patches
    lesion[2] = 0
    two_logits, two_classes = torch.cat([-logits, logits], 1), torch.cat([1 - lesion, lesion], 1)
    peer = GeneralizedDiceLoss(sigmoid=True, smooth_nr=0, smooth_dr=0)
    torch.testing.assert_close(
        make_loss("generalized_dice", {"per_patch": True})(logits, lesion), peer(two_logits, two_classes)
    )


@pytest.mark.parametrize(("ce_weight", "factor"), [(0, 1), (1, 2)])
def test_unified_focal_agrees_with_monai(patches, ce_weight, factor):
    """MONAI takes probabilities, and averages the cross-entropies of the two classes where the authors add them."""
    from monai.losses import AsymmetricUnifiedFocalLoss

    logits, lesion = patches
    peer = AsymmetricUnifiedFocalLoss(weight=ce_weight, delta=0.6, gamma=0.5)(torch.sigmoid(logits), lesion)
    ours = LOSSES["unified_focal"](logits, lesion, ce_weight=ce_weight, smooth=1e-7, per_patch=True)
    torch.testing.assert_close(ours, factor * peer)
