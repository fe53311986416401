"""All metrics of a map at many thresholds: one evaluation per threshold, in one pass."""

import dataclasses
import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_masks import VALUES, maps, rules, spacings

from cordlesion.errors import CordlesionError
from cordlesion.metrics import binarize, evaluate, sweep
from cordlesion.metrics.voxel import bounding_box
from oracles import sweep_oracle

cuts = st.lists(st.sampled_from([*VALUES.tolist(), 0.05, 0.3, 0.95]), max_size=8)


def same(got, expected):
    return dataclasses.asdict(got) == pytest.approx(expected, nan_ok=True, rel=1e-12)


@settings(deadline=None, max_examples=500)
@given(maps(), spacings, cuts, rules)
def test_sweep_is_one_evaluation_per_threshold(scan, spacing_mm, thresholds, rule):
    for got, t in zip(sweep(*scan, spacing_mm, thresholds, rule), thresholds, strict=True):
        assert same(got, dataclasses.asdict(evaluate(scan[0], binarize(scan[1], t), spacing_mm, rule)))


@settings(deadline=None, max_examples=500)
@given(maps(), spacings, cuts.map(lambda values: values[:3]), rules)
def test_sweep_agrees_with_plain_loops(scan, spacing_mm, thresholds, rule):
    expected = sweep_oracle.sweep(*scan, spacing_mm, thresholds, rule)
    swept = sweep(*scan, spacing_mm, thresholds, rule)
    assert len(swept) == len(thresholds)
    assert all(map(same, swept, expected))


def test_sparse_map_with_many_lesions():
    # As real maps are: a few percent of the grid reached, lesions that appear, grow, merge and touch several others.
    rng = np.random.default_rng(0)
    grid = np.indices((40, 24, 30))
    reference, p = np.zeros(grid.shape[1:], dtype=bool), np.zeros(grid.shape[1:], dtype=np.float32)
    for _ in range(12):
        distance = sum((grid[axis] - rng.uniform(3, grid.shape[axis + 1] - 3)) ** 2 for axis in range(3))
        reference |= distance < rng.uniform(2, 12)
        p = np.maximum(p, np.exp(-distance / rng.uniform(2, 12)) * rng.uniform(0.3, 1)).astype(np.float32)
    thresholds = np.round(np.linspace(0, 1, 21), 2)
    swept = sweep(reference, p, (1, 1, 1), thresholds)
    assert len({m.n_predicted_lesions for m in swept}) > 4
    for got, t in zip(swept, thresholds, strict=True):
        assert same(got, dataclasses.asdict(evaluate(reference, binarize(p, t), (1, 1, 1))))


def test_sweep_does_not_change_its_inputs():
    reference, p = np.zeros((4, 4, 4), dtype=bool), np.full((4, 4, 4), 0.5, dtype=np.float32)
    reference[1:3] = True
    sweep(reference, p, (1, 1, 1), [0, 0.5, 1])
    assert reference.sum() == 32
    assert (p == 0.5).all()


def test_a_map_on_another_grid_is_refused():
    with pytest.raises(CordlesionError, match=r"probability map has shape"):
        sweep(np.ones((2, 3, 4)), np.ones((1, 3, 4)), (1, 1, 1), [0.5])


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_values_out_of_range_are_refused(bad):
    mask, p = np.ones((1, 1, 2), dtype=bool), np.array([[[0.5, bad]]])
    with pytest.raises(CordlesionError, match="probabilities between 0 and 1"):
        sweep(mask, p, (1, 1, 1), [0.5])
    with pytest.raises(CordlesionError, match="values between 0 and 1"):
        sweep(mask, np.zeros((1, 1, 2)), (1, 1, 1), [0.5, bad])


@pytest.mark.parametrize("thresholds", ["paper", ["a"], [None]])
def test_thresholds_that_are_no_numbers_get_a_sentence(thresholds):
    mask = np.zeros((3, 3, 3), bool)
    with pytest.raises(CordlesionError, match="The thresholds are"):
        sweep(mask, mask.astype(float), (1, 1, 1), thresholds)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("part_voxels", [1, 20, 2**16])
def test_the_box_is_found_part_by_part(monkeypatch, order, part_voxels):
    module = importlib.import_module("cordlesion.metrics.sweep")
    monkeypatch.setattr(module, "_PART_VOXELS", part_voxels)
    rng = np.random.default_rng(1)
    for share in (0.0, 0.002, 0.01, 0.3):
        for _ in range(10):
            shape = tuple(rng.integers(1, 12, 3))
            mask = np.asarray(rng.random(shape) < share, order=order)
            p = np.asarray(np.where(rng.random(shape) < share, 0.6, 0.1), dtype=np.float32, order=order)
            assert module._box_of_either(mask, p, 0.5) == bounding_box(mask | (p >= 0.5))
