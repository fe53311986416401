from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from cordlesion.simulate.reader import Evidence, read_lesions
from cordlesion.simulate.settings import READER, ReaderSettings

SPACING = (2.8, 0.6, 0.6)
CAREFUL = ReaderSettings(lapse=0.0, offset_sd_mm=0.0, bias_sd_mm=0.0, fill_threshold=(0.5, 0.0), false_lesions=0.0)


def evidence(contrast=0.4, noise=0.06, boxes=((2, 20, 30),), half=(1, 4, 10)):
    share = np.zeros((5, 40, 100), dtype=np.float32)
    cord = np.zeros(share.shape, dtype=bool)
    cord[1:4, 10:30, :] = True
    for box in boxes:
        share[tuple(slice(c - h, c + h + 1) for c, h in zip(box, half, strict=True))] = 1.0
    share *= cord
    image = 1 + contrast * share + np.random.default_rng(0).normal(0, 0.01, share.shape).astype(np.float32)
    return Evidence(share, contrast * share, cord, image, noise, SPACING, 0)


def read(scene, seed=0, finds=None, settings=READER):
    return read_lesions(scene, np.random.default_rng(seed), finds, settings)


def test_an_accurate_reader_marks_a_clear_lesion_exactly():
    scene = evidence(contrast=0.8, noise=0.03)
    np.testing.assert_array_equal(read(scene, settings=CAREFUL), scene.share > 0.5)


def test_detection_rate_increases_with_contrast():
    def rate(contrast):
        return np.mean([read(evidence(contrast), seed, None, replace(CAREFUL, lapse=0.1)).any() for seed in range(60)])

    rates = [rate(contrast) for contrast in (0.03, 0.15, 0.5)]
    assert rates[0] < 0.3 < rates[1] < 0.85 < rates[2]


def test_lesion_free_scan_has_an_empty_reference():
    assert not read(evidence(), finds=False).any()


def test_scan_with_known_lesions_is_never_empty():
    hidden = evidence(contrast=0.001, noise=0.2)
    assert all(read(hidden, seed, True).any() for seed in range(20))


def test_marks_stay_in_the_cord():
    scene = evidence(boxes=((2, 11, 30),))
    for seed in range(10):
        assert not np.any(read(scene, seed) & ~scene.cord)


def test_small_components_are_not_outlined():
    scene = evidence(contrast=0.8, boxes=((2, 20, 30), (2, 15, 70), (2, 25, 75)), half=(0, 1, 2))
    noisy = replace(READER, false_lesions=0.0, offset_sd_mm=0.8)
    smallest = {limit: min_volume(scene, replace(noisy, min_volume_mm3=limit)) for limit in (0.0, 10.0)}
    assert smallest[0.0] < 5 < 10 <= smallest[10.0]


def min_volume(scene, settings):
    labels = [ndimage.label(read(scene, seed, settings=settings))[0] for seed in range(20)]
    return min(np.bincount(one.ravel())[1:].min(initial=999) for one in labels) * np.prod(SPACING)


def test_same_reader_twice_and_another_reader():
    scene = evidence()
    first, again = read(scene, 1), read(scene, 1)
    np.testing.assert_array_equal(first, again)
    assert any(not np.array_equal(first, read(scene, seed)) for seed in range(2, 6))


def test_bias_changes_the_size_of_the_outline():
    scene = evidence(contrast=0.8, noise=0.03)
    sizes = [read(scene, seed, None, replace(CAREFUL, bias_sd_mm=0.6)).sum() for seed in range(12)]
    assert min(sizes) < (scene.share > 0.5).sum() < max(sizes)


def test_neighbours_are_merged_about_half_of_the_time():
    scene = evidence(contrast=0.8, noise=0.03, boxes=((2, 20, 30), (2, 20, 54)))

    def gap_filled(seed):
        return read(scene, seed, None, CAREFUL)[2, 20, 42]

    assert 0.25 < np.mean([gap_filled(seed) for seed in range(40)]) < 0.75


def test_false_lesions_have_the_configured_rate():
    scene = evidence(boxes=())
    eager = replace(CAREFUL, false_lesions=1.0)
    rate = np.mean([read(scene, seed, None, eager).any() for seed in range(60)])
    assert rate == pytest.approx(1 - np.exp(-1), abs=0.2)
