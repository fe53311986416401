"""The subject of each scan: a table or a pattern of names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordlesion.dataset.subjects import Person, read_subjects
from cordlesion.errors import CordlesionError


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "who.tsv").write_text(text, encoding="utf-8")
        return read_subjects(tmp_path / "who.tsv")

    return write


@pytest.mark.parametrize(
    "row",
    ["P1_M0", "P1_M0.nii.gz", "P1_M0_0000.nii.gz", "P1_M0_probseg", "P1_M0_label-lesion_seg.nii.gz", "P1_*", "P?_M0",
     "imagesTr/P1_M0.nii.gz", "*/imagesTr/*"],
)  # fmt: skip
def test_a_row_names_a_scan_its_file_or_a_pattern(table, row):
    people = table(f"scan\tparticipant_id\tsession_id\n{row}\tsub-7\tses-M0\nother\tsub-8\tM0\n")
    assert people.person(Path("data/imagesTr/P1_M0.nii.gz")) == Person("sub-7", "M0")


@pytest.mark.parametrize("file", ["P1_M0_0000.nii.gz", "P1_M0_lesion.nii.gz", "P1_M0.npz", "P1_M0_probseg.nii"])
def test_any_file_of_a_scan_has_its_person(table, file):
    assert table("file\tsubject\nP1_M0\tA\n").person(Path(file)) == Person("A")


@pytest.mark.parametrize(
    "text",
    [
        "scan\tparticipant_id\na\tP1\n",
        "File,Participant_ID\na,P1\n",
        "\ufefffilename;subject;age\na;P1;40\n",
        "scan_id\tsubject\tsession\tset\na\tP1\tn/a\tn/a\n",
    ],
)
def test_tables_of_people_are_read_in_usual_spellings(table, text):
    assert table(text).person(Path("a.nii.gz")) == Person("P1")


def test_a_table_may_divide_scans_into_sets(table):
    assert table("scan_id\tsubject\tsession\tset\na\tP1\tn/a\tTest\n").person(Path("a.nii.gz")) == Person(
        "P1", "", "test"
    )


def test_a_name_beats_a_pattern(table):
    people = table("scan\tparticipant_id\nP1_*\tA\nP1_M12\tB\n")
    assert people.person(Path("P1_M0.nii.gz")) == Person("A")
    assert people.person(Path("P1_M12.nii.gz")) == Person("B")


def test_a_folder_per_patient_is_named_by_its_scan(table):
    people = table("scan\tparticipant_id\np1\tA\np2\tB\n")
    assert people.person(Path("p2/consensus.nii.gz"), "p2") == Person("B")


@pytest.mark.parametrize(
    ("pattern", "file", "person"),
    [
        ("{subject}_*", "P01_M0_T2.nii.gz", Person("P01")),
        ("MS_{subject}_{session}", "MS_007_ses-2_0000.nii.gz", Person("007", "2")),
        ("{subject}M*", "P01M12.nii.gz", Person("P01")),
        ("*-{subject}.?", "spine-3.x.nii.gz", Person("3")),
        ("{subject}", "P01.npz", Person("P01")),
        ("{subject}_T2w_0000", "P01_T2w_0000.nii.gz", Person("P01")),
        ("{subject}/*", "P01/anat/T2.nii.gz", Person("P01")),
        ("*/{subject}_{session}/*.nii.gz", "raw/P01_2/T2.nii.gz", Person("P01", "2")),
    ],
)
def test_a_pattern_has_a_place_for_the_subject(pattern, file, person):
    assert read_subjects(pattern).person(Path(file)) == person


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name\tage\na\t40\n", r"who\.tsv: has the columns name, age; scan \(or file\) and participant_id are needed"),
        ("", r"who\.tsv: has the columns none"),
        ("scan\tparticipant_id\nb\tP1\n", r"who\.tsv: has no row for the scan a \(a\.nii\.gz\); every scan needs one"),
        ("scan\tparticipant_id\na\t\n", r"has no row for the scan a"),
        ("scan\tparticipant_id\na\tP1\na.nii.gz\tP2\n", "gives the scan a to P1 and P2; one of each"),
        ("scan\tparticipant_id\na*\tP1\n?\tP2\n", "gives the scan a to P1 and P2; one of each"),
    ],
)
def test_a_table_that_does_not_tell_gets_a_sentence(table, text, fault):
    with pytest.raises(CordlesionError, match=fault):
        table(text).person(Path("a.nii.gz"))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("P*", r"P\*: is no file and has no \{subject\}; a table .* or a pattern"),
        ("no.tsv", r"no\.tsv: no such file; a table"),
        ("{subject}_{subject}", "names a place twice"),
        ("X{subject}", r"a\.nii\.gz: its name does not fit the pattern 'X\{subject\}' of --subjects"),
    ],
)
def test_what_is_neither_table_nor_pattern_gets_a_sentence(tmp_path, monkeypatch, given, fault):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CordlesionError, match=fault):
        read_subjects(given).person(Path("a.nii.gz"))


@given(st.text(alphabet="scanparticipant_id\t\n,;*?[]{}ab1\"'/.", max_size=80))
def test_any_table_is_read_or_gets_a_sentence(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("who") / "who.tsv"
    path.write_text(f"scan\tparticipant_id\n{text}", encoding="utf-8")
    sentence = ""
    try:
        person = read_subjects(path).person(Path("ab/a1.nii.gz"))
    except CordlesionError as error:
        sentence = str(error)
    assert sentence.startswith(f"{path}: ") if sentence else person.subject


@given(st.text(alphabet="ab1_*?[](){}|\\.^$/-", max_size=12))
def test_any_pattern_is_used_or_gets_a_sentence(text):
    try:
        person = read_subjects(f"{text}{{subject}}").person(Path("ab/a1_b.nii.gz"))
    except CordlesionError:
        return
    assert person.subject
