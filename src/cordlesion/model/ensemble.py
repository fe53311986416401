"""An ensemble as one bundle: several networks that share everything but their weights, and the mean of their maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.model.architectures import Architecture
from cordlesion.model.bundle import Bundle, ModelCard, fastest, load_own_bundle, save_bundle
from cordlesion.model.networks import make_network
from cordlesion.model.own_code import known_network
from cordlesion.model.unet3d import make_unet

_SHARED = ("network", "preprocess", "patches", "prediction", "landmarks")
"""What all members of an ensemble have in common: so a scan is cut and standardised once."""


class EnsembleCard(ModelCard):
    """Contents of ``model.json`` of an ensemble; the keys of a single network hold for all members."""

    architecture: Literal["ensemble"] = "ensemble"
    members: tuple[dict[str, Any], ...]
    """Where each network comes from, in the order of the weights."""

    def describe(self) -> str:
        """Return what networks they are and where they come from, for people who did not train them."""
        kind = f"networks {self.network.name}" if self.network.is_imported else "3-D U-Nets"
        version = self.provenance.get("cordlesion")
        trained = f"ensemble of {len(self.members)} {kind} trained with cordlesion{f' {version}' if version else ''}"
        losses = list(dict.fromkeys(_loss(member) for member in self.members))
        return ", ".join([trained, f"loss {' and '.join(losses)}" if all(losses) else ""]).rstrip(", ")


def _loss(member: dict[str, Any]) -> str:
    loss = member.get("loss")
    return str(loss.get("label") or loss.get("name")) if isinstance(loss, dict) else ""


class EnsembleNetwork(nn.Module):
    """The networks of an ensemble; its logits are those of their mean probability."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        """Take the networks as they are."""
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (B, 1, X, Y, Z) to logits of the same shape."""
        return torch.logit(torch.stack([torch.sigmoid(member(patches).float()) for member in self.members]).mean(dim=0))


@dataclass(frozen=True, eq=False)
class EnsembleBundle(Bundle):
    """Several networks of one study, ready to use: they run one after the other on the same patches."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The members."""
        return tuple(cast(EnsembleNetwork, self.network).members)

    @cached_property
    def predictors(self) -> tuple[nn.Module, ...]:
        """The members as they predict fastest."""
        return tuple(fastest(member) for member in self.networks)


def _build(card: EnsembleCard, code: Path | None) -> EnsembleBundle:
    if card.network.is_imported:
        folder = known_network(card.network.name, card.provenance, code)
        return EnsembleBundle(card, EnsembleNetwork([make_network(card.network, folder) for _ in card.members]))
    with torch.device("meta"):  # no initial weights are drawn only to be replaced
        return EnsembleBundle(card, EnsembleNetwork([make_unet(card.network) for _ in card.members]))


ARCHITECTURE = Architecture(EnsembleCard, _build)


def join_bundles(
    folder: Path, name: str, members: Sequence[Path], postprocess: PostprocessConfig, code: Path | None = None
) -> None:
    """Write the bundle of an ensemble: the networks of its members, and what they share; without a threshold.

    Args:
        folder: Of the new bundle.
        name: Of the ensemble, for its provenance.
        members: The bundles, trained on one training set.
        postprocess: What is removed from the masks of the ensemble.
        code: Folder of the user's own code, as for :func:`~.bundle.load_bundle`.

    Raises:
        CordlesionError: A bundle cannot be read, is an ensemble itself, or differs from the first in more than its
            weights.
    """
    bundles = [load_own_bundle(member, code) for member in members]
    first = bundles[0].card
    for path, bundle in zip(members, bundles, strict=True):
        if isinstance(bundle, EnsembleBundle):
            raise CordlesionError(f"{path}: is an ensemble itself; single networks are needed. Give their bundles.")
        if other := [key for key in _SHARED if getattr(bundle.card, key) != getattr(first, key)]:
            raise CordlesionError(
                f"{path}: its {other[0]} is not that of {members[0]}; networks of one training set and one "
                "configuration are needed. Train them in one study."
            )
    shared = {key: getattr(first, key) for key in _SHARED}
    facts: dict[str, Any] = {key: first.provenance[key] for key in ("cordlesion", "code") if key in first.provenance}
    card = EnsembleCard(
        **shared,
        postprocess=postprocess,
        members=tuple(bundle.card.provenance | {"weights_sha256": bundle.card.weights_sha256} for bundle in bundles),
        provenance={"ensemble": name, **facts},
    )
    network = EnsembleNetwork([bundle.network for bundle in bundles])
    save_bundle(folder, EnsembleBundle(card, network, bundles[0].profile))
