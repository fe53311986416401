"""The weights that a training starts from: those of a trained model, in place of random ones."""

from pathlib import Path

from torch import nn

from cordlesion.config import NetworkConfig, TrainingConfig
from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import load_own_bundle
from cordlesion.model.networks import make_network


def load_start(network: nn.Module, config: TrainingConfig, code: Path | None = None) -> None:
    """Replace the initial weights of a network by those of the model that its training starts from, if there is one.

    Args:
        network: The untrained network; changed in place.
        config: Names the model.
        code: Folder of the user's own code, for a network by import path.

    Raises:
        CordlesionError: The model cannot be read, or its network is another one.
    """
    folder = config.start_bundle
    if folder is None:
        return
    model = load_own_bundle(folder, code)
    if len(model.networks) > 1:
        raise CordlesionError(
            f"{folder}: is an ensemble of {len(model.networks)} networks; `training.start_from` needs a single "
            "one. Give the bundle of one of its members."
        )
    given, wanted = model.network.state_dict(), network.state_dict()
    if {name: value.shape for name, value in given.items()} != {name: value.shape for name, value in wanted.items()}:
        raise CordlesionError(
            f"{folder}: its network ({describe_network(model.card.network)}) does not fit that of the study, which "
            "`training.start_from` needs. Change `network` to it, or leave `training.start_from` out."
        )
    network.load_state_dict(given)


def describe_network(config: NetworkConfig) -> str:
    """Return what decides whether the weights of one network fit another."""
    return f"{config.name}" if config.is_imported else f"filters: {list(config.filters)}"


def try_start(network: NetworkConfig, config: TrainingConfig, code: Path | None = None) -> None:
    """Check that the model that a training starts from fits, so that a fault is found now and not in a training.

    Raises:
        CordlesionError: As :func:`load_start`.
    """
    import torch

    if config.start_bundle is not None:
        with torch.random.fork_rng(devices=[]):
            load_start(make_network(network, code), config, code)
