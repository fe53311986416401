import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.patches.grid import extract_patch, patch_grid
from cordlesion.training import TrainingStack, pack_stacks, patch_loader
from cordlesion.training import packed_stacks as packed_stacks_module
from cordlesion.training.patch_dataset import KeyedSampler, PatchDataset, PatchKey
from support.trainings import stacks

SHAPES = [(8, 8, 20), (8, 8, 5), (8, 8, 8), (11, 9, 17)]
"""Longer than a patch, shorter, as long, and larger along every axis."""
EDGES = (8, 8, 8)


def random_stack(shape, seed=0):
    rng = np.random.default_rng(seed)
    return TrainingStack((50 + 20 * rng.normal(size=shape)).astype(np.float32), rng.random(shape) < 0.1)


STACKS = [random_stack(shape, seed) for seed, shape in enumerate(SHAPES)]
PLACES = [
    (stack, start) for stack, shape in enumerate(SHAPES) for start in patch_grid(shape, EDGES, overlap_fraction=0.5)
]


def slow_patch(stack, start, seed, epoch, place):
    """One patch by numpy alone, turned as a whole: what the gathering of a batch has to equal."""
    image, lesion = (extract_patch(values, start, EDGES) for values in (stack.image.astype(np.float16), stack.lesion))
    image = image.astype(np.float64)
    image = (image - image.mean()) / image.std()
    rng = np.random.default_rng([seed, epoch, place])
    mirrored = tuple(axis for axis in range(3) if rng.integers(2))
    turns = int(rng.integers(4))
    return tuple(np.rot90(np.flip(values, mirrored), turns, axes=(0, 1)) for values in (image, lesion))


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_batch_holds_the_patches_that_are_cut_and_turned_one_by_one(epoch):
    patches = PatchDataset(pack_stacks(STACKS), EDGES, 0.5, augment_seed=7)
    assert len(patches) == len(PLACES)
    intensities, lesion = patches[[PatchKey(epoch, place) for place in range(len(PLACES))]]
    assert intensities.dtype == lesion.dtype == torch.float32
    for place, (stack, start) in enumerate(PLACES):
        expected = slow_patch(STACKS[stack], start, 7, epoch, place)
        np.testing.assert_allclose(intensities[place, 0], expected[0], atol=1e-5)
        np.testing.assert_array_equal(lesion[place, 0], expected[1])


def test_patches_are_standardised_and_keep_their_lesion():
    intensities, lesion = PatchDataset(stacks(1), EDGES, 0.5)[[PatchKey(0, 0)]]
    assert intensities.shape == lesion.shape == (1, 1, 8, 8, 8)
    assert float(intensities.mean()) == pytest.approx(0, abs=1e-5)
    assert float(intensities.std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert float(lesion.sum()) == 27


def test_a_patch_depends_on_seed_epoch_and_index_alone():
    patches = PatchDataset(stacks(2), EDGES, 0.5, augment_seed=3)
    alone = patches[[PatchKey(4, 2)]]
    among = PatchDataset(stacks(2), EDGES, 0.5, augment_seed=3)[[PatchKey(1, 0), PatchKey(4, 2), PatchKey(4, 3)]]
    for a, b in zip(alone, among, strict=True):
        torch.testing.assert_close(a[0], b[1], rtol=0, atol=0)
    turned = [patches[[PatchKey(epoch, 2)]][0].numpy().tobytes() for epoch in range(8)]
    assert len(set(turned)) > 1


def test_the_order_of_patches_is_keyed_by_epoch():
    sampler = KeyedSampler(10, batch_size=4, shuffle_seed=1)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert len(sampler) == 3
        orders.append([key.place for batch in batches for key in batch])
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[1]) == list(range(10))
    assert [[key.place for key in batch] for batch in KeyedSampler(4, 2, None)] == [[0, 1], [2, 3]]


def test_the_loader_gives_an_epoch_of_batches():
    loader = patch_loader(stacks(2), EDGES, 0.5, batch_size=3, seed=0)
    assert [len(intensities) for intensities, _ in loader] == [3, 3, 2] == [len(lesion) for _, lesion in loader]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(1, 6)] * 3), min_size=1, max_size=4), st.integers(0, 99))
def test_packed_stacks_hold_every_voxel_of_its_stacks(shapes, seed):
    made = [random_stack(shape, seed + k) for k, shape in enumerate(shapes)]
    packed = pack_stacks(made)
    for stack, first, shape in zip(made, packed.firsts, packed.shapes, strict=True):
        voxels = slice(first, first + math.prod(shape))
        np.testing.assert_array_equal(packed.image[voxels].reshape(shape), stack.image.astype(np.float16))
        np.testing.assert_array_equal(packed.lesion[voxels].reshape(shape), stack.lesion)


def test_intensities_beyond_half_precision_stay_finite():
    stack = random_stack((4, 4, 4))
    stack.image[0, 0, :2] = 1e9, -1e9
    packed = pack_stacks([stack])
    assert packed.image.isfinite().all()
    assert packed.image.abs().max() == np.finfo(np.float16).max


def test_stacks_too_large_for_memory_lie_in_a_file_that_is_removed_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(packed_stacks_module, "MOST_BYTES_IN_MEMORY", 1000)
    mapped, kept = pack_stacks(iter(STACKS), SHAPES, folder=tmp_path), pack_stacks(STACKS)
    torch.testing.assert_close(mapped.image, kept.image, rtol=0, atol=0)
    torch.testing.assert_close(mapped.lesion, kept.lesion, rtol=0, atol=0)
    keys = [PatchKey(0, place) for place in (5, 0, 2)]
    for a, b in zip(*(PatchDataset(packed, EDGES, 0.5, 1)[keys] for packed in (mapped, kept)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_for_the_stacks_is_refused(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed_stacks_module, "MOST_BYTES_IN_MEMORY", 1000)
    monkeypatch.setattr(packed_stacks_module.os, "posix_fallocate", full)
    with pytest.raises(CordlesionError, match=r"there is no room for the .* GiB .*No space left on device"):
        pack_stacks(iter(STACKS), SHAPES, folder=tmp_path)
