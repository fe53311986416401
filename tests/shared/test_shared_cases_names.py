"""Small inputs with names and trees that went wrong once; each gives the answer that its README asks for."""

import shutil

import pytest

from cordlesion.config import FilePatterns
from cordlesion.dataset.acquisition import read_acquisition
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_scan
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.model.bundle import save_bundle
from cordlesion.scan.segment import segment_files
from support.images import noise, write_image
from support.models import untrained_bundle


@pytest.fixture
def tree(shared, tmp_path):
    """Make empty files of a list of names."""

    def make(name):
        for line in shared("cases", "io", "09_trees", f"{name}.txt").read_text().split():
            (tmp_path / line).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / line).touch()
        return tmp_path

    return make


def test_another_persons_mask_matches_nothing(shared, tmp_path):
    for folder in (("metrics", "names_wrong_pair"), ("io", "01_names_with_dots")):
        case = shared("cases", *folder)
        with pytest.raises(CordlesionError, match="none of its 1 files matches one of the 1"):
            evaluate_files(case / "reference", case / "prediction", output=tmp_path / "metrics.tsv")


@pytest.mark.parametrize(("name", "scans"), [
    ("names_date", ["patient01_2021-03-04", "patient02_2021-03-04"]), ("names_per_folder", ["p1", "p2"])
])  # fmt: skip
def test_two_people_are_two_rows(shared, tmp_path, name, scans):
    case = shared("cases", "metrics", name)
    assert evaluate_files(case / "reference", case / "prediction", output=tmp_path / "metrics.tsv").excluded == {}
    table = read_table(tmp_path / "metrics.tsv")
    assert table["scan_id"].tolist() == scans
    assert table["voxel_f1"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("kind", "case", "images"),
    [
        *(("metrics", "segment_names", images) for images in ("patient*", "spine.*")),
        ("io", "01_names_with_dots", "T2_*"),
    ],
)
def test_two_scans_are_segmented_into_two_sets_of_files(shared, tmp_path, kind, case, images):
    folder = shared("cases", kind, case)
    save_bundle(tmp_path / "model", untrained_bundle())
    scans = sorted(folder.glob(f"{images}.nii.gz"))
    curves = sorted((folder / "curves").glob("*.nii.gz"))[: len(scans)]
    assert len(scans) == 2
    for n, scan in enumerate(scans):
        cord = {"centerlines": [curves[n]]} if curves else {"cord_masks": [folder / "cord.nii.gz"]}
        assert segment_files([scan], tmp_path / "model", tmp_path / "out", pictures=False, **cord) == {}
    names = [scan.name.removesuffix(".nii.gz") for scan in scans]
    assert read_table(tmp_path / "out" / "lesion_load.tsv")["scan_id"].tolist() == names
    assert all((tmp_path / "out" / f"{name}_label-lesion_mask.nii.gz").is_file() for name in names)


def test_the_cord_mask_of_the_scans_own_space_is_taken(tree):
    ((scan,), orphans) = find_scans(tree("space_and_desc"))
    assert scan.cord_mask.name == "sub-01_T2w_label-SC_seg.nii.gz"
    assert scan.reference.name == "sub-01_T2w_label-lesion_seg.nii.gz"
    assert orphans == []


def test_a_pattern_chooses_a_raters_folder(tree):
    folder = tree("raters_in_folders")
    with pytest.raises(CordlesionError, match="one of the references is needed"):
        find_scans(folder)
    ((scan,), _) = find_scans(folder, FilePatterns(reference=("derivatives/rater1/*_label-lesion_seg.nii.gz",)))
    assert "rater1" in scan.reference.parts


def test_the_second_echos_mask_is_no_reference(tree):
    ((scan,), orphans) = find_scans(tree("dual_echo"))
    assert (scan.reference, orphans) == (None, [])


def test_raters_by_name_are_refused_and_chosen_by_a_pattern(tree):
    folder = tree("raters_desc")
    with pytest.raises(CordlesionError, match="one of the references is needed"):
        find_scans(folder)
    ((scan,), _) = find_scans(folder, FilePatterns(reference=("*_desc-rater1_label-lesion_seg.nii.gz",)))
    assert "rater1" in scan.reference.name


@pytest.mark.parametrize(("name", "scanner"), [
    ("bom", "Siemens"), ("comma", ""), ("control", ""), ("empty", ""), ("latin1", ""), ("nan", "GE")
])  # fmt: skip
def test_a_bad_sidecar_leaves_the_scanner_unknown(shared, tmp_path, name, scanner):
    image = write_image(tmp_path / "sub-01_T2w.nii.gz", noise((4, 4, 4)))
    shutil.copy(shared("cases", "io", "08_text", f"{name}.json"), tmp_path / "sub-01_T2w.json")
    faults = []
    assert read_acquisition(Scan("sub-01", "sub-01", "", "", image), faults).scanner == scanner
    assert len(faults) == (not scanner)


@pytest.mark.parametrize(
    ("place", "name", "n_subjects"),
    [
        *(
            ("io/08_text", f"participants_{name}.tsv", 6)
            for name in ("Site", "comma", "two_sessions", "without_prefix")
        ),
        *(("metrics/participants", f"{name}.tsv", 2) for name in ("capital", "csv", "header_space", "no_sub")),
    ],
)
def test_sites_are_known_or_it_is_said_why_not(shared, tmp_path, capsys, place, name, n_subjects):
    shutil.copy(shared("cases", *place.split("/"), name), tmp_path / "participants.tsv")
    for n in range(1, n_subjects + 1):
        (tmp_path / f"sub-0{n}/anat").mkdir(parents=True)
        (tmp_path / f"sub-0{n}/anat/sub-0{n}_T2w.nii.gz").touch()
    with shown():
        scans, _ = find_scans(tmp_path)
    said = capsys.readouterr().out
    assert str(tmp_path / "participants.tsv") in said
    assert all(scan.site for scan in scans) != ("is unknown" in said)


def test_a_pointer_says_how_the_file_is_fetched(shared):
    with pytest.raises(CordlesionError, match="git annex get"):
        read_scan(shared("cases", "io", "07_header", "annex_pointer.nii.gz"))
