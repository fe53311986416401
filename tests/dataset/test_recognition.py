"""Folders of any naming habit: what is recognised pairs each scan with its own mask, or nothing is."""

from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.dataset.recognition.groups import group_files, matching_places
from cordlesion.dataset.recognition.recognize import recognize
from cordlesion.dataset.recognition.words import IMAGE, look_at
from cordlesion.errors import CordlesionError

people = st.lists(
    st.from_regex(r"[A-Z]{1,2}[0-9]{2,4}", fullmatch=True), min_size=4, max_size=9, unique_by=str.casefold
).filter(lambda names: not {name[:2].casefold() for name in names} & {"t1", "t2"})
NAMES = r"([ab]/)?[ab]{0,2}(_T2|_lesion|_mask_JD|)(_[ab])?\.nii(\.gz)?"
HABITS = {
    "suffixes": ("{p}_{t2}.nii.gz", "{p}_{t2}_{mask}.nii.gz"),
    "own suffixes": ("{p}_{t2}.nii.gz", "{p}_{mask}.nii.gz"),
    "prefixes": ("{t2}_{p}.nii.gz", "{mask}_{p}.nii.gz"),
    "two folders": ("images/{p}.nii.gz", "{mask}s/{p}.nii.gz"),
    "two folders, other ends": ("{t2}/{p}_tse.nii.gz", "{mask}/{p}_{mask}.nii.gz"),
    "a folder each": ("{p}/{t2}.nii.gz", "{p}/{mask}.nii.gz"),
    "folders of kinds": ("{p}/img/{t2}.nii.gz", "{p}/{mask}/drawn.nii.gz"),
    "visits": ("{p}/2020-01-0{n}/{t2}_sag.nii.gz", "{p}/2020-01-0{n}/{t2}_sag_{mask}.nii.gz"),
}


@settings(max_examples=60, deadline=None)
@given(
    people, st.sampled_from(sorted(HABITS)), st.sampled_from(["T2", "T2w", "t2_tse"]),
    st.sampled_from(["lesion", "lesion_mask", "seg", "roi", "LESIONS"]), st.integers(0, 2),
)  # fmt: skip
def test_each_scan_gets_its_own_mask(tmp_path_factory, names, habit, t2, mask, n_without):
    """In every habit, also where some scans have no mask."""
    root = tmp_path_factory.mktemp("data")
    pairs = {}
    for n, who in enumerate(names, 1):
        image, reference = (text.format(p=who, n=n, t2=t2, mask=mask) for text in HABITS[habit])
        pairs[image] = reference if n > n_without else None
        for name in filter(None, (image, pairs[image])):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
    found = recognize(root)
    assert found.fault == ""
    assert {_place(scan.image, root): _place(scan.reference, root) for scan in found.dataset.scans} == pairs
    assert len({scan.scan_id for scan in found.dataset.scans}) == len(names)


def _place(path: Path | None, root: Path) -> str | None:
    return path and path.relative_to(root).as_posix()


@settings(max_examples=80)
@given(st.lists(st.from_regex(NAMES, fullmatch=True), min_size=1))
def test_a_proposed_glob_matches_its_group(names):
    """Whatever lies in a folder: what is proposed for files matches all of them."""
    places = [PurePath(name) for name in dict.fromkeys(names)]
    groups = group_files(look_at(places))
    assert sorted(seen.place for group in groups for seen in group.files) == sorted(places)
    for group in groups:
        for glob in (*group.globs, group.by_name, group.by_path, group.by_end):
            assert {seen.place for seen in group.files} <= set(matching_places(places, glob))


@pytest.mark.parametrize(
    ("name", "kind_is_image", "contrast"),
    [
        ("P1_T2.nii.gz", True, "T2w"),
        ("P1_t2_tse_sag.nii", True, "T2w"),
        ("P1_T2_FLAIR.nii.gz", True, "FLAIR"),
        ("P1_T2star.nii.gz", True, "T2STAR"),
        ("T2/P1.nii.gz", True, "T2w"),
        ("P1.nii.gz", True, ""),
        ("P1_lesion.nii.gz", False, ""),
        ("P1_T2_FLAIR_lesion.nii.gz", False, "T2w"),
        ("P1_PD_lesion-manual.nii.gz", False, "PD"),
        ("masks/P1.nii.gz", False, ""),
        ("P1_cord_seg.nii.gz", False, ""),
        ("P1_cordlesion_study.nii.gz", False, ""),
    ],
)
def test_words_in_names_say_what_a_file_is(name, kind_is_image, contrast):
    places = [PurePath(name), PurePath("other/x.nii.gz")]
    seen = look_at(places)[0]
    assert (seen.kind == IMAGE, seen.contrast) == (kind_is_image, contrast)


def test_a_folder_that_all_files_share_says_nothing(tmp_path):
    for name in ("P1_T2.nii.gz", "P1_T2_roi.nii.gz", "P2_T2.nii.gz", "P2_T2_roi.nii.gz"):
        (tmp_path / "MS_lesion_cohort").mkdir(exist_ok=True)
        (tmp_path / "MS_lesion_cohort" / name).touch()
    assert [scan.reference.name for scan in recognize(tmp_path).dataset.scans] == [
        "P1_T2_roi.nii.gz",
        "P2_T2_roi.nii.gz",
    ]


def test_masks_of_the_cord_are_no_references(tmp_path):
    for name in ("P1_T2.nii.gz", "P1_T2_cord.nii.gz", "P1_T2_sc_seg.nii.gz", "P1_T2_centerline.nii.gz"):
        (tmp_path / name).touch()
    with pytest.raises(CordlesionError, match="no scan found"):
        recognize(tmp_path)
