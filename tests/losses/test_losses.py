"""Every loss of the table against its published formula, written independently in loss_formulas."""

import copy
import pickle

import loss_formulas
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_formulas import FORMULAS

from cordlesion.losses import LOSSES, make_loss


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


PER_LESION = ["blob_dice", "cc_dice_ce"]
# The mean over voxels is the same either way; the mean over lesions has tests of its own.
PER_PATCH = [name for name in LOSSES if name not in ("bce", "focal", *PER_LESION)]
every_loss = pytest.mark.parametrize("name", list(LOSSES))

# Inputs


def batch(seed=0, density=0.2, shape=(3, 1, 4, 3, 5), scale=2.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    lesion = torch.rand(shape, generator=generator) < density
    return logits.to(dtype), lesion.to(dtype)


def formula_value(name, logits, lesion):
    # Extended precision, because the formulas take 1 - p of nearly certain voxels.
    p = 1 / (1 + np.exp(-logits.double().numpy().astype(np.longdouble)))
    return FORMULAS[name](p, lesion.double().numpy())


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
    expected = np.mean([formula_value(name, z[None], y[None]) for z, y in zip(logits, lesion, strict=True)])
    assert LOSSES[name](logits, lesion, per_patch=True).item() == pytest.approx(expected, rel=1e-12)
    assert LOSSES[name](logits, lesion).item() != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "parameters", "formula", "arguments"),
    [
        ("tversky", {"fn_weight": 0.2, "fp_weight": 0.9}, "tversky", {"fn_weight": 0.2, "fp_weight": 0.9}),
        ("tversky", {"smooth": 0.1}, "tversky", {"smooth": 0.1}),
        ("combo", {"ce_weight": 0.2, "lesion_weight": 0.8}, "combo", {"a": 0.2, "b": 0.8}),
        ("dice", {"squared": False}, "plain_dice", {}),
        ("dice", {"smooth": 1e-3}, "dice", {"smooth": 1e-3}),
        ("sct_dice", {"smooth": 1e-3}, "plain_dice", {"smooth": 1e-3}),
        ("focal_tversky", {"exponent": 1.5}, "focal_tversky", {"exponent": 1.5}),
        ("dice_bce", {"dice_weight": 0.3, "ce_weight": 2}, "dice_bce", {"dice_weight": 0.3, "ce_weight": 2}),
        ("focal", {"lesion_weight": 0.9, "focus": 0.5}, "focal", {"lesion_weight": 0.9, "focus": 0.5}),
        ("f_beta", {"beta": 3, "smooth": 0.1}, "f_beta", {"beta": 3, "smooth": 0.1}),
        (
            "unified_focal",
            {"ce_weight": 0.3, "fn_weight": 0.8, "focus": 0.2},
            "unified_focal",
            {"weight": 0.3, "delta": 0.8, "gamma": 0.2},
        ),
        ("unified_focal", {"asymmetric": False}, "unified_focal", {"asymmetric": False}),
        (
            "blob_dice",
            {"global_weight": 0, "per_lesion_weight": 3},
            "blob_dice",
            {"global_weight": 0, "per_lesion_weight": 3},
        ),
        (
            "cc_dice_ce",
            {"global_weight": 0, "per_lesion_weight": 3},
            "cc_dice_ce",
            {"global_weight": 0, "per_lesion_weight": 3},
        ),
    ],
)
def test_parameters_reach_the_formula(name, parameters, formula, arguments):
    logits, lesion = batch()
    expected = getattr(loss_formulas, formula)(torch.sigmoid(logits).numpy(), lesion.numpy(), **arguments)
    assert LOSSES[name](logits, lesion, **parameters).item() == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=500)
@given(st.data())
def test_generalized_dice_is_that_of_the_naive_loops(data):
    shape = (data.draw(st.integers(1, 3)), 1, *data.draw(st.tuples(*[st.integers(1, 4)] * 3)))
    size = int(np.prod(shape))
    logits = data.draw(st.lists(st.floats(-30, 30), min_size=size, max_size=size))
    lesion = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=size, max_size=size) | st.just([0.0] * size))
    z, y = torch.tensor(logits, dtype=torch.float64).reshape(shape), torch.tensor(lesion).double().reshape(shape)
    assert LOSSES["generalized_dice"](z, y).item() == pytest.approx(formula_value("generalized_dice", z, y), rel=1e-9)
    each = [formula_value("generalized_dice", *patch) for patch in zip(z, y, strict=True)]
    assert LOSSES["generalized_dice"](z, y, per_patch=True).item() == pytest.approx(np.mean(each), rel=1e-9)


@every_loss
def test_order_of_patches_does_not_matter(name):
    logits, lesion = batch()
    lesion[1] = 0
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(LOSSES[name](logits[order], lesion[order]), LOSSES[name](logits, lesion))


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in PER_LESION])
def test_order_of_voxels_does_not_matter(name):
    logits, lesion = batch()
    order = torch.randperm(logits[0].numel(), generator=torch.Generator().manual_seed(1))
    mixed = [voxels.flatten(1)[:, order].reshape(logits.shape) for voxels in (logits, lesion)]
    torch.testing.assert_close(LOSSES[name](*mixed), LOSSES[name](logits, lesion))


@pytest.mark.parametrize("name", ["bce", "focal", *PER_LESION, *PER_PATCH])
def test_a_batch_twice_costs_as_much_as_once(name):
    logits, lesion = batch()
    parameters = {} if name in ("bce", "focal") else {"per_patch": True}
    twice = LOSSES[name](logits.repeat(2, 1, 1, 1, 1), lesion.repeat(2, 1, 1, 1, 1), **parameters)
    torch.testing.assert_close(twice, LOSSES[name](logits, lesion, **parameters))


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


@pytest.mark.parametrize("name", [*PER_PATCH, *PER_LESION])
def test_gradient_per_patch_with_an_empty_patch(name):
    logits, lesion = batch(shape=(2, 1, 2, 2, 3), density=0.3)
    lesion[0] = 0
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, lesion, per_patch=True), logits.requires_grad_())


@every_loss
@pytest.mark.parametrize("density", [0, 0.3])
@pytest.mark.parametrize("sign", [1, -1])
def test_gradient_is_that_of_the_value_where_probabilities_are_near_0_and_1(name, density, sign):
    noise, lesion = batch(density=density, shape=(2, 1, 2, 2, 3), scale=0.3)
    logits = sign * (7 + noise) * (2 * lesion - 1)
    # A wide step and a tight tolerance: many of these slopes are below 1e-6.
    check = {"eps": 1e-3, "atol": 1e-10, "rtol": 1e-3}
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, lesion), logits.requires_grad_(), **check)


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
        assert 0 <= value.item() < 1e-4
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
    assert (slope[lesion == 1] <= 0).all() if name == "lovasz_hinge" else (slope[lesion == 1] < 0).all()
    # The squares of Dice ignore the faintest voxels, and may even pull them up.
    if name not in ("dice", "lovasz_hinge"):
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
    logits, lesion = batch(shape=(2, 1, 48, 48, 48), density=0, dtype=dtype)
    lesion[0, 0, 10:20, 10:20, 10:20] = lesion[0, 0, 30:33, 30:32, 30:32] = 1
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
