import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import Volume, read_volume
from cordlesion.metrics import binarize, sweep
from cordlesion.threshold import THRESHOLDS, GlobalThreshold
from cordlesion.threshold.postprocess import make_mask, near, postprocess, read_cord, without_small
from oracles.postprocess_oracle import naive_removal
from support.images import AFFINE, box, noise, write_image

SPACING = (0.5, 1.0, 2.0)
CUTS = [t for t in THRESHOLDS if t > 0]


def smooth(seed, shape=(9, 10, 11)):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1)
    return ((field - field.min()) / (field.max() - field.min())).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.5, 1.0, 7.0, 30.0, 1e6]), st.permutations(CUTS))
def test_cutting_the_opened_map_removes_just_the_small_components(seed, minimum, thresholds):
    p = smooth(seed)
    opened = without_small(p, thresholds, SPACING, minimum)
    assert opened.dtype == np.float32
    for t in thresholds:
        np.testing.assert_array_equal(binarize(opened, t), naive_removal(binarize(p, t), SPACING, minimum))


def test_a_component_of_just_the_minimum_volume_is_removed():
    p = (box((2, 4), (2, 4), (2, 4)) * 0.8 + box((8, 11), (8, 10), (8, 10)) * 0.6).astype(np.float32)
    kept = without_small(p, [0.5], (0.5, 0.5, 2.0), 4.0)  # 8 and 12 voxels of 0.5 mm3
    np.testing.assert_array_equal(kept > 0, box((8, 11), (8, 10), (8, 10)) > 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.0, 0.5, 1.0, 1.9, 2.0, 3.3, 100.0]))
def test_near_is_within_the_margin_of_some_voxel(seed, margin):
    rng = np.random.default_rng(seed)
    mask = np.zeros((6, 7, 5), bool)
    mask[tuple(rng.integers(0, mask.shape, (3, 3)).T)] = True
    grid = np.stack(np.indices(mask.shape), axis=-1) * SPACING
    distance = np.min([np.linalg.norm(grid - point, axis=-1) for point in grid[mask]], axis=0)
    np.testing.assert_array_equal(near(mask, SPACING, margin), distance <= margin + 1e-9)


def test_a_voxel_at_just_the_margin_counts_although_headers_round():
    spacing = tuple(float(np.float32(0.7)) * 1.0000001 for _ in range(3))
    mask = box((5, 6), (5, 6), (5, 6), shape=(11, 11, 11)) > 0
    assert near(mask, spacing, 0.7).sum() == 7


def test_a_map_is_restricted_before_components_are_measured():
    """A component that reaches out of the cord loses what lies outside, and is then too small."""
    p = (box((2, 6), (5, 6), (5, 6)) * 0.9 + box((12, 16), (5, 6), (5, 6)) * 0.9).astype(np.float32)
    cord = box((4, 20), (3, 8), (0, 40)) > 0
    volume = Volume(p, np.eye(4))
    config = PostprocessConfig(minimum_volume_mm3=2, cord_margin_mm=0)
    kept = binarize(postprocess(volume, [0.5], config, cord), 0.5)
    np.testing.assert_array_equal(kept, box((12, 16), (5, 6), (5, 6)) > 0)
    wider = postprocess(volume, [0.5], config.model_copy(update={"cord_margin_mm": 1.0}), cord)
    assert binarize(wider, 0.5).sum() == 3 + 4


def test_nothing_is_copied_where_nothing_is_removed():
    volume = Volume(smooth(1), np.eye(4))
    assert postprocess(volume, CUTS, PostprocessConfig(), None) is volume.data


def test_scores_of_a_sweep_are_those_of_each_post_processed_mask():
    reference, p = smooth(1) > 0.6, smooth(2)
    opened = postprocess(Volume(p, np.diag([*SPACING, 1])), CUTS, PostprocessConfig(minimum_volume_mm3=9), None)
    swept = sweep(reference, opened, SPACING, CUTS)
    for t, metrics in zip(CUTS, swept, strict=True):
        mask = naive_removal(binarize(p, t), SPACING, 9)
        assert metrics.predicted_volume_mm3 == mask.sum() * 1.0
        assert metrics.n_predicted_lesions == ndimage.label(mask)[1]


def test_a_cord_mask_is_read_only_where_it_is_needed(tmp_path):
    scan = read_volume(write_image(tmp_path / "scan.nii.gz", noise()))
    assert read_cord(tmp_path / "absent.nii.gz", scan, PostprocessConfig()) is None
    restricted = PostprocessConfig(cord_margin_mm=2.5)
    with pytest.raises(CordlesionError, match=r"scan\.nii\.gz: has no cord mask; one is needed, because .* 2\.5 mm"):
        read_cord(None, scan, restricted)
    empty = write_image(tmp_path / "empty.nii.gz", np.zeros(scan.data.shape, np.uint8))
    with pytest.raises(CordlesionError, match=r"empty\.nii\.gz: holds no voxel"):
        read_cord(empty, scan, restricted)
    elsewhere = write_image(tmp_path / "other.nii.gz", box((2, 5), (2, 5), (2, 5)), AFFINE + 0.5 * np.eye(4, k=3))
    with pytest.raises(CordlesionError, match="one grid"):
        read_cord(elsewhere, scan, restricted)
    cord = read_cord(write_image(tmp_path / "cord.nii.gz", box((2, 5), (2, 5), (2, 5))), scan, restricted)
    assert cord.dtype == bool
    assert cord.sum() == 27


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 30), st.sampled_from([0.05, 0.3, 0.5, 0.95, 1.0]), st.booleans())
def test_the_mask_of_a_threshold_is_that_of_the_post_processed_map(seed, minimum, threshold, near_cord):
    rng = np.random.default_rng(seed)
    volume = Volume(rng.random((7, 8, 9)).astype(np.float32), np.diag([-1.0, 0.8, 2.5, 1.0]))
    config = PostprocessConfig(minimum_volume_mm3=minimum, cord_margin_mm=1.5 if near_cord else None)
    cord = np.zeros((7, 8, 9), bool)
    cord[3, 4] = True
    mask, applied = make_mask(volume, GlobalThreshold.given(threshold), config, cord)
    assert applied == threshold
    np.testing.assert_array_equal(mask, binarize(postprocess(volume, [threshold], config, cord), threshold))
