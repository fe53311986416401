"""Losses with a term per lesion: their domains, and that no lesion is outvoted."""

import loss_formulas
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cordlesion.losses import LOSSES
from cordlesion.losses.perlesion import voronoi_regions, without_other_lesions

PER_LESION = ["blob_dice", "cc_dice_ce"]
DOMAINS = {"blob_dice": loss_formulas.in_patch_without_others, "cc_dice_ce": loss_formulas.in_voronoi_region}
PLAIN = {"blob_dice": loss_formulas.plain_dice, "cc_dice_ce": loss_formulas.dice_bce}
per_lesion = pytest.mark.parametrize("name", PER_LESION)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def patches(seed=0):
    """Three patches of 7 x 6 x 5: three lesions of very different sizes, none, and one."""
    logits = 2 * torch.randn((3, 1, 7, 6, 5), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lesion = torch.zeros_like(logits)
    lesion[0, 0, :3, :3, :3] = lesion[0, 0, 6, 5, 4] = lesion[0, 0, 6, :2, 0] = lesion[2, 0, 3, 2:4, 1] = 1
    return logits, lesion


masks = st.tuples(st.integers(0, 2**31), st.sampled_from([0.02, 0.1, 0.3])).map(
    lambda drawn: np.random.default_rng(drawn[0]).random((6, 5, 4)) < drawn[1]
)


@settings(deadline=None, max_examples=50)
@given(masks)
def test_voronoi_regions_are_the_nearest_voxels_of_each_lesion(mask):
    regions, lesions = list(voronoi_regions(mask)), loss_formulas.components(mask)
    assert len(regions) == len(lesions)
    for voxel in np.ndindex(mask.shape) if lesions else ():
        owner = loss_formulas.nearest(voxel, lesions)
        assert [region[voxel] for region in regions] == [number == owner for number in range(len(lesions))]


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
def test_one_transform_gives_the_regions_of_one_per_lesion(share):
    """Ties, of which there are many, go to the first lesion."""
    mask = np.random.default_rng(0).random((24, 20, 16)) < share
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    nearest, least = np.zeros(mask.shape, int), np.full(mask.shape, np.inf)
    for number in range(1, count + 1):
        distance = ndimage.distance_transform_edt(labels != number)
        nearest[distance < least] = number
        least = np.minimum(least, distance)
    regions = list(voronoi_regions(mask))
    assert len(regions) == count
    for number, region in enumerate(regions, start=1):
        np.testing.assert_array_equal(region, nearest == number)


@settings(deadline=None, max_examples=50)
@given(masks)
def test_only_the_other_lesions_are_cut_out(mask):
    domains, lesions = list(without_other_lesions(mask)), loss_formulas.components(mask)
    assert len(domains) == len(lesions)
    for domain, lesion in zip(domains, lesions, strict=True):
        assert set(zip(*np.nonzero(domain & mask), strict=True)) == lesion
        assert domain[~mask].all()


@per_lesion
@pytest.mark.parametrize("per_patch", [False, True])
def test_mean_over_lesions(name, per_patch):
    logits, lesion = patches()
    values = loss_formulas.domain_losses(torch.sigmoid(logits).numpy(), lesion.numpy(), PLAIN[name], DOMAINS[name])
    assert [len(each) for each in values] == [3, 1]
    expected = np.mean([np.mean(each) for each in values]) if per_patch else np.mean(values[0] + values[1])
    value = LOSSES[name](logits, lesion, global_weight=0, per_lesion_weight=1, per_patch=per_patch)
    assert value.item() == pytest.approx(expected, rel=1e-12)


@per_lesion
@pytest.mark.parametrize("per_patch", [False, True])
def test_without_lesion_only_the_global_term_is_left(name, per_patch):
    logits, _ = patches()
    whole = {"blob_dice": "sct_dice", "cc_dice_ce": "dice_bce"}[name]
    nothing = torch.zeros_like(logits)
    value = LOSSES[name](logits, nothing, global_weight=1, per_patch=per_patch)
    torch.testing.assert_close(value, LOSSES[whole](logits, nothing, per_patch=per_patch))


@per_lesion
def test_an_empty_patch_does_not_dilute_the_lesions(name):
    logits, lesion = patches()
    with_empty = LOSSES[name](logits, lesion, global_weight=0)
    assert with_empty == LOSSES[name](logits[[0, 2]], lesion[[0, 2]], global_weight=0)


def test_one_lesion_is_its_own_batch():
    logits, lesion = patches()
    logits, lesion = logits[2:], lesion[2:]
    torch.testing.assert_close(LOSSES["blob_dice"](logits, lesion), 3 * LOSSES["sct_dice"](logits, lesion))
    torch.testing.assert_close(LOSSES["cc_dice_ce"](logits, lesion), 2 * LOSSES["dice_bce"](logits, lesion))


@per_lesion
def test_lesions_of_different_patches_do_not_touch(name):
    logits, lesion = patches()
    both = torch.cat([lesion[2:], lesion[2:]])
    value = LOSSES[name](logits[1:], both, global_weight=0)
    each = [LOSSES[name](logits[i : i + 1], lesion[2:], global_weight=0) for i in (1, 2)]
    torch.testing.assert_close(value, torch.stack(each).mean())


def pull_on_small_lesion(name, with_large):
    """Sum of slopes on 10 missed voxels of a patch, alone or together with a lesion of 1000 voxels that is found."""
    lesion = torch.zeros((1, 1, 32, 32, 32), dtype=torch.float64)
    lesion[..., 2, 2:4, 2:7] = 1
    small = lesion == 1
    if with_large:
        lesion[..., 15:25, 15:25, 15:25] = 1
    logits = torch.where(small, -2.0, 16 * lesion - 8).requires_grad_()
    LOSSES[name](logits, lesion).backward()
    return -logits.grad[small].sum().item()


@per_lesion
def test_a_small_lesion_is_not_outvoted_by_a_large_one(name):
    assert pull_on_small_lesion(name, with_large=True) > 0.1 * pull_on_small_lesion(name, with_large=False)
    for plain in ("sct_dice", "tversky"):
        assert pull_on_small_lesion(plain, with_large=True) < 0.02 * pull_on_small_lesion(plain, with_large=False)


@per_lesion
def test_gradient_is_that_of_the_value(name):
    logits, lesion = patches()
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, lesion), logits.requires_grad_())
