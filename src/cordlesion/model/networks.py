"""The network of a run: the 3-D U-Net, or one of the user's own by its import path."""

import inspect
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from cordlesion.config import NetworkConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import import_object
from cordlesion.model.hardware import channels_last
from cordlesion.model.unet3d import make_unet


def make_network(config: NetworkConfig, code: Path | None = None) -> nn.Module:
    """Return an untrained network; its weights are drawn from torch's random state, and the U-Net starts at its prior.

    Args:
        config: Which one.
        code: Folder of the user's own code, for a network by import path.

    Raises:
        CordlesionError: The user's network cannot be imported or made.
    """
    if config.is_imported:
        return _import_network(config, code)
    network = make_unet(config)
    nn.init.constant_(network.last.bias, math.log(config.prior / (1 - config.prior)))  # type: ignore[arg-type]
    return network


def try_network(config: NetworkConfig, patch_shape: tuple[int, int, int], code: Path | None = None) -> None:
    """Try the user's network on two patches, so that a fault is found now and not in a training.

    Args:
        config: Which one; nothing is tried of the U-Net.
        patch_shape: Edges of a patch in voxels.
        code: Folder of the user's own code.

    Raises:
        CordlesionError: It cannot be imported or made, has no weights to learn, or does not map patches to logits.
    """
    if not config.is_imported:
        return
    with torch.random.fork_rng(devices=[]):
        network = channels_last(_import_network(config, code))
        patches = torch.randn((2, 1, *patch_shape)).contiguous(memory_format=torch.channels_last_3d)
        if not any(weights.requires_grad for weights in network.parameters()):
            raise CordlesionError(f"The network {config.name} has no weights to learn. Use torch's layers in it.")
        for training in (True, False):
            _require_logits(config.name, network.train(training), patches)


def _import_network(config: NetworkConfig, code: Path | None) -> nn.Module:
    found = import_object(config.name, code)
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise CordlesionError(f"The network {config.name} is no class of torch.nn.Module; one is needed.")
    try:
        network: nn.Module = found(**config.parameters)
    except (Exception, SystemExit) as error:  # the user's code can raise anything, and leave by sys.exit
        raise CordlesionError(
            f"The network {config.name} cannot be made with the parameters {config.parameters} ({_reason(error)}). "
            "Change `network.parameters`, or the class."
        ) from error
    return network


def _require_logits(name: str, network: nn.Module, patches: Tensor) -> None:
    mode, shape = "training" if network.training else "prediction", tuple(patches.shape)
    try:
        with torch.no_grad():
            logits = network(patches)
    except (Exception, SystemExit) as error:
        raise CordlesionError(
            f"The network {name} fails on patches of the shape {shape} in {mode} ({_reason(error)}). Change the class, "
            "or the patches: `preprocess.crop_voxels`, `patches.size_voxels`."
        ) from error
    if not isinstance(logits, Tensor) or tuple(logits.shape) != shape:
        found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"type {type(logits).__name__}"
        raise CordlesionError(
            f"The network {name} maps patches of the shape {shape} to a result of {found} in {mode}; logits of the "
            "same shape are needed."
        )
    if not logits.is_floating_point() or not bool(logits.isfinite().all()):
        raise CordlesionError(
            f"The network {name} gives logits that are no finite numbers in {mode}. Check its layers."
        )


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
