"""Every loss of the table against its published formula, written independently with plain numpy in float64."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.losses import LOSSES, make_loss


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# The formulas: probabilities and reference of one batch as flat arrays


def bce_formula(p, y):
    return np.mean([-math.log(pi) if yi else -math.log(1 - pi) for pi, yi in zip(p, y, strict=True)])


def dice_formula(p, y, smooth=1.0):
    return 1 - (2 * np.sum(p * y) + smooth) / (np.sum(p**2) + np.sum(y**2) + smooth)


def plain_dice_formula(p, y, smooth=1.0):
    return 1 - (2 * np.sum(p * y) + smooth) / (np.sum(p) + np.sum(y) + smooth)


def log_cosh_formula(p, y):
    return math.log(math.cosh(plain_dice_formula(p, y)))


def generalized_dice_formula(p, y):
    classes = [(1 - p, 1 - y), (p, y)]
    weights = [np.sum(r) ** -2.0 if np.sum(r) else 0 for _, r in classes]
    weights = [w or max(weights) for w in weights]
    overlap = sum(w * np.sum(r * q) for w, (q, r) in zip(weights, classes, strict=True))
    total = sum(w * np.sum(r + q) for w, (q, r) in zip(weights, classes, strict=True))
    return 1 - 2 * overlap / total


def combo_formula(p, y, a=0.5, b=0.5):
    entropy = np.mean([-b * math.log(pi) if yi else -(1 - b) * math.log(1 - pi) for pi, yi in zip(p, y, strict=True)])
    return a * entropy + (1 - a) * plain_dice_formula(p, y)


def tversky_formula(p, y, fn_weight=0.7, fp_weight=0.3, smooth=1.0):
    tp, fn, fp = np.sum(p * y), np.sum((1 - p) * y), np.sum(p * (1 - y))
    return 1 - (tp + smooth) / (tp + fn_weight * fn + fp_weight * fp + smooth)


def focal_tversky_formula(p, y):
    return tversky_formula(p, y) ** 0.75


FORMULAS = {
    "bce": bce_formula,
    "dice": dice_formula,
    "log_cosh_dice": log_cosh_formula,
    "generalized_dice": generalized_dice_formula,
    "combo": combo_formula,
    "tversky": tversky_formula,
    "focal_tversky": focal_tversky_formula,
    "sct_dice": plain_dice_formula,
}
PER_PATCH = [name for name in LOSSES if name != "bce"]  # the mean over voxels is the same either way
every_loss = pytest.mark.parametrize("name", list(LOSSES))

# Inputs


def batch(seed=0, density=0.2, shape=(3, 1, 4, 3, 5), scale=2.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    lesion = torch.rand(shape, generator=generator) < density
    return logits.to(dtype), lesion.to(dtype)


def formula_value(name, logits, lesion):
    # Extended precision, because the formulas take 1 - p of nearly certain voxels.
    p = 1 / (1 + np.exp(-logits.double().numpy().ravel().astype(np.longdouble)))
    return FORMULAS[name](p, lesion.double().numpy().ravel())


def gradient(name, logits, lesion, **parameters):
    logits = logits.detach().clone().requires_grad_()
    value = LOSSES[name](logits, lesion, **parameters)
    value.backward()
    return value.detach(), logits.grad


# Values


def test_every_loss_has_a_formula():
    assert list(FORMULAS) == list(LOSSES)


@every_loss
@pytest.mark.parametrize("density", [0, 0.01, 0.3, 1])
@pytest.mark.parametrize("scale", [0.1, 2, 4])
def test_value_is_the_formula(name, density, scale):
    logits, lesion = batch(density=density, scale=scale)
    expected = formula_value(name, logits, lesion)
    assert LOSSES[name](logits, lesion).item() == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert LOSSES[name](logits.float(), lesion).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", PER_PATCH)
def test_per_patch_is_the_mean_of_the_patches(name):
    logits, lesion = batch()
    lesion[1] = 0
    expected = np.mean([formula_value(name, z, y) for z, y in zip(logits, lesion, strict=True)])
    assert LOSSES[name](logits, lesion, per_patch=True).item() == pytest.approx(expected, rel=1e-12)
    assert LOSSES[name](logits, lesion).item() != pytest.approx(expected, rel=1e-3)


def test_parameters_reach_the_formula():
    logits, lesion = batch()
    p, y = torch.sigmoid(logits).numpy(), lesion.numpy()
    for got, expected in [
        (LOSSES["tversky"](logits, lesion, fn_weight=0.2, fp_weight=0.9), tversky_formula(p, y, 0.2, 0.9)),
        (
            LOSSES["combo"](logits, lesion, ce_weight=0.2, lesion_weight=0.8),
            combo_formula(p.ravel(), y.ravel(), 0.2, 0.8),
        ),
        (LOSSES["dice"](logits, lesion, squared=False), plain_dice_formula(p, y)),
        (LOSSES["dice"](logits, lesion, smooth=1e-3), dice_formula(p, y, 1e-3)),
        (LOSSES["sct_dice"](logits, lesion, smooth=1e-3), plain_dice_formula(p, y, 1e-3)),
        (LOSSES["tversky"](logits, lesion, smooth=0.1), tversky_formula(p, y, smooth=0.1)),
        (LOSSES["focal_tversky"](logits, lesion, exponent=1.5), tversky_formula(p, y) ** 1.5),
    ]:
        assert got.item() == pytest.approx(expected, rel=1e-12)


@every_loss
def test_patches_of_the_study_in_float32(name):
    """A batch of 8 x 48^3 with one lesion of 100 voxels: sums of a million terms, weights of 1e-12."""
    logits, lesion = batch(shape=(8, 1, 48, 48, 48), density=0, scale=1.5)
    lesion[0, 0, 10, 10:20, 10:20] = 1
    expected = LOSSES[name](logits - 3, lesion).item()
    assert LOSSES[name]((logits - 3).float(), lesion.float()).item() == pytest.approx(expected, rel=1e-5)


@every_loss
def test_type_of_the_reference_does_not_matter(name):
    logits, lesion = batch()
    expected = LOSSES[name](logits, lesion)
    for dtype in (torch.bool, torch.uint8, torch.float32):
        assert LOSSES[name](logits, lesion.to(dtype)) == expected


# Gradients


@every_loss
@pytest.mark.parametrize("density", [0, 0.3, 1])
def test_gradient_is_that_of_the_value(name, density):
    logits, lesion = batch(density=density, shape=(2, 1, 2, 2, 3))
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, lesion), logits.requires_grad_())


@pytest.mark.parametrize("name", PER_PATCH)
def test_gradient_per_patch_with_an_empty_patch(name):
    logits, lesion = batch(shape=(2, 1, 2, 2, 3), density=0.3)
    lesion[0] = 0
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, lesion, per_patch=True), logits.requires_grad_())


@every_loss
@pytest.mark.parametrize("size", [20.0, 30.0, 100.0, 1e4])
@pytest.mark.parametrize("density", [0, 0.3, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_confident_logits_stay_finite(name, size, density, sign):
    _, lesion = batch(density=density)
    logits = (sign * size * (2 * lesion - 1)).float()
    value, slope = gradient(name, logits, lesion)
    assert value.isfinite()
    assert slope.isfinite().all()
    if sign == 1:
        assert 0 <= value.item() < 1e-5
    else:
        assert value.item() > 0.2


@every_loss
@pytest.mark.parametrize("size", [5.0, 12.0, 18.0, 25.0])
@pytest.mark.parametrize("density", [0, 0.3])
def test_confident_logits_stay_precise(name, size, density):
    """Errors far below the rounding of 1 still count: 1 - p of a lesion voxel, and cosh of a small number."""
    noise, lesion = batch(density=density)
    logits = (size + 0.1 * noise) * (2 * lesion - 1)
    value, slope = gradient(name, logits.float(), lesion)
    expected_value, expected_slope = gradient(name, logits, lesion)
    torch.testing.assert_close(value.double(), expected_value, rtol=1e-4, atol=0)
    torch.testing.assert_close(slope.double(), expected_slope, rtol=1e-4, atol=0)


@every_loss
def test_perfect_is_zero(name):
    _, lesion = batch(density=0.3, dtype=torch.float32)
    assert LOSSES[name](1e4 * (2 * lesion - 1), lesion).item() == 0


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(list(LOSSES)), st.integers(0, 2**31), st.sampled_from([0, 0.01, 0.3, 1]))
def test_every_voxel_pulls_towards_its_reference(name, seed, density):
    logits, lesion = batch(seed, density)
    value, slope = gradient(name, logits, lesion)
    assert value > 0
    assert (slope[lesion == 1] < 0).all()
    if name != "dice":  # its squares ignore the faintest voxels, and may even pull them up
        assert (slope[lesion == 0] > 0).all()


@pytest.mark.parametrize("name", ["tversky", "focal_tversky"])
def test_weights_penalise_what_they_say(name):
    _, lesion = batch(density=0.3)
    missed = torch.where(lesion == 1, -3.0, -30.0).double()
    false = torch.where(lesion == 0, 3.0, 30.0).double()
    loss = LOSSES[name]
    assert loss(missed, lesion, fn_weight=0.8) > loss(missed, lesion, fn_weight=0.6)
    assert loss(false, lesion, fp_weight=0.8) > loss(false, lesion, fp_weight=0.6)
    assert loss(missed, lesion, fn_weight=0.7, fp_weight=0.3) > loss(missed, lesion, fn_weight=0.3, fp_weight=0.7)


def test_half_and_half_tversky_is_plain_dice_with_twice_the_smoothing():
    logits, lesion = batch()
    tversky = LOSSES["tversky"](logits, lesion, fn_weight=0.5, fp_weight=0.5, smooth=1)
    torch.testing.assert_close(tversky, LOSSES["dice"](logits, lesion, squared=False, smooth=2))


# Precision and shape


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_float32(name, dtype):
    logits, lesion = batch(shape=(2, 1, 48, 48, 48), density=0.01, dtype=dtype)
    expected = LOSSES[name](logits.float(), lesion.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, slope = gradient(name, logits, lesion)
    assert value.dtype == torch.float32
    assert value == expected
    assert slope.dtype == dtype
    assert slope.isfinite().all()


@every_loss
def test_shapes_are_checked(name):
    logits, lesion = batch()
    with pytest.raises(ValueError, match="logits have shape"):
        LOSSES[name](logits, lesion[:, 0])
    with pytest.raises(ValueError, match="logits have shape"):
        LOSSES[name](logits.ravel(), lesion.ravel())


@every_loss
def test_losses_travel_to_other_processes(name):
    logits, lesion = batch()
    loss = pickle.loads(pickle.dumps(copy.deepcopy(make_loss(name))))
    assert loss(logits, lesion) == LOSSES[name](logits, lesion)
