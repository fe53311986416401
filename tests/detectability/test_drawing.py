"""Implanted lesions: their volume, place, blur and noise, against independent calculations."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.stats import qmc

from cordlesion.detectability.appearance import appearance
from cordlesion.detectability.cord_space import cord_space
from cordlesion.detectability.design import Design, implant_lesions, lesions_per_copy, wishes
from cordlesion.simulate.randomness import NoiseTile, keyed_rng
from cordlesion.simulate.spindle import Lesion, Placement, spindle
from support.tubes import make_tube

TEXTURE = NoiseTile((3,))


@pytest.fixture(scope="module")
def iso():
    space = cord_space((tube := make_tube()).scan, tube.cord)
    return space, appearance(space)


@pytest.fixture(scope="module")
def thick():
    space = cord_space((tube := make_tube(spacing_mm=(0.7, 0.7, 4.0), length_mm=80.0)).scan, tube.cord)
    return space, appearance(space)


def lesion_at(s, *, contrast=1.5, place=None, length=14.0, roughness=0.0):
    place = place or Placement(0.0, (0.0, 0.0), 2.0, 2.0, (5.0, 5.0))
    return Lesion("lesion", "central", s, length, 12.6, place, contrast, 1.5, roughness, 0.0, 7)


def naive_coordinates(points, space):
    """(u, v, s) by the nearest of many points of the curve, without Newton's iteration."""
    order = np.argsort(space.position)
    s = np.linspace(-2, space.length_mm + 2, 4000)
    curve = np.stack([np.interp(s, space.position[order], axis[order]) for axis in space.curve.T], axis=1)
    nearest = cKDTree(curve).query(points)[1]
    tangent = np.gradient(curve, s, axis=0)[nearest]
    offset = points - curve[nearest]
    front = np.array([0.0, 1.0, 0.0]) - tangent[:, 1:2] * tangent
    front /= np.linalg.norm(front, axis=1, keepdims=True)
    return -offset[:, 0], (offset * front).sum(axis=1), s[nearest]


def random_points_volume(one, space):
    """The volume of a lesion inside the smooth cord and the mask, from quasi-random points around it."""
    index = np.argwhere(one.fill > 0) + [edge.start for edge in one.box]
    low, high = (index.min(axis=0) - 1) * space.spacing_mm, (index.max(axis=0) + 1) * space.spacing_mm
    points = low + (high - low) * qmc.Sobol(3, rng=np.random.default_rng(0)).random_base2(16)
    u, v, s = (axis.astype(np.float32) for axis in naive_coordinates(points, space))
    level = spindle(one.lesion, u, v, s, space.girth(s), TEXTURE)
    index = points / space.spacing_mm
    surface = ndimage.map_coordinates(space.surface, index.T, order=1, mode="nearest")
    voxel = np.rint(index).astype(int)
    within = ((voxel >= 0) & (voxel < space.inside.shape)).all(axis=1)
    marked = within & space.inside[tuple(np.where(within[:, None], voxel, 0).T)]
    return float(((level < 1) & (surface > 0.5) & marked).mean() * np.prod(high - low))


def drawn_lesions(space, look, design, n_copies):
    per_copy = lesions_per_copy(space.length_mm)
    wanted = wishes(design, 0, n_copies, per_copy)
    for copy in range(n_copies):
        mine = [wish for wish in wanted if wish.copy == copy]
        yield mine, implant_lesions(mine, space, look, TEXTURE, keyed_rng("test", copy), design.strength)


@pytest.mark.parametrize("scan", ["iso", "thick"])
def test_the_volume_of_many_lesions_is_that_of_random_points(scan, request):
    space, look = request.getfixturevalue(scan)
    ratios, sizes = [], []
    for wanted, drawn in drawn_lesions(space, look, Design(volumes_mm3=(10.0, 400.0)), 12):
        for one in drawn:
            ratios.append(one.volume_mm3 / random_points_volume(one, space))
            sizes.append(min(abs(one.volume_mm3 / wish.volume_mm3 - 1) for wish in wanted))
    print(scan, np.array(ratios).round(3), np.mean(ratios), np.array(sizes).round(2))
    assert np.abs(np.array(ratios) - 1).max() < 0.03
    assert abs(np.mean(ratios) - 1) < 0.01
