"""A trained model as a folder: ``model.safetensors`` (weights) and ``model.json`` (what else is needed to use it)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from safetensors.torch import save
from torch import nn

from cordlesion.config import NetworkConfig, PatchConfig, PostprocessConfig, PredictionConfig, PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.guard.profile import FILE as PROFILE
from cordlesion.guard.profile import ScanProfile, read_profile, write_profile
from cordlesion.io.arrays import Float32Array
from cordlesion.io.faults import first_fault
from cordlesion.io.reading import read_json
from cordlesion.io.volume import Volume
from cordlesion.io.writing import atomic_path, remove_file, write_json
from cordlesion.model.architectures import ARCHITECTURES, Architecture, Card, Predictor, find_architecture
from cordlesion.model.experience import TestError, TrainingData
from cordlesion.model.hardware import channels_last, choose_hardware
from cordlesion.model.networks import make_network
from cordlesion.model.own_code import known_network
from cordlesion.model.patch_prediction import mirror_axes, predict_patches, require_finite, standardize_patches
from cordlesion.model.unet3d import UNet3d, fold_normalizations, make_unet
from cordlesion.model.weights_file import read_weights
from cordlesion.patches.grid import extract_patch, patch_grid, stitch_patches
from cordlesion.preprocess.cord_stack import StackGeometry, map_back, sample_stack
from cordlesion.preprocess.intensity import IntensityLandmarks
from cordlesion.preprocess.region import place_stack
from cordlesion.threshold.further import FurtherRule, without_empty
from cordlesion.threshold.own_rule import known_rule
from cordlesion.threshold.rules import AnyThresholdRule, ForeignRule, ThresholdRule


class ModelCard(BaseModel):
    """Contents of ``model.json`` of a network that was trained with this program."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int = 1
    architecture: Literal["unet3d", "imported", "ensemble"] = "unet3d"
    """``imported``: a network of the user's own code; ``ensemble``: several networks, see :mod:`.ensemble`."""
    network: NetworkConfig
    preprocess: PreprocessConfig
    patches: PatchConfig
    prediction: PredictionConfig = PredictionConfig()
    postprocess: PostprocessConfig = PostprocessConfig()
    landmarks: IntensityLandmarks
    threshold: AnyThresholdRule | None = None
    """Absent until the threshold has been tuned."""
    further_rules: dict[str, FurtherRule] = {}
    """Threshold rules beside that one, by name; the key is written only where there are some."""
    provenance: dict[str, Any] = {}
    """For people, and for a network or a threshold rule of the user's own code the SHA-256 of its source, as ``code``.
    """
    weights_sha256: str | None = None
    """Of ``model.safetensors``, which ties it to this card; bundles of earlier versions have none."""
    training_data: TrainingData | None = None
    """Written, as the next, when the study has evaluated its test set."""
    test_error: TestError | None = None

    @model_validator(mode="after")
    def _network_of_the_architecture(self) -> Self:
        if self.architecture != "ensemble" and self.network.is_imported != (self.architecture == "imported"):
            raise ValueError(f"the architecture {self.architecture} has no network {self.network.name}")
        return self

    @model_serializer(mode="wrap")
    def _without_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(serialize(self))

    @property
    def cord_settings(self) -> PreprocessConfig:
        """The region that the model looks at, and where centerlines come from."""
        return self.preprocess

    @property
    def built_in_threshold(self) -> None:
        """None: the maps are probabilities."""

    @property
    def experience(self) -> tuple[TrainingData | None, TestError | None]:
        """What a study recorded of training and test set."""
        return self.training_data, self.test_error

    def describe(self) -> str:
        """Return what network it is and where it comes from, for people who did not train it."""
        origin = self.provenance
        loss = origin.get("loss")
        name = loss.get("label") or loss.get("name") if isinstance(loss, dict) else None
        kind = f"network {self.network.name}" if self.network.is_imported else "3-D U-Net"
        trained = [f"{kind} trained with cordlesion" + (f" {origin['cordlesion']}" if "cordlesion" in origin else "")]
        trained += [f"loss {name}"] if name else []
        trained += [f"seed {origin['seed']}"] if "seed" in origin else []
        return ", ".join(trained)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A network that was trained with this program, ready to use, with its preprocessing constants."""

    card: ModelCard
    network: nn.Module
    profile: ScanProfile | None = None
    """What its training scans look like; models of earlier versions, or of few subjects, have none."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The networks whose mean probability is the model's: one, or the members of an ensemble."""
        return (self.network,)

    @cached_property
    def predictor(self) -> nn.Module:
        """The network as it predicts fastest, made once: weights that change afterwards are not seen."""
        return fastest(self.network)

    @property
    def predictors(self) -> tuple[nn.Module, ...]:
        """The networks as they predict fastest."""
        return (self.predictor,)

    def predict(self, scan: Volume, centerline: Centerline | None) -> Float32Array:
        """Predict a scan; see :class:`~.architectures.Predictor`."""
        stack, geometry = self.cut(scan, centerline)
        return map_back(require_finite(self.predict_stack(stack, geometry), scan.path), geometry)

    def cut(self, scan: Volume, centerline: Centerline | None) -> tuple[Float32Array, StackGeometry]:
        """Return the stack of a scan, with the scan's own intensities, and its place."""
        geometry = place_stack(scan, centerline, self.card.preprocess)
        return sample_stack(scan, geometry), geometry

    def predict_stack(self, stack: Float32Array, geometry: StackGeometry) -> Float32Array:
        """Predict a stack: the probability over overlapping patches, averaged as the card asks.

        Args:
            stack: The scan's own intensities, shape (X, Y, N).
            geometry: The stack's place; it separates padding and background from what is measured.

        Returns:
            Probabilities, shape (X, Y, N); the mean over the networks of the model.
        """
        total = np.zeros(stack.shape, np.float32)
        for probability in self.predict_members(stack, geometry):
            total += probability
        return total if len(self.predictors) == 1 else total / np.float32(len(self.predictors))

    def predict_members(self, stack: Float32Array, geometry: StackGeometry) -> Iterator[Float32Array]:
        """Predict a stack as :meth:`predict_stack` does, and yield the probabilities of each network by itself."""
        card = self.card
        standard = card.landmarks.apply(stack, geometry.measured(stack))
        grid = patch_grid(stack.shape, card.patches.shape(card.preprocess), card.patches.overlap_fraction)
        hardware, mirrored = choose_hardware().at(card.prediction.precision), mirror_axes(card.prediction.mirror)
        near = geometry.near_centerline(card.prediction.radius_mm, card.preprocess)
        for network in self.predictors:
            # Extracted when needed: overlapping along three axes, all patches together take many times the stack's
            # memory.
            patches = (extract_patch(standard, start, grid.patch_shape) for start in grid)
            maps = predict_patches(network, patches, standardize_patches, hardware, mirrored)
            yield stitch_patches(maps, grid, card.prediction.blending) * near


def fastest(network: nn.Module) -> nn.Module:
    """Return a network as it predicts fastest; weights that change afterwards are not seen."""
    return fold_normalizations(network) if isinstance(network, UNet3d) else network


def _unet(card: ModelCard, code: Path | None) -> Bundle:  # noqa: ARG001 - it needs no code of the user
    with torch.device("meta"):  # no initial weights are drawn only to be replaced
        return Bundle(card, make_unet(card.network))


def _imported(card: ModelCard, code: Path | None) -> Bundle:
    return Bundle(card, make_network(card.network, known_network(card.network.name, card.provenance, code)))


def _with_own_rules(bundle: Bundle, code: Path | None) -> Bundle:
    """Return a bundle whose threshold rules can be applied, where the code of a user's rules may run."""
    if code is None:
        return bundle
    card = bundle.card

    def known(rule: ThresholdRule) -> ThresholdRule:
        return known_rule(rule, card.provenance.get("code"), code) if isinstance(rule, ForeignRule) else rule

    further = {name: one.model_copy(update={"rule": known(one.rule)}) for name, one in card.further_rules.items()}
    own = None if card.threshold is None else known(card.threshold)
    return replace(bundle, card=card.model_copy(update={"threshold": own, "further_rules": further}))


UNET, IMPORTED = Architecture(ModelCard, _unet), Architecture(ModelCard, _imported)


def save_bundle(folder: Path, bundle: Predictor) -> None:
    """Write a bundle; the card is written last, so a folder with a card is whole."""
    weights = save({k: v.detach().cpu().contiguous() for k, v in bundle.network.state_dict().items()})
    with atomic_path(folder / "model.safetensors") as temporary:
        # Not save_file, which hides a full disk behind an error of its own.
        temporary.write_bytes(weights)
    if bundle.profile is not None:
        write_profile(folder, bundle.profile)
    else:
        remove_file(folder / PROFILE)
    card = bundle.card.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    write_json(folder / "model.json", card.model_dump(mode="json"))


def load_bundle(folder: Path | str, code: Path | str | None = None) -> Predictor:
    """Read a bundle, in evaluation mode.

    Args:
        folder: The bundle.
        code: Folder of the Python module that the bundle's network or threshold rule is imported from, where it is one
            of a user's own. Its code is run: give it only for bundles and modules that you trust. Without it none is
            imported.

    Raises:
        CordlesionError: The folder is no bundle, card and weights do not belong together, weights are no numbers, or
            the network needs code.

    Examples:
        A bundle that is loaded once segments several scans.

        >>> import cordlesion
        >>> model = cordlesion.load_bundle("bundle")
        >>> cordlesion.segment("scan.nii.gz", model, centerline="centerline.nii.gz").threshold
        0.35
    """
    folder = Path(folder)
    card = read_card(folder)
    try:
        bundle = find_architecture(card.architecture).build(card, Path(code) if code else None)
        if isinstance(bundle, Bundle):
            bundle = _with_own_rules(bundle, Path(code) if code else None)
    except CordlesionError as error:
        raise CordlesionError(f"{folder}: {error}") from error
    weights = folder / "model.safetensors"
    bundle.network.load_state_dict(read_weights(weights, bundle.network, card.weights_sha256), assign=True)
    channels_last(bundle.network.eval())
    return replace(bundle, profile=read_profile(folder)) if isinstance(bundle, Bundle) else bundle


def load_own_bundle(folder: Path | str, code: Path | str | None = None) -> Bundle:
    """Read a bundle of a network that was trained with this program.

    Raises:
        CordlesionError: As :func:`load_bundle`, or the network is SCT's.
    """
    bundle = load_bundle(folder, code)
    if not isinstance(bundle, Bundle):
        raise CordlesionError(
            f"{folder}: holds a network of the Spinal Cord Toolbox, which is used with steps of its own; a model "
            "trained with cordlesion is needed. Give another bundle."
        )
    return bundle


def bundle_files(folder: Path) -> tuple[Path, Path]:
    """Return the two files that a bundle consists of: card and weights."""
    return Path(folder) / "model.json", Path(folder) / "model.safetensors"


def read_card(folder: Path | str) -> Card:
    """Read ``model.json`` of a bundle.

    Raises:
        CordlesionError: The folder is no bundle of this program.
    """
    path = Path(folder) / "model.json"
    if not path.is_file():
        raise CordlesionError(
            f"{folder}: no bundle; a folder with model.json and model.safetensors is needed. Check the path."
        )
    content = read_json(path)
    # A later version may write other keys, so its number is looked at before them.
    found = (content.get("format"), content.get("architecture")) if isinstance(content, dict) else (None, None)
    if found[0] != 1 or not isinstance(found[1], str) or found[1] not in ARCHITECTURES:
        known = " or ".join(map(repr, ARCHITECTURES))
        raise CordlesionError(
            f"{path}: has format {found[0]!r} and architecture {found[1]!r}; 1 and {known} are needed. Update "
            "cordlesion, or export the bundle again."
        )
    try:
        return cast(Card, find_architecture(found[1]).card.model_validate(content))
    except ValidationError as error:
        raise CordlesionError(f"{path}: {first_fault(error, content)}. Train or export the bundle again.") from None
