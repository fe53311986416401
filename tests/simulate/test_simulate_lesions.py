from dataclasses import replace

import numpy as np
import pytest

from cordlesion.simulate.anatomy import Person, draw_anatomy, radius_ratio
from cordlesion.simulate.lesions import COLUMNS, draw_lesion, draw_lesions, draw_mimics, draw_overlooked
from cordlesion.simulate.randomness import NoiseTile
from cordlesion.simulate.settings import LESIONS, LesionSettings
from cordlesion.simulate.spindle import Placement, signal_gain, spindle

TILE = NoiseTile((0,))


@pytest.fixture(scope="module")
def anatomy():
    return draw_anatomy(0, 0, Person(36.0, "F"))


@pytest.fixture(scope="module")
def lesions(anatomy):
    rng = np.random.default_rng(0)
    return [draw_lesion(rng, anatomy) for _ in range(60)]


def section_grid(lesion, step=0.1):
    a, b = lesion.place.cord_axes_mm
    u, v = np.meshgrid(np.arange(-a - 1, a + 1, step), np.arange(-b - 1, b + 1, step), indexing="ij")
    return u, v, radius_ratio(u, v, a, b) < 1


def test_section_covers_the_wanted_area(lesions):
    for lesion in lesions:
        u, v, cord = section_grid(lesion)
        assert np.sum(cord & (lesion.place.radius(u, v) < 1)) * 0.01 == pytest.approx(
            lesion.area_mm2, rel=0.12, abs=0.3
        )


def test_volume_of_the_spindle(anatomy):
    lesion = replace(draw_lesion(np.random.default_rng(1), anatomy), roughness=0.0, length_mm=20.0)
    # A section well inside the cord, so that nothing is cut off.
    place = Placement(0.3, (0.0, 0.0), 1.6, 1.4, (6.0, 4.0))
    lesion = replace(lesion, place=place, area_mm2=np.pi * 1.6 * 1.4)
    u, v, s = (a.ravel().astype(np.float32) for a in np.mgrid[-4:4:0.15, -4:4:0.15, -12:12:0.3])
    girth = np.float32(6.0), np.float32(4.0)
    inside = spindle(lesion, u, v, s + np.float32(lesion.centre_s_mm), girth, TILE) < 1
    assert inside.sum() * 0.15**2 * 0.3 == pytest.approx(lesion.volume_mm3, rel=0.05)


def test_lesions_are_in_their_column(lesions):
    for lesion in lesions:
        _, v = lesion.place.centre_mm
        if lesion.column == "posterior":
            assert v < 0.3
        if lesion.column == "anterior":
            assert v > -0.3
        assert lesion.column in COLUMNS


def test_signal_decreases_from_core_to_outside(lesions):
    level = np.linspace(0, 6, 50, dtype=np.float32)
    for lesion in lesions:
        gain = signal_gain(lesion, level, 1.5, np.zeros_like(level))
        assert gain[0] > 1.3
        assert gain[-1] == pytest.approx(1, abs=0.06)
        assert np.all(np.diff(gain) <= 1e-6)


@pytest.mark.parametrize("fields", [[(0.0, 160.0)], [(0.0, 160.0), (180.0, 430.0)]])
def test_every_field_contains_a_lesion(anatomy, fields):
    lesions = draw_lesions(anatomy, fields)
    assert all(any(lesion.lies_in(field) for lesion in lesions) for field in fields)
    assert lesions == draw_lesions(anatomy, fields)


def test_no_field_no_lesion(anatomy):
    assert draw_lesions(anatomy, []) == ()


def test_too_short_a_field_is_refused(anatomy):
    with pytest.raises(ValueError, match="20 mm"):
        draw_lesions(anatomy, [(10.0, 10.5)])


def test_settings_change_the_distributions(anatomy):
    many = LesionSettings(mean_per_cord=12.0, dispersion=20.0)
    assert len(draw_lesions(anatomy, [(0.0, 400.0)], many)) >= 5
    rng = np.random.default_rng(0)
    bright = [draw_lesion(rng, anatomy, replace(LESIONS, contrast=1.8)).contrast for _ in range(50)]
    assert np.median(bright) == pytest.approx(1.8, rel=0.06)


def test_larger_lesions_are_brighter(anatomy):
    rng = np.random.default_rng(0)
    drawn = [draw_lesion(rng, anatomy) for _ in range(600)]
    correlation = np.corrcoef([np.log(x.volume_mm3) for x in drawn], [np.log(x.contrast) for x in drawn])[0, 1]
    assert 0.25 < correlation < 0.65


def test_mimics_are_faint_and_never_lesions():
    mimics = [f for i in range(40) for f in draw_mimics(draw_anatomy(0, i, Person(36.0, "F")))]
    assert len(mimics) > 40
    assert {f.kind for f in mimics} == {"mimic", "diffuse"}
    assert max(f.contrast for f in mimics) < 1.25


def test_some_subjects_without_marked_lesions_have_a_faint_one():
    found = [draw_overlooked(draw_anatomy(0, i, Person(36.0, "F"))) for i in range(100)]
    assert 0.08 < np.mean([len(x) for x in found]) < 0.35
    assert all(lesion.contrast <= 1.25 for x in found for lesion in x)
