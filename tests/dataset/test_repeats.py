"""Which table decides whether scans repeat each other: the nearest that has a row of the scan."""

import pytest

from cordlesion.dataset.repeats import read_repeats
from cordlesion.dataset.scan_names import scan_file


@pytest.fixture
def dataset(tmp_path):
    """A person with the value ``all`` in the widest table."""
    (tmp_path / "sub-01/ses-1").mkdir(parents=True)
    (tmp_path / "participants.tsv").write_text("participant_id\trepeat\nsub-01\tall\n")
    return tmp_path


def group(dataset, session):
    path = dataset / f"sub-01/ses-{session}/anat/sub-01_ses-{session}_T2w.nii.gz"
    found = read_repeats(dataset).of(scan_file(path), "sub-01", str(session))
    return None if found is None else found[0].rpartition("repeat-")[2]


def sessions(dataset, *values):
    rows = "".join(f"ses-{k}\t{value}\n" for k, value in enumerate(values, start=1))
    (dataset / "sub-01/sub-01_sessions.tsv").write_text(f"session_id\trepeat\n{rows}")


def scans(dataset, value):
    row = f"anat/sub-01_ses-1_T2w.nii.gz\t{value}\n"
    (dataset / "sub-01/ses-1/sub-01_ses-1_scans.tsv").write_text(f"filename\trepeat\n{row}")


def test_the_nearest_table_decides(dataset):
    assert group(dataset, 1) == group(dataset, 2) == "all"
    sessions(dataset, "first", "second")
    assert (group(dataset, 1), group(dataset, 2)) == ("first", "second")
    scans(dataset, "own")
    assert (group(dataset, 1), group(dataset, 2)) == ("own", "second")


def test_nothing_in_the_nearest_table_is_an_answer_too(dataset):
    sessions(dataset, "n/a", "second")
    assert (group(dataset, 1), group(dataset, 2)) == (None, "second")
    sessions(dataset, "first", "second")
    scans(dataset, "n/a")
    assert (group(dataset, 1), group(dataset, 2)) == (None, "second")


def test_a_table_without_the_scan_or_the_column_says_nothing(dataset):
    sessions(dataset, "first")
    assert group(dataset, 2) == "all"
    (dataset / "sub-01/ses-1/sub-01_ses-1_scans.tsv").write_text("filename\nanat/sub-01_ses-1_T2w.nii.gz\n")
    assert group(dataset, 1) == "first"
