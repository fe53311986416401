import itertools

import nibabel as nib
import numpy as np
import pytest
import torch

from cordlesion.config import PredictionConfig, PreprocessConfig
from cordlesion.cord.centerline import Centerline, read_centerline
from cordlesion.dataset.bids import find_scans
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.volume import Volume, read_scan
from cordlesion.model.bundle import Bundle
from cordlesion.model.hardware import Hardware
from cordlesion.prediction import predict_scan, predict_to_file
from cordlesion.preprocess.cord_stack import StackGeometry, block_geometry, map_back, sample_stack, stack_geometry
from cordlesion.preprocess.region import place_stack
from cordlesion.preprocess.stack_file import make_stack, write_stack
from support.images import AFFINE, noise
from support.models import untrained_bundle
from support.strategies import make_scan
from support.tiny import write_scan


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setattr("cordlesion.model.bundle.choose_hardware", lambda: Hardware(torch.device("cpu"), False))


def naive_starts(n_slices, size, step):
    starts = [0]
    while starts[-1] + size < n_slices:
        starts.append(min(starts[-1] + step, n_slices - size))
    return starts


def naive_prediction(bundle, stack, inside):
    """One patch at a time, one voxel column at a time."""
    size = bundle.card.patches.size_voxels
    standard = bundle.card.landmarks.apply(stack, inside)
    n_slices = stack.shape[-1]
    values = [[] for _ in range(n_slices)]
    for start in naive_starts(n_slices, size, size // 2):
        slices = [min(start + k, n_slices - 1) for k in range(size)]
        patch = standard[..., slices].astype(np.float64)
        patch = (patch - patch.mean()) / patch.std() if patch.std() > 0 else patch * 0
        with torch.no_grad():
            logits = bundle.network.float()(torch.tensor(patch, dtype=torch.float32)[None, None])
        for k in range(size):
            if start + k < n_slices:
                values[start + k].append(1 / (1 + np.exp(-logits[0, 0, :, :, k].double().numpy())))
    return np.stack([sum(v) / len(v) for v in values], axis=-1)


@pytest.mark.parametrize("orientation", ["LAS", "PSR", "RIP"])
@pytest.mark.parametrize("covered", [(0.1, 0.9), (0.4, 0.5)])
def test_prediction_equals_the_naive_loop(orientation, covered):
    bundle = untrained_bundle()
    scan = make_scan(orientation, (3.0, 0.6, 0.6), (13, 70, 84), (0.1, 0.05, -0.1), seed=1)
    shape = to_las(scan).data.shape
    z = np.round(np.linspace(*covered, 4) * (shape[2] - 1))
    curve = Centerline(np.linspace(4, 8, 4), np.linspace(20, 50, 4), z)
    geometry = stack_geometry(scan, curve, bundle.card.preprocess)
    assert (geometry.n_slices < 16) == (covered == (0.4, 0.5))  # one of the two is shorter than a patch
    expected = naive_prediction(bundle, sample_stack(scan, geometry), geometry.inside())
    native = from_las(map_back(expected.astype(np.float32), geometry), scan)
    probability = predict_scan(bundle, scan, curve)
    assert probability.shape == scan.data.shape
    assert probability.dtype == np.float32
    assert probability.max() > 0.2
    np.testing.assert_allclose(probability, native, atol=2e-6)


@pytest.mark.parametrize("n_slices", [1, 7, 16, 17, 40, 200])
def test_stacks_of_any_length_are_predicted_whole(n_slices):
    bundle = untrained_bundle()
    starts = np.zeros(n_slices, np.int64)
    geometry = StackGeometry((16, 16, n_slices), (1.0, 1.0, 1.0), (16, 16), 0, starts, starts)
    stack = noise((16, 16, n_slices))
    probability = bundle.predict_stack(stack, geometry)
    np.testing.assert_allclose(probability, naive_prediction(bundle, stack, geometry.inside()), atol=2e-6)


def naive_cubes(bundle, stack, measured):
    """One cube at a time, one voxel at a time."""
    size = bundle.card.patches.size_voxels
    standard = bundle.card.landmarks.apply(stack, measured)
    total, count = np.zeros(stack.shape), np.zeros(stack.shape)
    for place in itertools.product(*(naive_starts(n, size, size // 2) for n in stack.shape)):
        within = [[min(start + k, n - 1) for k in range(size)] for start, n in zip(place, stack.shape, strict=True)]
        patch = standard[np.ix_(*within)].astype(np.float64)
        patch = (patch - patch.mean()) / patch.std()
        with torch.no_grad():
            logits = bundle.network.float()(torch.tensor(patch, dtype=torch.float32)[None, None])
        for k in itertools.product(range(size), repeat=3):
            voxel = tuple(start + offset for start, offset in zip(place, k, strict=True))
            if all(v < n for v, n in zip(voxel, stack.shape, strict=True)):
                total[voxel] += 1 / (1 + np.exp(-float(logits[0, 0][k])))
                count[voxel] += 1
    return total / count


@pytest.mark.parametrize("orientation", ["LAS", "PSR"])
def test_prediction_of_the_foreground_equals_the_naive_loop(orientation):
    bundle = foreground_bundle()
    scan = make_scan(orientation, (1.2, 0.9, 2.0), (30, 20, 12), (0.1, 0.05, -0.1), seed=1)
    las = np.zeros((30, 20, 12), np.float32)
    las[6:22, :, :8] = np.random.default_rng(0).uniform(50, 100, (16, 20, 8))
    scan = Volume(np.ascontiguousarray(from_las(las, scan)), scan.affine)
    geometry = place_stack(scan, None, bundle.card.preprocess)
    assert [n > 8 for n in geometry.shape] == [True, True, True]  # several cubes along every axis
    stack = sample_stack(scan, geometry)
    expected = naive_cubes(bundle, stack, geometry.measured(stack))
    native = from_las(map_back(expected.astype(np.float32), geometry), scan)
    probability = predict_scan(bundle, scan, None)
    assert probability.max() > 0.2
    np.testing.assert_allclose(probability, native, atol=2e-6)
    outside = to_las(Volume(probability, scan.affine)).data[28:]
    assert not outside.any()  # the foreground ends at 22, its margin at 26, its last voxel touches 27


@pytest.mark.parametrize("shape", [(5, 30, 5), (3, 3, 3)])
def test_a_foreground_shorter_than_a_cube_is_padded(shape):
    bundle = foreground_bundle()
    image = noise(shape) + 50
    geometry = block_geometry(Volume(image, np.diag([-1.0, 1.0, 1.0, 1.0])), (0, 0, 0), shape, 1.0, 0.0)
    assert geometry.shape == shape
    probability = bundle.predict_stack(image, geometry)
    np.testing.assert_allclose(probability, naive_cubes(bundle, image, geometry.inside()), atol=2e-6)


def foreground_bundle():
    """An untrained bundle of cubes of 8 voxels of 1 mm."""
    bundle = untrained_bundle(edge_voxels=8)
    config = PreprocessConfig(region="foreground", spacing_mm=1.0)
    return Bundle(bundle.card.model_copy(update={"preprocess": config}), bundle.network)


def used(**prediction):
    """An untrained bundle with other settings of prediction."""
    bundle = untrained_bundle()
    return Bundle(bundle.card.model_copy(update={"prediction": PredictionConfig(**prediction)}), bundle.network)


def geometry_of(n_slices):
    starts = np.zeros(n_slices, np.int64)
    return StackGeometry((16, 16, n_slices), (1.0, 1.0, 1.0), (16, 16), 0, starts, starts)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_prediction_knows_no_left_and_right(axis):
    geometry, stack = geometry_of(40), noise((16, 16, 40))  # patches lie alike from both ends
    plain, mirrored = used(), used(mirror=True)
    turned = np.ascontiguousarray(np.flip(stack, axis))
    both = [np.flip(mirrored.predict_stack(stack, geometry), axis), mirrored.predict_stack(turned, geometry)]
    np.testing.assert_allclose(*both, atol=2e-6)
    once = [np.flip(plain.predict_stack(stack, geometry), axis), plain.predict_stack(turned, geometry)]
    assert np.abs(once[0] - once[1]).max() > 1e-3


def test_mirroring_averages_the_eight_mirrored_stacks():
    geometry, stack = geometry_of(40), noise((16, 16, 40))
    maps = []
    for axes in [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]:
        turned = np.ascontiguousarray(np.flip(stack, axes))
        maps.append(np.flip(used().predict_stack(turned, geometry), axes))
    np.testing.assert_allclose(used(mirror=True).predict_stack(stack, geometry), np.mean(maps, axis=0), atol=2e-6)


@pytest.mark.parametrize("blending", ["gaussian", "hann"])
def test_blending_changes_only_what_several_patches_cover(blending):
    geometry, stack = geometry_of(40), noise((16, 16, 40))
    mean, blended = (used(blending=name).predict_stack(stack, geometry) for name in ("mean", blending))
    np.testing.assert_allclose(blended[..., :8], mean[..., :8], atol=1e-6)  # only the first patch
    assert np.abs(blended[..., 8:32] - mean[..., 8:32]).max() > 1e-3


def test_a_constant_stack_is_predicted_without_a_warning():
    starts = np.zeros(20, np.int64)
    geometry = StackGeometry((16, 16, 20), (1.0, 1.0, 1.0), (16, 16), 0, starts, starts)
    probability = untrained_bundle().predict_stack(np.full((16, 16, 20), 5, np.float32), geometry)
    assert np.isfinite(probability).all()


@pytest.mark.parametrize(("bias", "value"), [(200.0, 1.0), (-200.0, 0.0)])
def test_certain_networks_give_probabilities_between_0_and_1(bias, value):
    bundle = untrained_bundle()
    torch.nn.init.constant_(bundle.network.last.bias, bias)
    torch.nn.init.zeros_(bundle.network.last.weight)
    scan = make_scan("LAS", (0.37, 0.61, 1.3), (40, 40, 30), (0, 0, 0), seed=0)
    curve = Centerline(np.full(2, 20.0), np.full(2, 20.0), np.array([2.0, 27.0]))
    probability = predict_scan(bundle, scan, curve)
    assert probability.min() >= 0
    assert probability.max() <= 1
    assert probability[20, 20, 15] == value


def test_nothing_is_predicted_outside_the_stack():
    bundle = untrained_bundle()
    torch.nn.init.constant_(bundle.network.last.bias, 200.0)
    scan = make_scan("LAS", (0.5, 0.5, 0.5), (40, 40, 40), (0, 0, 0), seed=0)
    probability = predict_scan(bundle, scan, Centerline(np.full(2, 20.0), np.full(2, 20.0), np.array([10.0, 30.0])))
    inside = np.zeros((40, 40, 40), bool)
    inside[12:28, 12:28, 10:31] = True
    assert (probability[inside] > 0).all()
    assert not probability[~inside].any()


def test_a_map_written_from_the_stack_file_equals_the_direct_one(tmp_path):
    write_scan(tmp_path, "sub-01", seed=1, lesions=1)
    (scan,), _ = find_scans(tmp_path)
    bundle = untrained_bundle()
    drawn = bundle.card.preprocess.model_copy(update={"centerline": "file"})
    write_stack(tmp_path / "stack.safetensors", make_stack(scan, drawn, None))
    predict_to_file(bundle, scan.image, tmp_path / "stack.safetensors", tmp_path / "map.nii.gz")
    image = read_scan(scan.image)
    written = nib.load(tmp_path / "map.nii.gz")
    np.testing.assert_array_equal(
        written.get_fdata(), predict_scan(bundle, image, read_centerline(scan.centerline, image))
    )
    np.testing.assert_array_equal(written.affine, nib.load(scan.image).affine)
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-7)


def test_half_precision_stays_close_and_is_used_only_where_the_processor_has_it(monkeypatch):
    bundle = untrained_bundle()
    starts = np.zeros(32, np.int64)
    geometry = StackGeometry((16, 16, 32), (1.0, 1.0, 1.0), (16, 16), 0, starts, starts)
    full = bundle.predict_stack(noise((16, 16, 32)), geometry)
    monkeypatch.setattr("cordlesion.model.bundle.choose_hardware", lambda: Hardware(torch.device("cpu"), True))
    half = bundle.predict_stack(noise((16, 16, 32)), geometry)
    assert 0 < np.abs(half - full).max() < 0.1
    plain = bundle.card.model_copy(update={"prediction": PredictionConfig(precision="float32")})
    np.testing.assert_array_equal(Bundle(plain, bundle.network).predict_stack(noise((16, 16, 32)), geometry), full)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    from cordlesion.model.hardware import choose_hardware

    assert choose_hardware() == Hardware(torch.device("cpu"), False)
