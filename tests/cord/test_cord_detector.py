from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from cordlesion.cord.network import OFFSET_MM, cord_evidence, local_contrast, shipped_weights
from cordlesion.cord.training import detector
from cordlesion.cord.training.augment import augment, samples_of
from cordlesion.cord.training.detector import (
    AVERAGED_AT,
    CordNetwork,
    detector_loss,
    draw_samples,
    folded,
    main,
    train,
    write_weights,
)
from cordlesion.simulate.axial_slices import AxialStack, Part


@pytest.fixture(scope="module")
def samples():
    return draw_samples(1, seed=3, jobs=1)


def network_with_statistics():
    torch.manual_seed(0)
    network = CordNetwork()
    torch.nn.init.normal_(network.output.weight)
    for _ in range(3):
        network(torch.randn(4, 6, 32, 24) * 3 + 1)
    return network.eval()


def test_numpy_runs_the_trained_network(tmp_path):
    network = network_with_statistics()
    images = torch.randn(3, 6, 40, 64)
    with torch.no_grad():
        expected = network(images).numpy()
    write_weights(folded(network), tmp_path / "w.safetensors")
    output = cord_evidence(images.numpy().swapaxes(0, 1), load_file(tmp_path / "w.safetensors"))
    np.testing.assert_allclose(output.transpose(1, 0, 2, 3), expected, atol=1e-4)
    assert {name: w.shape for name, w in load_file(tmp_path / "w.safetensors").items()} == {
        name: w.shape for name, w in shipped_weights().items()
    }


@pytest.mark.parametrize("part", [Part.CORD, Part.BRAINSTEM, Part.SAC])
def test_the_loss_is_lowest_for_the_correct_output(part):
    centers = torch.tensor([[20.0, 31.0], [float("nan")] * 2])
    parts = torch.tensor([part, Part.NOTHING])
    channel = (Part.CORD, Part.BRAINSTEM, Part.SAC).index(part)
    right = torch.full((2, 5, 24, 24), -9.0)
    mesh = torch.stack(torch.meshgrid(*[torch.arange(24) * 2 + 0.5] * 2, indexing="ij"))
    away = centers[0][:, None, None] - mesh
    right[0, channel][away.norm(dim=0) < 5] = 9.0
    right[0, 3:] = away / OFFSET_MM
    assert detector_loss(right, centers, parts) < 0.5
    for wrong in ([1, 0], [0, 1]):
        moved = right.roll(tuple(4 * n for n in wrong), dims=(2, 3))
        assert detector_loss(moved, centers, parts) > 20
    other_part = right.clone()
    other_part[:, :3] = other_part[:, :3].roll(1, dims=1)
    assert detector_loss(other_part, centers, parts) > 20
    found_nothing = right.clone()
    found_nothing[:, :3] = -9
    assert detector_loss(found_nothing, centers, parts) > 20


@pytest.mark.parametrize(
    ("part", "channels"),
    [(Part.BRAINSTEM_OR_CORD, (0, 1)), (Part.CORD_OR_SAC, (0, 2)), (Part.BRAINSTEM_OR_NOTHING, (1,))],
)
def test_uncertain_parts_may_be_found_or_not(part, channels):
    centers, parts = torch.tensor([[20.0, 31.0]]), torch.tensor([part])
    mesh = torch.stack(torch.meshgrid(*[torch.arange(24) * 2 + 0.5] * 2, indexing="ij"))
    away = centers[0][:, None, None] - mesh
    for channel in range(3):
        found = torch.full((1, 5, 24, 24), -9.0)
        found[0, 3:] = away / OFFSET_MM
        assert detector_loss(found, centers, parts) < 0.5
        found[0, channel][away.norm(dim=0) < 5] = 9.0
        assert (detector_loss(found, centers, parts) < 0.5) == (channel in channels)


def dotted(samples):
    """Return samples with a cord, with a dot at its centre instead of the image."""
    for sample in samples:
        if not np.isnan(sample.center[0]):
            x, y = np.meshgrid(*[np.arange(160.0)] * 2, indexing="ij")
            dot = np.exp(-((x - sample.center[0]) ** 2 + (y - sample.center[1]) ** 2) / 18).astype(np.float16)
            yield replace(sample, images=np.stack([dot] * 3))


def test_augmented_centers_stay_on_the_cord(samples):
    """A dot at the centre is still at the transformed centre after rotation, scaling, mirroring and cropping."""
    distances = []
    for seed in range(9):
        inputs, centers, _ = augment(list(dotted(samples)), np.random.default_rng(seed))
        assert {n % 8 for n in inputs.shape[2:]} == {0}
        for image, center in zip(inputs[:, 1].numpy(), centers.numpy(), strict=True):
            if not np.isnan(center[0]):
                # The contrast is clipped, so the top of the dot is a plateau.
                peak = np.argwhere(image == image.max()).mean(axis=0)
                distances.append(np.hypot(*(peak - center)))
    # Noise, ghosts and inverted contrast hide a few dots.
    assert len(distances) > 30
    assert np.median(distances) < 1.6


def test_a_slice_at_the_end_of_a_stack_is_its_own_neighbour():
    images = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((8, 8), np.float32) / 3
    stack = AxialStack(images, np.full((4, 2), 3.0), np.full(4, Part.CORD))
    seen = [(3 * sample.images[:, 0, 0].astype(float)).round().tolist() for sample in samples_of(stack)]
    assert seen == [[0, 0, 1], [1, 0, 2], [2, 1, 3], [3, 2, 3]]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e4), offset=st.floats(-10, 10), padding=st.integers(0, 30))
def test_local_contrast_does_not_depend_on_scale_offset_and_padding(seed, scale, offset, padding):
    images = np.random.default_rng(seed).gamma(2, 1, (2, 30, 26)).astype(np.float32)
    inside = np.ones(images.shape, bool)
    expected = local_contrast(images, inside)
    margins = ((0, 0), (padding, padding), (padding, padding))
    other = local_contrast(np.pad((images + np.float32(offset)) * np.float32(scale), margins), np.pad(inside, margins))
    kept = slice(padding, None if padding == 0 else -padding)
    np.testing.assert_allclose(other[:, :, kept, kept], expected, atol=0.02)
    assert np.abs(other).max() <= 4


def test_local_contrast_is_the_standard_score_in_the_neighbourhood():
    """A constant slice has no contrast; a ramp has that of its neighbourhood."""
    assert not local_contrast(np.full((1, 20, 20), 7, np.float32), np.ones((1, 20, 20), bool)).any()
    ramp = np.broadcast_to(np.arange(120, dtype=np.float32)[:, None], (120, 120))[None]
    small = local_contrast(ramp, np.ones(ramp.shape, bool))[0, 0]
    np.testing.assert_allclose(small[50:70, 50:70], 0, atol=1e-2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_seed_gives_the_same_weights(samples, jobs):
    first, second = train(samples, 6, seed=5), train(samples, 6, seed=5, jobs=jobs)
    for name, weight in first.items():
        assert torch.equal(weight, second[name])
    assert not torch.equal(first["fine1.weight"], train(samples, 6, seed=6)["fine1.weight"])


def test_weights_are_averaged_over_the_second_half(samples, monkeypatch):
    """The mean of what single steps give is what all of them give together."""
    several = train(samples, 6, seed=5)
    single = []
    for share in AVERAGED_AT:
        monkeypatch.setattr(detector, "AVERAGED_AT", (share,))
        single.append(train(samples, 6, seed=5))
    for name, weight in several.items():
        torch.testing.assert_close(weight, torch.stack([each[name] for each in single]).mean(dim=0))
    assert not torch.equal(single[0]["fine1.weight"], single[-1]["fine1.weight"])


def test_training_restores_the_state_of_torch(samples):
    torch.manual_seed(8)
    expected = torch.rand(1)
    torch.manual_seed(8)
    train(samples, 1, seed=5)
    assert torch.equal(torch.rand(1), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_command_writes_weights(tmp_path, capsys):
    small = ["--subjects", "1", "--steps", "2", "--validation", "1"]
    main(["--output", str(tmp_path / "w.safetensors"), *small])
    # An untrained network finds no cord.
    assert "the cord of 2 simulated scans is found within 10.00 mm" in capsys.readouterr().out
    assert load_file(tmp_path / "w.safetensors").keys() == shipped_weights().keys()
