import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from cordlesion.config import PreprocessConfig
from cordlesion.dataset.bids import find_scans
from cordlesion.errors import CordlesionError
from cordlesion.preprocess.centerline import read_centerline
from cordlesion.preprocess.cord_stack import sample_reference, sample_stack
from cordlesion.preprocess.stack_file import make_stack, read_stack, write_stack
from cordlesion.volume import read_mask, read_scan
from images import truncate
from tiny import write_scan

CONFIG = PreprocessConfig(crop_voxels=16, centerline="file")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_scan(folder, "sub-01", seed=1, lesions=2)
    return find_scans(folder)[0][0]


@pytest.mark.parametrize("config", [CONFIG, PreprocessConfig(region="foreground")], ids=["cord", "foreground"])
def test_a_stack_survives_writing(scan, tmp_path, config):
    stack = make_stack(scan, config)
    write_stack(tmp_path / "a.safetensors", stack)
    again = read_stack(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.image, stack.image)
    np.testing.assert_array_equal(again.reference, stack.reference)
    assert (again.image.dtype, again.reference.dtype) == (np.float32, bool)
    for name, value in asdict(stack.geometry).items():
        np.testing.assert_array_equal(getattr(again.geometry, name), value, err_msg=name)
    np.testing.assert_array_equal(again.geometry.inside(), stack.geometry.inside())


def test_files_that_tell_one_edge_of_a_square_crop_are_read(scan, tmp_path):
    stack, path = make_stack(scan, CONFIG), tmp_path / "a.safetensors"
    write_stack(path, stack)
    content = path.read_bytes()
    # JSON within JSON; spaces keep the length of the file's header.
    assert content.count(rb"\"crop_voxels\": [16, 16]") == 1
    path.write_bytes(content.replace(rb"\"crop_voxels\": [16, 16]", rb"\"crop_voxels\": 16      "))
    assert read_stack(path).geometry.crop_voxels == (16, 16)


def test_the_foreground_needs_no_centerline(scan):
    without = replace(scan, centerline=None, cord_mask=None)
    stack = make_stack(without, PreprocessConfig(region="foreground", spacing_mm=0.6))
    assert stack.image.shape == stack.reference.shape == (24, 24, 40)  # the tube's surroundings are bright
    np.testing.assert_allclose(stack.image, read_scan(scan.image).data, atol=1e-3)
    np.testing.assert_array_equal(stack.reference, read_mask(scan.reference).data)


def test_a_stack_holds_image_and_reference_of_the_same_place(scan):
    stack = make_stack(scan, CONFIG)
    image = read_scan(scan.image)
    np.testing.assert_array_equal(stack.image, sample_stack(image, stack.geometry))
    np.testing.assert_array_equal(stack.reference, sample_reference(read_mask(scan.reference), stack.geometry))
    assert stack.reference.any()
    without = make_stack(replace(scan, reference=None), CONFIG)
    assert not without.reference.any()
    np.testing.assert_array_equal(without.image, stack.image)


def test_the_cord_mask_can_stand_for_the_centerline(scan):
    curve, mask = (
        make_stack(scan, CONFIG.model_copy(update={"centerline": c})).geometry for c in ("file", "cord_mask")
    )
    assert mask.n_slices > curve.n_slices  # the mask marks every slice, the curve all but the first and last two
    first = curve.first_slice - mask.first_slice
    np.testing.assert_array_equal(mask.start_x[first : first + curve.n_slices], curve.start_x)
    np.testing.assert_array_equal(mask.start_y[first : first + curve.n_slices], curve.start_y)


@pytest.mark.parametrize(
    ("source", "missing", "wanted"),
    [("file", "centerline", "label-centerline"), ("cord_mask", "cord_mask", "label-cord")],
)
def test_a_scan_without_centerline_gets_a_sentence(scan, source, missing, wanted):
    with pytest.raises(CordlesionError, match=rf"sub-01_T2w\.nii\.gz: no centerline .*{wanted}"):
        make_stack(replace(scan, **{missing: None}), CONFIG.model_copy(update={"centerline": source}))


def drop_metadata(path):
    save_file({"image": np.zeros((2, 2, 2), np.float32)}, path)


def drop_tensor(path):
    save_file({"image": np.zeros((2, 2, 2), np.float32)}, path, metadata={"geometry": json.dumps({})})


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.unlink(), truncate, lambda path: path.write_text("no stack"), drop_metadata, drop_tensor],
    ids=["missing", "truncated", "text", "no metadata", "no tensor"],
)
def test_a_damaged_stack_gets_a_sentence(scan, tmp_path, damage):
    path = tmp_path / "a.safetensors"
    write_stack(path, make_stack(scan, CONFIG))
    damage(path)
    with pytest.raises(CordlesionError, match=r"a\.safetensors: no readable cord stack"):
        read_stack(path)


@pytest.mark.parametrize(("source", "finder"), [("auto", "find_cord"), ("sct", "centerline_from_sct")])
def test_the_cord_is_found_where_no_file_shows_it(scan, monkeypatch, source, finder):
    expected = make_stack(scan, CONFIG)
    curve = read_centerline(scan.centerline, read_scan(scan.image))
    monkeypatch.setattr(f"cordlesion.preprocess.stack_file.{finder}", lambda _: curve)
    found = make_stack(replace(scan, centerline=None), CONFIG.model_copy(update={"centerline": source}))
    np.testing.assert_array_equal(found.image, expected.image)
