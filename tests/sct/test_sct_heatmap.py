import numpy as np
import pytest
import torch
from scipy import ndimage

from cordlesion.cord.centerline import centerline_from_cord_mask
from cordlesion.cord.ends import Ends
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_scan
from cordlesion.model.hardware import Hardware
from cordlesion.sct.centerline_network import sct_centerline_heatmap, sct_cord_finder
from cordlesion.sct.import_network import read_centerline_network
from cordlesion.sct.networks import SctCenterlineNet
from support.keras_networks import centerline_layers, write_keras
from support.strategies import make_scan


@pytest.fixture(autouse=True)
def half_precision(monkeypatch):
    monkeypatch.setattr(
        "cordlesion.sct.centerline_network.choose_hardware", lambda: Hardware(torch.device("cpu"), True)
    )


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SctCenterlineNet((2, 3, 4), (1, 2)).eval()


@pytest.mark.parametrize("orientation", ["LAS", "PSR"])
def test_every_slice_is_seen_alone_and_whole(network, orientation):
    scan = make_scan(orientation, (0.5, 0.5, 0.5), (17, 22, 9), (0, 0, 0), seed=2)
    las = to_las(scan).data.astype(np.float64)
    low, high = np.percentile(las, [2, 98])
    bright = (np.clip((las - low) / (high - low) * 255, 0, 255) - 51.1417) / 57.4408
    heatmap = sct_centerline_heatmap(network, scan)
    assert heatmap.data.shape == las.shape
    for z in range(las.shape[2]):
        edges = [(0, -n % 4) for n in las.shape[:2]]
        plane = torch.tensor(np.pad(bright[..., z], edges, mode="edge"), dtype=torch.float32)
        with torch.no_grad():
            expected = torch.sigmoid(network(plane[None, None]))[0, 0, : las.shape[0], : las.shape[1]]
        np.testing.assert_allclose(heatmap.data[..., z], expected, atol=1e-5)


def test_its_affine_puts_the_first_voxels_at_one_place(network):
    scan = make_scan("RIP", (0.9, 2.0, 0.7), (20, 9, 30), (0.2, 0.1, 0), seed=2)
    las, heatmap = to_las(scan), sct_centerline_heatmap(network, scan)
    assert heatmap.data.shape[2] == las.data.shape[2]
    np.testing.assert_allclose(heatmap.affine[:, 3], las.affine[:, 3])
    np.testing.assert_allclose(heatmap.spacing_mm, (0.5, 0.5, las.spacing_mm[2]), rtol=0.03)


def test_a_constant_image_has_a_heatmap(network):
    assert np.isfinite(sct_centerline_heatmap(network, Volume(np.ones((8, 9, 2)), np.eye(4))).data).all()


def test_the_published_network_sees_the_cord(shared):
    """SCT's own code is 0.12 mm off this mask's centre on average, and 0.3 mm at most."""
    scan = read_scan(shared("data", "real", "t2.nii.gz"))
    mask = centerline_from_cord_mask(shared("data", "real", "t2_seg-manual.nii.gz"), scan)
    heatmap = sct_centerline_heatmap(read_centerline_network(shared("data", "sct", "t2_ctr.h5")), scan)
    fine = np.array(heatmap.data.shape) / to_las(scan).data.shape
    x, y = mask.at(np.arange(heatmap.data.shape[2], dtype=float))
    errors = []
    for z in range(heatmap.data.shape[2]):
        labels, n = ndimage.label(heatmap.data[..., z] > 0.5)
        assert n
        largest = np.bincount(labels.ravel())[1:].argmax() + 1
        center = np.array(ndimage.center_of_mass(labels == largest)) - (x[z] * fine[0], y[z] * fine[1])
        errors.append(0.5 * np.hypot(*center))
    assert np.mean(errors) < 0.2
    assert np.max(errors) < 0.5


@pytest.mark.parametrize(("thickness_mm", "held"), [(4.0, (2, 24)), (0.8, (0, 50)), (1.1, (7, 41)), (3.1, (0, 11))])
def test_of_thin_slices_some_are_looked_at_and_the_curve_has_all(tmp_path, monkeypatch, thickness_mm, held):
    """The cord leans, so that a curve that is off by a slice is off sideways too."""
    shape = (60, 56, held[1] + 3 if held[0] else held[1])
    scan = make_scan("LAS", (1.0, 1.0, thickness_mm), shape, (0, 0, 0), seed=1)
    seen = []

    def heat(_network, part, _contrast):
        las = to_las(part)
        x, y = np.meshgrid(np.arange(60), np.arange(56), indexing="ij")
        heights = np.arange(las.data.shape[2]) * las.spacing_mm[2] + (las.affine - scan.affine)[2, 3]
        seen.extend(np.rint(heights / thickness_mm).astype(int))
        inside = np.isin(seen, np.arange(*held))
        disks = [((x - 25) ** 2 + (y - 20 - 0.2 * h) ** 2 <= 20) * one for h, one in zip(heights, inside, strict=True)]
        return Volume(np.stack(disks, axis=2).astype(np.float32), las.affine)

    monkeypatch.setattr("cordlesion.sct.centerline_network.sct_centerline_heatmap", heat)
    curve = sct_cord_finder(write_keras(tmp_path / "t2_ctr.h5", centerline_layers()))(scan)
    assert np.diff(seen).max() * thickness_mm <= max(3.0, thickness_mm)
    stride = int(np.diff(seen).max())
    assert stride == max(1, int(3 / thickness_mm))
    assert abs(curve.z[0] - held[0]) < stride
    assert abs(curve.z[-1] - (held[1] - 1)) < stride
    if not held[0]:
        assert (curve.z[0], curve.z[-1]) == (0, shape[2] - 1)
    assert curve.ends == (Ends("border", "border") if not held[0] else Ends("lost", curve.ends.inferior))
    assert curve.ends.inferior == ("border" if curve.z[0] < 2 * stride else "lost")
    assert curve.slice_confidence.shape == curve.z.shape
    assert curve.slice_confidence.min() <= curve.confidence <= curve.slice_confidence.max()
    inner = slice(stride, len(curve.z) - stride)
    np.testing.assert_allclose(curve.y[inner], 20 + 0.2 * thickness_mm * curve.z[inner], atol=0.3)
    np.testing.assert_array_equal(np.diff(curve.z), 1)
