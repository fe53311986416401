import numpy as np
import pytest

from cordlesion.simulate import axial_slices, cordless_slices
from cordlesion.simulate.axial_slices import Part, draw_stack, draw_training_stacks
from cordlesion.simulate.cordless_slices import SIZE, cordless_images
from cordlesion.simulate.signals import Signals

FIXED = Signals(3.0, 1.0, 0.8, 0.7, 0.2, 0.2, 0.27, 1.3, 1.0, 0.05, 0.1, 1000)


@pytest.fixture(scope="module")
def stacks():
    return [stack for subject in range(16) for stack in draw_training_stacks(11, subject, 3, 3)]


def test_the_same_arguments_give_the_same_stacks(stacks):
    for first, second in zip(stacks, draw_training_stacks(11, 0, 3, 3), strict=False):
        np.testing.assert_array_equal(first.images, second.images)
        np.testing.assert_array_equal(first.centers, second.centers)


def test_stacks_are_images_with_and_without_cord(stacks):
    for stack in stacks:
        assert stack.images.shape == (3, SIZE, SIZE)
        assert stack.images.dtype == np.float32
        assert np.isfinite(stack.images).all()
        assert np.ptp(stack.images) > 0.1
        np.testing.assert_array_equal(np.isnan(stack.centers[:, 0]), stack.parts == Part.NOTHING)
    parts = np.concatenate([stack.parts for stack in stacks])
    assert 0.3 < (parts == Part.CORD).mean() < 0.8
    assert 0.1 < (parts == Part.NOTHING).mean() < 0.45
    assert {Part.BRAINSTEM, Part.SAC} < set(parts.tolist())


def test_cord_at_the_centre_is_surrounded_by_bright_fluid(monkeypatch):
    monkeypatch.setattr(axial_slices, "_signals", lambda *_: FIXED)
    x, y = np.meshgrid(*[np.arange(SIZE)] * 2, indexing="ij")
    ratios = []
    for subject in range(6):
        for stack in draw_training_stacks(12, subject, 3, 2):
            for image, center, part in zip(stack.images, stack.centers, stack.parts, strict=True):
                if part != Part.CORD:
                    continue
                distance = np.hypot(x - center[0], y - center[1])
                cord = image[distance < 2]
                assert 0.7 < np.median(cord) < 2
                # The sac is narrow in the chest, and the cord may be off the middle of the fluid.
                around = np.quantile(image[(distance > 4) & (distance < 8)], 0.9)
                ratios.append(around / np.median(cord))
    assert len(ratios) > 15
    assert np.median(ratios) > 1.4


def test_parts_follow_each_other_from_the_sac_to_the_brainstem():
    """A whole stack shows sac, conus, cord, upper end and brainstem from bottom to top, each at most once."""
    order = (Part.SAC, Part.CORD_OR_SAC, Part.CORD, Part.BRAINSTEM_OR_CORD, Part.BRAINSTEM, Part.BRAINSTEM_OR_NOTHING)
    seen = set()
    for subject in range(8):
        places = [order.index(part) for part in draw_stack(13, subject, 12.0).parts]
        assert places == sorted(places)
        seen |= set(places)
    assert seen == set(range(len(order)))


@pytest.mark.parametrize("draw", cordless_slices._NO_CORD, ids=lambda draw: draw.__name__)
def test_slices_without_cord_differ(draw):
    rng = np.random.default_rng(0)
    first, second = draw(rng), draw(rng)
    assert first.shape == second.shape == (SIZE, SIZE)
    assert first.min() >= 0
    assert np.abs(first - second).max() > 0.1


def test_consecutive_slices_without_cord_are_alike():
    similar = []
    for seed in range(12):
        images = cordless_images(np.random.default_rng(seed), 4)
        assert images.shape == (4, SIZE, SIZE)
        similar.append(np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1])
    assert np.median(similar) > 0.8
