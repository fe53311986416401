"""Networks in Keras's HDF5 files as SCT published them, and what Keras computes with them, written out plainly."""

import json

import h5py
import numpy as np
from scipy import ndimage, special

CODE = (
    "c\x01\0\0\0\x01\0\0\0\x02\0\0\0\x13 \x01\0s\x08\0\0\0|\0\0\x88\0\0\x1bS(\x01\0\0\0N(\0\0\0\0"
    "(\x01\0\0\0t\x01\0\0\0z(\x01\0\0\0t\x0b\0\0\0temperature(\0\0\0\0"
    "s\x11\0\0\0nn_dilatedUnet.pyt\x08\0\0\0<lambda>t\0\0\0t\0\0\0\0"
)
"""`lambda z: z / temperature` as Python 2 marshals it."""


class Layers:
    """Layers as the file's JSON has them, each fed by the one before unless told otherwise."""

    def __init__(self, dimensions):
        self.described, self.dimensions = [], dimensions
        self.common = {"data_format": "channels_first" if dimensions == 3 else "channels_last"}

    def add(self, kind, *inputs, **settings):
        name = f"{kind.lower()}_{len(self.described)}"
        fed = inputs or ([self.described[-1]["name"]] if self.described else [])
        nodes = [[[source, 0, 0, {}] for source in fed]] if fed else []
        self.described.append(
            {"name": name, "class_name": kind, "config": {"name": name, **settings}, "inbound_nodes": nodes}
        )
        return name

    def convolve(self, filters, size, dilation=1):
        n = self.dimensions
        self.add(f"Conv{n}D", filters=filters, kernel_size=[size] * n, strides=[1] * n, activation="linear",
                 padding="same" if size > 1 else "valid", dilation_rate=[dilation] * n, use_bias=True,
                 **self.common)  # fmt: skip

    def block(self, filters, dilations=(1, 1)):
        for width, dilation in zip(filters, dilations, strict=True):
            self.convolve(width, 3, dilation)
            axis = 1 if self.dimensions == 3 else -1
            self.add("BatchNormalization", axis=axis, epsilon=0.001, momentum=0.99, scale=True, center=True)
            last = self.add("Activation", activation="relu")
            if self.dimensions == 2:
                last = self.add("Dropout", rate=0.4)
        return last


def lesion_layers(filters=((2, 3), (4, 5))):
    """The description of a lesion network."""
    layers = Layers(3)
    layers.add("InputLayer", batch_input_shape=[None, 1, 48, 48, 48], dtype="float32")
    skips = [layers.block(filters[0])]
    for widths in filters[1:]:
        layers.add("MaxPooling3D", pool_size=[2] * 3, strides=[2] * 3, padding="valid", **layers.common)
        skips.append(layers.block(widths))
    for (_, width), skip in zip(filters[-2::-1], skips[-2::-1], strict=True):
        up = layers.add("UpSampling3D", size=[2] * 3, **layers.common)
        layers.add("Concatenate", up, skip, axis=1)
        layers.block((width, width))
    layers.convolve(1, 1)
    layers.add("Activation", activation="sigmoid")
    return layers.described


def centerline_layers(filters=(2, 3), dilations=(1, 2)):
    """The description of a centerline network."""
    layers = Layers(2)
    layers.add("InputLayer", batch_input_shape=[None, 80, 80, 1], dtype="float32")
    skips = [layers.block([filters[0]] * len(dilations), dilations)]
    for width in filters[1:]:
        layers.add("MaxPooling2D", pool_size=[2, 2], strides=[2, 2], padding="valid", **layers.common)
        skips.append(layers.block([width] * len(dilations), dilations))
    for width, skip in zip(filters[-2::-1], skips[-2::-1], strict=True):
        up = layers.add("Conv2DTranspose", filters=width, kernel_size=[2, 2], strides=[2, 2], padding="valid",
                        activation="linear", use_bias=True, **layers.common)  # fmt: skip
        layers.add("Concatenate", up, skip, axis=-1)
        layers.block((width, width))
    layers.convolve(1, 1)
    layers.add("Lambda", function=[CODE, None, [1.0]], function_type="lambda", arguments={})
    layers.add("Activation", activation="sigmoid")
    return layers.described


def channels_of(layers):
    """How many channels each layer gives out."""
    channels = {}
    for layer in layers:
        fed = [channels[source[0]] for node in layer["inbound_nodes"] for source in node]
        channels[layer["name"]] = layer["config"].get("filters", sum(fed) or 1)
    return channels


def random_weights(layers, seed=0):
    """Arrays of each layer that has some, by Keras's names."""
    rng, channels, weights = np.random.default_rng(seed), channels_of(layers), {}
    for layer in layers:
        name, kind, config = layer["name"], layer["class_name"], layer["config"]
        if kind == "BatchNormalization":
            n = channels[name]
            weights[name] = {
                "gamma": rng.uniform(0.5, 2, n),
                "beta": rng.normal(size=n),
                "moving_mean": rng.normal(size=n),
                "moving_variance": rng.uniform(1e-4, 2, n),
            }
        elif "Conv" in kind:
            ways = [channels[layer["inbound_nodes"][0][0][0]], config["filters"]]
            ways = ways[::-1] if "Transpose" in kind else ways
            scale = 1 / np.sqrt(ways[0] * np.prod(config["kernel_size"]))
            kernel = rng.normal(size=(*config["kernel_size"], *ways), scale=scale)
            weights[name] = {"kernel": kernel, "bias": rng.normal(size=config["filters"])}
    return {name: {k: v.astype(np.float32) for k, v in arrays.items()} for name, arrays in weights.items()}


def write_keras(path, layers, weights=None, configuration=None):
    """Write a network as Keras 2.0 does."""
    config = {"name": "model_1", "layers": layers, "input_layers": [], "output_layers": []}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.0.6", "tensorflow"
        file.attrs["model_config"] = configuration or json.dumps({"class_name": "Model", "config": config})
        for name, arrays in (weights or random_weights(layers)).items():
            for key, values in arrays.items():
                file.create_dataset(f"model_weights/{name}/{name}/{key}:0", data=values)
    return path


def run_keras(layers, weights, image):
    """Compute what Keras does with an image without channels, in float64, channels first throughout."""
    values = {}
    for layer in layers:
        fed = [values[source[0]] for node in layer["inbound_nodes"] for source in node]
        operation = OPERATIONS[layer["class_name"]]
        values[layer["name"]] = operation(fed or [image[None]], layer["config"], weights.get(layer["name"]))
    return values[layers[-1]["name"]][0]


def _convolve(fed, config, weights):
    (below,), kernel = fed, weights["kernel"].astype(np.float64)
    step = config["dilation_rate"][0]
    spread = np.zeros([(n - 1) * step + 1 for n in kernel.shape[:-2]] + list(kernel.shape[-2:]))
    spread[tuple([slice(None, None, step)] * (kernel.ndim - 2))] = kernel
    return np.stack(
        [
            sum(ndimage.correlate(plane, spread[..., i, o], mode="constant") for i, plane in enumerate(below)) + bias
            for o, bias in enumerate(weights["bias"].astype(np.float64))
        ]
    )


def _transpose(fed, _config, weights):
    (below,), kernel = fed, weights["kernel"].astype(np.float64)
    _, nx, ny = below.shape
    above = np.zeros((kernel.shape[2], 2 * nx, 2 * ny))
    for a in range(2):
        for b in range(2):
            above[:, a::2, b::2] = np.einsum("oi,ixy->oxy", kernel[a, b], below)
    return above + weights["bias"][:, None, None]


def _normalize(fed, config, weights):
    columns = {k: v.astype(np.float64).reshape(-1, *[1] * (fed[0].ndim - 1)) for k, v in weights.items()}
    scaled = (fed[0] - columns["moving_mean"]) / np.sqrt(columns["moving_variance"] + config["epsilon"])
    return scaled * columns["gamma"] + columns["beta"]


def _pool(fed, *_):
    return ndimage.maximum_filter(fed[0], [1] + [2] * (fed[0].ndim - 1), origin=[0] + [-1] * (fed[0].ndim - 1))[
        (slice(None), *[slice(None, None, 2)] * (fed[0].ndim - 1))
    ]


def _double(fed, *_):
    above = fed[0]
    for axis in range(1, above.ndim):
        above = np.repeat(above, 2, axis)
    return above


ACTIVATIONS = {"relu": lambda v: np.maximum(v, 0), "sigmoid": special.expit}
OPERATIONS = {
    "InputLayer": lambda fed, *_: fed[0].astype(np.float64),
    "Conv3D": _convolve,
    "Conv2D": _convolve,
    "Conv2DTranspose": _transpose,
    "BatchNormalization": _normalize,
    "Activation": lambda fed, config, _: ACTIVATIONS[config["activation"]](fed[0]),
    "MaxPooling3D": _pool,
    "MaxPooling2D": _pool,
    "UpSampling3D": _double,
    "Concatenate": lambda fed, *_: np.concatenate(fed),
    "Dropout": lambda fed, *_: fed[0],
    "Lambda": lambda fed, *_: fed[0],
}
