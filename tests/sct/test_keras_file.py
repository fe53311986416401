"""Files that somebody else made: refused with a sentence, whatever they hold."""

import builtins
import contextlib
import copy
import json
import marshal
import sys
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.sct.import_network import read_centerline_network, read_lesion_network
from support.images import truncate
from support.keras_networks import centerline_layers, lesion_layers, random_weights, write_keras

LAYERS = lesion_layers()
FIRST = LAYERS[1]["name"]
KERNEL = f"model_weights/{FIRST}/{FIRST}/kernel:0"
SHAPE = (3, 3, 3, 1, 2)


def edited(place, **settings):
    """Layers of which one has other settings."""
    layers = copy.deepcopy(LAYERS)
    layers[place]["config"] |= settings
    return layers


def rewrite(layers):
    return lambda path: write_keras(path, layers, random_weights(LAYERS))


def configure(text):
    return lambda path: write_keras(path, LAYERS, configuration=text)


def replaced(make):
    """Put something else in the place of the first kernel."""

    def change(path):
        with h5py.File(write_keras(path, LAYERS), "a") as file:
            del file[KERNEL]
            make(file)

    return change


def attribute(value, **options):
    def change(path):
        with h5py.File(write_keras(path, LAYERS), "a") as file:
            del file.attrs["model_config"]
            file.attrs.create("model_config", value, **options)

    return change


def wide(path):
    """Layers that ask for gigabytes, of arrays of that shape which were never written."""
    layers = lesion_layers(((1024, 1024), (1024, 1024)))
    with h5py.File(write_keras(path, layers, {"x": {}}), "a") as file:
        for layer, below in zip(layers[1:8:3], (1, 1024, 1024), strict=True):
            name = layer["name"]
            file.create_dataset(f"model_weights/{name}/{name}/kernel:0", (3, 3, 3, below, 1024), "<f4")


def aliased(path):
    """Arrays that are all the same place of the file."""
    layers = lesion_layers(((64, 64), (64, 64)))
    with h5py.File(write_keras(path, layers, {"x": {}}), "a") as file:
        one = file.create_dataset("one", data=np.zeros((3, 3, 3, 64, 64), np.float32))
        for layer in layers:
            if layer["class_name"] == "Conv3D":
                file[f"model_weights/{layer['name']}/{layer['name']}/kernel:0"] = one


def outside(path):
    """A link to another file that does have the array."""
    other = write_keras(path.parent / "other.h5", LAYERS)
    with h5py.File(write_keras(path, LAYERS), "a") as file:
        del file[KERNEL]
        file[KERNEL] = h5py.ExternalLink(str(other), KERNEL)


def stored_outside(path):
    (path.parent / "secret").write_bytes(bytes(4 * 54))
    replaced(lambda f: f.create_dataset(KERNEL, SHAPE, "<f4", external=[(str(path.parent / "secret"), 0, 4 * 54)]))(
        path
    )


def virtual(path):
    source = h5py.VirtualSource(write_keras(path.parent / "other.h5", LAYERS), KERNEL, shape=SHAPE)
    layout = h5py.VirtualLayout(SHAPE, "<f4")
    layout[...] = source
    replaced(lambda f: f.create_virtual_dataset(KERNEL, layout))(path)


def cut_short(path):
    write_keras(path, LAYERS)
    truncate(path)


def sparse(path):
    with path.open("wb") as file:
        file.truncate(2**33)


def code(place):
    """A layer of code in the place of another."""
    layers = copy.deepcopy(LAYERS)
    function = [marshal.dumps(compile("raise SystemExit", "x", "exec")).decode("latin1"), None, None]
    layers[place] |= {"class_name": "Lambda", "config": {"function": function, "function_type": "lambda"}}
    return layers


COPY = np.zeros(SHAPE, np.float32)
DAMAGES = {
    "no file": (lambda _: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be used"),
    "text": (lambda path: path.write_text("weights"), "cannot be used"),
    "truncated": (cut_short, "cannot be used"),
    "eight gigabytes": (sparse, "more than any of SCT's"),
    "no description": (lambda path: h5py.File(path, "w").close(), "has no model_config"),
    "description is a number": (attribute(3), "model_config is no text"),
    "description is many texts": (attribute([b"{}"] * 9), "model_config is no text"),
    "description is no JSON": (configure("{"), "model_config is no JSON"),
    "description is deep": (configure("[" * 60_000), "model_config is no JSON"),
    "description is a list": (configure("[1]"), "describes no network of layers"),
    "layers are text": (configure('{"config": {"layers": "ab"}}'), "describes no network of layers"),
    "no layers": (configure('{"config": {"layers": []}}'), "has 0 layers"),
    "thousands of layers": (configure(json.dumps({"config": {"layers": [LAYERS[0]] * 1000}})), "has 1000 layers"),
    "a loop": (configure(json.dumps({"config": {"layers": LAYERS[::-1]}})), "describes no network of layers"),
    "code": (rewrite(code(3)), "contains code .*never run"),
    "code at the end": (rewrite([*LAYERS, *code(-1)[-1:]]), "layers where SCT's lesion network has"),
    "other batch normalisation": (rewrite(edited(2, epsilon=1e-5)), "not the BatchNormalization"),
    "other order of channels": (rewrite(edited(1, data_format="channels_last")), "not the Conv3D"),
    "other activation": (rewrite(edited(3, activation="elu")), "not the Activation"),
    "a layer less": (rewrite(LAYERS[:-1]), "has 23 layers where"),
    "filters are text": (rewrite(edited(1, filters="2")), "has '2' filters"),
    "filters without end": (rewrite(edited(1, filters=10**12)), "has 1000000000000 filters"),
    "no weights": (lambda path: write_keras(path, LAYERS, {"x": {}}), "has no model_weights"),
    "weights of gigabytes": (wide, "more weights than it can hold"),
    "one array for all": (aliased, "more weights than it can hold"),
    "no kernel": (replaced(lambda _: None), "has no kernel:0"),
    "kernel of another shape": (replaced(lambda f: f.create_dataset(KERNEL, data=COPY[:2])), "no float32 array"),
    "kernel of 64 bits": (replaced(lambda f: f.create_dataset(KERNEL, data=COPY.astype(float))), "no float32 array"),
    "kernel of objects": (
        replaced(lambda f: f.create_dataset(KERNEL, SHAPE, h5py.vlen_dtype(np.float32))),
        "no float32 array",
    ),
    "kernel without end": (replaced(lambda f: f.create_dataset(KERNEL, (2**40,), "<f4")), "no float32 array"),
    "kernel never written": (replaced(lambda f: f.create_dataset(KERNEL, SHAPE, "<f4")), "not stored whole"),
    "kernel compressed": (
        replaced(lambda f: f.create_dataset(KERNEL, data=COPY, compression="gzip")),
        "not stored whole",
    ),
    "kernel is a folder": (replaced(lambda f: f.create_group(KERNEL)), "no float32 array"),
    "kernel elsewhere in the file": (replaced(lambda f: f.update({KERNEL: h5py.SoftLink("/x")})), "has no kernel:0"),
    "kernel in another file": (outside, "has no kernel:0"),
    "kernel in any file": (stored_outside, "not stored whole"),
    "kernel made of other files": (virtual, "not stored whole"),
    "kernel of NaN": (replaced(lambda f: f.create_dataset(KERNEL, data=COPY * np.nan)), "NaN or infinite"),
}


def refuse(path, fault, read=read_lesion_network):
    with pytest.raises(CordlesionError, match=fault) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.fixture
def no_code(monkeypatch):
    """Let nobody turn bytes into code but Python's own import of modules."""
    loads = marshal.loads

    def run(*content):
        if sys._getframe(1).f_globals["__name__"] == "importlib._bootstrap_external":
            return loads(*content)
        raise AssertionError("something of the file was about to be run")

    for place, name in ((marshal, "loads"), (marshal, "load"), (builtins, "eval")):
        monkeypatch.setattr(place, name, run)


@pytest.mark.parametrize(("damage", "fault"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.usefixtures("no_code")
def test_a_file_that_is_no_network_of_sct_gets_a_sentence_and_little_memory(tmp_path, damage, fault):
    path = tmp_path / "t2_lesion.h5"
    damage(path)
    tracemalloc.start()
    try:
        refuse(path, fault)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_the_undamaged_file_is_read(tmp_path):
    read_lesion_network(write_keras(tmp_path / "t2_lesion.h5", LAYERS))


CODES = {
    "another temperature": [centerline_layers()[-2]["config"]["function"][0], None, [2.0]],
    "other code": [code(3)[3]["config"]["function"][0], None, [1.0]],
    "other instructions": [centerline_layers()[-2]["config"]["function"][0].replace("\x1bS", "\x14S"), None, [1.0]],
    "no code": None,
}


@pytest.mark.parametrize("function", CODES.values(), ids=CODES)
@pytest.mark.usefixtures("no_code")
def test_only_the_known_layer_of_code_is_passed_over(tmp_path, function):
    layers = centerline_layers()
    weights = random_weights(layers)
    read_centerline_network(write_keras(tmp_path / "t2_ctr.h5", layers, weights))
    layers[-2]["config"]["function"] = function
    refuse(write_keras(tmp_path / "bad_ctr.h5", layers, weights), "contains code", read_centerline_network)


def test_one_network_is_not_taken_for_the_other(tmp_path):
    refuse(write_keras(tmp_path / "t2_ctr.h5", centerline_layers()), "has no Conv3D layer")
    refuse(write_keras(tmp_path / "t2_lesion.h5", LAYERS), "has no Conv2D layer", read_centerline_network)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_are_refused_or_harmless(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(write_keras(folder / "t2_lesion.h5", lesion_layers(((1, 1), (1, 1)))).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "t2_lesion.h5").write_bytes(content)
    with contextlib.suppress(CordlesionError):
        network, _ = read_lesion_network(folder / "t2_lesion.h5")
        assert all(values.isfinite().all() for values in network.state_dict().values())


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    path = write_keras(tmp_path / "t2_lesion.h5", LAYERS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    refuse(path, r"pip install 'cordlesion\[sct\]'")
