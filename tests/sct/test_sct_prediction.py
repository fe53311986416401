import nibabel as nib
import numpy as np
import pytest
import torch

from cordlesion.cord.centerline import Centerline
from cordlesion.dataset.bids import find_scans
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import from_las
from cordlesion.model.bundle import load_bundle, save_bundle
from cordlesion.model.hardware import Hardware
from cordlesion.prediction import predict_scan
from cordlesion.scan.segment import segment
from cordlesion.sct.import_network import import_sct
from cordlesion.sct.stack import make_sct_stack, map_sct_stack_back, place_sct_stack
from support.sct_models import sct_bundle
from support.strategies import make_scan
from support.tiny import write_scan


@pytest.fixture(autouse=True)
def half_precision(monkeypatch):
    """A processor that has bfloat16, which must not be used here."""
    monkeypatch.setattr("cordlesion.sct.bundle.choose_hardware", lambda: Hardware(torch.device("cpu"), True))


def scan_and_curve(n_slices, covered):
    scan = make_scan("LAS", (0.6, 0.7, 1.5), (40, 40, n_slices), (0.02, 0.01, 0), seed=1)
    first, last = covered
    return scan, Centerline(np.array([15.0, 22.0]), np.array([20.0, 18.0]), np.array([first, last], float))


def naive_map(bundle, stack, starts, size=16):
    """One block at a time; the mean where blocks overlap, zeros beyond the end before they are normalised."""
    card, n = bundle.card, stack.shape[2]
    total, count = np.zeros((size, size, n)), np.zeros(n)
    for start in starts:
        block = np.zeros((size, size, size))
        block[..., : max(0, n - start)] = stack[..., start : start + size]
        normalized = (block - card.preprocess.mean) / card.preprocess.deviation
        with torch.no_grad():
            p = torch.sigmoid(bundle.network(torch.tensor(normalized, dtype=torch.float32)[None, None]))[0, 0].numpy()
        if block.any():
            total[..., start : start + size] += p[..., : n - start]
        count[start : start + size] += 1
    return total / count


@pytest.mark.parametrize(("n_slices", "covered"), [(3, (0, 2)), (16, (0, 15)), (30, (2, 14))])
def test_shipped_is_a_mask_of_blocks_that_do_not_overlap(n_slices, covered):
    bundle, (scan, curve) = sct_bundle("shipped"), scan_and_curve(n_slices, covered)
    geometry = place_sct_stack(scan, curve, bundle.card.preprocess)
    stack = make_sct_stack(scan, geometry, bundle.card.preprocess)
    probability = naive_map(bundle, stack, range(0, stack.shape[2], 16))
    covered_share = map_sct_stack_back((probability > 0.1).astype(np.float32), geometry)
    result = predict_scan(bundle, scan, curve)
    assert set(np.unique(result)) == {0, 1}
    np.testing.assert_array_equal(result, from_las((covered_share >= 0.1).astype(np.float32), scan))


@pytest.mark.parametrize(("n_slices", "covered"), [(3, (0, 2)), (16, (0, 15)), (30, (2, 14))])
def test_soft_keeps_the_mean_probability_of_overlapping_blocks(n_slices, covered):
    bundle, (scan, curve) = sct_bundle("soft"), scan_and_curve(n_slices, covered)
    geometry = place_sct_stack(scan, curve, bundle.card.preprocess)
    stack = make_sct_stack(scan, geometry, bundle.card.preprocess)
    last = max(0, stack.shape[2] - 16)
    probability = naive_map(bundle, stack, [*range(0, last, 4), last])
    expected = from_las(map_sct_stack_back(probability.astype(np.float32), geometry), scan)
    result = predict_scan(bundle, scan, curve)
    assert len(np.unique(result)) > 100
    np.testing.assert_allclose(result, expected, atol=2e-6)


@pytest.mark.parametrize("variant", ["shipped", "soft"])
def test_nothing_is_found_where_there_is_no_centerline(variant):
    bundle, (scan, curve) = sct_bundle(variant), scan_and_curve(60, (2, 14))
    torch.nn.init.constant_(bundle.network.last.bias, 200.0)
    result = predict_scan(bundle, scan, curve)
    assert result[18, 19, 8] == 1
    assert not result[..., 40:].any()  # a block or more beyond the last slice with a centerline


def test_the_command_segments_with_it(tmp_path, cli):
    write_scan(tmp_path / "cohort", "sub-01", seed=1, lesions=1)
    (scan,), _ = find_scans(tmp_path / "cohort")
    save_bundle(tmp_path / "sct", sct_bundle("shipped"))
    arguments = ("segment", scan.image, "-m", tmp_path / "sct", "--cord-mask", scan.cord_mask, "-o", tmp_path / "out")
    assert cli(*arguments).status == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"lesions.tsv", "sub-01_label-lesion_mask.nii.gz", "sub-01_label-lesion_mask.json"} <= names
    refused = cli(*arguments, "--threshold", "0.3")
    assert refused.status == 2
    assert "Leave out --threshold" in refused.error


def test_a_shipped_mask_has_no_threshold_to_set(tmp_path):
    write_scan(tmp_path / "cohort", "sub-01", seed=1, lesions=1)
    (scan,), _ = find_scans(tmp_path / "cohort")
    with pytest.raises(CordlesionError, match="Leave out --threshold"):
        segment(scan.image, sct_bundle("shipped"), cord_mask=scan.cord_mask, threshold=0.3)
    assert segment(scan.image, sct_bundle("shipped"), cord_mask=scan.cord_mask).mask.any()
    assert segment(scan.image, sct_bundle("soft"), cord_mask=scan.cord_mask, threshold=0.3).threshold == 0.3


def test_the_published_network_finds_the_published_lesions(shared, tmp_path):
    """Gros et al.'s own code with the same curve: slices 5, 6, 8, 10 and 14, of which 5 and 8 have 5 and 16 voxels."""
    import_sct(shared("data", "sct", "t2_ax_lesion.h5"), tmp_path / "bundle")
    curve = shared("data", "real", "t2_ms_centerline.nii.gz")
    result = segment(shared("data", "real", "t2_ms.nii.gz"), load_bundle(tmp_path / "bundle"), centerline=curve)
    slices, counts = np.unique(np.argwhere(result.mask)[:, 2], return_counts=True)
    assert slices.tolist() == [5, 6, 8, 10, 14]
    assert (counts[0], counts[2]) == (5, 16)
    assert result.threshold == 0.1
    # Inside the cord: no farther than 7 mm from its centre.
    centers = {z: (x, y) for x, y, z in np.argwhere(nib.load(curve).get_fdata())}
    for x, y, z in np.argwhere(result.mask):
        assert 0.6875 * np.hypot(x - centers[z][0], y - centers[z][1]) < 7
