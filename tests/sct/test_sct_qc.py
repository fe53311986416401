"""Entries that the page of an SCT report can show: keys and places are those that SCT writes."""

import html
import json
import shlex
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from cordlesion.cord.centerline import Centerline
from cordlesion.io.orient import from_las
from cordlesion.io.volume import Volume
from cordlesion.model.bundle import save_bundle
from cordlesion.pictures.style import SEGMENTED
from cordlesion.sct.qc_report import COLUMNS, TILE, write_qc_entry
from support.images import box, noise
from support.models import untrained_bundle
from support.strategies import make_scan
from support.tiny import write_scan

KEYS = ["path", "cmdline", "command", "sctVersion", "dataset", "subject", "contrast", "inputFile", "plane",
        "backgroundImage", "overlayImage", "date", "rank", "qc"]  # fmt: skip
STRAIGHT = Centerline(np.full(2, 12.0), np.full(2, 12.0), np.array([5.0, 34.0]))

pytestmark = pytest.mark.usefixtures("plain_montage")


def scan_at(path, orientation="LAS", spacing=(0.6, 0.6, 0.6)):
    scan = make_scan(orientation, spacing, (24, 24, 40), (0, 0, 0), seed=0)
    return Volume(scan.data, scan.affine, None, Path(path))


def written(folder, scan, mask, centerline=STRAIGHT, command=("cordlesion", "segment")):
    entry = json.loads(write_qc_entry(folder, scan, mask, centerline, command).read_text())
    return entry, imread(folder / entry["backgroundImage"]), imread(folder / entry["overlayImage"])


def test_an_entry_has_the_keys_and_places_that_the_page_reads(tmp_path):
    scan = scan_at(tmp_path / "brno/sub-01/ses-2/anat/sub-01_ses-2_acq-ax_T2w.nii.gz")
    command = ["cordlesion", "segment", "a scan.nii.gz"]
    path = write_qc_entry(tmp_path / "qc", scan, np.zeros(scan.data.shape, bool), STRAIGHT, command)
    entry = json.loads(path.read_text())
    assert list(entry) == KEYS
    assert (entry["dataset"], entry["subject"], entry["contrast"]) == ("brno", "sub-01", "T2w")
    assert (entry["inputFile"], entry["plane"]) == ("sub-01_ses-2_acq-ax_T2w.nii.gz", "Axial")
    assert html.unescape(entry["cmdline"]) == "cordlesion segment 'a scan.nii.gz'"
    assert (entry["rank"], entry["qc"]) == ("", "")
    time = path.stem.removeprefix("qc_")
    assert path.parent == tmp_path / "qc" / "_json"
    assert datetime.strptime(time, "%Y_%m_%d_%H%M%S.%f").strftime("%Y-%m-%d %H:%M:%S") == entry["date"]
    folder = f"brno/sub-01/T2w/cordlesion_segment/{time}"
    assert (entry["backgroundImage"], entry["overlayImage"]) == (
        f"{folder}/background_img.png",
        f"{folder}/overlay_img.png",
    )


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("study/t2_ms.nii.gz", ("study", "t2_ms", "t2_ms")),
        ("study/sub-7_T2w.nii.gz", ("study", "sub-7", "T2w")),
        ("study/T2_2021-03-04.1.3.nii.gz", ("study", "T2_2021-03-04.1.3", "T2_2021-03-04.1.3")),
        ("a/sub-7/anat/sub-7_T2w.nii", ("a", "sub-7", "T2w")),
    ],
)
def test_a_scan_outside_of_bids_has_a_place_too(tmp_path, name, place):
    entry, *_ = written(tmp_path / "qc", scan_at(tmp_path / name), np.zeros((24, 24, 40), bool))
    assert (entry["dataset"], entry["subject"], entry["contrast"]) == place


def test_names_cannot_become_part_of_the_page(tmp_path):
    scan = scan_at(tmp_path / "<img src=x>&\"'T2w.nii.gz")
    entry, *_ = written(tmp_path / "qc", scan, np.zeros((24, 24, 40), bool), command=("<script>", 'it\'s "x"'))
    assert not set("<>\"'") & set("".join(entry.values()))
    assert entry["inputFile"] == "&lt;img src=x&gt;&amp;&quot;&#x27;T2w.nii.gz"
    assert html.unescape(entry["cmdline"]) == shlex.join(("<script>", 'it\'s "x"'))


@pytest.mark.parametrize("orientation", ["LAS", "PSR", "IRA"])
def test_pictures_show_the_lesion_where_it_is_superior_slices_first(tmp_path, orientation):
    """A lesion at the cord's centre in slices 30 to 33 of 5 to 34: the second to the fifth picture."""
    las = box((11, 14), (11, 14), (30, 34)).astype(bool)
    scan = scan_at(tmp_path / "t2.nii.gz", orientation)
    _, background, overlay = written(tmp_path / "qc", scan, np.ascontiguousarray(from_las(las, scan)))
    n_rows = -(-30 // COLUMNS)
    assert background.shape == overlay.shape == (n_rows * TILE, COLUMNS * TILE, 4)
    assert (background[..., 3] == 1).all()
    assert background[..., :3].std() > 0.1
    tiles = overlay[..., 3].reshape(n_rows, TILE, COLUMNS, TILE).transpose(0, 2, 1, 3).reshape(-1, TILE, TILE) > 0
    assert tiles.any(axis=(1, 2)).tolist() == [False, *[True] * 4, *[False] * (n_rows * COLUMNS - 5)]
    rows, columns = np.nonzero(tiles[1])
    # 3 of 24 voxels, at the picture's middle.
    assert len(rows) == pytest.approx((3 / 24 * TILE) ** 2, rel=0.1)
    # Voxels 11 to 13 of 24: anterior is up and left is right, so half a voxel up and right of the middle.
    assert (TILE - 1) / 2 - rows.mean() == pytest.approx(TILE / 48, abs=1)
    assert columns.mean() - (TILE - 1) / 2 == pytest.approx(TILE / 48, abs=1)
    np.testing.assert_allclose(overlay[overlay[..., 3] > 0][0, :3], to_rgb(SEGMENTED), atol=0.01)


def test_without_a_curve_all_slices_are_shown_and_pixels_keep_their_proportions(tmp_path):
    scan = scan_at(tmp_path / "t2.nii.gz", spacing=(0.6, 1.2, 0.6))
    whole = np.ones((24, 24, 40), bool)
    _, _, overlay = written(tmp_path / "qc", scan, whole, centerline=None)
    first = overlay[:TILE, :TILE, 3] > 0
    rows, columns = np.flatnonzero(first.any(axis=1)), np.flatnonzero(first.any(axis=0))
    assert len(rows) == TILE
    assert len(columns) == pytest.approx(TILE / 2, abs=1)
    assert overlay.shape[0] == -(-40 // COLUMNS) * TILE


def test_segment_adds_every_scan_to_the_report(cli, tmp_path):
    save_bundle(tmp_path / "bundle", untrained_bundle())
    scans, curves = [], []
    for number in (1, 2):
        write_scan(tmp_path / "cohort", f"sub-0{number}", seed=number, lesions=1)
        scans.append(tmp_path / f"cohort/sub-0{number}/anat/sub-0{number}_T2w.nii.gz")
        labels = tmp_path / f"cohort/derivatives/labels/sub-0{number}/anat"
        curves += ["--centerline", labels / f"sub-0{number}_label-centerline_seg.nii.gz"]
    ended = cli(
        "segment", *scans, *curves, "-m", tmp_path / "bundle", "-o", tmp_path / "o", "--qc", tmp_path / "qc", "-q"
    )
    assert (ended.status, ended.error) == (0, "")
    entries = [json.loads(path.read_text()) for path in sorted((tmp_path / "qc/_json").iterdir())]
    assert [entry["subject"] for entry in entries] == ["sub-01", "sub-02"]
    assert {entry["dataset"] for entry in entries} == {"cohort"}
    assert all("--threshold 0.35" in entry["cmdline"] for entry in entries)


def test_a_constant_slice_is_shown_dark(tmp_path):
    data = noise((24, 24, 40))
    data[:] = 3
    scan = Volume(data, scan_at("x").affine, None, tmp_path / "t2.nii.gz")
    _, background, _ = written(tmp_path / "qc", scan, np.zeros(data.shape, bool))
    assert not background[..., :3].any()


def test_two_entries_of_the_same_moment_are_both_kept(tmp_path, monkeypatch):
    class Stopped(datetime):
        @classmethod
        def now(cls):
            return cls(2026, 5, 4, 3, 2, 1, 999_999)

    monkeypatch.setattr("cordlesion.sct.qc_report.datetime", Stopped)
    for name in ("sub-01_T2w.nii.gz", "sub-02_T2w.nii.gz"):
        scan = scan_at(tmp_path / name)
        write_qc_entry(tmp_path / "qc", scan, np.zeros(scan.data.shape, bool), STRAIGHT, ["cordlesion"])
    entries = [json.loads(path.read_text()) for path in sorted((tmp_path / "qc" / "_json").glob("*.json"))]
    assert [entry["inputFile"] for entry in entries] == ["sub-01_T2w.nii.gz", "sub-02_T2w.nii.gz"]
    assert len({entry["overlayImage"] for entry in entries}) == 2
