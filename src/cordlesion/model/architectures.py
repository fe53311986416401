"""The registry of architectures: what a model is to the rest of the program, whichever network it holds."""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self

from pydantic import BaseModel
from torch import nn

from cordlesion.config import PostprocessConfig, PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.guard.profile import ScanProfile
from cordlesion.io.arrays import Float32Array
from cordlesion.io.volume import Volume
from cordlesion.model.experience import TestError, TrainingData
from cordlesion.threshold import ThresholdRule
from cordlesion.threshold.further import FurtherRule


class Card(Protocol):
    """Contents of ``model.json``: what is needed to use a network, except its weights."""

    @property
    def architecture(self) -> str:
        """A row of :data:`ARCHITECTURES`."""

    @property
    def prediction(self) -> BaseModel:
        """From patches to a map."""

    @property
    def postprocess(self) -> PostprocessConfig:
        """What is removed from masks."""

    @property
    def threshold(self) -> ThresholdRule | None:
        """The rule that makes masks of maps; None until it has been tuned."""

    @property
    def further_rules(self) -> Mapping[str, FurtherRule]:
        """Rules beside that one, by name."""

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the model comes from."""

    @property
    def weights_sha256(self) -> str | None:
        """Of ``model.safetensors``, which ties it to this card; bundles of earlier versions have none."""

    @property
    def cord_settings(self) -> PreprocessConfig:
        """The region that the model looks at, and where centerlines come from."""

    @property
    def built_in_threshold(self) -> float | None:
        """The threshold that the model applies by itself, so that its maps are masks; None where they are maps."""

    @property
    def experience(self) -> tuple[TrainingData | None, TestError | None] | None:
        """What a study recorded of training and test set; None where a card has no place for it."""

    def describe(self) -> str:
        """Return what network it is and where it comes from, for people who did not train it."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the card as JSON (``mode="json"``)."""

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """Return a changed card."""


class Predictor(Protocol):
    """A model ready to use: scan in, probability map out, with all of its own pre- and post-processing of patches."""

    @property
    def card(self) -> Any:  # noqa: ANN401 - a Card; each class has its own, which no protocol can express
        """What it is."""

    @property
    def network(self) -> nn.Module:
        """The network, with its weights."""

    @property
    def profile(self) -> ScanProfile | None:
        """What its training scans look like; None where that is not known."""

    def predict(self, scan: Volume, centerline: Centerline | None) -> Float32Array:
        """Predict the lesion probability of every voxel of a scan; 0 where the model does not look.

        Args:
            scan: The image.
            centerline: The cord's centre; not needed by a model of the foreground.

        Returns:
            In [0, 1], of the scan's shape in LAS order (:func:`cordlesion.io.orient.to_las`).

        Raises:
            CordlesionError: The network gives no numbers.
        """


class Build(Protocol):
    """Makes a predictor of a card, with weights that are replaced later."""

    def __call__(self, card: Any, code: Path | None) -> Predictor:  # noqa: ANN401 - the card of the same row
        """Make it; ``code`` is the folder of the user's own code, where the user allows to run that."""


@dataclass(frozen=True)
class Architecture:
    """One kind of model."""

    card: type[BaseModel]
    """Reads and checks ``model.json``; a :class:`Card`."""
    build: Build


ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {
        "unet3d": "cordlesion.model.bundle:UNET",
        "imported": "cordlesion.model.bundle:IMPORTED",
        "ensemble": "cordlesion.model.ensemble:ARCHITECTURE",
        "sct_unet3d": "cordlesion.sct.bundle:ARCHITECTURE",
    }
)
"""Where each architecture is defined, by the ``architecture`` of ``model.json``; imported when a model of it is read.

A new architecture is one module with a card, a predictor and an :class:`Architecture`, and one row here.
"""


def find_architecture(name: str) -> Architecture:
    """Return a row of :data:`ARCHITECTURES`."""
    found: Architecture = pkgutil.resolve_name(ARCHITECTURES[name])
    return found
