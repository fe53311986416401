"""Datasets that are not BIDS: globs name the files, and their stars match masks with scans."""

from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.config import FilePatterns
from cordlesion.dataset.bids import find_scans, read_dataset
from cordlesion.dataset.globs import joined, matching, stars
from cordlesion.errors import CordlesionError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def pairs(folder, image, reference):
    scans, _ = find_scans(folder, FilePatterns(image=(image,), reference=(reference,)))
    return {
        scan.scan_id: scan.reference and scan.reference.relative_to(folder).as_posix()
        for scan in scans
    }  # fmt: skip


@pytest.mark.parametrize(
    ("image", "reference", "files", "expected"),
    [
        (
            "images/*.nii.gz", "labels/*.nii.gz", ["images/a1.nii.gz", "labels/a1.nii.gz", "images/b.nii.gz"],
            {"a1": "labels/a1.nii.gz", "b": None},
        ),
        (
            "imagesTr/*_0000.nii.gz", "labelsTr/*.nii.gz",
            ["imagesTr/c_01_0000.nii.gz", "imagesTr/c_01_0001.nii.gz", "labelsTr/c_01.nii.gz"],
            {"c_01": "labelsTr/c_01.nii.gz"},
        ),
        (
            "imagesTr/*_0001.nii.gz", "labelsTr/*.nii.gz",
            ["imagesTr/c_01_0000.nii.gz", "imagesTr/c_01_0001.nii.gz", "labelsTr/c_01.nii.gz"],
            {"c_01": "labelsTr/c_01.nii.gz"},
        ),
        ("*_T2.nii.gz", "*_lesion.nii.gz", ["P1_T2.nii.gz", "P1_lesion.nii.gz"], {"P1_T2": "P1_lesion.nii.gz"}),
        ("*_T2.nii.gz", "*_lesion.nii.gz", ["P1_T2.nii.gz", "P1_T2_lesion.nii.gz"], {"P1_T2": "P1_T2_lesion.nii.gz"}),
        ("*.nii.gz", "*_mask.nii.gz", ["x.1.nii.gz", "x.1_mask.nii.gz"], {"x.1": "x.1_mask.nii.gz"}),
        (
            "T2_*.nii.gz", "lesion.nii.gz", ["P1/2019-03-04/T2_SIEMENS.nii.gz", "P1/2019-03-04/lesion.nii.gz"],
            {"T2_SIEMENS": "P1/2019-03-04/lesion.nii.gz"},
        ),
        (
            "T2_*.nii.gz", "lesion.nii.gz",
            ["P1/a/T2_GE.nii.gz", "P1/a/lesion.nii.gz", "P2/a/T2_GE.nii.gz", "P2/a/lesion.nii.gz"],
            {"P1_a_GE": "P1/a/lesion.nii.gz", "P2_a_GE": "P2/a/lesion.nii.gz"},
        ),
        (
            "*/img/scan.nii", "*/seg/mask.nii", ["P1/img/scan.nii", "P1/seg/mask.nii", "P2/img/scan.nii"],
            {"P1": "P1/seg/mask.nii", "P2": None},
        ),
        (
            "images/*/T2.nii.gz", "masks/*_les.nii.gz",
            ["images/P1/T2.nii.gz", "images/P2/T2.nii.gz", "masks/P1_les.nii.gz", "masks/P2_les.nii.gz"],
            {"P1": "masks/P1_les.nii.gz", "P2": "masks/P2_les.nii.gz"},
        ),
        (
            "scans/*.nii.gz", "*_lesion_??.nii.gz", ["scans/P1_T2.nii.gz", "rater/P1_T2_lesion_JD.nii.gz"],
            {"P1_T2": "rater/P1_T2_lesion_JD.nii.gz"},
        ),
        (
            "*_T2w.nii.gz", "lesion_*.nii.gz", ["sub-1/anat/sub-1_T2w.nii.gz", "masks/lesion_sub-1.nii.gz"],
            {"sub-1": "masks/lesion_sub-1.nii.gz"},
        ),
        (
            "*_T2w.nii.gz", "*_T2w_lesion.nii.gz",
            ["sub-1_ses-M0_T2w.nii.gz", "sub-1_ses-M0_T2w_lesion.nii.gz", "sub-2_ses-M0_T2w.nii.gz"],
            {"sub-1_ses-M0": "sub-1_ses-M0_T2w_lesion.nii.gz", "sub-2_ses-M0": None},
        ),
    ],
)  # fmt: skip
def test_masks_belong_to_scans_for_which_the_stars_are_equal(tmp_path, image, reference, files, expected):
    assert pairs(touch(tmp_path, *files), image, reference) == expected


label = st.text("abzAZ019-.", min_size=1, max_size=5).filter(lambda text: text.strip(".-") == text)
part = st.sampled_from(["T2", "t2_tse", "sag", "lesion", "mask_JD"])


@settings(max_examples=80, deadline=None)
@given(
    people=st.lists(label, min_size=2, max_size=5, unique_by=str.casefold),
    image_end=part, mask_end=part, is_prefix=st.booleans(), folders=st.sampled_from(["", "own", "two"]),
)  # fmt: skip
def test_every_mask_finds_its_own_scan(tmp_path_factory, people, image_end, mask_end, is_prefix, folders):
    """Whatever people are called: each mask is named like its scan, with another constant part."""
    root = tmp_path_factory.mktemp("data")
    named = "{end}_{who}.nii.gz" if is_prefix else "{who}_{end}.nii.gz"
    places = {"": ("", ""), "own": ("{who}/", "{who}/"), "two": ("scans/", "drawn/")}[folders]
    if image_end == mask_end and folders != "two":
        return
    ends = tuple(place + named.replace("{end}", end) for place, end in zip(places, (image_end, mask_end), strict=True))
    files = {who: [end.format(who=who) for end in ends] for who in people}
    touch(root, *(name for both in files.values() for name in both))
    globs = [end.replace("{who}", "*") for end in ends]
    assert sorted(pairs(root, *globs).values()) == sorted(mask for _, mask in files.values())
    scans, unusable = find_scans(root, FilePatterns(image=(globs[0],), reference=(globs[1],)))
    assert unusable == []
    for scan in scans:
        assert [str(scan.image), str(scan.reference)] in [
            [str(root / name) for name in both] for both in files.values()
        ]


def test_bids_scans_are_the_only_ones_where_there_are_some(tmp_path):
    touch(tmp_path, "sub-1/anat/sub-1_T2w.nii.gz", "old/P7_T2w.nii.gz", "sub-1/anat/scout_T2w.nii.gz")
    assert [scan.scan_id for scan in find_scans(tmp_path, FilePatterns())[0]] == ["sub-1"]


def test_other_names_need_patterns(tmp_path):
    touch(tmp_path, "P7_T2w.nii.gz", "P7_T2w_label-lesion_seg.nii.gz")
    with pytest.raises(
        CordlesionError, match=r"no scan found.*2 NIfTI files have other names \(first: P7_T2w.nii.gz\)"
    ):
        find_scans(tmp_path)
    ((scan,), _) = find_scans(tmp_path, FilePatterns())
    assert (scan.scan_id, scan.subject) == ("P7_T2w", "P7_T2w")
    assert scan.reference.name == "P7_T2w_label-lesion_seg.nii.gz"


def test_a_mask_that_fits_two_scans_belongs_to_none(tmp_path):
    touch(tmp_path, "a/P1.nii.gz", "b/P1.nii.gz", "masks/P1_les.nii.gz")
    found = read_dataset(tmp_path, FilePatterns(image=("?/*.nii.gz",), reference=("masks/*_les.nii.gz",)))
    assert [scan.reference for scan in found.scans] == [None, None]
    ((name, sentence),) = found.unusable
    assert name == str(tmp_path / "masks/P1_les.nii.gz")
    assert "fits the scans a_P1 and b_P1" in sentence


def test_two_masks_of_a_scan_are_refused_with_the_pattern_that_chooses(tmp_path):
    touch(tmp_path, "P1_T2.nii.gz", "one/P1_T2_lesion.nii.gz", "two/P1_T2_lesion.nii.gz")
    globs = {"image": ("*_T2.nii.gz",), "reference": ("*_lesion.nii.gz",)}
    with pytest.raises(CordlesionError, match=r'reference: \["one/\*_lesion.nii.gz"\] uses the first one'):
        find_scans(tmp_path, FilePatterns(**globs))
    chosen = FilePatterns(**globs | {"reference": ("one/*_lesion.nii.gz",)})
    assert find_scans(tmp_path, chosen)[0][0].reference == tmp_path / "one/P1_T2_lesion.nii.gz"


def test_a_reference_without_a_scan_is_listed(tmp_path):
    touch(tmp_path, "images/a.nii.gz", "labels/a.nii.gz", "labels/b.nii.gz")
    _, unusable = find_scans(tmp_path, FilePatterns(image=("images/*.nii.gz",), reference=("labels/*.nii.gz",)))
    assert [name for name, _ in unusable] == [str(tmp_path / "labels/b.nii.gz")]


@settings(max_examples=60)
@given(st.lists(st.text("ab_.-", min_size=1, max_size=4), min_size=1, max_size=3), st.sampled_from([".nii", ".nii.gz"]))
def test_stars_stand_for_what_was_put_in_their_place(texts, ending):
    """Filled in for the stars, they give the name again; what separates them does not occur in them."""
    glob = "+".join("*" for _ in texts) + ending
    path = PurePath("+".join(texts) + ending)
    assert stars(path, glob) == tuple(texts)
    assert list(matching([path], PurePath(), glob)) == [path]


def test_names_in_both_forms_of_unicode_are_equal():
    assert joined(["Zo\u0065\u0308"]) == joined(["Zo\u00eb"])
