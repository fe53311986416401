import numpy as np
import pytest

from cordlesion.simulate import levels
from cordlesion.simulate.anatomy import S_MM, Person, draw_anatomy, radius_ratio
from cordlesion.simulate.canal import LAYERS, canal_layers, section_at
from cordlesion.simulate.frame import Pose, cord_frame
from cordlesion.simulate.randomness import NoiseTile, keyed_rng, smooth_line
from cordlesion.simulate.signals import draw_signals

WOMAN = Person(36.0, "F")
POSE = Pose(centre_s_mm=85.0, forward_mm=-10.0, pitch=0.1, offset_mm=1.0, tilt=0.03, roll=0.05)


@pytest.fixture(scope="module")
def anatomy():
    return draw_anatomy(0, 0, WOMAN)


def test_levels_join_without_gap():
    assert levels.top_mm("C1") == 0
    assert levels.top_mm("C2") == pytest.approx(23.0)
    np.testing.assert_allclose(np.diff(levels.BOUNDARIES_MM), levels.column("length"))
    assert [levels.NAMES[i] for i in levels.level_index(np.array([-5.0, 10.0, 24.0, 9999.0]))] == [
        "C1",
        "C1",
        "C2",
        "L2",
    ]


def test_along_returns_the_table_at_level_centres():
    centres = np.array([levels.centre_mm(name) for name in ("C3", "T6")])
    np.testing.assert_allclose(levels.along("cord_area", centres), [70.4, 34.9])


def test_most_lesions_are_in_the_neck():
    weight = levels.column("lesions") * levels.column("length")
    neck = levels.top_mm("T1") > levels.CENTRES_MM
    assert weight[neck].sum() / weight.sum() == pytest.approx(0.58, abs=0.02)


def test_anatomy_depends_on_seed_and_subject_only(anatomy):
    again, other = draw_anatomy(0, 0, WOMAN), draw_anatomy(0, 1, WOMAN)
    np.testing.assert_array_equal(anatomy.cord_area_mm2, again.cord_area_mm2)
    assert not np.array_equal(anatomy.cord_area_mm2, other.cord_area_mm2)


def test_men_have_larger_cords_and_age_shrinks_them():
    c3 = np.array(levels.centre_mm("C3"))
    area = {p: draw_anatomy(0, 0, p).at("cord_area_mm2", c3) for p in (WOMAN, Person(36.0, "M"), Person(60.0, "F"))}
    assert sorted(area, key=area.__getitem__) == [Person(60.0, "F"), WOMAN, Person(36.0, "M")]


def test_cord_ends_at_the_conus(anatomy):
    below, above = anatomy.conus_mm + 5, anatomy.conus_mm - 60
    assert anatomy.at("cord_area_mm2", below) == 0
    assert anatomy.at("cord_area_mm2", above) > 20


def test_radius_ratio_is_one_on_the_axes():
    assert radius_ratio(np.array([6.0, 0, 0]), np.array([0, 3.5, -3.5]), 6.0, 3.5) == pytest.approx([1, 1, 1])


def test_frame_inverts_the_curve(anatomy):
    frame = cord_frame(anatomy, POSE, 110.0, 110.0)
    rng = np.random.default_rng(0)
    s, v = rng.uniform(5, 170, 200), rng.uniform(-25, 25, 200)
    angle = np.interp(s, S_MM, frame.angle)
    y = np.interp(s, S_MM, frame.y_mm) + v * np.cos(angle)
    z = np.interp(s, S_MM, frame.z_mm) + v * np.sin(angle)
    found_s, found_v = frame.section(y, z)
    assert found_s == pytest.approx(s, abs=0.15)
    assert found_v == pytest.approx(v, abs=0.1)


def test_frame_centre_is_at_the_pose(anatomy):
    frame = cord_frame(anatomy, POSE, 110.0, 110.0)
    s, x, y = frame.at_height(np.array([0.0]))
    assert (s[0], x[0], y[0]) == pytest.approx((POSE.centre_s_mm, POSE.offset_mm, POSE.forward_mm), abs=0.1)


def test_canal_layers_are_shares(anatomy):
    section = section_at(anatomy, np.linspace(-20, 400, 60, dtype=np.float32))
    u, v = (
        a.astype(np.float32) for a in np.meshgrid(np.linspace(-14, 14, 40), np.linspace(-12, 12, 60), indexing="ij")
    )
    layers = canal_layers(anatomy, section, u, v, (), draw_signals(np.random.default_rng(0), 2.6, 36, 0.1))
    shares = layers[[LAYERS.index(name) for name in ("cover", "cord", "lesion", "csf")]]
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert np.all(layers[LAYERS.index("cord")][:, section.s < 0] == 0)


def test_middle_of_the_cord_has_the_signal_of_white_or_grey_matter(anatomy):
    signals = draw_signals(np.random.default_rng(0), 2.6, 36, 0.1)
    section = section_at(anatomy, np.array([80.0], dtype=np.float32))
    zero = np.zeros((1, 1), dtype=np.float32)
    value = canal_layers(anatomy, section, zero, zero, (), signals)[0]
    assert value.item() == pytest.approx(signals.grey, rel=0.1)


def test_keyed_rng_differs_by_purpose_and_key():
    draws = {keyed_rng(*key).random() for key in (("a", 0, 0), ("b", 0, 0), ("a", 0, 1), ("a", 1, 0))}
    assert len(draws) == 4
    assert keyed_rng("a", 0, 0).random() in draws


def test_noise_has_unit_spread():
    tile = NoiseTile((1,)).cells
    assert tile.std() == pytest.approx(1, abs=1e-3)
    lines = np.concatenate([smooth_line(np.random.default_rng(i), 300, 8) for i in range(60)])
    assert lines.std() == pytest.approx(1, abs=0.12)


def test_noise_is_smooth_across_zero():
    tile = NoiseTile((1,))
    x = np.linspace(-3, 3, 400, dtype=np.float32)
    zero = np.zeros_like(x)
    cells = tile.at(x, zero, zero, 4.0)
    widths = np.diff(np.flatnonzero(np.diff(cells) != 0))
    assert widths.max() <= widths.min() + 1
