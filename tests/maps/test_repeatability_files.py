"""`repeatability` on masks and maps: groups from BIDS tables and from a table, rows per threshold, the figure."""

import re

import numpy as np
import pytest

import cordlesion
from cordlesion.io.volume import Volume, write_volume
from cordlesion.lesions.repeatability import repeatability_rows

N = 6


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Six people with two sessions and a third one after a change; maps and masks of each."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids/participants.tsv").write_text("participant_id\n" + "".join(f"sub-{n:02d}\n" for n in range(N)))
    for number in range(N):
        name = f"sub-{number:02d}"
        (tmp_path / "bids" / name).mkdir()
        (tmp_path / "bids" / name / f"{name}_sessions.tsv").write_text(
            "session_id\trepeat\nses-1\ta\nses-2\ta\nses-3\tn/a\n"
        )
        for session in (1, 2, 3):
            for acquisition in ("ax", "sag"):
                lesion = np.zeros((14, 12, 12), bool)
                lesion[2:5, 2 : 4 + number % 3, 2:6] = lesion[8:11, 7:10, 5 : 8 + number % 2] = True
                p = (0.6 * lesion * rng.uniform(0.5, 1) + rng.uniform(0, 0.34, lesion.shape)).astype(np.float32)
                stem = f"{name}_ses-{session}_acq-{acquisition}"
                for kind, data, ending in (("masks", (p > 0.36).astype(np.uint8), "label-lesion_mask"),
                                           ("maps", p, "probseg")):  # fmt: skip
                    folder = tmp_path / "bids/derivatives" / kind / name
                    folder.mkdir(parents=True, exist_ok=True)
                    write_volume(folder / f"{stem}_{ending}.nii.gz", data, Volume(lesion, np.eye(4)))
    return tmp_path / "bids/derivatives"


def test_masks_of_a_dataset_are_grouped_by_its_tables(dataset, cli):
    ended = cli("repeatability", dataset / "masks", "-o", "r.tsv", "--aligned", "--figure", "r.png")
    assert ended.status == 0, ended.error
    table = cordlesion.read_table("r.tsv")
    found = cordlesion.repeatability_files(dataset / "masks", aligned=True)
    assert set(found.scans["session"]) == {"1", "2"}
    assert found.scans.groupby("group").size().tolist() == [2] * 2 * N  # the planes apart
    assert found.scans["group"].iloc[0] == "sub-00_acq-ax_repeat-a"
    assert table["n_subjects"].tolist() == [N, N]
    assert table["n_scans"].tolist() == [4 * N] * 2
    expected = repeatability_rows(found.scans)
    np.testing.assert_allclose(table["within_sd"], [row["within_sd"] for row in expected])
    assert (table["found_twice"] == 1).all()
    assert table["threshold"].isna().all()
    assert cordlesion.read_mask(next((dataset / "masks").rglob("*.nii.gz"))).data.sum() > 0
    assert "ICC" in ended.output + ended.error
    assert (dataset.parents[1] / "r.png").stat().st_size > 5000


def test_maps_have_rows_for_every_threshold_or_for_a_rule(dataset):
    swept = cordlesion.repeatability_files(dataset / "maps").table
    assert swept["threshold"].nunique() == 20
    assert swept["found_twice"].isna().all()
    ruled = cordlesion.repeatability_files(dataset / "maps", threshold=0.35, aligned=True).table
    at = swept[np.isclose(swept["threshold"], 0.35)].reset_index(drop=True)
    columns = ["mean", "within_sd", "icc", "bias", "limit_low"]
    np.testing.assert_allclose(ruled[columns], at[columns])
    assert ruled["threshold"].isna().all()
    assert ruled["found_twice"].between(0, 1).all()


def test_a_table_groups_files_of_any_name(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["scan,repeat,participant_id"]
    for number in range(4):
        for visit in "ab":
            mask = np.zeros((8, 8, 8), np.uint8)
            mask[1:4, 1:4, 1 : 4 + number] = 255
            write_volume(tmp_path / f"masks/P{number}{visit}.nii.gz", mask, Volume(mask, np.eye(4)))
            lines.append(f"P{number}{visit},pair{number},P{number // 2}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    assert cli("repeatability", "masks", "--pairs", "pairs.csv", "-o", "r.tsv").status == 0
    row = cordlesion.read_table("r.tsv").iloc[0]
    assert (row["within_sd"], row["icc"], row["n_subjects"], row["n_scans"]) == (0, 1, 2, 8)
    assert np.isnan(row["icc_low"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--pairs", "absent.tsv"), "absent.tsv: no such file or folder; a table with the columns scan and repeat"),
        (("--pairs", "bad.tsv"), "bad.tsv: has the columns scan; scan .* and repeat are needed"),
        (("--pairs", "twice.tsv"), "twice.tsv: has two rows for the scan"),
        (("--pairs", "none.tsv"), "0 groups of scans repeat each other; at least 2 are needed. Name them in a column"),
        (("--figure", "r.gif"), "r.gif: is no format of pictures"),
        (("--tolerance-mm", "-1"), "The tolerance is -1"),
    ],
)
def test_mistakes_get_a_sentence(dataset, cli, options, sentence):
    stem = "sub-00_ses-1_acq-ax"
    for name, text in (("bad", "scan\nx\n"), ("twice", f"scan\trepeat\n{stem}\ta\n{stem}\tb\n"),
                       ("none", f"scan\trepeat\n{stem}\ta\n")):  # fmt: skip
        (dataset.parents[1] / f"{name}.tsv").write_text(text)
    ended = cli("repeatability", dataset / "masks", "-o", "r.tsv", *options)
    assert ended.status == 2
    assert re.search(sentence, ended.error), ended.error
    assert not (dataset.parents[1] / "r.tsv").exists()


@pytest.fixture
def own_names(tmp_path, monkeypatch):
    """Masks of six people with two visits each, whose names do not show the person to the program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").mkdir()
    for number in range(N):
        for visit in (1, 2):
            mask = np.zeros((10, 10, 10), np.uint8)
            mask[2:5, 2 : 4 + number, 2:6] = 1
            write_volume(tmp_path / "masks" / f"P{number}_V{visit}.nii.gz", mask, Volume(mask, np.eye(4)))
    return tmp_path


def rows_of(people):
    return "".join(f"P{n}_V{v}\t{'first' if v == 1 else 'second'}{person}\n" for n, person in people for v in (1, 2))


def test_groups_that_may_hold_several_people_are_remarked(own_names, cli):
    (own_names / "pairs.tsv").write_text("scan\trepeat\n" + rows_of((n, "") for n in range(N)))
    ended = cli("repeatability", "masks", "--pairs", "pairs.tsv", "-o", "r.tsv")
    assert "names no people" in ended.output + ended.error
    (own_names / "pairs.tsv").write_text(
        "scan\trepeat\tparticipant_id\n" + "".join(f"P{n}_V{v}\tx\tP{n}\n" for n in range(N) for v in (1, 2))
    )
    ended = cli("repeatability", "masks", "--pairs", "pairs.tsv", "-o", "r2.tsv")
    assert ended.status == 0, ended.error
    assert "names no people" not in ended.output + ended.error
    assert cordlesion.read_table("r2.tsv")["n_subjects"].tolist() == [N, N]


def test_a_row_without_a_file_is_excluded_by_name(own_names, cli):
    rows = "".join(f"P{n}_{'v' if (n, v) == (0, 2) else 'V'}{v}\tx\tP{n}\n" for n in range(N) for v in (1, 2))
    (own_names / "pairs.tsv").write_text(f"scan\trepeat\tparticipant_id\n{rows}")
    ended = cli("repeatability", "masks", "--pairs", "pairs.tsv", "-o", "r.tsv")
    assert ended.status == 2
    assert "P0_v2" in ended.error
    assert cordlesion.read_table("r.tsv")["n_subjects"].tolist() == [N - 1] * 2


def test_masks_without_a_lesion_say_nothing(own_names, cli):
    for path in (own_names / "masks").iterdir():
        write_volume(path, np.zeros((10, 10, 10), np.uint8), Volume(np.zeros((10, 10, 10)), np.eye(4)))
    (own_names / "pairs.tsv").write_text(
        "scan\trepeat\tparticipant_id\n" + "".join(f"P{n}_V{v}\tx\tP{n}\n" for n in range(N) for v in (1, 2))
    )
    ended = cli("repeatability", "masks", "--pairs", "pairs.tsv", "-o", "r.tsv", "--aligned")
    assert "no mask has a lesion" in ended.output + ended.error
    assert "nan" not in ended.output + ended.error
