"""Implanted lesions: their volume, place, blur and noise, against independent calculations."""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage, stats
from scipy.spatial import cKDTree
from scipy.stats import qmc

from cordlesion.cord.centerline import Centerline
from cordlesion.detectability.appearance import appearance
from cordlesion.detectability.cord_input import estimate_cord
from cordlesion.detectability.cord_space import cord_space
from cordlesion.detectability.design import GAP_MM, Design, Wish, implant_lesions, lesions_per_copy, wishes
from cordlesion.detectability.drawing import draw_lesion, rician_sd
from cordlesion.errors import CordlesionError
from cordlesion.simulate.randomness import NoiseTile, keyed_rng
from cordlesion.simulate.settings import LESIONS
from cordlesion.simulate.spindle import Lesion, Placement, spindle
from support.tubes import CORD, make_tube

TEXTURE = NoiseTile((3,))


class Smooth(NoiseTile):
    """No noise: lesions have smooth outlines, and the same signal inside."""

    cells = np.zeros((128,) * 3, np.float32)


SMOOTH = Smooth((0,))


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
    drawn = [one for _, some in drawn_lesions(space, look, Design(volumes_mm3=(20.0, 300.0)), 5) for one in some]
    ratios = np.array([one.volume_mm3 / random_points_volume(one, space) for one in drawn])
    assert len(ratios) >= 8
    assert np.abs(ratios - 1).max() < 0.01
    assert abs(ratios.mean() - 1) < 0.003
    # And the voxels of the reference, of which at least half is lesion, have that volume together.
    marked = sum(float((one.fill >= 0.5).sum() * np.prod(space.spacing_mm)) for one in drawn)
    assert marked == pytest.approx(sum(one.volume_mm3 for one in drawn), rel=0.1)


def test_coordinates_are_those_of_the_nearest_point_of_the_curve(iso):
    space, _ = iso
    rng = np.random.default_rng(0)
    s = rng.uniform(5, space.length_mm - 5, 300)
    points = np.array([space.centre_at(at) for at in s]) + rng.uniform(-4, 4, (300, 3))
    for own, naive in zip(space.coordinates(points), naive_coordinates(points, space), strict=True):
        np.testing.assert_allclose(own, naive, atol=0.03)


def test_the_cord_has_the_width_of_the_tube_and_right_is_right(iso):
    space, _ = iso
    assert space.semi_axes(30.0) == pytest.approx((5.0, 5.0), abs=0.15)
    # Indices increase to the left.
    u, v, s = space.coordinates(space.centre_at(20.0) + np.array([[-2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    assert u == pytest.approx([2, 0], abs=0.05)
    assert v[1] > 1.9
    assert s == pytest.approx([20, 20], abs=1)


def test_lesions_lie_in_the_cord_mask(iso):
    space, look = iso
    for _, drawn in drawn_lesions(space, look, Design(volumes_mm3=(20.0, 500.0), seed=4), 3):
        for one in drawn:
            assert one.fill.max() <= 1
            assert not one.fill[~space.inside[one.box]].any()
            assert one.added[~(one.fill > 0)].max() < 0.7 * one.added.max()


def test_lesions_of_one_copy_lie_apart_along_the_cord(iso):
    space, look = iso
    wanted = [Wish(60.0, 1.5, "lateral", 0)] * 4
    drawn = implant_lesions(wanted, space, look, TEXTURE, keyed_rng("apart"), 1.0)
    ends = [(one.lesion.centre_s_mm, one.lesion.length_mm / 2) for one in drawn]
    assert len(drawn) >= 2
    for (a, half_a), (b, half_b) in pairwise(ends):
        assert b - half_b - (a + half_a) >= GAP_MM - 1e-9


@pytest.mark.parametrize("blur_mm", [0.35, 0.6])
def test_the_blur_of_the_scan_is_measured_and_lesions_have_the_same_edge(blur_mm):
    step = 0.6
    tube = make_tube(blur_mm=blur_mm, bend_mm=0, length_mm=24, spacing_mm=(step, step, 1.0))
    space = cord_space(tube.scan, tube.cord)
    look = appearance(space)
    # Of an edge blurred by the Gaussian and by the voxel.
    expected = 2.563 * np.hypot(blur_mm, step / np.sqrt(12))
    assert look.edge_mm == pytest.approx(expected, rel=0.12)
    sharp = replace(lesion_at(12.0, length=200.0), edge_mm=0.01)
    one = draw_lesion(sharp, space, look, SMOOTH)
    line = one.added[:, one.added.shape[1] // 2, one.added.shape[2] // 2].astype(float) / (0.5 * CORD)
    rise = line[: line.argmax() + 1]
    low, high = np.interp([0.1, 0.9], rise, np.arange(len(rise)) * step)
    assert high - low == pytest.approx(expected, rel=0.25)


def test_a_thick_slice_averages_its_thickness(thick):
    space, look = thick
    assert look.blur_sd_mm[2] == 0
    # The lesion is 6 mm long, so that slices of 4 mm hold it in part.
    one = draw_lesion(lesion_at(38.0, length=6.0), space, look, TEXTURE)
    fill = one.fill.sum(axis=(0, 1))
    assert (fill > 0).sum() >= 2
    assert one.added.max() < 0.5 * CORD  # contrast 1.5, but no slice is wholly inside


def test_the_contrast_inside_a_large_lesion_is_the_wanted_one(iso):
    space, look = iso
    place = Placement(0.0, (0.0, 0.0), 4.0, 4.0, (5.0, 5.0))
    for contrast in (1.2, 1.5, 1.8):
        one = draw_lesion(lesion_at(30.0, contrast=contrast, place=place, length=25.0), space, look, TEXTURE)
        middle = tuple(n // 2 for n in one.added.shape)
        signal = (space.scan.data[one.box] + one.added)[middle] / CORD
        assert signal == pytest.approx(contrast, abs=0.35 * (contrast - 1))  # its texture is +- 10 %


def test_no_contrast_adds_nothing_at_all(iso):
    space, look = iso
    assert not draw_lesion(lesion_at(30.0, contrast=1.0), space, look, TEXTURE).added.any()


def test_grey_and_white_matter_differ_less_inside_a_lesion():
    tube = make_tube(bend_mm=0, length_mm=30)
    x = np.arange(tube.scan.data.shape[0])[:, None, None]
    stripes = np.where(tube.cord & (np.abs(x - 15.5) < 1.6), 1.3, 1.0)
    ratios = []
    for data in (tube.scan.data, stripes * tube.scan.data):
        space = cord_space(replace(tube.scan, data=data.astype(np.float32)), tube.cord)
        place = Placement(0.0, (0.0, 0.0), 4.5, 4.5, (5.0, 5.0))
        one = draw_lesion(lesion_at(15.0, place=place, length=40.0), space, appearance(space), SMOOTH)
        middle = tuple(n // 2 for n in one.added.shape)
        line = (space.scan.data[one.box] + one.added)[:, middle[1], middle[2]]
        ratios.append(line[middle[0]] / line[middle[0] + 3])
    # 30 % of the difference are left.
    assert ratios[1] / ratios[0] == pytest.approx(1 + 0.3 * 0.3, abs=0.05)


def test_rician_noise_grows_little_in_a_lesion():
    rng = np.random.default_rng(0)
    for snr in (2.0, 8.0, 14.0):
        sample = np.hypot(snr + rng.standard_normal(400_000), rng.standard_normal(400_000))
        assert rician_sd(snr) == pytest.approx(sample.std(), rel=0.005)
    assert rician_sd(14.0) / rician_sd(8.0) < 1.01


def test_the_design_spreads_volumes_and_contrasts_evenly():
    made = wishes(Design(volumes_mm3=(5.0, 500.0), contrasts=(1.1, 1.9)), 0, 50, 4)
    assert np.bincount([wish.copy for wish in made]).tolist() == [4] * 50
    volume = np.log([wish.volume_mm3 for wish in made])
    contrast = np.array([wish.contrast for wish in made])
    assert stats.kstest((volume - np.log(5)) / np.log(100), "uniform").statistic < 0.02
    assert stats.kstest((contrast - 1.1) / 0.8, "uniform").statistic < 0.02
    assert abs(np.corrcoef(volume, contrast)[0, 1]) < 0.2
    assert wishes(Design(), 0, 5, 2) == wishes(Design(), 0, 5, 2) != wishes(Design(seed=1), 0, 5, 2)


def test_a_grid_has_every_volume_with_every_contrast_equally_often():
    design = Design("grid", (10.0, 100.0), (1.2, 1.4, 1.6))
    made = Counter((wish.volume_mm3, wish.contrast) for wish in wishes(design, 0, 12, 1))
    assert set(made.values()) == {2}
    assert len(made) == 6


def test_the_simulators_design_has_its_distributions():
    made = wishes(Design("simulator"), 0, 2000, 1)
    volume = np.log([wish.volume_mm3 for wish in made])
    expected = np.log(0.6 * LESIONS.length_mm * LESIONS.area_mm2)
    assert volume.mean() == pytest.approx(expected, abs=0.08)
    assert volume.std() == pytest.approx(0.88, abs=0.06)
    assert np.median([wish.contrast for wish in made]) == pytest.approx(LESIONS.contrast, abs=0.02)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"name": "odd"}, "the design 'odd'"),
        ({"volumes_mm3": (50.0, 10.0)}, "rising values from 1 to 5000 mm3"),
        ({"contrasts": (0.9, 1.5)}, "from 1.01 to 4"),
        ({"volumes_mm3": (10.0, 20.0, 30.0)}, "an even design"),
        ({"columns": ("medial",)}, "lateral, posterior, anterior, central"),
        ({"strength": -1.0}, "from 0 to 5"),
    ],
)
def test_impossible_designs_are_refused(values, part):
    with pytest.raises(CordlesionError, match=re.escape(part)):
        Design(**values)


def test_the_cord_is_estimated_around_a_centerline():
    tube = make_tube(noise=8.0)
    z = np.arange(tube.cord.shape[2], dtype=float)
    line = Centerline(np.full(len(z), 15.5), 18 + 4 * np.sin(np.pi * z / 60), z)
    found = estimate_cord(tube.scan, line)
    assert 2 * (found & tube.cord).sum() / (found.sum() + tube.cord.sum()) > 0.96
    assert found.sum() == pytest.approx(tube.cord.sum(), rel=0.05)


def test_a_scan_without_bright_fluid_is_refused():
    tube = make_tube()
    dark = replace(tube.scan, data=np.where(tube.scan.data > 300, 20, tube.scan.data).astype(np.float32))
    z = np.arange(tube.cord.shape[2], dtype=float)
    line = Centerline(np.full(len(z), 15.5), 18 + 4 * np.sin(np.pi * z / 60), z)
    with pytest.raises(CordlesionError, match="bright fluid is seen around only"):
        estimate_cord(dark, line)
    with pytest.raises(CordlesionError, match="no sharp edge between its cord and bright fluid"):
        appearance(cord_space(dark, tube.cord))
    assert appearance(cord_space(dark, tube.cord), edge_mm=1.2).edge_mm == 1.2


@pytest.mark.parametrize("edge_mm", [-5.0, 0.0, 300.0, float("nan")])
def test_an_impossible_width_of_edges_is_refused(iso, edge_mm):
    """300 mm would blur a lesion away that the masks still mark."""
    with pytest.raises(CordlesionError, match=r"0\.2 to 4 mm are needed"):
        appearance(iso[0], edge_mm)
