"""Surface distances against MONAI and plain loops; the normalised Dice against its published formula."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.metrics import normalised_dice, surface_distances

SPACING = (0.5, 1.0, 2.5)
seeds = st.integers(0, 2**32 - 1)


def blobs(seed):
    rng = np.random.default_rng(seed)
    masks = np.zeros((2, 9, 8, 7), bool)
    for mask in masks:
        for _ in range(rng.integers(1, 4)):
            low = rng.integers(0, 5, 3)
            high = low + rng.integers(1, 5, 3)
            mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
    return masks


def surface_by_plain_loop(mask):
    padded = np.pad(mask, 1)
    found = []
    for place in np.argwhere(padded):
        neighbours = [tuple(place + step) for step in (*np.eye(3, dtype=int), *-np.eye(3, dtype=int))]
        if not all(padded[n] for n in neighbours):
            found.append(place * SPACING)
    return np.array(found)


@settings(deadline=None, max_examples=60)
@given(seeds, st.sampled_from([0.0, 0.5, 1.0, 2.5]))
def test_distances_are_those_between_all_pairs_of_surface_voxels(seed, tolerance):
    masks = blobs(seed)
    first, second = (surface_by_plain_loop(mask) for mask in masks)
    distances = np.linalg.norm(first[:, np.newaxis] - second, axis=2)
    there, back = distances.min(axis=1), distances.min(axis=0)
    got = surface_distances(*masks, SPACING, tolerance)
    assert got.hausdorff95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    every = np.concatenate([there, back])
    assert got.mean_mm == pytest.approx(every.mean())
    assert got.within == pytest.approx((every <= tolerance + 1e-9).mean())


@pytest.mark.filterwarnings("ignore::FutureWarning:monai")
@pytest.mark.parametrize("seed", range(5))
def test_distances_are_those_of_monai(seed):
    torch, metrics = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    masks = blobs(seed)
    both = [torch.from_numpy(mask)[None, None].float() for mask in masks]
    got = surface_distances(*masks, SPACING, 1.0)
    hausdorff = metrics.compute_hausdorff_distance(*both, percentile=95, include_background=True, spacing=SPACING)
    assert got.hausdorff95_mm == pytest.approx(hausdorff.item(), abs=1e-5)
    share = metrics.compute_surface_dice(*both, class_thresholds=[1.0], include_background=True, spacing=SPACING)
    assert got.within == pytest.approx(share.item(), abs=1e-5)


def test_an_empty_mask_has_no_surface():
    mask = np.ones((3, 3, 3), bool)
    assert math.isnan(surface_distances(mask, ~mask, SPACING).hausdorff95_mm)
    assert math.isnan(surface_distances(~mask, mask, SPACING).within)


@settings(deadline=None, max_examples=50)
@given(seeds, st.floats(0.0005, 0.5))
def test_the_normalised_dice_weighs_false_positives_by_the_load(seed, load):
    reference, prediction = blobs(seed)
    n = reference.size
    h = reference.sum() / (n - reference.sum())
    kappa = h * (1 / load - 1)
    true = (reference & prediction).sum()
    expected = 2 * true / (kappa * (prediction & ~reference).sum() + 2 * true + (reference & ~prediction).sum())
    got = normalised_dice(int(reference.sum()), int(prediction.sum()), int(true), n, load)
    assert got == pytest.approx(expected)


def test_mistakes_get_a_sentence():
    with pytest.raises(CordlesionError, match="do not fit each other"):
        normalised_dice(10, 10, 11, 100)
    with pytest.raises(CordlesionError, match="tolerance is -1"):
        surface_distances(np.ones((3, 3, 3)), np.ones((3, 3, 3)), SPACING, -1)
    assert math.isnan(normalised_dice(0, 10, 0, 100))
