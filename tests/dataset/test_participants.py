"""participants.tsv in common spellings: sites are known, or a message explains why they are not."""

import pytest

from cordlesion.dataset.bids import find_scans
from cordlesion.io.progress import shown

ROWS = [("sub-01", "A"), ("sub-02", "B")]


def sites(folder, text, capsys, sessions=("",)):
    for n in (1, 2):
        for session in sessions:
            name = f"sub-0{n}{session and f'_ses-{session}'}_T2w.nii.gz"
            path = folder / f"sub-0{n}" / (f"ses-{session}" if session else "") / "anat" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (folder / "participants.tsv").write_text(text, encoding="utf-8")
    with shown():
        scans, _ = find_scans(folder)
    return [scan.site for scan in scans], capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("participant_id\tage\tsite\nsub-01\t3\tA\nsub-02\t4\tB\n", ""),
        ("participant_id,age,site\nsub-01,30,A\nsub-02,40,B\n", "separated by commas"),
        ("participant_id;site\nsub-01;A\nsub-02;B\n", "separated by semicolons"),
        ("participant_id\tSite\nsub-01\tA\nsub-02\tB\n", "the column 'Site' is read as 'site'"),
        ("participant_id\tsite \nsub-01\tA\nsub-02\tB\n", "the column 'site ' is read as 'site'"),
        ("Participant_ID\tsite\nsub-01\tA \nsub-02\t B\n", ""),
        ("participant_id\tsite\n01\tA\n02\tB\n", "2 rows have ids without `sub-` (first: 01)"),
        ("participant_id\tsite\nsub-01\tA\nsub-01\tA\nsub-02\tB\n", ""),
    ],
)
def test_sites_are_known_for_common_spellings_of_the_table(tmp_path, capsys, text, remark):
    found, output = sites(tmp_path, text, capsys)
    assert found == ["A", "B"]
    assert (remark in output) if remark else not output


@pytest.mark.parametrize("column", ["session", "session_id"])
@pytest.mark.parametrize("prefix", ["", "ses-"])
def test_each_session_has_the_site_of_its_row(tmp_path, capsys, column, prefix):
    rows = [f"sub-0{n}\t{prefix}{session}\t{site}" for n in (1, 2) for session, site in ("0A", "1B")]
    text = "\n".join([f"participant_id\t{column}\tsite", *rows])
    assert sites(tmp_path, text, capsys, sessions="01") == (["A", "B", "A", "B"], "")


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("subject\tsite\nsub-01\tA\n", "has no column participant_id"),
        ("participant_id\tsite\nsub-07\tA\n", "the site is unknown for 2 of the subjects (sub-01, sub-02)"),
        (
            "participant_id\tsite\nsub-01\tA\nsub-01\tB\nsub-02\tB\n",
            "the site is unknown for 1 of the subjects (sub-01)",
        ),
    ],
)
def test_sites_that_stay_unknown_are_reported(tmp_path, capsys, text, remark):
    assert remark in sites(tmp_path, text, capsys)[1]


@pytest.mark.parametrize(
    "text", ["", "participant_id\tage\nsub-01\t3\n", "participant_id\tsite\nsub-01\tn/a\nsub-02\t\n"]
)
def test_a_table_without_sites_gives_no_message(tmp_path, capsys, text):
    found, output = sites(tmp_path, text, capsys)
    assert found == ["", ""]
    assert "site" not in output or not text
