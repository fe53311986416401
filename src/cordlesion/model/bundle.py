"""A trained model as a folder: ``model.safetensors`` (weights) and ``model.json`` (what else is needed to use it)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from safetensors.torch import save

from cordlesion.config import NetworkConfig, PatchConfig, PostprocessConfig, PredictionConfig, PreprocessConfig
from cordlesion.config.section import Section
from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json
from cordlesion.io.writing import atomic_path, write_json
from cordlesion.model.experience import TestError, TrainingData
from cordlesion.model.unet3d import UNet3d, fold_normalizations, make_unet
from cordlesion.model.weights_file import read_weights
from cordlesion.preprocess.intensity import IntensityLandmarks
from cordlesion.sct.networks import SctLesionNet
from cordlesion.sct.stack import SctPreprocess


class GlobalThreshold(BaseModel):
    """One decision threshold for every scan: a voxel is lesion when p >= value."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rule: Literal["global"] = "global"
    value: Annotated[float, Field(ge=0, le=1)]
    objective: str
    """What was optimised on the threshold set."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval over subjects; null where they are too few for one."""
    learned: bool = True
    """Whether the model does better at this threshold than marking every voxel does; written only where it does not."""

    @model_serializer(mode="wrap")
    def _without_the_usual_answer(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Files of models that learned stay as they are, readable by versions that do not know the field.
        written: dict[str, Any] = serialize(self)
        return {name: value for name, value in written.items() if (name, value) != ("learned", True)}


class ModelCard(BaseModel):
    """Contents of ``model.json``, for a network of this program."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int = 1
    architecture: Literal["unet3d"] = "unet3d"
    network: NetworkConfig
    preprocess: PreprocessConfig
    patches: PatchConfig
    prediction: PredictionConfig = PredictionConfig()
    postprocess: PostprocessConfig = PostprocessConfig()
    landmarks: IntensityLandmarks
    threshold: GlobalThreshold | None = None
    """Absent until the threshold has been tuned."""
    provenance: dict[str, Any] = {}
    weights_sha256: str | None = None
    """Of ``model.safetensors``, which ties it to this card; bundles of earlier versions have none."""
    training_data: TrainingData | None = None
    """Written, as the next, when the study has evaluated its test set."""
    test_error: TestError | None = None


SctFilters: TypeAlias = Annotated[int, Field(gt=0, le=1024)]


class SctNetworkConfig(Section):
    """The 3-D U-Net of the Spinal Cord Toolbox (SCT)."""

    filters: Annotated[tuple[tuple[SctFilters, SctFilters], ...], Field(min_length=1, max_length=4)]
    """Of both convolutions of each level, finest first."""


class SctPredictionConfig(Section):
    """From patches to a map."""

    overlap_fraction: Annotated[float, Field(ge=0, le=0.95)] = 0.75
    """Shared part of consecutive patches, whose probabilities are averaged."""
    cut: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Voxels of the stack with p > cut are lesion, and then those of the scan whose interpolated value is at least cut:
    the map is a mask (SCT as shipped). None keeps the probabilities."""


class SctCard(BaseModel):
    """Contents of ``model.json``, for a lesion network of SCT with its own preprocessing (Gros et al. 2019)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int = 1
    architecture: Literal["sct_unet3d"] = "sct_unet3d"
    network: SctNetworkConfig
    preprocess: SctPreprocess
    prediction: SctPredictionConfig
    postprocess: PostprocessConfig = PostprocessConfig()
    threshold: GlobalThreshold | None = None
    provenance: dict[str, Any] = {}
    weights_sha256: str | None = None


Card: TypeAlias = ModelCard | SctCard
CARDS: Mapping[str, type[Card]] = MappingProxyType({"unet3d": ModelCard, "sct_unet3d": SctCard})
"""What ``model.json`` holds, by its ``architecture``."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A network of this program ready to use, with its preprocessing constants."""

    card: ModelCard
    network: UNet3d

    @cached_property
    def predictor(self) -> UNet3d:
        """The network as it predicts fastest, made once: weights that change afterwards are not seen."""
        return fold_normalizations(self.network)


@dataclass(frozen=True, eq=False)
class SctBundle:
    """A network of SCT ready to use, with its preprocessing constants."""

    card: SctCard
    network: SctLesionNet


AnyBundle: TypeAlias = Bundle | SctBundle


def save_bundle(folder: Path, bundle: AnyBundle) -> None:
    """Write a bundle; the card is written last, so a folder with a card is whole."""
    weights = save({k: v.detach().cpu().contiguous() for k, v in bundle.network.state_dict().items()})
    with atomic_path(folder / "model.safetensors") as temporary:
        # Not save_file, which hides a full disk behind an error of its own.
        temporary.write_bytes(weights)
    _update_card(folder, bundle.card, weights_sha256=hashlib.sha256(weights).hexdigest())


def load_bundle(folder: Path | str) -> AnyBundle:
    """Read a bundle, in evaluation mode.

    Raises:
        CordlesionError: The folder is no bundle, card and weights do not belong together, or weights are no numbers.
    """
    folder = Path(folder)
    card = read_card(folder)
    with torch.device("meta"):  # no initial weights are drawn only to be replaced
        bundle = _empty(card)
    weights = folder / "model.safetensors"
    bundle.network.load_state_dict(read_weights(weights, bundle.network, card.weights_sha256), assign=True)
    bundle.network.eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's own signature lacks it
    return bundle


def load_own_bundle(folder: Path | str) -> Bundle:
    """Read a bundle of a network that was trained with this program.

    Raises:
        CordlesionError: As :func:`load_bundle`, or the network is SCT's.
    """
    bundle = load_bundle(folder)
    if not isinstance(bundle, Bundle):
        raise CordlesionError(
            f"{folder}: holds a network of the Spinal Cord Toolbox, which is used with steps of its own; a model "
            "trained with cordlesion is needed. Give another bundle."
        )
    return bundle


def _empty(card: Card) -> AnyBundle:
    if isinstance(card, SctCard):
        return SctBundle(card, SctLesionNet(card.network.filters))
    return Bundle(card, make_unet(card.network))


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
    if found[0] != 1 or not isinstance(found[1], str) or found[1] not in CARDS:
        raise CordlesionError(
            f"{path}: has format {found[0]!r} and architecture {found[1]!r}; 1 and {' or '.join(map(repr, CARDS))} are "
            "needed. Update cordlesion, or export the bundle again."
        )
    try:
        return CARDS[content["architecture"]].model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        raise CordlesionError(
            f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}. Train or export the bundle again."
        ) from None


def set_threshold(folder: Path, threshold: GlobalThreshold, minimum_volume_mm3: float | None = None) -> None:
    """Store the tuned threshold in a bundle, and the minimum lesion volume where that was tuned with it."""
    card = read_card(folder)
    postprocess = card.postprocess
    if minimum_volume_mm3 is not None:
        postprocess = postprocess.model_copy(update={"minimum_volume_mm3": minimum_volume_mm3})
    same = (card.threshold, card.postprocess) == (threshold, postprocess)
    _update_card(folder, card, threshold=threshold, postprocess=postprocess, **({} if same else _unmeasured(card)))


def set_inference(
    folder: Path, prediction: PredictionConfig, postprocess: PostprocessConfig, volumes_mm3: Sequence[float] = ()
) -> None:
    """Store how the network is to be used; where that is new, the threshold goes, which was tuned for the old way.

    Args:
        folder: The bundle.
        prediction: From patches to a map.
        postprocess: What is no lesion however probable.
        volumes_mm3: Minimum lesion volumes of which tuning chooses one: the one that the bundle has is left there.
    """
    card = read_card(folder)
    tuned = card.postprocess.minimum_volume_mm3
    if card.threshold is not None and tuned in volumes_mm3:
        postprocess = postprocess.model_copy(update={"minimum_volume_mm3": tuned})
    if (card.prediction, card.postprocess) != (prediction, postprocess):
        changed = {"prediction": prediction, "postprocess": postprocess, "threshold": None}
        _update_card(folder, card, **changed, **_unmeasured(card))


def forget_threshold(folder: Path) -> None:
    """Take the tuned threshold out of a bundle; what it was tuned for has changed."""
    card = read_card(folder)
    if card.threshold is not None:
        _update_card(folder, card, threshold=None, **_unmeasured(card))


def set_experience(folder: Path, training_data: TrainingData, test_error: TestError) -> None:
    """Store what a model was trained on, and what it found and falsely marked in the test set."""
    card = read_card(folder)
    known = {"training_data": training_data, "test_error": test_error}
    if isinstance(card, ModelCard) and (card.training_data, card.test_error) != tuple(known.values()):
        _update_card(folder, card, **known)


def _unmeasured(card: Card) -> dict[str, None]:
    """Return what to change of a card whose masks are no longer those that were measured."""
    return {"test_error": None} if isinstance(card, ModelCard) else {}


def _update_card(folder: Path, card: Card, **changes: object) -> None:
    write_json(folder / "model.json", card.model_copy(update=changes).model_dump(mode="json"))
