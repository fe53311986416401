"""Components grown from threshold to threshold are those of labelling every level from scratch."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_masks import VALUES, maps

from cordlesion.metrics import binarize
from cordlesion.metrics.component_tree import components_by_level
from cordlesion.metrics.lesion import every_component, find_overlaps


def assert_same(got, expected):
    np.testing.assert_array_equal(got.sizes, expected.sizes)
    np.testing.assert_array_equal(got.candidate_sizes, expected.candidate_sizes)
    pairs = [sorted(zip(o.lesions, o.candidates, o.voxels, strict=True)) for o in (got, expected)]
    assert pairs[0] == pairs[1]


@settings(deadline=None, max_examples=500)
@given(maps(), st.sets(st.sampled_from([*VALUES[1:].tolist(), 0.05, 0.3, 0.95])), st.sampled_from([6, 18, 26]))
def test_every_level_is_as_labelled_from_scratch(scan, cuts, connectivity):
    reference, p = scan
    cuts = np.array(sorted(cuts), dtype=np.float32)
    lesions = every_component(reference, connectivity)
    grown = components_by_level(p, cuts, lesions, connectivity)
    assert len(grown) == len(cuts)
    for got, cut in zip(grown, cuts, strict=True):
        found = every_component(binarize(p, cut), connectivity)
        assert_same(got.overlaps, find_overlaps(lesions, found))
        numbers = np.arange(1, len(found.sizes) + 1)
        np.testing.assert_array_equal(got.peaks, [p[found.labels == number].max() for number in numbers])


def test_neighbours_do_not_reach_across_the_border():
    p = np.zeros((3, 4, 5), dtype=np.float32)
    p[0, 0, 4] = p[0, 1, 0] = p[1, 0, 0] = p[0, 3, 4] = 0.8  # next to each other in memory only
    (level,) = components_by_level(p, np.array([0.5], dtype=np.float32), every_component(p > 0, 26), 26)
    assert level.overlaps.candidate_sizes.tolist() == [1, 2, 1]


def test_as_many_thresholds_as_voxels():
    p = np.random.default_rng(0).permutation(300).reshape(5, 6, 10).astype(np.float32) / 300
    lesions = every_component(p > 0.8, 6)
    cuts = np.unique(p)[1:]
    grown = components_by_level(p, cuts, lesions, 6)
    assert [int(level.overlaps.candidate_sizes.sum()) for level in grown] == list(range(299, 0, -1))
    assert_same(grown[150].overlaps, find_overlaps(lesions, every_component(p >= cuts[150], 6)))
