import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import read_centerline
from cordlesion.dataset.bids import find_scans
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.io.volume import read_mask, read_scan, write_volume
from cordlesion.preprocess.cord_stack import sample_reference, sample_stack
from cordlesion.preprocess.stack_file import make_stack, read_stack, write_stack
from support.images import truncate
from support.tiny import write_scan

CONFIG = PreprocessConfig(crop_voxels=16, centerline="file")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_scan(folder, "sub-01", seed=1, lesions=2)
    return find_scans(folder)[0][0]


@pytest.mark.parametrize("config", [CONFIG, PreprocessConfig(region="foreground")], ids=["cord", "foreground"])
def test_a_stack_is_the_same_after_writing_and_reading(scan, tmp_path, config):
    stack = make_stack(scan, config, None)
    write_stack(tmp_path / "a.safetensors", stack)
    again = read_stack(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.image, stack.image)
    np.testing.assert_array_equal(again.reference, stack.reference)
    assert (again.image.dtype, again.reference.dtype) == (np.float32, bool)
    for name, value in asdict(stack.geometry).items():
        np.testing.assert_array_equal(getattr(again.geometry, name), value, err_msg=name)
    np.testing.assert_array_equal(again.geometry.inside(), stack.geometry.inside())


def test_older_files_with_one_edge_of_a_square_crop_are_read(scan, tmp_path):
    stack, path = make_stack(scan, CONFIG, None), tmp_path / "a.safetensors"
    write_stack(path, stack)
    content = path.read_bytes()
    # JSON within JSON; spaces keep the length of the file's header.
    assert content.count(rb"\"crop_voxels\": [16, 16]") == 1
    path.write_bytes(content.replace(rb"\"crop_voxels\": [16, 16]", rb"\"crop_voxels\": 16      "))
    assert read_stack(path).geometry.crop_voxels == (16, 16)


def test_the_foreground_needs_no_centerline(scan):
    without = replace(scan, centerline=None, cord_mask=None)
    stack = make_stack(without, PreprocessConfig(region="foreground", spacing_mm=0.6), None)
    assert stack.image.shape == stack.reference.shape == (24, 24, 40)  # the tube's surroundings are bright
    np.testing.assert_allclose(stack.image, read_scan(scan.image).data, atol=1e-3)
    np.testing.assert_array_equal(stack.reference, read_mask(scan.reference).data)


def test_image_and_reference_of_a_stack_have_the_same_position(scan):
    stack = make_stack(scan, CONFIG, None)
    image = read_scan(scan.image)
    np.testing.assert_array_equal(stack.image, sample_stack(image, stack.geometry))
    np.testing.assert_array_equal(stack.reference, sample_reference(read_mask(scan.reference), stack.geometry))
    assert stack.reference.any()
    without = make_stack(replace(scan, reference=None), CONFIG, None)
    assert not without.reference.any()
    np.testing.assert_array_equal(without.image, stack.image)


def test_a_cord_mask_can_replace_the_centerline(scan):
    curve, mask = (
        make_stack(scan, CONFIG.model_copy(update={"centerline": c}), None).geometry for c in ("file", "cord_mask")
    )
    assert mask.n_slices > curve.n_slices  # the mask marks every slice, the curve all but the first and last two
    first = curve.first_slice - mask.first_slice
    np.testing.assert_array_equal(mask.start_x[first : first + curve.n_slices], curve.start_x)
    np.testing.assert_array_equal(mask.start_y[first : first + curve.n_slices], curve.start_y)


@pytest.mark.parametrize(
    ("source", "missing", "wanted"),
    [("file", "centerline", "label-centerline"), ("cord_mask", "cord_mask", "label-cord")],
)
def test_a_scan_without_centerline_raises_a_clear_error(scan, source, missing, wanted):
    with pytest.raises(CordlesionError, match=rf"sub-01_T2w\.nii\.gz: no centerline .*{wanted}"):
        make_stack(replace(scan, **{missing: None}), CONFIG.model_copy(update={"centerline": source}), None)


def drop_metadata(path):
    save_file({"image": np.zeros((2, 2, 2), np.float32)}, path)


def drop_tensor(path):
    save_file({"image": np.zeros((2, 2, 2), np.float32)}, path, metadata={"geometry": json.dumps({})})


def change_place(path, **changes):
    with safe_open(path, framework="numpy") as stored:
        place = json.loads(stored.metadata()["geometry"])
    save_file(load_file(path), path, metadata={"geometry": json.dumps(place | changes)})


def change_voxels(path, **changes):
    with safe_open(path, framework="numpy") as stored:
        metadata = stored.metadata()
    tensors = load_file(path)
    save_file(tensors | {name: change(tensors[name]) for name, change in changes.items()}, path, metadata=metadata)


PLACES = {
    "deep": lambda path: save_file(load_file(path), path, metadata={"geometry": "[" * 100_000}),
    "long number": lambda path: save_file(load_file(path), path, metadata={"geometry": "1" * 5000}),
    "list": lambda path: save_file(load_file(path), path, metadata={"geometry": "[]"}),
    "shape is text": lambda path: change_place(path, native_shape="abc"),
    "shape of two": lambda path: change_place(path, native_shape=[4, 4]),
    "shape without end": lambda path: change_place(path, native_shape=[10**12, 4, 4]),
    "step 0": lambda path: change_place(path, step=[0, 1, 1]),
    "starts elsewhere": lambda path: change_place(path, start_x=[10**30]),
    "starts are few": lambda path: change_place(path, start_x=[1]),
    "crop": lambda path: change_place(path, crop_voxels=10**18),
    "unknown key": lambda path: change_place(path, surprise=1),
    "other type": lambda path: change_voxels(path, image=lambda a: a.astype(np.int16)),
    "NaN": lambda path: change_voxels(path, image=lambda a: a * np.float32("nan")),
    "no voxels": lambda path: change_voxels(path, image=lambda a: a[:0], reference=lambda a: a[:0]),
    "reference of another": lambda path: change_voxels(path, reference=lambda a: a[:-1]),
}


@pytest.mark.parametrize("damage", PLACES.values(), ids=PLACES)
def test_a_stack_with_inconsistent_parts_raises_a_clear_error(scan, tmp_path, damage):
    path = tmp_path / "a.safetensors"
    write_stack(path, make_stack(scan, CONFIG, None))
    damage(path)
    with pytest.raises(CordlesionError, match=r"a\.safetensors: "):
        read_stack(path)


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.unlink(), truncate, lambda path: path.write_text("no stack"), drop_metadata, drop_tensor],
    ids=["missing", "truncated", "text", "no metadata", "no tensor"],
)
def test_a_damaged_stack_raises_a_clear_error(scan, tmp_path, damage):
    path = tmp_path / "a.safetensors"
    write_stack(path, make_stack(scan, CONFIG, None))
    damage(path)
    with pytest.raises(CordlesionError, match=r"a\.safetensors: not a readable cord stack"):
        read_stack(path)


@pytest.mark.parametrize("source", ["auto", "sct", "t2_ctr.h5"])
def test_the_cord_is_found_if_the_source_is_not_a_file(scan, source):
    expected = make_stack(scan, CONFIG, None)
    curve = read_centerline(scan.centerline, read_scan(scan.image))
    config = CONFIG.model_copy(update={"centerline": Path(source) if source.endswith(".h5") else source})
    found = make_stack(replace(scan, centerline=None), config, lambda _: curve)
    np.testing.assert_array_equal(found.image, expected.image)


def test_a_curve_that_covers_little_of_a_scan_gives_a_warning(scan, tmp_path, capsys):
    image = read_scan(scan.image)
    drawn = read_mask(scan.centerline).data.copy()
    drawn[..., 12:] = False
    write_volume(tmp_path / "short.nii.gz", drawn, image)
    with shown():
        make_stack(replace(scan, centerline=tmp_path / "short.nii.gz"), CONFIG, None)
    assert "sub-01_T2w.nii.gz: the centerline covers 10 of 40 axial slices (25 %)" in capsys.readouterr().out
