import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cordlesion.config import SplitConfig
from cordlesion.dataset.acquisition import Acquisition, read_acquisition, read_acquisitions
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import Scan, inspect_scan
from cordlesion.io.progress import shown
from cordlesion.io.tables import read_table, write_table
from cordlesion.study.split import split_dataset, split_for_study
from cordlesion.study_folder.folder import StudyFolder
from support.images import box, noise, write_image

TOLD = {"Manufacturer": "Siemens", "ManufacturersModelName": "Skyra", "MagneticFieldStrength": 3}
DIRECTIONS = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def affine(codes, spacing, tilt_degrees=0.0):
    """Return an affine with index axes ``codes``, tilted about the left-right axis."""
    turned = np.deg2rad(tilt_degrees)
    tilt = np.array([[1, 0, 0], [0, np.cos(turned), -np.sin(turned)], [0, np.sin(turned), np.cos(turned)]])
    matrix = np.eye(4)
    matrix[:3, :3] = tilt @ (np.array([DIRECTIONS[code] for code in codes]).T * spacing)
    return matrix


def scan_with(folder, about=None, scanner="", codes="RAS", spacing=(3.0, 0.5, 0.5), tilt_degrees=0.0):
    path = write_image(folder / "sub-01_T2w.nii.gz", noise((4, 4, 4)), affine(codes, spacing, tilt_degrees))
    if about is not None:
        (folder / "sub-01_T2w.json").write_text(about)
    return Scan("sub-01", "sub-01", "", "", path, scanner=scanner)


@pytest.mark.parametrize(
    ("codes", "spacing", "orientation", "slice_spacing_mm"),
    [
        ("RAS", (3.0, 0.5, 0.5), "sagittal", 3.0),
        ("PIL", (0.5, 0.6, 2.8), "sagittal", 2.8),
        ("LAS", (0.5, 0.5, 5.0), "axial", 5.0),
        ("IRP", (4.0, 0.4, 0.4), "axial", 4.0),
        ("LSA", (0.7, 0.7, 2.0), "coronal", 2.0),
        ("RAS", (1.0, 1.0, 1.0), "isotropic", 1.0),
        ("RAS", (0.8, 0.8, 0.9), "isotropic", 0.9),
    ],
)
def test_slices_come_from_the_grid(tmp_path, codes, spacing, orientation, slice_spacing_mm):
    found = read_acquisition(scan_with(tmp_path, codes=codes, spacing=spacing))
    assert found == Acquisition("", "", orientation, slice_spacing_mm)


@pytest.mark.parametrize(("tilt_degrees", "orientation"), [(20, "axial"), (70, "coronal")])
def test_oblique_slices_are_named_after_the_nearest_plane(tmp_path, tilt_degrees, orientation):
    scan = scan_with(tmp_path, spacing=(0.5, 0.5, 3.0), tilt_degrees=tilt_degrees)
    assert read_acquisition(scan).orientation == orientation


@pytest.mark.parametrize(
    ("about", "participants", "manufacturer", "scanner"),
    [
        (TOLD, "Other 1.5T", "Siemens", "Siemens Skyra 3T"),
        (TOLD | {"MagneticFieldStrength": 1.5}, "", "Siemens", "Siemens Skyra 1.5T"),
        ({"Manufacturer": "GE "}, "", "GE", "GE"),
        ({"MagneticFieldStrength": 3}, "Philips Achieva 3T", "", "Philips Achieva 3T"),
        ({"Manufacturer": None, "MagneticFieldStrength": "n/a"}, "", "", ""),
        ({}, "Philips", "", "Philips"),
    ],
)
def test_the_scanner_comes_from_the_json_file_or_the_participants(tmp_path, about, participants, manufacturer, scanner):
    found = read_acquisition(scan_with(tmp_path, json.dumps(about), participants))
    assert (found.manufacturer, found.scanner) == (manufacturer, scanner)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "not a JSON file"),
        (b"[1]", "holds a list; an object is needed"),
        (b"", "not a JSON file"),
        (b'{"Manufacturer": "GE",}', "not a JSON file"),
        (b'{"Manufacturer": "Siemens", "InstitutionName": "H\xf4pital"}', "not a JSON file"),
        (b'{"Manufacturer": "Siemens", "Comment": "a\rb"}', "not a JSON file"),
    ],
    ids=["cut", "a list", "empty", "trailing comma", "Latin-1", "control character"],
)
def test_a_damaged_json_file_is_reported_once_and_participants_are_used(tmp_path, capsys, content, fault):
    scan = scan_with(tmp_path, scanner="Philips 3T")
    (tmp_path / "sub-01_T2w.json").write_bytes(content)
    with shown():
        acquired = read_acquisitions([scan, replace(scan, scan_id="sub-02")])
    assert {(one.manufacturer, one.scanner) for one in acquired.values()} == {("", "Philips 3T")}
    output = capsys.readouterr().out
    assert output.count("sub-01_T2w.json") == 1
    assert fault in output


def test_a_byte_order_mark_is_accepted(tmp_path):
    scan = scan_with(tmp_path)
    (tmp_path / "sub-01_T2w.json").write_bytes(b'\xef\xbb\xbf{"Manufacturer": "Siemens"}')
    assert read_acquisition(scan).scanner == "Siemens"


@pytest.mark.parametrize("strength", ["NaN", "Infinity", "true", '"3"', "null"])
def test_a_field_strength_that_is_not_a_number_is_left_out(tmp_path, strength):
    scan = scan_with(tmp_path, f'{{"Manufacturer": "GE", "MagneticFieldStrength": {strength}}}')
    assert read_acquisition(scan).scanner == "GE"


def test_json_files_are_inherited(tmp_path):
    """BIDS inheritance: closer files and those with more entities have priority; suffix and entities must fit."""
    image = write_image(tmp_path / "sub-01/ses-1/anat/sub-01_ses-1_acq-ax_T2w.nii.gz", noise((4, 4, 4)))
    for place, about in {
        "T2w.json": {"Manufacturer": "Siemens", "ManufacturersModelName": "Skyra", "MagneticFieldStrength": 3},
        "acq-sag_T2w.json": {"Manufacturer": "Other"},
        "T1w.json": {"Manufacturer": "Other"},
        "sub-01/ses-1/sub-01_ses-1_T2w.json": {"MagneticFieldStrength": 1.5},
        "sub-01/ses-1/anat/sub-01_ses-1_acq-ax_T2w.json": {"ManufacturersModelName": "Aera"},
    }.items():
        (tmp_path / place).write_text(json.dumps(about))
    assert read_acquisition(Scan("sub-01_ses-1_acq-ax", "sub-01", "1", "", image)).scanner == "Siemens Aera 1.5T"


@pytest.fixture
def cohort(tmp_path):
    """Five subjects with one lesion each; sites and scanners in participants.tsv, one scan with a JSON file."""
    for n in range(5):
        folder = tmp_path / f"sub-{n}/anat"
        write_image(folder / f"sub-{n}_T2w.nii.gz", noise(seed=n), affine("RAS", (2.5, 0.5, 0.5)))
        mask = box((8, 14), (8, 14), (8, 14 + n))
        write_image(folder / f"sub-{n}_label-lesion_seg.nii.gz", mask, affine("RAS", (2.5, 0.5, 0.5)))
    (tmp_path / "sub-0/anat/sub-0_T2w.json").write_text(json.dumps(TOLD))
    rows = ["participant_id\tsite\tscanner", *(f"sub-{n}\tRennes\tPhilips 3T" for n in range(4)), "sub-4\tn/a\tn/a"]
    (tmp_path / "participants.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_participants(cohort):
    scans, _ = find_scans(cohort)
    assert [(scan.site, scan.scanner) for scan in scans] == [("Rennes", "Philips 3T")] * 4 + [("", "")]


def test_the_split_contains_the_acquisition_of_each_scan(cohort, tmp_path):
    split_dataset(cohort, tmp_path / "splits.tsv", SplitConfig())
    table = read_table(tmp_path / "splits.tsv").set_index("scan_id").sort_index()
    assert list(table["scanner"].fillna("")) == ["Siemens Skyra 3T", *["Philips 3T"] * 3, ""]
    assert list(table["manufacturer"].fillna("")) == ["Siemens", "", "", "", ""]
    assert set(table["orientation"]) == {"sagittal"}
    assert set(table["slice_spacing_mm"]) == {2.5}
    assert pd.api.types.is_float_dtype(table["slice_spacing_mm"])


def test_a_split_of_other_origin_is_completed(cohort, tmp_path):
    """Columns for the subgroups of the report are added to the file; sets and other columns of the user are kept."""
    scans, _ = find_scans(cohort)
    contents = {scan.scan_id: inspect_scan(scan, "study") for scan in scans}
    folder = StudyFolder(tmp_path / "study")
    first = split_for_study(scans, contents, {}, SplitConfig(), folder)
    by_hand = read_table(folder.splits).drop(columns=["scanner", "orientation"]).assign(note="mine")
    write_table(folder.splits, by_hand)
    again = split_for_study(scans, contents, {}, SplitConfig(), folder)
    written = read_table(folder.splits)
    assert set(written) == {*first, "note"}
    pd.testing.assert_frame_equal(written[by_hand.columns], by_hand)
    assert list(again["scanner"]) == list(first["scanner"])
    before = folder.splits.stat().st_mtime_ns
    split_for_study(scans, contents, {}, SplitConfig(), folder)
    assert folder.splits.stat().st_mtime_ns == before
