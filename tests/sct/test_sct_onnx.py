"""ONNX files that somebody else made: the network in them, or a sentence."""

import sys
import tracemalloc

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import load_bundle
from cordlesion.sct.import_network import import_sct, read_lesion_network
from support.images import noise, truncate
from support.keras_networks import run_keras
from support.onnx_networks import Graph, LesionGraph

WAYS = {
    "as tf2onnx writes it": {},
    "bias in the convolution": {"added": False},
    "normalisation in the convolution": {"fused": True, "added": False},
    "upsampling in one": {"split": False},
    "three levels": {"filters": ((2, 3), (3, 2), (2, 4))},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_network_computes_what_keras_does_however_it_was_converted(tmp_path, way):
    graph = LesionGraph(**way)
    onnx.save(graph.whole(), tmp_path / "t2_lesion.onnx")
    network, filters = read_lesion_network(tmp_path / "t2_lesion.onnx")
    assert filters == way.get("filters", ((2, 3), (4, 5)))
    patch = noise((8, 12, 4)) / 100
    with torch.inference_mode():
        probability = torch.sigmoid(network(torch.from_numpy(patch)[None, None]))[0, 0]
    expected = run_keras(graph.layers, graph.weights, patch)
    assert expected.std() > 0.05
    np.testing.assert_allclose(probability, expected, atol=1e-5)


def test_it_becomes_a_bundle_like_any_other(tmp_path):
    onnx.save(LesionGraph().whole(), tmp_path / "t2_ax_lesion.onnx")
    import_sct(tmp_path / "t2_ax_lesion.onnx", tmp_path / "bundle", "soft")
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.card.preprocess.mean == 835.592
    assert bundle.card.provenance["source"] == "t2_ax_lesion.onnx"
    assert not bundle.network.training


def edited(change, **way):
    """A whole network in which something was changed."""

    def write(path):
        model = LesionGraph(**way).whole()
        change(model)
        path.write_bytes(model.SerializeToString())

    return write


def bomb(path):
    """Eighty operations that ask for 2 ** 80 patches."""
    graph, last = Graph(), "input_1"
    for _ in range(80):
        last = graph.add("Concat", last, last, axis=0)
    path.write_bytes(graph.model(last).SerializeToString())


def constant_bomb(path):
    """The same with a constant, which onnxruntime might compute before anything is run."""
    graph = Graph()
    last = graph.tensor(np.ones(64))
    for _ in range(40):
        last = graph.add("Concat", last, last, axis=0)
    path.write_bytes(graph.model(last).SerializeToString())


def magnified(path):
    graph = Graph()
    last = graph.add("Resize", "input_1", graph.tensor([]), graph.tensor([1, 1, 99, 99, 99]), mode="nearest")
    path.write_bytes(graph.model(last).SerializeToString())


def without_end(model):
    """A loop."""
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["on"])], "body", [], [])
    model.graph.node.insert(0, helper.make_node("Loop", ["", "go"], ["x"], body=body))


def elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    tensor.ClearField("raw_data")


def swollen(model):
    model.graph.initializer[0].dims[:] = [2**40]


def foreign(model):
    model.graph.node[2].domain = "com.evil"


def with_function(model):
    model.functions.add(name="f", domain="x")


def belittled(path):
    """A bomb that says that its tensors are small."""
    graph, last = Graph(), "input_1"
    for _ in range(30):
        last = graph.add("Concat", last, last, axis=0)
    model = graph.model(last)
    small = [helper.make_tensor_value_info(node.output[0], 1, [1]) for node in model.graph.node]
    model.graph.value_info.extend(small)
    path.write_bytes(model.SerializeToString())


def two_outputs(model):
    model.graph.output.append(model.graph.output[0])


def other_patch(model):
    model.graph.input[0].type.tensor_type.shape.dim[4].dim_value = 4800


def nan(model):
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor) * np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def other_pooling(model):
    """Average in place of the largest, by a name that is let in."""
    next(node for node in model.graph.node if node.op_type == "MaxPool").attribute[0].ints[:] = [1, 1, 1]


def less(model):
    del model.graph.node[3:6]


def broadcast(model):
    """Many copies of the map, which compared with one would be many differences."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.zeros((3, 1, 1, 1, 1), np.float32), "copies"))
    graph.node.insert(len(graph.node) - 1, helper.make_node("Add", [graph.node[-1].input[0], "copies"], ["many"]))
    graph.node[-1].input[0] = "many"


def wide(path):
    """Strides that make the graph cheap, and filters that make our own network dear."""
    model = LesionGraph(filters=((2, 300), (4, 5))).whole()
    next(node for node in model.graph.node if node.op_type == "Conv").attribute.append(
        helper.make_attribute("strides", [48, 48, 48])
    )
    path.write_bytes(model.SerializeToString())


def renamed(model):
    model.graph.node[0].input[1] = "input_1"


DAMAGES = {
    "no file": (lambda _: None, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 operations"),
    "text": (lambda path: path.write_text("weights" * 99), "is no ONNX model"),
    "truncated": (lambda path: truncate(_saved(path)), "is no ONNX model"),
    "eight gigabytes": (lambda path: _sparse(path), "more than any of SCT's"),
    "a memory bomb": (bomb, "sizes of its tensors cannot be inferred|makes a tensor of"),
    "a memory bomb of constants": (constant_bomb, "makes a tensor of"),
    "a memory bomb in disguise": (belittled, "makes a tensor of"),
    "a patch magnified": (magnified, "makes a tensor of"),
    "a loop": (edited(without_end), "an operation 'Loop'"),
    "an operation of a library": (edited(foreign), "an operation "),
    "a function of its own": (edited(with_function), "1 functions of its own"),
    "weights in another file": (edited(elsewhere), "not in the file itself"),
    "weights of terabytes": (edited(swollen), "cannot be used"),
    "weights of NaN": (edited(nan), "does not compute"),
    "two outputs": (edited(two_outputs), "does not map one patch"),
    "another patch": (edited(other_patch), "does not take patches"),
    "a step less": (edited(less), "cannot be used"),
    "a kernel that is no weight": (edited(renamed), "'input_1' is not stored as float32 weights"),
    "concatenated the wrong way round": (edited(lambda _: None, skip_first=True), "does not compute|cannot be used"),
    "many maps": (edited(broadcast), r"maps a patch to shape \(3, 1, 48, 48, 48\)"),
    "many filters": (wide, "far more than SCT's networks|cannot be used|does not compute|makes a tensor of"),
    "another pooling": (edited(other_pooling), "does not compute"),
}


def _saved(path):
    edited(lambda _: None)(path)
    return path


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(2**33)


@pytest.mark.parametrize(("damage", "fault"), DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_is_no_network_of_sct_gets_a_sentence_and_little_memory(tmp_path, damage, fault):
    path = tmp_path / "t2_lesion.onnx"
    damage(path)
    tracemalloc.start()
    try:
        with pytest.raises(CordlesionError, match=fault) as error:
            read_lesion_network(path)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_without_its_libraries_the_extra_is_named(tmp_path, monkeypatch, module):
    path = _saved(tmp_path / "t2_lesion.onnx")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CordlesionError, match=rf"{module} is needed .*pip install 'cordlesion\[onnx\]'"):
        read_lesion_network(path)
