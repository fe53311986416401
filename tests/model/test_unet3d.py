import itertools

import pytest
import torch
from torch import nn

from cordlesion.config import NetworkConfig
from cordlesion.model.unet3d import UNet3d, fold_normalizations, make_unet
from support.models import untrained_bundle


def expected_parameters(filters):
    """Counted layer by layer: convolutions without bias, each with the two parameters per filter of its batch norm."""

    def two_convolutions(channels, width):
        return 27 * channels * width + 27 * width * width + 4 * width

    total = two_convolutions(1, filters[0]) + filters[0] + 1
    for fine, coarse in itertools.pairwise(filters):
        total += two_convolutions(fine, coarse)
        total += 8 * coarse * fine + fine  # up-convolution
        total += two_convolutions(2 * fine, fine)
    return total


@pytest.mark.parametrize("filters", [(16, 32, 64), (4,), (4, 8), (2, 3, 5, 7)])
def test_the_number_of_parameters(filters):
    assert sum(p.numel() for p in UNet3d(filters).parameters()) == expected_parameters(filters)


def test_the_studys_network():
    network = UNet3d()
    assert sum(p.numel() for p in network.parameters()) == 339_569
    kinds = [type(layer).__name__ for layer in network.modules()]
    assert (kinds.count("Conv3d"), kinds.count("BatchNorm3d"), kinds.count("ReLU")) == (11, 10, 10)
    assert kinds.count("ConvTranspose3d") == 2
    widths = {layer.out_channels for layer in network.modules() if isinstance(layer, torch.nn.Conv3d)}
    assert widths == {1, 16, 32, 64}


@pytest.mark.parametrize("filters", [(2, 4, 8), (3,), (2, 3, 4, 5)])
@pytest.mark.parametrize("shape", [(2, 1, 8, 8, 8), (1, 1, 16, 8, 24)])
def test_logits_have_the_shape_of_the_patches(filters, shape):
    network = UNet3d(filters).eval()
    with torch.inference_mode():
        assert network(torch.randn(shape)).shape == shape


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    network = UNet3d((2, 4, 8))
    network(torch.randn(2, 1, 8, 8, 8)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_receptive_field_reaches_through_all_levels():
    torch.manual_seed(0)
    network = UNet3d((4, 8, 16)).eval()
    patch = torch.randn(1, 1, 32, 32, 32, requires_grad=True)
    network(patch)[0, 0, 16, 16, 16].backward()
    reached = patch.grad[0, 0].abs().amax(dim=(1, 2)).nonzero().squeeze()
    # Two convolutions at full resolution reach 2 voxels; with two levels below, the field is about 40 voxels wide.
    assert int(reached.max() - reached.min()) > 24


def test_shifting_a_patch_by_the_coarsest_voxel_shifts_the_logits():
    torch.manual_seed(0)
    network = UNet3d((2, 4, 8)).eval()
    patch = torch.zeros(1, 1, 64, 16, 16)
    patch[0, 0, 30:34, 6:10, 6:10] = torch.randn(4, 4, 4)
    with torch.inference_mode():
        shifted = network(torch.roll(patch, 4, dims=2))
        expected = torch.roll(network(patch), 4, dims=2)
    inner = slice(24, 40)  # out of the reach of the zeros beyond the ends
    torch.testing.assert_close(shifted[:, :, inner], expected[:, :, inner])
    assert expected[:, :, inner].std() > 1e-3


def test_memory_format_does_not_change_the_logits():
    torch.manual_seed(0)
    network = UNet3d((2, 4)).eval()
    patch = torch.randn(2, 1, 8, 8, 8)
    with torch.inference_mode():
        expected = network(patch)
        network.to(memory_format=torch.channels_last_3d)
        torch.testing.assert_close(network(patch.contiguous(memory_format=torch.channels_last_3d)), expected)


def test_each_level_is_joined_with_the_one_above():
    """With the up-convolutions silenced only the skip of the finest level is left; it alone must carry the patch."""
    torch.manual_seed(0)
    network = UNet3d((2, 4, 8)).eval()
    patch = torch.randn(1, 1, 8, 8, 8)
    with torch.inference_mode():
        whole = network(patch)
        for up in network.up:
            torch.nn.init.zeros_(up.weight)
            torch.nn.init.zeros_(up.bias)
        from_skip = network(patch)
    assert from_skip.std() > 1e-3
    assert (whole - from_skip).abs().max() > 1e-5  # and the levels below had a part in it


def test_folding_normalisations_into_convolutions_changes_nothing_but_rounding():
    network = untrained_bundle(filters=(2, 4, 8)).network
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.uniform_(layer.bias, -1, 1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    patches = torch.randn((2, 1, 16, 16, 16), generator=torch.Generator().manual_seed(1))
    folded = fold_normalizations(network)
    assert not any(isinstance(layer, nn.BatchNorm3d) for layer in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(patches), network(patches), rtol=1e-4, atol=1e-4)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


GLOROT = NetworkConfig(filters=(4, 8), initialization="glorot", normalization_momentum=0.01, normalization_epsilon=1e-3)


def test_first_weights_are_those_of_pytorch_by_default():
    torch.manual_seed(3)
    usual = make_unet(NetworkConfig(filters=(4, 8)))
    torch.manual_seed(3)
    before = UNet3d((4, 8))
    for name, values in before.state_dict().items():
        assert torch.equal(usual.state_dict()[name], values)
    assert {(layer.eps, layer.momentum) for layer in usual.modules() if isinstance(layer, nn.BatchNorm3d)} == {
        (1e-5, 0.1)
    }


def test_glorots_weights_have_the_spread_that_inputs_and_outputs_give():
    """Uniform up to sqrt(6 / (inputs + outputs)), a kernel's voxels counted in both; biases 0 (glorot_uniform)."""
    torch.manual_seed(3)
    for layer in make_unet(GLOROT).modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            voxels = layer.weight[0, 0].numel()
            limit = (6 / (voxels * (layer.in_channels + layer.out_channels))) ** 0.5
            assert layer.weight.abs().max() <= limit
            if layer.weight.numel() > 100:
                assert layer.weight.abs().max() > 0.9 * limit
                assert layer.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.2)
            assert layer.bias is None or not layer.bias.any()


def test_batch_normalisation_follows_its_settings_in_training_and_in_prediction():
    torch.manual_seed(3)
    network = make_unet(GLOROT)
    patches = torch.randn(2, 1, 8, 8, 8)
    network.train()(patches)
    convolution, normalization = network.first[0], network.first[1]
    features = convolution(patches)
    torch.testing.assert_close(normalization.running_mean, 0.01 * features.mean(dim=(0, 2, 3, 4)))
    network.eval()
    seen = normalization(features)
    scale = (normalization.running_var + 1e-3).rsqrt()[:, None, None, None]
    torch.testing.assert_close(seen, (features - normalization.running_mean[:, None, None, None]) * scale)
    with torch.inference_mode():
        torch.testing.assert_close(fold_normalizations(network)(patches), network(patches), rtol=1e-4, atol=1e-5)
