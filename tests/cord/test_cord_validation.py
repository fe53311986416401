import numpy as np
import pytest

from cordlesion.cord.centerline import Centerline
from cordlesion.cord.training import validation as cord_validation
from cordlesion.cord.training.disturbances import DISTURBANCES, LocatedScan
from cordlesion.cord.training.validation import (
    MAX_ERROR_MM,
    draw_validation_scans,
    located_scan,
    search_error_mm,
    slice_errors_mm,
)
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.simulate import ScanPlan, simulate_scan
from cordlesion.simulate.anatomy import Person

SPACING = (1.4, 0.8, 3.0)
COARSE_MM = 1.5
"""Accuracy of a centre of mass over voxels of 5 mm or with noise."""


def tube(contrast=1.0):
    """Return a bright oblique tube and its centre in voxels; the first three slices are empty."""
    shape = (60, 80, 24)
    z = np.arange(shape[2])
    truth = np.stack([28 + 0.4 * z, 45 - 0.5 * z], axis=1)
    x, y = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    away = [np.hypot((x - cx) * SPACING[0], (y - cy) * SPACING[1]) for cx, cy in truth]
    data = np.stack([0.1 + contrast * np.exp(-((d / 4) ** 2)) for d in away], axis=2).astype(np.float32)
    truth[:3] = np.nan
    data[:, :, :3] = 0.1
    return LocatedScan("tube", data, SPACING, truth)


@pytest.mark.parametrize("kind", DISTURBANCES)
def test_the_true_centres_follow_the_disturbance(kind):
    disturbed = DISTURBANCES[kind](tube(), np.random.default_rng(3))
    assert disturbed.centers.shape == (disturbed.data.shape[2], 2)
    data = disturbed.data.max() - disturbed.data if kind == "inverted" else disturbed.data
    assert disturbed.cord_slices.size
    for k in disturbed.cord_slices:
        # The peak is at a whole voxel; the voxels around it give the exact centre.
        weight = np.clip(data[:, :, k] - 0.4 * data[:, :, k].max(), 0, None)
        center = [float((weight * mesh).sum() / weight.sum()) for mesh in np.indices(weight.shape)]
        away = np.abs(np.subtract(center, disturbed.centers[k])) * disturbed.spacing_mm[:2]
        assert away.max() < (COARSE_MM if kind in ("noisy", "shaded", "thick", "isotropic") else 0.35)


def test_the_true_centres_of_a_simulated_scan_are_those_of_its_cord():
    for plane in ("sagittal", "axial"):
        plan = ScanPlan(77, 0, 0, 0, Person(40, "F"), 1, plane, "cervical", True, ())
        cord, truth = to_las(simulate_scan(plan).cord), located_scan(plan).centers
        away = []
        for k in np.flatnonzero(cord.data.any(axis=(0, 1))):
            middle = np.argwhere(cord.data[:, :, k]).mean(axis=0)
            away.append(np.hypot(*((middle - truth[k]) * cord.spacing_mm[:2])))
        assert np.median(away) < 0.6
        assert np.isnan(truth[~cord.data.any(axis=(0, 1)), 0]).all()


def located(curve, monkeypatch, cord=True):
    """Return a scan of 20 slices with the cord at voxel (10, 10) of slices 4 to 15; the detector returns ``curve``."""
    truth = np.full((20, 2), np.nan)
    if cord:
        truth[4:16] = 10.0

    def find(_scan, _weights):
        if curve is None:
            raise CordlesionError("no cord")
        return curve

    monkeypatch.setattr(cord_validation, "find_cord", find)
    return LocatedScan("made", np.zeros((30, 30, 20), np.float32), (1.0, 2.0, 5.0), truth)


def curve(x, y, first, last):
    z = np.arange(first, last + 1.0)
    return Centerline(np.full(len(z), float(x)), np.full(len(z), float(y)), z)


def test_search_error_of_known_curves(monkeypatch):
    assert search_error_mm(located(curve(10, 10, 4, 15), monkeypatch)) == 0
    # 3 mm sideways, 4 mm to the front.
    assert search_error_mm(located(curve(13, 12, 4, 15), monkeypatch)) == pytest.approx(5)
    assert search_error_mm(located(curve(29, 10, 4, 15), monkeypatch)) == MAX_ERROR_MM
    assert search_error_mm(located(curve(10, 10, 4, 9), monkeypatch)) == pytest.approx(MAX_ERROR_MM / 2)
    assert search_error_mm(located(None, monkeypatch)) == MAX_ERROR_MM
    # The curve may extend 25 mm beyond the cord; farther slices count as errors.
    scan = located(curve(10, 10, 4, 19), monkeypatch)
    assert search_error_mm(scan) == 0
    errors = slice_errors_mm(curve(10, 10, -2, 15), scan)
    assert (np.isinf(errors).sum(), len(errors)) == (1, 13)


def test_a_curve_in_a_scan_without_cord_is_an_error(monkeypatch):
    assert search_error_mm(located(None, monkeypatch, cord=False)) == 0
    scan = located(curve(10, 10, 4, 15), monkeypatch, cord=False)
    assert search_error_mm(scan) == MAX_ERROR_MM
    assert np.isinf(slice_errors_mm(curve(10, 10, 4, 15), scan)).all()


def test_the_shipped_weights_find_the_cord_of_validation_scans():
    scans = draw_validation_scans(4, seed=5, jobs=2)
    assert [scan.name.split(":")[0] for scan in scans[4:]] == [
        *(f"drawn, {gap:g} mm" for gap in (2, 3, 5, 12)),
        "no cord",
        "no cord",
    ]
    assert np.median([search_error_mm(scan) for scan in scans]) < 1
