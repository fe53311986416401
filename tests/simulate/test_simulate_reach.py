"""Points skipped to save time do not change the result: each tissue beyond its reach, the canal beyond its wall."""

import numpy as np
import pytest
from scipy.ndimage import zoom

from cordlesion.simulate import surroundings
from cordlesion.simulate.anatomy import Person, draw_anatomy
from cordlesion.simulate.canal import canal_layers, canal_layers_near, sac_distance, section_at
from cordlesion.simulate.frame import Pose, cord_frame
from cordlesion.simulate.lesions import draw_lesions, draw_mimics
from cordlesion.simulate.painting import points_at
from cordlesion.simulate.randomness import keyed_rng
from cordlesion.simulate.render import Scene, doubled, near_canal
from cordlesion.simulate.signals import draw_signals

POSITIONS = 30_000


@pytest.fixture(params=range(3), scope="module")
def subject(request):
    """Draw anatomy and signals of a subject, and points in the whole body."""
    rng = np.random.default_rng(request.param)
    anatomy = draw_anatomy(5, request.param, Person(40.0, "F"))
    signals = draw_signals(keyed_rng("signals", 5, request.param), 2.3, 40.0, 0.1)
    # Half of the points near the canal, where most tissues meet.
    spread = np.where(rng.random((2, 2, POSITIONS)) < 0.5, 25, 130)
    u, v = (rng.uniform(-1, 1, (2, 2, POSITIONS)) * spread).astype(np.float32)
    return anatomy, signals, section_at(anatomy, rng.uniform(-110, 500, POSITIONS)), u, v


@pytest.mark.parametrize("layer", surroundings.LAYERS, ids=lambda layer: layer.everywhere.__name__)
def test_a_tissue_computed_within_its_reach_equals_one_computed_everywhere(subject, layer):
    anatomy, signals, section, u, v = subject
    points = points_at(anatomy, signals, section, u, v)
    below = np.random.default_rng(0).uniform(0, 2, u.shape).astype(np.float32)
    painted = layer(points, below.copy())
    assert np.array_equal(painted, layer.everywhere(points, below))
    assert not np.array_equal(painted, below)


def test_the_canal_ends_at_its_rim(subject):
    anatomy, signals, section, u, v = subject
    lesions = (*draw_lesions(anatomy, [(0.0, 300.0)]), *draw_mimics(anatomy))
    distance = sac_distance(section, u, v)
    everywhere = np.stack(canal_layers_near(anatomy, section, u, v, distance, lesions, signals))
    assert np.array_equal(canal_layers(anatomy, section, u, v, lesions, signals), everywhere)


def test_no_point_of_the_canal_is_beyond_its_reach(subject):
    anatomy, signals, section, _, v = subject
    frame = cord_frame(anatomy, Pose(100.0, 0.0, 0.0, 0.0, 0.0, 0.0), 100, 100)
    scene = Scene(anatomy, frame, (), signals)
    assert np.abs(v[0][near_canal(section, v[0])]).max() < scene.canal_reach_mm


@pytest.mark.parametrize("shape", [(70, 45), (32, 9), (1, 2)])
def test_doubling_is_linear_interpolation(shape):
    image = np.random.default_rng(1).random(shape, dtype=np.float32)
    assert np.array_equal(doubled(image), zoom(image, 2, order=1, grid_mode=True, mode="nearest"))
