"""The curve through probability maps that are drawn here, so that the true curve is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.cord.ends import Ends
from cordlesion.cord.heatmap_curve import curve_in_heatmap
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume
from support.strategies import make_scan

SHAPE, SPACING = (40, 44, 30), (1.0, 1.1, 2.0)
FINE_MM = 0.5


def leaning(z):
    """Return the position of the cord in mm from the centre of the first voxel, at the height z in mm."""
    return 18 + 0.1 * z, 25 - 0.15 * z


def heat_of(scan, disks, radius_mm=4.0):
    """Draw disks: a list of (x mm, y mm) for every axial slice, on a grid of about half a mm."""
    las = to_las(scan)
    sizes = [round(n * step / FINE_MM) for n, step in zip(las.data.shape[:2], las.spacing_mm[:2], strict=True)]
    steps = [n * mm / size for n, mm, size in zip(las.data.shape, las.spacing_mm, sizes, strict=False)]
    x, y = np.meshgrid(*[np.arange(size) * step for size, step in zip(sizes, steps, strict=True)], indexing="ij")
    heat = np.full((*sizes, len(disks)), 0.001, np.float32)
    for k, centers in enumerate(disks):
        for cx, cy in centers:
            heat[(x - cx) ** 2 + (y - cy) ** 2 <= radius_mm**2, k] = 0.999
    scale = [step / mm for step, mm in zip(steps, las.spacing_mm, strict=False)]
    return Volume(heat, las.affine @ np.diag([*scale, 1, 1]))


def off_mm(curve, spacing):
    x, y = leaning(curve.z * spacing[2])
    return np.hypot(curve.x * spacing[0] - x, curve.y * spacing[1] - y).max()


@pytest.mark.parametrize("orientation", ["LAS", "PIR"])
def test_the_curve_is_at_the_centre_of_the_cord_in_all_its_slices(orientation):
    scan = make_scan(orientation, SPACING, SHAPE, (0, 0, 0), seed=0)
    spacing = to_las(scan).spacing_mm
    n = to_las(scan).data.shape[2]
    disks = [[leaning(k * spacing[2])] if 3 <= k < n - 4 else [] for k in range(n)]
    curve = curve_in_heatmap(heat_of(scan, disks), scan)
    np.testing.assert_array_equal(curve.z, np.arange(3, n - 4))
    assert off_mm(curve, spacing) < 0.15
    assert curve.confidence == pytest.approx(0.999, abs=1e-4)
    assert curve.slice_confidence == pytest.approx(np.full(len(curve.z), 0.999), abs=1e-4)
    assert curve.ends.lost == ("superior", "inferior")


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_other_bright_spots_and_a_missing_slice_do_not_change_the_curve(seed):
    """One disk at a random place in each slice, and one empty slice."""
    rng = np.random.default_rng(seed)
    scan = make_scan("LAS", SPACING, SHAPE, (0, 0, 0), seed=0)
    disks = []
    for k in range(SHAPE[2]):
        cord, other = leaning(2.0 * k), tuple(rng.uniform(0, 40, 2))
        apart = np.hypot(cord[0] - other[0], cord[1] - other[1]) > 12
        disks.append([cord, other] if apart else [cord])
    gap = int(rng.integers(5, 25))
    disks[gap] = []
    curve = curve_in_heatmap(heat_of(scan, disks), scan)
    np.testing.assert_array_equal(curve.z, np.delete(np.arange(SHAPE[2]), gap))
    assert off_mm(curve, SPACING) < 0.5
    assert curve.confidence < 0.9, "the empty slice counts in its 10 mm"
    assert curve.slice_confidence.min() > 0.99
    assert curve.ends == Ends("border", "border")


@pytest.mark.parametrize(
    ("n_slices", "radius_mm", "message"),
    [(0, 4.0, "the scan must show one"), (7, 4.0, r"14 mm long \(20 mm are needed\)"), (30, 0.6, "no spinal cord")],
    ids=["nothing", "too short", "specks"],
)
def test_a_map_without_cord_is_rejected(n_slices, radius_mm, message):
    scan = make_scan("LAS", SPACING, SHAPE, (0, 0, 0), seed=0)
    disks = [[leaning(2.0 * k)] if k < n_slices else [] for k in range(SHAPE[2])]
    with pytest.raises(CordlesionError, match=message):
        curve_in_heatmap(heat_of(scan, disks, radius_mm), scan)
