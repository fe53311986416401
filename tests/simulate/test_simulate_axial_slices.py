import numpy as np
import pytest

from cordlesion.simulate import axial_slices
from cordlesion.simulate.axial_slices import SIZE, draw_slices
from cordlesion.simulate.signals import Signals

FIXED = Signals(3.0, 1.0, 0.8, 0.7, 0.2, 0.2, 0.27, 1.3, 1.0, 0.05, 0.1, 1000)


@pytest.fixture(scope="module")
def slices():
    return [drawn for subject in range(16) for drawn in draw_slices(11, subject, 5)]


def test_the_same_arguments_give_the_same_slices(slices):
    again = list(draw_slices(11, 0, 5))
    for first, second in zip(slices, again, strict=False):
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.center, second.center)


def test_slices_are_images_with_and_without_cord(slices):
    for drawn in slices:
        assert drawn.image.shape == (SIZE, SIZE)
        assert drawn.image.dtype == np.float32
        assert np.isfinite(drawn.image).all()
        assert np.ptp(drawn.image) > 0.1
    with_cord = [drawn for drawn in slices if not np.isnan(drawn.center[0])]
    assert 0.4 < len(with_cord) / len(slices) < 0.9
    assert 0 < sum(not drawn.certain for drawn in slices) < 0.3 * len(slices)
    centers = np.array([drawn.center for drawn in with_cord])
    assert centers.min() >= 0.2 * SIZE
    assert centers.max() <= 0.8 * SIZE


def test_cord_at_the_centre_is_surrounded_by_bright_fluid(monkeypatch):
    monkeypatch.setattr(axial_slices, "_signals", lambda *_: FIXED)
    x, y = np.meshgrid(*[np.arange(SIZE)] * 2, indexing="ij")
    ratios = []
    for subject in range(6):
        for drawn in draw_slices(12, subject, 6):
            if drawn.certain and not np.isnan(drawn.center[0]):
                distance = np.hypot(x - drawn.center[0], y - drawn.center[1])
                cord = drawn.image[distance < 2]
                assert 0.7 < np.median(cord) < 2
                # The cord may be off the middle of the fluid.
                around = np.quantile(drawn.image[(distance > 6) & (distance < 9)], 0.75)
                ratios.append(around / np.median(cord))
    assert len(ratios) > 15
    assert np.median(ratios) > 1.4


@pytest.mark.parametrize("draw", axial_slices._NO_CORD, ids=lambda draw: draw.__name__)
def test_slices_without_cord_differ(draw):
    rng = np.random.default_rng(0)
    first, second = draw(rng), draw(rng)
    assert first.shape == second.shape == (SIZE, SIZE)
    assert first.min() >= 0
    assert np.abs(first - second).max() > 0.1
