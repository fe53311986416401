"""SCT's lesion networks from the ONNX files that newer versions of SCT ship.

A converter may write the same network in many ways. So only weights are taken from the graph, in the order in which it
uses them, and then onnxruntime computes whether graph and network agree. Before it may, no tensor of the graph may be
larger than the network needs, nor lie in another file, and only plain operations are let in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cordlesion.io.arrays import Float32Array
from cordlesion.io.foreign_file import ForeignFileError, foreign_file
from cordlesion.sct.networks import EPSILON, SctLesionNet

if TYPE_CHECKING:
    import onnx


_OPERATIONS = {"Add", "BatchNormalization", "Concat", "Conv", "Identity", "MaxPool", "Relu", "Resize", "Sigmoid",
               "Split", "Upsample"}  # fmt: skip
_PATCH = (1, 1, 48, 48, 48)
_MOST_NODES = 1000
_MOST_ELEMENTS = 2**24
"""Of a tensor; the largest of SCT's networks has 96 channels of a patch, 1.6 times less."""
_TOLERANCE = 1e-3
"""Of the largest logit; another network, or one with a detail wrong, is off by the logits' own size."""


@dataclass(frozen=True)
class _Step:
    """A convolution with what is added to it and how it is normalised."""

    kernel: Float32Array
    bias: Float32Array
    normalization: tuple[Float32Array, Float32Array, Float32Array, Float32Array] | None
    epsilon: float


def read_onnx_network(path: Path) -> tuple[SctLesionNet, tuple[tuple[int, int], ...]]:
    """Read a lesion network of SCT (``t2_lesion.onnx``, ``t2_ax_lesion.onnx``, ``t2s_lesion.onnx``).

    Args:
        path: The ONNX file as SCT ships it.

    Returns:
        The network in evaluation mode, and its filters per level.

    Raises:
        CordlesionError: The file is missing, damaged, or holds anything but such a network.
    """
    with foreign_file(path, "an .onnx file", extra="onnx"):
        model = _load(path)
        steps = list(_steps(model.graph))
        filters = _filters(model.graph, steps)
        _require_narrow(filters)
        # Before anything is run: now all kernels are known to have the size of SCT's.
        network = _network(filters, steps)
        patch = np.random.default_rng(0).normal(size=_PATCH).astype(np.float32)
        expected = _run(model, patch)
        with torch.inference_mode():
            found = network(torch.from_numpy(patch)).numpy()
        if expected.shape != _PATCH:
            raise ForeignFileError(f"maps a patch to shape {expected.shape}")
        with np.errstate(invalid="ignore"):
            agree = np.abs(found - expected).max() <= _TOLERANCE * np.abs(expected).max()  # False of NaN
        if not agree:
            raise ForeignFileError("it does not compute what SCT's lesion network does")
    return network, filters


def _load(path: Path) -> "onnx.ModelProto":
    """Parse a graph, check that it is safe to run, and make it output logits."""
    import onnx

    try:
        model = onnx.load_model_from_string(path.read_bytes())
    # That of protobuf, which is no dependency of ours.
    except Exception:
        raise ForeignFileError("is no ONNX model") from None
    _require_plain(model)
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1 or len(graph.output) != 1 or graph.node[-1].op_type != "Sigmoid":
        raise ForeignFileError("does not map one patch to one map of probabilities")
    shape = inputs[0].type.tensor_type.shape
    if [dim.dim_value for dim in shape.dim[1:]] != list(_PATCH[1:]):
        raise ForeignFileError("does not take patches of 48 x 48 x 48 voxels")
    shape.dim[0].dim_value = _PATCH[0]
    # Logits show differences where probabilities are 0 or 1.
    graph.output[0].name = graph.node.pop().input[0]
    # Sizes are computed, not taken from the file.
    graph.output[0].type.tensor_type.ClearField("shape")
    del graph.value_info[:]
    _require_small(model)
    return model


def _require_plain(model: "onnx.ModelProto") -> None:
    """Check that a graph has only known operations and its own weights."""
    graph = model.graph
    if model.functions or not 0 < len(graph.node) <= _MOST_NODES:
        raise ForeignFileError(f"has {len(graph.node)} operations and {len(model.functions)} functions of its own")
    for node in graph.node:
        if node.op_type not in _OPERATIONS or node.domain not in ("", "ai.onnx"):
            raise ForeignFileError(f"has an operation {node.op_type[:40]!r}, which SCT's lesion network does not have")
    if graph.sparse_initializer or any(tensor.data_location == tensor.EXTERNAL for tensor in graph.initializer):
        raise ForeignFileError("has weights that are not in the file itself")


def _require_small(model: "onnx.ModelProto") -> None:
    """Check that every tensor to compute has a known and moderate size."""
    import onnx

    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    except onnx.shape_inference.InferenceError:
        raise ForeignFileError("the sizes of its tensors cannot be inferred") from None
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        for name in node.output:
            size = 1
            for dim in shapes.get(name, []):
                size *= dim.dim_value
            if name not in shapes or not 0 < size <= _MOST_ELEMENTS:
                raise ForeignFileError(
                    f"the {node.op_type} makes a tensor of {size if name in shapes else 'unknown'} size"
                )


def _steps(graph: "onnx.GraphProto") -> Iterator[_Step]:
    """Take the convolutions in the order of the graph, which is that of their computation."""
    weights = _weights(graph)
    users = {name: node for node in reversed(graph.node) for name in node.input}
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        kernel, *bias = (_weight(weights, name) for name in node.input[1:])
        added = sum(bias, np.zeros(kernel.shape[0], np.float32))
        user = users.get(node.output[0])
        if user is not None and user.op_type == "Add":
            name = next((name for name in user.input if name in weights), user.input[-1])
            added = added + _weight(weights, name).reshape(kernel.shape[0])
            user = users.get(user.output[0])
        if user is not None and user.op_type == "BatchNormalization":
            scale, offset, mean, variance = (_weight(weights, name) for name in user.input[1:])
            epsilon = next((float(a.f) for a in user.attribute if a.name == "epsilon"), 1e-5)
            yield _Step(kernel, added, (scale, offset, mean, variance), epsilon)
        else:
            yield _Step(kernel, added, None, 0.0)


def _weight(weights: Mapping[str, Float32Array], name: str) -> Float32Array:
    if name not in weights:
        raise ForeignFileError(f"{name[:40]!r} is not stored as float32 weights")
    return weights[name]


def _weights(graph: "onnx.GraphProto") -> Mapping[str, Float32Array]:
    import onnx

    tensors = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    return {tensor.name: np.array(onnx.numpy_helper.to_array(tensor)) for tensor in tensors}


def _filters(graph: "onnx.GraphProto", steps: list[_Step]) -> tuple[tuple[int, int], ...]:
    levels = 1 + sum(node.op_type == "MaxPool" for node in graph.node)
    # Two convolutions on each level on the way down, two on each but the last on the way up, and the output.
    if len(steps) != 4 * levels - 1:
        raise ForeignFileError(f"has {len(steps)} convolutions where SCT's lesion network has {4 * levels - 1}")
    widths = [step.kernel.shape[0] for step in steps[: 2 * levels]]
    return tuple(zip(widths[::2], widths[1::2], strict=True))


def _require_narrow(filters: tuple[tuple[int, int], ...]) -> None:
    """Check that our own network, which computes whole patches whatever the graph does, needs little memory too."""
    voxels = [(_PATCH[-1] >> level) ** 3 for level in range(len(filters))]
    if any(max(pair) * n > _MOST_ELEMENTS for pair, n in zip(filters, voxels, strict=True)):
        raise ForeignFileError(f"has {filters} filters, far more than SCT's networks")


def _network(filters: tuple[tuple[int, int], ...], steps: list[_Step]) -> SctLesionNet:
    with torch.device("meta"):
        network = SctLesionNet(filters)
    state, remaining = network.state_dict(), iter(steps)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv3d):
            step = next(remaining)
            arrays: Mapping[str, Float32Array] = {"weight": step.kernel, "bias": step.bias}
        elif isinstance(module, nn.BatchNorm3d):
            arrays = _normalization(step)
            state[f"{name}.num_batches_tracked"] = torch.tensor(0)
        else:
            continue
        for ours, values in arrays.items():
            needed = tuple(state[f"{name}.{ours}"].shape)
            if values.shape != needed:
                raise ForeignFileError(f"has weights of shape {values.shape} where {needed} is needed")
            state[f"{name}.{ours}"] = torch.from_numpy(values)
    network.load_state_dict(state, assign=True)
    return network.eval()


def _normalization(step: _Step) -> Mapping[str, Float32Array]:
    """Return batch normalisation in torch's names; the identity where a converter has put it into the convolution."""
    ones, zeros = np.ones_like(step.bias), np.zeros_like(step.bias)
    scale, offset, mean, variance = step.normalization or (ones, zeros, zeros, ones)
    # Torch's network adds an epsilon of its own to the variance, which is subtracted here.
    return {
        "weight": scale,
        "bias": offset,
        "running_mean": mean,
        "running_var": variance + np.float32(step.epsilon - EPSILON),
    }


def _run(model: "onnx.ModelProto", patch: Float32Array) -> Float32Array:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        # Without the fallback, which prints the error and tries the same again.
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, ["CPUExecutionProvider"], enable_fallback=0
        )
        (logits,) = session.run(None, {session.get_inputs()[0].name: patch})
    # Its exceptions have no common class but this.
    except Exception as error:
        raise ForeignFileError(f"onnxruntime cannot run it: {str(error)[:200]}") from None
    return np.asarray(logits, np.float32)
