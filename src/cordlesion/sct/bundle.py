"""A lesion network of the Spinal Cord Toolbox (Gros et al., NeuroImage 2019) as a bundle, predicted as SCT does."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor

from cordlesion.config import PostprocessConfig, PreprocessConfig
from cordlesion.config.section import Section
from cordlesion.cord.centerline import Centerline
from cordlesion.io.arrays import Float32Array
from cordlesion.io.volume import Volume
from cordlesion.model.architectures import Architecture
from cordlesion.model.hardware import choose_hardware
from cordlesion.model.patch_prediction import predict_patches, require_finite
from cordlesion.patches.grid import extract_patch, patch_grid, stitch_patches
from cordlesion.sct.networks import SctLesionNet
from cordlesion.sct.stack import SctPreprocess, make_sct_stack, map_sct_stack_back, place_sct_stack
from cordlesion.threshold.further import FurtherRule, without_empty
from cordlesion.threshold.rules import AnyThresholdRule

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
    threshold: AnyThresholdRule | None = None
    further_rules: dict[str, FurtherRule] = {}
    provenance: dict[str, Any] = {}
    weights_sha256: str | None = None

    @model_serializer(mode="wrap")
    def _without_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(serialize(self))

    @property
    def cord_settings(self) -> PreprocessConfig:
        """The cord, found as by default; of SCT's preprocessing nothing else is ours."""
        return PreprocessConfig()

    @property
    def built_in_threshold(self) -> float | None:
        """The cut of SCT as shipped, so that maps are masks; None where they are probabilities."""
        return self.prediction.cut

    @property
    def experience(self) -> None:
        """None: the card has no place for it."""

    def describe(self) -> str:
        """Return what network it is and where it comes from."""
        parts = ["lesion network of the Spinal Cord Toolbox"]
        parts += [f"from {self.provenance['source']}"] if "source" in self.provenance else []
        parts += [f"{self.provenance['reference']}"] if "reference" in self.provenance else []
        return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class SctBundle:
    """A network of SCT ready to use, with its preprocessing constants."""

    card: SctCard
    network: SctLesionNet

    @property
    def profile(self) -> None:
        """None: SCT's training scans are not public."""

    def predict(self, scan: Volume, centerline: Centerline | None) -> Float32Array:
        """Predict a scan as SCT does, or from overlapping patches and without a cut; see the protocol ``Predictor``."""
        assert centerline is not None
        constants, cut = self.card.preprocess, self.card.prediction.cut
        geometry = place_sct_stack(scan, centerline, constants)
        probability = require_finite(self._predict_stack(make_sct_stack(scan, geometry, constants)), scan.path)
        if cut is None:
            return map_sct_stack_back(probability, geometry)
        mask = (probability > cut).astype(np.float32)
        return (map_sct_stack_back(mask, geometry) >= cut).astype(np.float32)

    def _predict_stack(self, stack: Float32Array) -> Float32Array:
        constants, overlap, length = self.card.preprocess, self.card.prediction.overlap_fraction, stack.shape[2]

        def normalize(patches: Tensor) -> Tensor:
            return (patches - constants.mean) / constants.deviation

        size = constants.crop_voxels
        # Zeros are added before the mean is subtracted, as in SCT.
        whole = max(size, length) if overlap else size * math.ceil(length / size)
        padded = np.pad(stack, [(0, 0), (0, 0), (0, whole - length)])
        grid = patch_grid(padded.shape, (size, size, size), overlap)
        blocks = [extract_patch(padded, start, grid.patch_shape) for start in grid]
        # bfloat16 moves SCT's probabilities by up to 0.07, and mirrored patches change them: a comparison with SCT
        # should contain neither.
        hardware = choose_hardware().at("float32")
        predicted = predict_patches(self.network, blocks, normalize, hardware)
        # What the network makes of nothing but slices without cord is no lesion.
        maps = (p if block.any() else np.zeros_like(p) for p, block in zip(predicted, blocks, strict=True))
        return stitch_patches(maps, grid)[..., :length]


def _build(card: SctCard, code: Path | None) -> SctBundle:  # noqa: ARG001 - it needs no code of the user
    with torch.device("meta"):  # no initial weights are drawn only to be replaced
        return SctBundle(card, SctLesionNet(card.network.filters))


ARCHITECTURE = Architecture(SctCard, _build)
