import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from cordlesion.cord.network import OFFSET_MM, cord_evidence, shipped_weights
from cordlesion.cord.training.augment import augment
from cordlesion.cord.training.detector import CordNetwork, detector_loss, draw_samples, main, train, write_weights


@pytest.fixture(scope="module")
def samples():
    return draw_samples(1, seed=3, jobs=1)


def network_with_statistics():
    torch.manual_seed(0)
    network = CordNetwork()
    torch.nn.init.normal_(network.output.weight)
    for _ in range(3):
        network(torch.randn(4, 1, 32, 24) * 3 + 1)
    return network.eval()


def test_numpy_runs_the_trained_network(tmp_path):
    network = network_with_statistics()
    images = torch.randn(3, 1, 40, 64)
    with torch.no_grad():
        expected = network(images).numpy()
    write_weights(network, tmp_path / "w.safetensors")
    output = cord_evidence(images[:, 0].numpy(), load_file(tmp_path / "w.safetensors"))
    np.testing.assert_allclose(output.transpose(1, 0, 2, 3), expected, atol=1e-4)
    assert {name: w.shape for name, w in load_file(tmp_path / "w.safetensors").items()} == {
        name: w.shape for name, w in shipped_weights().items()
    }


def test_the_loss_is_lowest_for_the_correct_output():
    centers = torch.tensor([[20.0, 31.0], [float("nan")] * 2])
    certain = torch.tensor([True, True])
    right = torch.full((2, 3, 24, 24), -9.0)
    mesh = torch.stack(torch.meshgrid(*[torch.arange(24) * 2 + 0.5] * 2, indexing="ij"))
    away = centers[0][:, None, None] - mesh
    right[0, 0][away.norm(dim=0) < 5] = 9.0
    right[0, 1:] = away / OFFSET_MM
    assert detector_loss(right, centers, certain) < 0.5
    for wrong in ([1, 0], [0, 1]):
        moved = right.roll(tuple(4 * n for n in wrong), dims=(2, 3))
        assert detector_loss(moved, centers, certain) > 20
    found_nothing = right.clone()
    found_nothing[:, 0] = -9
    assert detector_loss(found_nothing, centers, certain) > 20
    assert detector_loss(found_nothing, centers, ~certain) < 0.5


def test_augmented_centers_stay_on_the_cord(samples):
    """A dot at the centre is still at the transformed centre after rotation, scaling, mirroring and cropping."""
    dotted = []
    for _, center, certain in samples:
        if np.isnan(center[0]):
            continue
        x, y = np.meshgrid(*[np.arange(160.0)] * 2, indexing="ij")
        dot = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / 18).astype(np.float16)
        dotted.append((dot, center, certain))
    distances = []
    for seed in range(6):
        images, centers, _ = augment(dotted, np.random.default_rng(seed))
        assert {n % 8 for n in images.shape[2:]} == {0}
        for image, center in zip(images[:, 0].numpy(), centers.numpy(), strict=True):
            if not np.isnan(center[0]):
                # Standardising clips the top of the dot to a plateau.
                peak = np.argwhere(image == image.max()).mean(axis=0)
                distances.append(np.hypot(*(peak - center)))
    # Noise, ghosts and inverted contrast hide a few dots.
    assert len(distances) > 30
    assert np.median(distances) < 1.6


def test_the_same_seed_gives_the_same_weights(samples):
    first, second = (train(samples, 6, seed=5).folded() for _ in range(2))
    for name, weight in first.items():
        assert torch.equal(weight, second[name])
    assert not torch.equal(first["fine1.weight"], train(samples, 6, seed=6).folded()["fine1.weight"])


def test_the_network_with_the_lowest_error_is_kept_and_weights_are_averages(samples, monkeypatch):
    monkeypatch.setattr("cordlesion.cord.training.detector.STEPS_PER_VALIDATION", 2)
    errors = iter((3.0, 1.0, 2.0))
    judged = []

    def error(network):
        judged.append(network)
        return next(errors)

    assert train(samples, 5, seed=5, error=error) is judged[1]
    assert len(judged) == 3
    assert not judged[1].training
    assert not torch.equal(judged[1].fine1[0].weight, judged[2].fine1[0].weight)


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
