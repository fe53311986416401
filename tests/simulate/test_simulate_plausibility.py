"""Simulated subjects against published figures of cords and lesions, without images.

The ranges come from the measurements of Valosek & Bedard 2024 (cord), Bot 2004, Kearney 2016 and Eden 2019 (lesions);
they were fixed before the simulator was written.
"""

import numpy as np
import pytest

from cordlesion.simulate import levels, plan_cohort
from cordlesion.simulate.anatomy import S_MM, draw_anatomy, radius_ratio
from cordlesion.simulate.canal import section_at
from cordlesion.simulate.lesions import draw_lesions

SEED = 2023
SUBJECTS = 300


@pytest.fixture(scope="module")
def anatomies():
    people = [subject.person for subject in plan_cohort(SUBJECTS * 161 // 108, SEED)][:SUBJECTS]
    return [draw_anatomy(SEED, i, person) for i, person in enumerate(people)]


@pytest.fixture(scope="module")
def cords_with_lesions(anatomies):
    return [draw_lesions(anatomy, [(0.0, 200.0)]) for anatomy in anatomies]


@pytest.fixture(scope="module")
def lesions(anatomies, cords_with_lesions):
    return [(anatomy, lesion) for anatomy, cord in zip(anatomies, cords_with_lesions, strict=True) for lesion in cord]


@pytest.mark.parametrize(("level", "low", "high"), [("C3", 62, 76), ("C7", 45, 60), ("T6", 30, 39)])
def test_cord_area(anatomies, level, low, high):
    areas = np.array([anatomy.at("cord_area_mm2", levels.centre_mm(level)) for anatomy in anatomies])
    assert low < np.median(areas) < high
    assert 0.08 < areas.std() / areas.mean() < 0.14


@pytest.mark.parametrize(("level", "low", "high"), [("C2", 0.60, 0.72), ("C5", 0.52, 0.64), ("T3", 0.65, 0.78)])
def test_cord_shape(anatomies, level, low, high):
    assert low < np.median([anatomy.at("cord_ratio", levels.centre_mm(level)) for anatomy in anatomies]) < high


def test_drawn_section_has_the_tabulated_area(anatomies):
    u, v = np.meshgrid(np.arange(-12, 12, 0.05), np.arange(-12, 12, 0.05), indexing="ij")
    for anatomy in anatomies[:5]:
        half_rl, half_ap = anatomy.semi_axes(np.array(100.0))
        area = np.sum(radius_ratio(u, v, half_rl, half_ap) < 1) * 0.05**2
        assert area == pytest.approx(float(anatomy.at("cord_area_mm2", 100.0)), rel=0.01)


def test_cord_fills_a_plausible_part_of_the_sac(anatomies):
    c4 = np.array([levels.centre_mm("C4")])
    shares = []
    for anatomy in anatomies:
        section = section_at(anatomy, c4)
        sac = np.pi * (section.sac_half_ap - section.dent / 2) * section.sac_half_rl
        shares.append(float(anatomy.at("cord_area_mm2", c4)[0] / sac[0]))
    assert 0.28 < np.median(shares) < 0.60
    assert np.mean([0.25 < share < 0.65 for share in shares]) > 0.95


def turn_deg(anatomy):
    """Return the range of the direction of the cord over its first 130 mm, in degrees."""
    return np.degrees(np.ptp(anatomy.direction[(S_MM >= 0) & (S_MM <= 130)]))


def test_cord_changes_direction_in_the_sagittal_plane(anatomies):
    turns = np.array([turn_deg(anatomy) for anatomy in anatomies])
    assert turns.min() > 5
    assert turns.max() < 70


def test_lesions_per_cord(cords_with_lesions):
    neck_and_upper_chest = [sum(lesion.lies_in((0.0, 200.0)) for lesion in cord) for cord in cords_with_lesions]
    assert 2.2 < np.mean(neck_and_upper_chest) < 4.2
    assert 5 <= np.percentile(neck_and_upper_chest, 95) <= 10
    assert max(len(cord) for cord in cords_with_lesions) <= 20


def test_lesion_volume(lesions):
    volumes = np.array([lesion.volume_mm3 for _, lesion in lesions])
    assert 40 < np.median(volumes) < 90
    assert 0.8 < np.log(volumes).std() < 1.2
    assert 0.05 < np.mean(volumes < 20) < 0.25


def test_lesion_volume_per_scan(cords_with_lesions):
    in_view = [[lesion.volume_mm3 for lesion in cord if lesion.lies_in((0.0, 200.0))] for cord in cords_with_lesions]
    assert 100 < np.median([sum(volumes) for volumes in in_view if volumes]) < 350


def test_lesion_length(lesions):
    lengths = np.array([lesion.length_mm for _, lesion in lesions])
    segment = levels.column("length")[levels.level_index(np.array([lesion.centre_s_mm for _, lesion in lesions]))]
    assert 10 < np.median(lengths) < 18
    assert np.mean(lengths > 2 * segment) < 0.08


def test_lesion_section(lesions):
    shares = np.array(
        [lesion.area_mm2 / anatomy.at("cord_area_mm2", lesion.centre_s_mm) for anatomy, lesion in lesions]
    )
    assert 0.06 < np.median(shares) < 0.20
    assert np.mean(shares > 0.5) < 0.05


def touches_surface(place):
    u = place.centre_mm[0] + place.half_depth_mm * np.cos(place.surface_angle)
    v = place.centre_mm[1] + place.half_depth_mm * np.sin(place.surface_angle)
    return radius_ratio(u, v, *place.cord_axes_mm) >= 1


def test_lesion_place(anatomies, lesions):
    assert 0.75 < np.mean([touches_surface(lesion.place) for _, lesion in lesions]) < 0.95
    shares = {
        column: np.mean([lesion.column == column for _, lesion in lesions]) for column in ("lateral", "posterior")
    }
    assert 0.4 < shares["lateral"] < 0.6
    assert 0.3 < shares["posterior"] < 0.45
    assert 0.05 < 1 - sum(shares.values()) < 0.2
    anywhere = [lesion for anatomy in anatomies for lesion in draw_lesions(anatomy, [(0.0, 480.0)])]
    assert 0.50 < np.mean([lesion.centre_s_mm < levels.top_mm("T1") for lesion in anywhere]) < 0.65
