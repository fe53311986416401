"""The networks of ``keras_networks`` as ONNX, in the ways that converters write them."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from support.keras_networks import lesion_layers, random_weights


class Graph:
    """Operations in the order in which they are added, each fed by names."""

    def __init__(self):
        self.nodes, self.tensors = [], []

    def tensor(self, values):
        name = f"tensor_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def add(self, kind, *inputs, outputs=None, **attributes):
        outputs = outputs or [f"value_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs[0]

    def model(self, last, edge=48):
        """The whole model, its ends named as SCT's are."""
        self.add("Sigmoid", last, outputs=["predictions"])
        shape = ["N", 1, edge, edge, edge]
        ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n in ("input_1", "predictions")]
        graph = helper.make_graph(self.nodes, "network", ends[:1], ends[1:], self.tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


class LesionGraph(Graph):
    """A lesion network.

    Args:
        fused: Batch normalisation is part of the convolutions.
        added: The bias is an operation of its own.
        split: Upsampling repeats slices, rather than being an operation.
        skip_first: The concatenation is the wrong way round.
    """

    def __init__(self, filters=((2, 3), (4, 5)), fused=False, added=True, split=True, skip_first=False):
        super().__init__()
        self.fused, self.added, self.split = fused, added, split
        self.layers = lesion_layers(filters)
        self.weights = random_weights(self.layers, seed=3)
        self.edge = 48
        names = {}
        for place, layer in enumerate(self.layers[:-1]):
            fed = [names[source[0]] for node in layer["inbound_nodes"] for source in node]
            if layer["class_name"] == "Concatenate" and skip_first:
                fed.reverse()
            names[layer["name"]] = getattr(self, layer["class_name"].lower())(fed, place)
        self.last = names[self.layers[-2]["name"]]

    def whole(self):
        return self.model(self.last)

    def arrays(self, place):
        return self.weights.get(self.layers[place]["name"], {})

    def inputlayer(self, *_):
        return "input_1"

    def conv3d(self, fed, place):
        kernel, bias = (self.arrays(place)[key].astype(np.float64) for key in ("kernel", "bias"))
        if self.fused and self.arrays(place + 1):
            norm = self.arrays(place + 1)
            factor = norm["gamma"] / np.sqrt(norm["moving_variance"].astype(np.float64) + 1e-3)
            kernel, bias = kernel * factor, (bias - norm["moving_mean"]) * factor + norm["beta"]
        ours, size = self.tensor(kernel.transpose(4, 3, 0, 1, 2)), [kernel.shape[0]] * 3
        pads = [kernel.shape[0] // 2] * 6
        if not self.added:
            return self.add("Conv", *fed, ours, self.tensor(bias), kernel_shape=size, pads=pads)
        bare = self.add("Conv", *fed, ours, kernel_shape=size, pads=pads)
        return self.add("Add", bare, self.tensor(bias.reshape(-1, 1, 1, 1)))

    def batchnormalization(self, fed, place):
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        tensors = [self.tensor(self.arrays(place)[name]) for name in names]
        return fed[0] if self.fused else self.add("BatchNormalization", *fed, *tensors, epsilon=1e-3)

    def activation(self, fed, _):
        return self.add("Relu", *fed)

    def maxpooling3d(self, fed, _):
        self.edge //= 2
        return self.add("MaxPool", *fed, kernel_shape=[2] * 3, strides=[2] * 3)

    def upsampling3d(self, fed, _):
        (last,) = fed
        if not self.split:
            scales = self.tensor([1, 1, 2, 2, 2])
            options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            return self.add("Resize", last, self.tensor([]), scales, **options)
        for axis in (2, 3, 4):
            parts = [f"part_{len(self.nodes)}_{k}" for k in range(self.edge)]
            self.add("Split", last, outputs=parts, axis=axis)
            last = self.add("Concat", *(part for part in parts for _ in range(2)), axis=axis)
        self.edge *= 2
        return last

    def concatenate(self, fed, _):
        return self.add("Concat", *fed, axis=1)
