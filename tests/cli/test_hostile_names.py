"""File and folder names that people have: not UTF-8, control characters, colons, a leading dot, very long."""

import os
import unicodedata

import numpy as np
import pytest

from cordlesion.config import SplitConfig
from cordlesion.dataset.subset import choose_subset
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_scan
from cordlesion.io.writing import atomic_path, write_json
from cordlesion.pictures.svg import shorten_svg
from support.images import box, noise, write_image

LESION = box((4, 10), (4, 10), (4, 10))
LATIN = os.fsdecode(b"H\xf4pital")


def pair(folder, *names):
    for tree in "rp":
        for name in names:
            write_image(folder / tree / name, LESION)
    return "--reference", folder / "r", "--prediction", folder / "p"


def test_a_name_that_is_not_utf8_is_listed_and_the_others_are_evaluated(tmp_path, cli):
    given = pair(tmp_path, "case-1.nii.gz", f"{LATIN}.nii.gz")
    ended = cli("evaluate", *given, "-o", tmp_path / "metrics.tsv", "--figures", tmp_path / "figures")
    assert ended.status == 2
    assert r"H\xf4pital.nii.gz: its name is not UTF-8" in ended.error
    assert read_table(tmp_path / "metrics.tsv")["scan_id"].tolist() == ["case-1"]


@pytest.mark.parametrize("place", ["{}.nii.gz", "{}/lesion.nii.gz", "sub-{}_T2w_label-lesion_mask.nii.gz"])
def test_accents_of_a_mac_are_those_of_other_systems(tmp_path, cli, place):
    for name in ("Zoë", "Müller"):
        for tree, form in (("r", "NFC"), ("p", "NFD")):
            write_image(tmp_path / tree / place.format(unicodedata.normalize(form, name)), LESION)
    given = "--reference", tmp_path / "r", "--prediction", tmp_path / "p"
    assert cli("evaluate", *given, "-o", tmp_path / "metrics.tsv").status == 0
    assert len(read_table(tmp_path / "metrics.tsv")) == 2


@pytest.mark.parametrize("name", [LATIN, "a\x07b", "a\nb"])
def test_an_argument_that_no_table_can_hold_is_refused_before_anything_is_written(tmp_path, cli, name):
    given = pair(tmp_path / name, "case-1.nii.gz")
    ended = cli("evaluate", *given, "-o", tmp_path / "metrics.tsv")
    assert (ended.status, ended.error.count("\n")) == (2, 1)
    assert "its name " in ended.error
    assert not (tmp_path / "metrics.tsv").exists()
    assert cli("study", "init", tmp_path / name).status == 2


def test_every_reason_is_printed_whatever_the_folder_is_called(tmp_path, cli):
    given = pair(tmp_path / "a: b", "case-1.nii.gz")
    for n in "234":
        write_image(tmp_path / "a: b" / "r" / f"case-{n}.nii.gz", LESION)
    ended = cli("evaluate", *given, "-o", tmp_path / "metrics.tsv")
    assert ended.status == 2
    assert [f"no prediction for case-{n};" in ended.error for n in "234"] == [True] * 3


def test_every_orphan_is_listed_whatever_the_folder_is_called(tmp_path, cli):
    for n in range(7):
        write_image(tmp_path / f"a: b/derivatives/sub-{n}_label-lesion_seg.nii.gz", LESION)
        if n < 5:
            write_image(tmp_path / f"a: b/sub-{n}/anat/sub-{n}_T2w.nii.gz", noise(seed=n))
    ended = cli("split", tmp_path / "a: b", "-o", tmp_path / "splits.tsv")
    assert [f"sub-{n}_T2w.nii.gz is needed" in ended.error for n in range(7)] == [False] * 5 + [True] * 2


@pytest.mark.parametrize("name", [".x.nii.gz", ".nii.gz"])
def test_a_file_that_begins_with_a_dot_is_drawn(tmp_path, cli, name):
    pair(tmp_path, name)
    given = ("--reference", tmp_path / "r" / name, "--prediction", tmp_path / "p" / name)
    ended = cli("evaluate", *given, "-o", tmp_path / "m.tsv", "--figures", tmp_path / "figures")
    assert (ended.status, ended.error) == (0, "")
    assert len(list((tmp_path / "figures").glob("*.png"))) == 1


def test_the_longest_names_can_be_written_and_longer_ones_get_a_sentence(tmp_path, cli):
    longest = tmp_path / ("é" * 124 + ".nii.gz")
    assert len(os.fsencode(longest.name)) == 255
    with atomic_path(longest) as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [longest.name]
    scan = write_image(tmp_path / "scan.nii.gz", noise())
    ended = cli("centerline", scan, "-o", tmp_path / f"{'a' * 249}.nii.gz")
    assert ended.status == 2
    assert "its name has 256 bytes; file systems allow 255" in ended.error


def test_a_folder_name_that_json_cannot_hold_gets_a_sentence(tmp_path):
    with pytest.raises(CordlesionError, match=r"would contain a file or folder name that is not UTF-8 \(H\\xf4pital\)"):
        write_json(tmp_path / "x.json", {"Bundle": LATIN})
    assert list(tmp_path.iterdir()) == []


def test_a_figure_shows_control_characters_as_unknown():
    drawn = shorten_svg('<svg xmlns="http://www.w3.org/2000/svg"><text>a\x07b</text></svg>')
    assert "a\N{REPLACEMENT CHARACTER}b" in drawn


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s896332--71a1699d.nii.gz\n", "git annex get"),
    ],
)
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii"])
def test_a_pointer_says_how_the_file_is_fetched(tmp_path, content, command, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CordlesionError, match=command):
        read_scan(tmp_path / name)


def test_a_link_to_what_was_not_fetched_says_how_it_is_fetched(tmp_path):
    (tmp_path / "scan.nii.gz").symlink_to("../.git/annex/objects/Xv/2k/SHA256E-s896332--71a1699d.nii.gz")
    with pytest.raises(CordlesionError, match="git annex get"):
        read_scan(tmp_path / "scan.nii.gz")


def test_a_part_of_no_scan_gets_a_sentence():
    with pytest.raises(CordlesionError, match="--limit-scans 12: the dataset has no usable scan with a reference"):
        choose_subset([], {}, 12, SplitConfig())


def test_a_limited_study_without_references_ends_in_a_sentence(tmp_path, cli):
    for n in range(3):
        write_image(tmp_path / f"bids/sub-{n}/anat/sub-{n}_T2w.nii.gz", noise(seed=n).astype(np.int16))
    text = cli("study", "init", tmp_path / "bids").output
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    ended = cli("study", "run", tmp_path / "study.yaml", "--limit-scans", 12)
    assert ended.status == 2
    assert f"{tmp_path / 'bids'}: 3 scans, no reference; masks named *_label-lesion_seg.nii*" in ended.error
