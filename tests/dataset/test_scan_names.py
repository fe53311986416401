"""The assignment of files to scans by their names, and the listing of folders."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.dataset.matching import pair_files
from cordlesion.dataset.scan_names import best_files, files_below, files_by_scan, scan_file
from cordlesion.errors import CordlesionError

TABLE = re.findall(
    r"^\| `([^`]+)`(?: beside `([^`]+)`)? \| `([^`]+)` \| (image|mask or map) \|$",
    (Path(__file__).parents[2] / "docs" / "file_formats.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_the_table_in_the_docs_has_twenty_names():
    assert len(TABLE) >= 20


@pytest.mark.parametrize(("file", "beside", "scan", "kind"), TABLE)
def test_the_table_in_the_docs_is_correct(tmp_path, file, beside, scan, kind):
    if beside:
        for tree in "rp":
            touch(tmp_path / tree, file, beside)
        assert pair_files(tmp_path / "r", tmp_path / "p")[0][0].scan_id == scan
        return
    read = scan_file(file)
    assert (read.is_derived, read.as_image().name if kind == "image" else read.name) == (kind != "image", scan)


def test_a_mask_may_belong_to_an_image_of_any_suffix():
    image = scan_file("sub-01_T2w.nii.gz").as_image()
    for suffix in ("PD", "MP2RAGE", "T1map", "T2", "MTR", "PSIR", "dwi", "t1", "acqX"):
        assert scan_file(f"sub-01_{suffix}_label-lesion_seg.nii.gz").mismatch(image) is None
        own = scan_file(f"sub-01_{suffix}.nii.gz").as_image()
        assert scan_file(f"sub-01_{suffix}_label-lesion_seg.nii.gz").mismatch(own) == 0
    for mask in ("sub-01_label-lesion_seg", "sub-01_T2w_label-lesion_seg", "sub-01_lesion-manual"):
        assert scan_file(f"{mask}.nii.gz").mismatch(image) == 0
    assert scan_file("sub-01_desc-a_label-lesion_seg.nii.gz").mismatch(image) == 1
    assert scan_file("sub-011_label-lesion_seg.nii.gz").mismatch(image) is None


def test_a_mask_is_assigned_to_the_scan_with_the_most_similar_name():
    names = ["sub-01_T2w", "sub-01_desc-denoised_T2w", "sub-01_STIR", "sub-01_space-other_T2w"]
    scans = {name: scan_file(f"{name}.nii.gz").as_image() for name in names}
    files = [
        "sub-01_label-lesion_seg",
        "sub-01_desc-denoised_label-lesion_seg",
        "sub-01_STIR_label-lesion_desc-mine_seg",
        "sub-01_space-other_T2w_label-lesion_seg",
    ]
    found = files_by_scan([scan_file(f"{name}.nii.gz") for name in files], scans)
    assert {scan: [file.path.name for file in fitting] for scan, fitting in found.items()} == {
        name: [f"{file}.nii.gz"] for name, file in zip(names, files, strict=True)
    }


def test_the_mask_with_the_most_similar_name_fits_best():
    scan = scan_file("sub-01_T2w.nii.gz").as_image()
    names = ["T2w_desc-a_label-SC_seg", "space-x_T2w_label-SC_seg", "label-SC_seg", "T2w_label-SC_seg"]
    files = [scan_file(f"sub-01_{name}.nii.gz") for name in names]
    assert best_files(files, scan) == files[2:]
    assert best_files(files[:2], scan) == files[:2]
    assert files_by_scan(files, {"sub-01": scan})["sub-01"] == [*files[2:], *files[:2]]


@pytest.mark.parametrize(
    ("name", "fault", "shown"),
    [
        (os.fsdecode(b"sub-01_H\xf4pital_T2w.nii.gz"), "its name is not UTF-8", r"H\xf4pital"),
        ("a\x07b.nii.gz", "contains a control character", r"a\x07b"),
        ("a\nb.nii.gz", "contains a control character", r"a\nb"),
    ],
)
def test_a_name_that_tables_cannot_contain_raises_a_clear_error(name, fault, shown):
    with pytest.raises(CordlesionError, match=fault) as error:
        scan_file(name)
    assert shown in str(error.value)
    str(error.value).encode()


names = st.text(st.characters(blacklist_characters="/\0"), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(names)
def test_any_name_is_parsed_or_raises_a_clear_error(name):
    try:
        file = scan_file(name)
    except CordlesionError as error:
        str(error).encode()
        return
    for scan in (file.name, file.as_image().name, file.subject):
        assert scan
        assert "/" not in scan
    assert file.mismatch(file) == 0


PARTS = ["sub-01", "ses-1", "acq-x", "run-2", "desc-a", "space-b", "T2w", "STIR", "PSIR", "20210304", "dwi", "t2"]
parts = st.lists(st.sampled_from(PARTS), min_size=1)
plain = st.text("ab12._-", min_size=1, max_size=12).filter(lambda name: not name.endswith("_0000"))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.tuples(plain, plain), st.tuples(parts, parts).map(lambda two: tuple(map("_".join, two)))))
def test_two_images_of_different_names_are_two_scans(two):
    """Except for T2w, which is omitted, and the order of suffixes and versions."""
    first, second = (scan_file(f"{name}.nii.gz").as_image() for name in two)
    if first.name == second.name:
        same = [sorted(part for part in name.split("_") if part != "T2w" or not file.entities) for name, file in
                zip(two, (first, second), strict=True)]  # fmt: skip
        assert same[0] == same[1]


def below(folder):
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def test_links_to_folders_are_followed_without_loops(tmp_path):
    touch(tmp_path / "store", "sub-01/anat/a.nii.gz", "sub-02/anat/b.nii.gz")
    touch(tmp_path / "data", "sub-03/anat/c.nii.gz", ".git/d.nii.gz", ".e.nii.gz")
    for n in "12":
        (tmp_path / f"data/sub-0{n}").symlink_to(tmp_path / f"store/sub-0{n}")
    for name, target in {
        "again": ".",
        "up": "..",
        "sub-03/anat/self": "../../../data/sub-03",
        "gone": "nowhere",
    }.items():
        (tmp_path / "data" / name).symlink_to(target)
    whole = ["gone", "sub-01/anat/a.nii.gz", "sub-02/anat/b.nii.gz", "sub-03/anat/c.nii.gz"]
    assert below(tmp_path / "data") == whole
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    assert below(tmp_path / "linked") == whole


def test_two_folders_linked_into_each_other_end(tmp_path):
    touch(tmp_path, "d/a/x.nii", "d/b/y.nii")
    (tmp_path / "d/a/to_b").symlink_to("../b")
    (tmp_path / "d/b/to_a").symlink_to("../a")
    assert below(tmp_path / "d") == ["a/to_b/y.nii", "a/x.nii", "b/to_a/x.nii", "b/y.nii"]


def test_a_folder_that_cannot_be_read_raises_a_clear_error(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CordlesionError, match=r"cannot be read \(Permission denied\)"):
        files_below(tmp_path)
