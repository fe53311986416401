"""Why a curve ends, and how sure it is in its least sure stretch."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.cord.centerline import Centerline, coverage_remark, lost_remark, slices_of
from cordlesion.cord.confidence import lowest_confidence
from cordlesion.cord.ends import END_WORDS, LOOK_MM, MIN_EVIDENCE, Beyond, Ends, end_reasons
from cordlesion.cord.finder import find_cord
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume
from cordlesion.simulate import ScanPlan, simulate_scan
from cordlesion.simulate.anatomy import Person
from support.strategies import make_scan

share = st.floats(0, 1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(share, st.sampled_from([0.5, 1.0, 3.0, 7.5])), min_size=1, max_size=40),
    st.sampled_from([2.0, 10.0]),
)
def test_the_confidence_is_the_lowest_mean_of_any_stretch(slices, stretch_mm):
    """The oracle slides the stretch in steps of 0.25 mm; between two of them the mean changes by at most 0.25 / 2."""
    p, extents = (np.array(values) for values in zip(*slices, strict=True))
    fine = np.repeat(p, np.rint(extents * 4).astype(int))
    n = min(len(fine), round(4 * stretch_mm))
    oracle = min(fine[start : start + n].mean() for start in range(len(fine) - n + 1))
    assert lowest_confidence(p, extents, stretch_mm) == pytest.approx(oracle, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.lists(share, min_size=1, max_size=30), st.integers(1, 4))
def test_slices_cut_thinner_have_the_same_confidence(p, parts):
    p = np.array(p)
    whole = lowest_confidence(p, np.full(len(p), 3.0))
    assert lowest_confidence(np.repeat(p, parts), np.full(len(p) * parts, 3.0 / parts)) == pytest.approx(whole)
    assert p.min() - 1e-9 <= whole <= p.max() + 1e-9
    # Stretches that tile the curve: the lowest of their means is not above the mean of all.
    assert lowest_confidence(p, np.full(len(p), 10.0 * parts)) <= p.mean() + 1e-9


def test_one_lost_stretch_is_not_averaged_away():
    p = np.ones(200)
    p[100:110] = 0.1
    assert p.mean() > 0.95
    assert lowest_confidence(p, np.ones(200)) == pytest.approx(0.1)


def beyond(next_structure, cord, extent_mm=3.0):
    values = np.atleast_1d(next_structure).astype(float)
    return Beyond(np.full(len(values), extent_mm), np.broadcast_to(np.float64(cord), values.shape), values)


@settings(deadline=None, max_examples=80)
@given(
    n=st.integers(1, 300),
    span=st.tuples(share, share),
    slab=st.integers(1, 6),
    evidence=st.tuples(share, share, share, share),
)
def test_an_end_is_the_border_or_followed_by_what_follows_a_cord_or_lost(n, span, slab, evidence):
    first, last = sorted(round(at * (n - 1)) for at in span)
    above, below = (beyond([p] * 6, cord) for p, cord in (evidence[:2], evidence[2:]))
    ends = end_reasons(first, last, n, slab, above=above, below=below)
    for reason, left, name, (p, cord) in (
        (ends.superior, n - 1 - last, "brainstem", evidence[:2]),
        (ends.inferior, first, "conus", evidence[2:]),
    ):
        assert reason == ("border" if left <= slab else name if p >= MIN_EVIDENCE and p > cord else "lost")
        assert reason in END_WORDS
    assert ends.lost == tuple(end for end in ("superior", "inferior") if getattr(ends, end) == "lost")


def test_without_evidence_an_end_inside_the_image_is_lost():
    nothing = Beyond(np.empty(0), np.empty(0), np.empty(0))
    for evidence in (None, nothing, beyond([0.0] * 5, 0.0), beyond([0.9] * 5, 0.95)):
        assert end_reasons(40, 60, 100, 3, above=evidence, below=evidence) == Ends("lost", "lost")


def test_only_the_next_millimetres_count():
    near = round(LOOK_MM / 3)
    far_brain = beyond([0.0] * near + [1.0] * 50, 0.0)
    near_brain = beyond([1.0] * near + [0.0] * 50, 0.0)
    assert end_reasons(0, 60, 300, 3, above=far_brain).superior == "lost"
    assert end_reasons(0, 60, 300, 3, above=near_brain).superior == "brainstem"
    # A thick slab counts only as far as it reaches into the stretch.
    assert end_reasons(0, 9, 20, 1, above=beyond([1.0, 0.0], 0.0, extent_mm=LOOK_MM * 0.6)).superior == "brainstem"
    assert end_reasons(0, 9, 20, 1, above=beyond([1.0, 0.0, 0.0], 0.0, extent_mm=LOOK_MM * 0.4)).superior == "lost"


@pytest.mark.parametrize("orientation", ["LAS", "RPI", "PIR", "SAL"])
def test_a_lost_end_is_named_by_the_slice_of_the_file(orientation):
    scan = make_scan(orientation, (1.0, 1.0, 2.0), (14, 12, 30), (0, 0, 0), seed=1)
    las = to_las(scan)
    n, dz = las.data.shape[2], las.spacing_mm[2]
    z = np.arange(4.0, n - 6)
    curve = Centerline(np.full(len(z), 5.0), np.full(len(z), 5.0), z, ends=Ends("lost", "conus"))
    remark = lost_remark(curve, scan, "scan")
    axis = next(n for n, letter in enumerate(orientation) if letter in "SI")
    index, left = int(z[-1]), n - 1 - int(z[-1])
    index = index if orientation[axis] == "S" else left
    assert f"axial slice {'ijk'[axis]} = {index} ({left} slices, {left * dz:.0f} mm, are beyond it)" in remark
    assert "superior" in remark
    assert "inferior" not in remark
    both = lost_remark(replace(curve, ends=Ends("lost", "lost")), scan, "scan")
    assert both.startswith("scan: the cord was lost at its superior end")
    assert "and at its inferior end" in both
    for ends in (None, Ends("brainstem", "border")):
        assert lost_remark(replace(curve, ends=ends), scan) is None


def test_only_a_drawn_curve_is_called_unfinished_by_its_length():
    scan = make_scan("LAS", (1, 1, 1), (14, 12, 30), (0, 0, 0), seed=1)
    short = Centerline(np.full(5, 5.0), np.full(5, 5.0), np.arange(10.0, 15.0))
    assert "covers 5 of 30 axial slices (17 %)" in coverage_remark(short, scan)
    assert coverage_remark(replace(short, ends=Ends("brainstem", "conus")), scan) is None
    assert slices_of(short, 30).tolist() == [10, 11, 12, 13, 14]
    assert slices_of(short, 12).tolist() == [10, 11]


@settings(deadline=None, max_examples=40)
@given(st.lists(share, min_size=5, max_size=40))
def test_a_curve_that_was_found_is_called_uncertain_where_its_longest_unsure_stretch_is(p):
    scan = make_scan("LAS", (1, 1, 3.0), (14, 12, 50), (0, 0, 0), seed=1)
    p, n = np.array(p), len(p)
    curve = Centerline(
        np.full(n, 5.0), np.full(n, 5.0), np.arange(2.0, n + 2), lowest_confidence(p, np.full(n, 3.0)),
        slice_confidence=p, ends=Ends("lost", "border"),
    )  # fmt: skip
    remark = coverage_remark(curve, scan, "scan")
    if curve.confidence >= 0.5:
        assert remark is None
        return
    runs = [(low, high) for low in range(n) for high in range(low, n) if (p[low : high + 1] < 0.5).all()]
    most = max(high - low + 1 for low, high in runs)
    assert f"uncertain along {3 * most} mm" in remark
    upper, lower = (int(at) for at in re.findall(r"k = (\d+)", remark))
    assert (lower - 2, upper - 2) in runs
    assert upper - lower + 1 == most


def test_slices_that_a_curve_skips_are_uncertain():
    scan = make_scan("LAS", (1, 1, 3.0), (14, 12, 50), (0, 0, 0), seed=1)
    z = np.array([2.0, 3, 4, 9, 10, 11])
    curve = Centerline(z, z, z, 0.2, slice_confidence=np.ones(6), ends=Ends("lost", "border"))
    assert "uncertain along 12 mm (axial slices k = 8 to k = 5)" in coverage_remark(curve, scan, "scan")


def test_smoothing_keeps_what_is_known_of_a_curve():
    z = np.arange(20.0)
    curve = Centerline(z % 2, z, z, 0.8, ("a remark",), np.linspace(0, 1, 20), Ends("border", "lost"))
    smooth = curve.smoothed((1.0, 1.0, 1.0), 60.0)
    assert replace(smooth, x=curve.x, y=curve.y).__dict__ == curve.__dict__
    assert not np.allclose(smooth.x, curve.x)


@pytest.fixture(scope="module")
def cord():
    """A simulated cervical scan in LAS order, with only the slices that show cord: it leaves by both borders."""
    scan = simulate_scan(ScanPlan(9001, 0, 0, 0, Person(40, "F"), 1, "axial", "cervical", True, ()))
    las = to_las(scan.image)
    marked = np.flatnonzero(to_las(scan.cord).data.any(axis=(0, 1)))
    return Volume(las.data[..., marked[0] : marked[-1] + 1], las.affine)


def test_a_cord_that_leaves_the_image_ends_at_its_border(cord):
    curve = find_cord(cord)
    assert curve.ends == Ends("border", "border")
    assert len(curve.slice_confidence) == len(curve.z)
    assert curve.slice_confidence.min() - 1e-9 <= curve.confidence <= curve.slice_confidence.max() + 1e-9
    assert lost_remark(curve, cord) is None


def test_a_cord_that_is_blanked_in_the_middle_is_not_reported_as_found_whole(cord):
    rng = np.random.default_rng(0)
    # Long enough that no curve may bridge it as if it had seen the cord there.
    air = rng.normal(0, 0.02 * float(cord.data.max()), (*cord.data.shape[:2], round(90 / cord.spacing_mm[2])))
    blanked = Volume(np.concatenate([cord.data, np.abs(air), cord.data], axis=2).astype(np.float32), cord.affine)
    curve = find_cord(blanked)
    covers_all = len(curve.z) >= blanked.data.shape[2] - 2
    assert curve.confidence < 0.2 if covers_all else curve.ends.lost
    if not covers_all:
        assert "nothing is searched there" in lost_remark(curve, blanked, "scan")
