"""Folders of patients: files whose folders are those of two patients are never joined."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cordlesion.config import ComparatorConfig, FilePatterns
from cordlesion.dataset.bids import read_dataset
from cordlesion.dataset.matching import MapPair, images_behind, pair_files
from cordlesion.dataset.patient_folders import FolderPairs, Placed
from cordlesion.dataset.recognition.recognize import recognize
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.study.comparators.match import match_comparator

COMPLETE = [name for n in range(3, 8) for name in (f"P{n}/T2_D{n}.nii.gz", f"P{n}/T2_D{n}_lesion.nii.gz")]


@pytest.mark.parametrize(
    ("one", "other", "is_refused"),
    [
        ("01/12", "01/12", False), ("01/12", "12/01", True), ("01/12", "01/01", True), ("01/12", "01", False),
        ("01", "12/01", True), ("01", "JD/01", False), ("01/12", "JD/01/12", False), ("01/12", "JD/01/01", True),
        ("01/12", "01/JD/12", False), ("01/12", "", False),
    ],
)  # fmt: skip
def test_folders_are_compared_in_their_order(one, other, is_refused):
    ones, others = [
        [Placed.below(Path(f"r/{place}/a.nii"), Path("r")) for place in (chosen, "01/01", "12/01", "12/12", top)]
        for chosen, top in ((one, "T"), (other, "R"))
    ]
    assert bool(FolderPairs.of(ones, others).fault(ones[0], others[0], "")) is is_refused


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def joined(folder, scans):
    """Return the paths of images and references below a folder, of the scans that have both."""
    return {
        scan.image.relative_to(folder).as_posix(): scan.reference.relative_to(folder).as_posix()
        for scan in scans
        if scan.reference
    }


@pytest.mark.parametrize(
    ("files", "image", "mask", "n_complete"),
    [
        (
            [*COMPLETE, "P1/T2_M00.nii.gz", "P2/T2_M12.nii.gz", "P2/T2_M00_lesion.nii.gz"],
            "P1/T2_M00.nii.gz", "P2/T2_M00_lesion.nii.gz", 5,
        ),
        (
            [*COMPLETE, "P1/T2_M00.nii.gz", "P2/T2_M00_lesion.nii.gz"],
            "P1/T2_M00.nii.gz", "P2/T2_M00_lesion.nii.gz", 5,
        ),
        (
            [f"{tree}/P{n}/T2_D{n}.nii.gz" for n in range(3, 8) for tree in ("images", "labels")]
            + ["images/P1/T2_M00.nii.gz", "labels/P2/T2_M00.nii.gz", "images/P2/T2_M12.nii.gz"],
            "images/P1/T2_M00.nii.gz", "labels/P2/T2_M00.nii.gz", 5,
        ),
        (
            [f"P{n}/2020_{end}.nii.gz" for n in (3, 4) for end in ("T2", "lesion")]
            + ["P1/2021_T2.nii.gz", "P2/2021_lesion.nii.gz", "P2/2022_T2.nii.gz"],
            "P1/2021_T2.nii.gz", "P2/2021_lesion.nii.gz", 2,
        ),
    ],
)  # fmt: skip
def test_the_mask_of_another_patient_is_listed_and_not_used(tmp_path, files, image, mask, n_complete):
    found = recognize(touch(tmp_path, *files)).dataset
    assert image in {scan.image.relative_to(tmp_path).as_posix() for scan in found.scans}
    assert image not in joined(tmp_path, found.scans)
    listed = dict(found.unusable)
    assert listed[str(tmp_path / mask)].startswith(
        f"{tmp_path / mask}: has the name of {tmp_path / image}, but lies in"
    )
    assert len(joined(tmp_path, found.scans)) == n_complete


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{p}/img/{k}_T2.nii.gz", "{p}/seg/{k}_lesion.nii.gz"),
        ("scans/{k}_T2.nii.gz", "drawn/{k}_lesion.nii.gz"),
        ("images/{p}/{k}_T2.nii.gz", "labels/{p}/{k}_lesion.nii.gz"),
        ("{p}/{k}_T2.nii.gz", "drawn/{k}_lesion.nii.gz"),
        ("{p}/{k}_T2.nii.gz", "{p}/masks/JD/{k}_lesion.nii.gz"),
        ("{p}/{p}_{k}_T2.nii.gz", "rater_{k}/{p}_{k}_lesion.nii.gz"),
        ("{p}/{k}_T2.nii.gz", "rater_{k}/{p}/{k}_lesion.nii.gz"),
    ],
)
def test_folders_of_kinds_and_pools_of_masks_are_no_patients(tmp_path, image, mask):
    """Patterns without folders, as older studies have them."""
    pairs = {image.format(p=f"P{k}", k=f"A{k}"): mask.format(p=f"P{k}", k=f"A{k}") for k in range(4)}
    touch(tmp_path, *(name for both in pairs.items() for name in both))
    found = read_dataset(tmp_path, FilePatterns(image=("*_T2.nii.gz",), reference=("*_lesion.nii.gz",)))
    assert joined(tmp_path, found.scans) == pairs
    assert found.unusable == []


PLACES = {
    "beside": ("{p}/{v}_T2.nii.gz", "{p}/{v}_lesion.nii.gz"),
    "longer": ("{p}/T2_{v}.nii.gz", "{p}/T2_{v}_lesion.nii.gz"),
    "trees": ("images/{p}/{v}_T2.nii.gz", "labels/{p}/{v}_lesion.nii.gz"),
    "kinds": ("{p}/img/{v}_T2.nii.gz", "{p}/seg/{v}_lesion.nii.gz"),
    "visits": ("{p}/{v}/T2_{v}.nii.gz", "{p}/{v}/lesion_{v}.nii.gz"),
}
GLOBS = {
    "longer": ("T2_??.nii.gz", "*_lesion.nii.gz"), "visits": ("T2_*.nii.gz", "lesion_*.nii.gz")
} | dict.fromkeys(("beside", "trees", "kinds"), ("*_T2.nii.gz", "*_lesion.nii.gz"))  # fmt: skip
VISITS = st.lists(st.sampled_from(["00", "01", "12"]), max_size=2, unique=True)
PATIENTS = st.dictionaries(
    st.sampled_from(["P1", "P2", "P12", "01", "12", "A_01"]), st.tuples(VISITS, VISITS), min_size=1
)


def patient_of(place, habit):
    return place.split("/")[1 if habit == "trees" else 0]


@settings(max_examples=150, deadline=None)
@given(PATIENTS, st.sampled_from(sorted(PLACES)), st.booleans())
def test_scans_never_get_the_mask_of_another_patient(tmp_path_factory, patients, habit, is_recognized):
    """Any files may be missing, of all patients but one, who is complete."""
    root = tmp_path_factory.mktemp("patients")
    image, mask = PLACES[habit]
    files = [image.format(p="X9", v="07"), mask.format(p="X9", v="07")]
    for who, visits in patients.items():
        files += [text.format(p=who, v=v) for text, own in zip((image, mask), visits, strict=True) for v in own]
    touch(root, *files)
    try:
        globs = [(glob,) for glob in GLOBS[habit]]
        found = recognize(root).dataset if is_recognized else read_dataset(
            root, FilePatterns(image=globs[0], reference=globs[1])
        )  # fmt: skip
    except CordlesionError:
        return
    pairs = joined(root, found.scans)
    assert all(patient_of(one, habit) == patient_of(other, habit) for one, other in pairs.items())
    assert len(set(pairs.values())) == len(pairs)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(["P1/", "P2/", "P12/"]), st.sampled_from(["T2_M00", "T2_M12", "a"])]),
                min_size=1, max_size=4, unique=True),
       st.lists(st.tuples(*[st.sampled_from(["P1/", "P2/", "P3/"]), st.sampled_from(["T2_M00", "T2_M12", "a"])]),
                min_size=1, max_size=4, unique=True), st.sampled_from(["", "_pred"]))  # fmt: skip
def test_two_trees_are_never_joined_across_patients(tmp_path_factory, references, predictions, end):
    root = tmp_path_factory.mktemp("trees")
    same = ("P7/", "T2_M07")
    for tree, files, ending in (("r", references, ""), ("p", predictions, end)):
        touch(root / tree, *(f"{folder}{name}{ending}.nii.gz" for folder, name in [*files, same]))
    try:
        pairs, unmatched = pair_files(root / "r", root / "p", ())
    except CordlesionError:
        return
    assert all(pair.reference.parent.name == pair.prediction.parent.name for pair in pairs)
    shown = {str(path) for pair in pairs for path in (pair.reference, pair.prediction)} | {
        name for name, _ in unmatched
    }
    assert shown == {str(path) for path in root.rglob("*.nii.gz")}


FILES = st.lists(
    st.tuples(st.sampled_from(["Anna/", "Ben/", "Carl/", "P1/", "P2/", "12/"]), st.sampled_from(["t_1", "t_2", "a"])),
    min_size=1, max_size=4, unique=True,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(FILES, FILES, st.sampled_from(["", "_pred"]))
def test_two_trees_of_several_patients_are_never_joined_across_them(tmp_path_factory, references, predictions, end):
    """Whatever they are called, unless either tree has but one folder: that may be of a kind."""
    assume(max(len({folder for folder, _ in files}) for files in (references, predictions)) > 1)
    root = tmp_path_factory.mktemp("trees")
    touch(root, *(f"r/{folder}{name}.nii.gz" for folder, name in references))
    touch(root, *(f"p/{folder}{name}{end}.nii.gz" for folder, name in predictions))
    try:
        pairs, _ = pair_files(root / "r", root / "p", ())
    except CordlesionError:
        return
    assert all(pair.reference.parent.name == pair.prediction.parent.name for pair in pairs)


def test_two_trees_with_one_name_of_two_patients_are_refused(tmp_path):
    touch(tmp_path, "r/P1/T2_M00.nii.gz", "p/P2/T2_M00.nii.gz")
    with pytest.raises(CordlesionError, match=r"has the name of .*r/P1/T2_M00\.nii\.gz, but lies in P2 and not in P1"):
        pair_files(tmp_path / "r", tmp_path / "p")
    touch(tmp_path, "r/P3/T2_M24.nii.gz", "p/P3/T2_M24.nii.gz")
    pairs, unmatched = pair_files(tmp_path / "r", tmp_path / "p")
    assert [pair.reference.parent.name for pair in pairs] == ["P3"]
    assert [name for name, _ in unmatched] == [
        str(tmp_path / "r/P1/T2_M00.nii.gz"),
        str(tmp_path / "p/P2/T2_M00.nii.gz"),
    ]


@pytest.mark.parametrize("places", [("siteA", "siteB", "", ""), ("siteA", "siteB", "out", "out"), ("x", "x", "y", "y")])
def test_two_trees_need_no_equal_folders_where_one_has_no_patients(tmp_path, places):
    for tree, place, name in zip("rrpp", places, ["a", "b"] * 2, strict=True):
        touch(tmp_path / tree / place, f"{name}.nii.gz")
    pairs, unmatched = pair_files(tmp_path / "r", tmp_path / "p")
    assert ([pair.scan_id for pair in pairs], unmatched) == (["a", "b"], [])


@pytest.mark.parametrize(
    ("references", "predictions"),
    [
        (["Anna/t1", "Anna/t2"], ["Berta/t1", "Carl/t2"]),
        (["Berta/t1", "Carl/t2"], ["Anna/t1", "Anna/t2"]),
        (["Anna/v1/t1", "Anna/v2/t2"], ["Berta/v1/t1", "Carl/v2/t2"]),
        (["v1/Anna/t1", "v2/Anna/t2"], ["v1/Berta/t1", "v2/Carl/t2"]),
        (["v1/Anna/v1", "v2/Dora/v2"], ["Berta/v1", "Carl/v2"]),
        (["1/t1_1", "2/t2_2"], ["3/t1_1", "4/t2_2"]),
        (["01/t_01", "02/t_02"], ["Berta/t_01", "Carl/t_02"]),
        (["P1/P1_a", "P2/P2_b"], ["P3/P1_a", "P4/P2_b"]),
        (["P1/P1_a", "P2/P2_b"], ["JD/P3/P1_a", "KL/P4/P2_b"]),
    ],
)
@pytest.mark.parametrize("end", ["", "_pred"])
def test_two_trees_of_other_patients_are_refused(tmp_path, references, predictions, end):
    """One patient in one tree is no folder of all, and the number in a name is that of a run."""
    touch(tmp_path, *(f"r/{name}.nii.gz" for name in references), *(f"p/{name}{end}.nii.gz" for name in predictions))
    with pytest.raises(CordlesionError, match="so that it may be of another patient"):
        pair_files(tmp_path / "r", tmp_path / "p")


def test_a_patient_with_masks_alone_changes_nothing_for_others(tmp_path):
    """Folders of a kind that no list knows lie below those of patients."""
    pairs = {f"{p}/scanner/{p}a_T2.nii.gz": f"{p}/by_hand/{p}a_lesion.nii.gz" for p in ("Anna", "Ben")}
    touch(tmp_path, *pairs, *pairs.values(), "Carl/by_hand/Carlb_lesion.nii.gz", "Dora/scanner/Dorab_T2.nii.gz")
    found = read_dataset(tmp_path, FilePatterns(image=("*_T2.nii.gz",), reference=("*_lesion.nii.gz",)))
    assert joined(tmp_path, found.scans) == pairs


@pytest.mark.parametrize("one", ["P1", "01", "MS-007"])
def test_two_trees_of_one_patient_each_are_refused(tmp_path, one):
    for name in ("T2_M00.nii.gz", "T2_M12.nii.gz"):
        touch(tmp_path, f"r/{one}/{name}", f"p/{one[:-1]}9/{name}")
    with pytest.raises(CordlesionError, match=f"lies in {one[:-1]}9 and not in {one}, so that it may be of another"):
        pair_files(tmp_path / "r", tmp_path / "p")


def test_a_mask_is_not_drawn_on_the_scan_of_another_patient(tmp_path):
    touch(tmp_path, "r/P1/T2_M00.nii.gz", "r/P3/a.nii.gz", "i/P2/T2_M00.nii.gz", "i/P3/a.nii.gz")
    pairs = [MapPair(path.name.split(".")[0], "", "", path, path) for path in sorted(tmp_path.glob("r/*/*"))]
    images = [scan_file(path) for path in sorted(tmp_path.glob("i/*/*"))]
    assert images_behind(pairs, images, tmp_path / "i", tmp_path / "r") == {"a": Path(tmp_path / "i/P3/a.nii.gz")}


def test_a_comparators_file_of_another_patient_is_of_no_scan(tmp_path):
    touch(tmp_path, "m/P2/T2_M00.nii.gz", "m/P3/a.nii.gz", "i/P1/T2_M00.nii.gz", "i/P3/a.nii.gz")
    scans = {path.name.split(".")[0]: path for path in tmp_path.glob("i/*/*")}
    config = ComparatorConfig(name="x", masks=tmp_path / "m")
    found = match_comparator(config, {"a"}, scans)
    assert (found.files, dict(found.others)) == ({"a": tmp_path / "m/P3/a.nii.gz"}, {})
    assert list(found.of_no_scan.values()) == [tmp_path / "m/P2/T2_M00.nii.gz"]
    with pytest.raises(CordlesionError, match=r"m/P2/T2_M00\.nii\.gz: has the name of .*i/P1/T2_M00"):
        match_comparator(config, set(scans), scans)
