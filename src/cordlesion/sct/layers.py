"""SCT's networks (Gros et al., NeuroImage 2019) as layers of Keras, to compare files with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cordlesion.io.foreign_file import ForeignFileError
from cordlesion.sct.keras_file import KerasLayer

_PER_AXIS = ("kernel_size", "strides", "dilation_rate", "pool_size", "size")

# The start of what Python 2 wrote for `lambda z: z / temperature`: its instructions, constants and names.
_DIVIDED_BY_TEMPERATURE = (
    "c\x01\0\0\0\x01\0\0\0\x02\0\0\0\x13 \x01\0s\x08\0\0\0|\0\0\x88\0\0\x1bS(\x01\0\0\0N(\0\0\0\0"
    "(\x01\0\0\0t\x01\0\0\0z(\x01\0\0\0t\x0b\0\0\0temperature(\0\0\0\0s"
)


@dataclass(frozen=True)
class LayerPlan:
    """The layers that a network of SCT must have, in Keras's terms: kind, inputs and the settings that matter."""

    dimensions: int
    layers: list[tuple[str, tuple[int, ...], dict[str, object]]] = field(default_factory=list)

    def add(self, kind: str, *inputs: int, **settings: object) -> int:
        """Add a layer; returns its place."""
        self.layers.append((kind, inputs, settings))
        return len(self.layers) - 1

    def spatial(self, kind: str, below: int, **settings: object) -> int:
        """Add a layer that works on voxels; numbers stand for all axes."""
        order = {2: "channels_last", 3: "channels_first"}[self.dimensions]
        lists = {k: [v] * self.dimensions if k in _PER_AXIS else v for k, v in settings.items()}
        return self.add(f"{kind}{self.dimensions}D", below, data_format=order, **lists)

    def convolution(self, below: int, filters: int, size: int, dilation: int = 1) -> int:
        """Add a convolution that keeps the shape."""
        return self.spatial(
            "Conv", below, filters=filters, kernel_size=size, strides=1, dilation_rate=dilation, activation="linear",
            use_bias=True, padding="same" if size > 1 else "valid",
        )  # fmt: skip

    def block(self, below: int, filters: Sequence[int], dilations: Sequence[int] = (1, 1)) -> int:
        """Add convolutions, each with batch normalisation and ReLU."""
        for width, dilation in zip(filters, dilations, strict=True):
            below = self.convolution(below, width, size=3, dilation=dilation)
            below = self.add("BatchNormalization", below, axis=self.channels, epsilon=1e-3, center=True, scale=True)
            below = self.add("Activation", below, activation="relu")
            if self.dimensions == 2:
                below = self.add("Dropout", below)
        return below

    def pool(self, below: int) -> int:
        """Halve the resolution."""
        return self.spatial("MaxPooling", below, pool_size=2, strides=2, padding="valid")

    def join(self, above: int, skip: int) -> int:
        """Concatenate the lower level (first) with the skip connection."""
        return self.add("Concatenate", above, skip, axis=self.channels)

    @property
    def channels(self) -> int:
        """The axis of the channels."""
        return {2: -1, 3: 1}[self.dimensions]


def lesion_plan(filters: Sequence[tuple[int, int]]) -> LayerPlan:
    """Describe the lesion network with these filters per level."""
    plan = LayerPlan(3)
    last = plan.block(plan.add("InputLayer", batch_input_shape=[None, 1, 48, 48, 48]), filters[0])
    skips = []
    for widths in filters[1:]:
        skips.append(last)
        last = plan.block(plan.pool(last), widths)
    for _, width in reversed(filters[:-1]):
        doubled = plan.spatial("UpSampling", last, size=2)
        last = plan.block(plan.join(doubled, skips.pop()), (width, width))
    plan.add("Activation", plan.convolution(last, 1, size=1), activation="sigmoid")
    return plan


def centerline_plan(filters: Sequence[int], dilations: Sequence[int]) -> LayerPlan:
    """Describe the centerline network with these filters per level and dilations within each."""
    plan, n = LayerPlan(2), len(dilations)
    last = plan.block(plan.add("InputLayer", batch_input_shape=[None, 80, 80, 1]), [filters[0]] * n, dilations)
    skips = []
    for width in filters[1:]:
        skips.append(last)
        last = plan.block(plan.pool(last), [width] * n, dilations)
    for width in filters[-2::-1]:
        doubled = plan.add(
            "Conv2DTranspose", last, filters=width, kernel_size=[2, 2], strides=[2, 2], padding="valid",
            activation="linear", use_bias=True, data_format="channels_last",
        )  # fmt: skip
        last = plan.block(plan.join(doubled, skips.pop()), (width, width))
    identity = plan.add("Lambda", plan.convolution(last, 1, size=1))
    plan.add("Activation", identity, activation="sigmoid")
    return plan


def require_plan(layers: Sequence[KerasLayer], plan: LayerPlan, name: str) -> None:
    """Check that a file's layers are those planned, so that torch's network computes what the file describes.

    Raises:
        ForeignFileError: They are not.
    """
    for layer, (kind, inputs, settings) in zip(layers, plan.layers, strict=False):
        if layer.kind == "Lambda" and not _is_identity(layer):
            raise ForeignFileError(f"{layer.name} contains code (Lambda), which is never run")
        same = all(layer.settings.get(key) == value for key, value in settings.items())
        if (layer.kind, layer.inputs) != (kind, inputs) or not same:
            raise ForeignFileError(f"{layer.name} ({layer.kind}) is not the {kind} of SCT's {name} network")
    if len(layers) != len(plan.layers):
        raise ForeignFileError(f"has {len(layers)} layers where SCT's {name} network has {len(plan.layers)}")


def _is_identity(layer: KerasLayer) -> bool:
    """Whether a layer of code is the division by a temperature of 1, judged by its stored text."""
    match layer.settings.get("function"):
        case [str(code), None, [float(temperature)]]:
            return code.startswith(_DIVIDED_BY_TEMPERATURE) and temperature == 1.0
    return False
