"""Softmax exports: the right class in the right order, and no file makes more than the scan's size be allocated."""

import io
import json
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.io.volume import Volume
from cordlesion.nnunet.softmax import read_softmax
from support.comparator_files import save_softmax

SHAPE = (4, 6, 9)
SCAN = Volume(np.broadcast_to(np.uint8(0), SHAPE), np.eye(4), None, Path("scan.nii.gz"))
LESION = np.random.default_rng(0).random(SHAPE).astype(np.float32)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the file's code has run",))


def write_header(path: Path, shape: tuple[int, ...], dtype: str = "<f4", content: bytes = b"") -> Path:
    """An archive whose array declares a shape and holds something else."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("probabilities.npy", stream.getvalue() + content)
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["probabilities", "softmax"])
def test_two_classes_hold_lesion_in_the_second_one_in_reverse_order(tmp_path, dtype, name):
    path = save_softmax(tmp_path / "x.npz", LESION, dtype, name)
    read = read_softmax(path, SCAN)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, LESION.astype(dtype).astype(np.float32))


@given(which=st.integers(0, 4), fortran=st.booleans())
def test_any_class_can_be_lesion_in_either_memory_order(tmp_path_factory, which, fortran):
    classes = np.random.default_rng(1).random((5, *reversed(SHAPE))).astype(np.float32)
    path = tmp_path_factory.mktemp("classes") / "x.npz"
    np.savez(path, probabilities=np.asfortranarray(classes) if fortran else classes)
    expected = np.moveaxis(classes[which], (0, 1, 2), (2, 1, 0))
    np.testing.assert_array_equal(read_softmax(path, SCAN, which), expected)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "SAL", "PIR"])
@pytest.mark.parametrize("shows", ["plans.json", "dataset.json", "mask"])
@pytest.mark.parametrize("reorients", [True, False])
def test_an_export_is_turned_back_where_its_reader_turned_the_scan(tmp_path, codes, shows, reorients):
    scan, lesion = turned_scan(codes)
    reader = "NibabelIOWithReorient" if reorients else "SimpleITKIO"
    if shows == "mask":
        nib.save(nib.Nifti1Image((lesion >= 0.5).astype(np.uint8), scan.affine), tmp_path / "x.nii.gz")
    else:
        key = "image_reader_writer" if shows == "plans.json" else "overwrite_image_reader_writer"
        (tmp_path / shows).write_text(json.dumps({key: reader}))
    canonical = nib.as_closest_canonical(nib.Nifti1Image(lesion, scan.affine)).get_fdata(dtype=np.float32)
    path = save_softmax(tmp_path / "x.npz", canonical if reorients else lesion, np.float32)
    np.testing.assert_array_equal(read_softmax(path, scan), lesion)


def turned_scan(codes: str) -> tuple[Volume, np.ndarray]:
    """A scan in some orientation, and a map of it."""
    image = nib.Nifti1Image(LESION, np.diag([0.5, 0.6, 0.7, 1]))
    image = image.as_reoriented(nib.orientations.ornt_transform(*map(nib.orientations.axcodes2ornt, ("RAS", codes))))
    data = np.asarray(image.dataobj)
    return Volume(np.broadcast_to(np.uint8(0), data.shape), image.affine, None, Path("scan.nii.gz")), data


def test_dataset_json_overrules_plans_json_which_may_name_no_reader(tmp_path):
    scan, lesion = turned_scan("LAS")
    (tmp_path / "plans.json").write_text('{"image_reader_writer": "NibabelIOWithReorient"}')
    (tmp_path / "dataset.json").write_text('{"overwrite_image_reader_writer": "NibabelIO"}')
    path = save_softmax(tmp_path / "x.npz", lesion, np.float32)
    np.testing.assert_array_equal(read_softmax(path, scan), lesion)
    (tmp_path / "dataset.json").write_text('{"labels": {}}')
    np.testing.assert_array_equal(read_softmax(path, scan), lesion[::-1])


def test_what_nothing_says_is_said(tmp_path, capsys):
    scan, lesion = turned_scan("LAS")
    path = save_softmax(tmp_path / "x.npz", lesion, np.float32)
    with shown():
        for _ in range(2):
            np.testing.assert_array_equal(read_softmax(path, scan), lesion)
    assert capsys.readouterr().out.replace("\n", " ").count("names nnU-Net's reader") == 1


@pytest.mark.parametrize("other", [0.3 * LESION, np.clip(1.02 - LESION, 0, 1)])
def test_two_channels_of_no_softmax_need_a_class(tmp_path, other):
    channels = np.stack([LESION, other.astype(np.float32)]).transpose(0, 3, 2, 1)
    np.savez(tmp_path / "x.npz", probabilities=channels)
    with pytest.raises(CordlesionError, match=r"two channels sum to .*, not to 1.*Set `lesion_class`"):
        read_softmax(tmp_path / "x.npz", SCAN)
    np.testing.assert_array_equal(read_softmax(tmp_path / "x.npz", SCAN, 0), LESION)


def test_nan_is_counted(tmp_path):
    lesion = LESION.copy()
    lesion[0, 0, :2] = np.nan
    path = save_softmax(tmp_path / "x.npz", lesion, np.float32)
    with pytest.raises(CordlesionError, match="holds NaN in 2 of 216 voxels"):
        read_softmax(path, SCAN)


def test_rounding_beyond_one_is_no_fault(tmp_path):
    path = save_softmax(tmp_path / "x.npz", np.full(SHAPE, 1.0001, np.float32), np.float32)
    assert read_softmax(path, SCAN).max() == 1


@pytest.mark.parametrize(
    ("write", "lesion_class", "sentence"),
    [
        (lambda path: np.savez(path, logits=LESION), None, "holds logits; the array probabilities or softmax"),
        (lambda path: np.savez(path), None, "holds nothing; the array"),
        (
            lambda path: np.savez(path, probabilities=np.array([Trap()], object)),
            None,
            "values of type object; floating-point probabilities are needed, and nothing else is opened",
        ),
        (lambda path: np.savez(path, probabilities=np.ones((2, 9, 6, 4), int)), None, "values of type int64"),
        (lambda path: save_softmax(path, LESION.T), None, r"shape \(2, 4, 6, 9\); \(classes, 9, 6, 4\) is needed"),
        (lambda path: np.savez(path, probabilities=LESION.T), None, r"shape \(9, 6, 4\); \(classes, 9, 6, 4\)"),
        (lambda path: write_header(path, (0, 9, 6, 4)), None, "has 0 classes; 1 to 64 are supported"),
        (lambda path: write_header(path, (10**9, 9, 6, 4)), None, "has 1000000000 classes; 1 to 64"),
        (lambda path: write_header(path, (2, 10**6, 10**6, 10**6)), None, r"shape \(2, 1000000, 1000000, 1000000\)"),
        (lambda path: write_header(path, (2, 9, 6, 4), "<f4", bytes(100)), None, "is cut off before its end"),
        (
            lambda path: np.savez(path, probabilities=np.zeros((3, 9, 6, 4), np.float32)),
            None,
            "has 3 classes, and which one is lesion is known for two only. Set `lesion_class` .* from 0 to 2",
        ),
        (lambda path: save_softmax(path, LESION), 2, "has 2 classes, numbered from 0, so there is no class 2"),
        (lambda path: save_softmax(path, 3 * LESION - 1), None, "values from -.* found; probabilities between 0 and 1"),
        (lambda path: save_softmax(path, LESION * np.nan), None, "holds NaN in 216 of 216 voxels"),
        (lambda path: path.write_text("no archive"), None, r"no readable \.npz file \(File is not a zip file\)"),
        (lambda path: path.write_bytes(b""), None, r"no readable \.npz file"),
        (lambda path: path.write_bytes(pickle.dumps(Trap())), None, r"no readable \.npz file"),
        (lambda path: path.mkdir(), None, r"no readable \.npz file"),
        (lambda path: path.symlink_to("never_fetched"), None, r"no readable \.npz file"),
    ],
)  # fmt: skip
def test_what_is_no_export_of_the_scan_is_refused(tmp_path, write, lesion_class, sentence):
    path = tmp_path / "x.npz"
    write(path)
    with pytest.raises(CordlesionError, match=sentence):
        read_softmax(path, SCAN, lesion_class)


def test_a_member_that_is_no_array_is_refused(tmp_path):
    for content in (b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00", b"GIF89a" * 20):
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("probabilities.npy", content)
        with pytest.raises(CordlesionError, match=r"no readable \.npz file"):
            read_softmax(tmp_path / "x.npz", SCAN)


HEADER = "{'descr':'<f4','fortran_order':False,'shape':(2,9,6,4),}"


@pytest.mark.parametrize(
    "header",
    [
        HEADER[:-8],
        "-" * 9000 + "1",
        "(" * 9000,
        "  if\n foo\n",
        "{[]:1}",
        HEADER.replace("<f4", "<f16"),
        HEADER.replace("'<f4'", "('<f4',(1000000000,))"),
        " " * 20_000 + HEADER,
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_header_that_is_no_header_gets_a_sentence(tmp_path, header, version):
    size = len(header).to_bytes(2 * version, "little")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("probabilities.npy", b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + bytes(9999))
    with pytest.raises(CordlesionError, match=r"x\.npz: "):
        read_softmax(tmp_path / "x.npz", SCAN)


def test_a_header_of_gigabytes_is_refused_before_it_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("probabilities.npy", b"\x93NUMPY\x02\x00" + (2**28).to_bytes(4, "little") + b" " * 2**28)
    tracemalloc.start()
    try:
        with pytest.raises(CordlesionError, match="a header of 268435456 bytes"):
            read_softmax(tmp_path / "x.npz", SCAN)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_many_classes_one_is_read(tmp_path, order):
    scan = Volume(np.broadcast_to(np.uint8(0), (64, 64, 64)), np.eye(4), None, Path("scan.nii.gz"))
    np.savez_compressed(tmp_path / "x.npz", probabilities=np.zeros((64, 64, 64, 64), order=order))
    tracemalloc.start()
    try:
        read_softmax(tmp_path / "x.npz", scan, 63)
        assert tracemalloc.get_traced_memory()[1] < 2**26  # of 2 ** 27 bytes
    finally:
        tracemalloc.stop()


@given(cut=st.floats(0, 0.999), flip=st.integers(0, 10**6))
def test_a_damaged_file_ends_in_a_sentence(tmp_path_factory, cut, flip):
    path = save_softmax(tmp_path_factory.mktemp("damaged") / "x.npz", LESION)
    content = bytearray(path.read_bytes())
    content[flip % len(content)] ^= 255
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(CordlesionError):
        read_softmax(path, SCAN)


def test_a_flipped_byte_never_ends_in_a_traceback(tmp_path):
    path = save_softmax(tmp_path / "x.npz", LESION)
    sound = path.read_bytes()
    for place in range(0, len(sound), 7):
        content = bytearray(sound)
        content[place] ^= 255
        path.write_bytes(content)
        try:
            read = read_softmax(path, SCAN)
        except CordlesionError:
            continue
        assert read.shape == SHAPE


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    """A megabyte of zeros times a thousand, which declares the right shape for another scan."""
    path = tmp_path / "x.npz"
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (2, 500, 500, 500)}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("probabilities.npy", "w") as member:
        member.write(stream.getvalue())
        for _ in range(100):
            member.write(bytes(1_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(CordlesionError, match="is needed, the axes of"):
            read_softmax(path, SCAN)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_only_the_member_that_was_checked_is_read(tmp_path):
    path = save_softmax(tmp_path / "x.npz", LESION)
    stream = io.BytesIO()
    np.save(stream, np.full((2, 9, 6, 4), 0.5, np.float32))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("probabilities", stream.getvalue() + bytes(10))
    huge = write_header(tmp_path / "y.npz", (2, 10**5, 10**5, 10**5))
    with zipfile.ZipFile(huge) as archive, zipfile.ZipFile(path, "a") as target:
        target.writestr("softmax.npy", archive.read("probabilities.npy"))
    assert (read_softmax(path, SCAN) == 0.5).all()
