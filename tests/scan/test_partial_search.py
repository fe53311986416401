"""A cord that is lost inside a scan: the results of the searched part are written, and nobody can overlook it."""

import json
import re
import warnings
from dataclasses import asdict, replace

import numpy as np
import pytest

import cordlesion
from cordlesion.centerlines import FINDERS
from cordlesion.config import PreprocessConfig, read_study
from cordlesion.cord.centerline import Centerline
from cordlesion.cord.ends import Ends
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.volume import read_volume
from cordlesion.lesions.coverage import Coverage
from cordlesion.lesions.tables import LESION_LOAD
from cordlesion.model.bundle import Bundle, save_bundle
from cordlesion.scan.segment import segment, segment_files
from cordlesion.study.run import run_study
from support.models import untrained_bundle
from support.tiny import make_cohort, write_scan

N_SLICES, LOST_AT = 40, 25
"""Of the tiny scans: their slices of 0.6 mm, and the uppermost slice of the curve that is found in them."""
Z = np.arange(0.0, LOST_AT + 1)
LOST = Centerline(
    np.full(len(Z), 12.0), np.full(len(Z), 12.0), Z, 0.71, (), np.linspace(0.6, 1, len(Z)), Ends("lost", "border")
)
WHOLE = replace(LOST, ends=Ends("brainstem", "border"))

pytestmark = pytest.mark.usefixtures("plain_montage")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(folder, untrained_bundle())
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    for n in (1, 2):
        write_scan(folder, f"sub-{n:02d}", seed=n, lesions=1)
    return [folder / f"sub-{n:02d}/anat/sub-{n:02d}_T2w.nii.gz" for n in (1, 2)]


@pytest.fixture
def find(monkeypatch):
    """Return a function that sets which curve is found; by the name of the scan, or always the same."""

    def use(curves):
        def finder(scan):
            return curves[scan.path.name[:6]] if isinstance(curves, dict) else curves

        monkeypatch.setattr("cordlesion.centerlines.FINDERS", {**FINDERS, "auto": finder})

    use(LOST)
    return use


@pytest.mark.parametrize("command", ["segment", "predict", "centerline"])
def test_a_lost_cord_ends_a_command_with_status_2_after_its_files_are_written(
    cli, find, scans, model, tmp_path, command
):
    output = tmp_path / ("out" if command == "segment" else "out.nii.gz")
    line = [command, scans[0], "-o", output, *(["-m", model] if command != "centerline" else [])]
    ended = cli(*line)
    assert ended.status == 2
    place = f"k = {LOST_AT} ({N_SLICES - 1 - LOST_AT} slices, 8 mm, are beyond it); nothing is searched there."
    assert f"sub-01_T2w.nii.gz: the cord was lost at its superior end, axial slice {place}" in ended.error
    assert "--allow-partial" in ended.error
    assert "left out" not in ended.error
    written = {path.name: path.stat().st_size for path in tmp_path.rglob("*.nii.gz")}
    assert written
    again = [*line, "--allow-partial", *(["--overwrite"] if command != "predict" else [])]
    allowed = cli(*again)
    assert allowed.status == 0
    assert place in " ".join(allowed.output.split())
    assert "cordlesion:" not in allowed.error
    assert {path.name: path.stat().st_size for path in tmp_path.rglob("*.nii.gz")} == written
    find(WHOLE)
    assert cli(*line, *again[len(line) + 1 :]).status == 0


def test_in_several_scans_only_the_lost_one_is_named_and_all_are_written(cli, find, scans, model, tmp_path):
    find({"sub-01": WHOLE, "sub-02": LOST})
    ended = cli("segment", *scans, "-m", model, "-o", tmp_path / "out")
    assert ended.status == 2
    assert "sub-02_T2w.nii.gz: the cord was lost" in ended.error
    assert "sub-01" not in ended.error
    table = read_table(tmp_path / "out/lesion_load.tsv").set_index("scan_id")
    assert table["superior_end"].to_dict() == {"sub-01": "brainstem", "sub-02": "lost"}
    done = segment_files(scans, model, tmp_path / "again", pictures=False)
    assert dict(done) == {} == done
    assert list(done.partial) == ["sub-02"]


@pytest.mark.usefixtures("find")
def test_a_scan_that_is_left_out_hides_no_lost_cord(cli, scans, model, tmp_path):
    broken = tmp_path / "sub-03_T2w.nii.gz"
    broken.write_bytes(b"no scan")
    ended = cli("segment", broken, scans[0], "-m", model, "-o", tmp_path / "out", "--allow-partial")
    assert ended.status == 2
    assert "left out" in ended.error
    ended = cli("segment", broken, scans[0], "-m", model, "-o", tmp_path / "out")
    assert "left out" in ended.error
    assert "the cord was lost" in ended.error


@pytest.mark.usefixtures("find")
def test_table_json_and_page_say_what_was_searched(cli, scans, model, tmp_path):
    cli("segment", scans[0], "-m", model, "-o", tmp_path)
    row = read_table(tmp_path / "lesion_load.tsv", LESION_LOAD.names).iloc[0]
    record = json.loads((tmp_path / "sub-01_label-lesion_mask.json").read_text())
    expected = Coverage(LOST_AT + 1, N_SLICES, round(0.6 * (LOST_AT + 1), 2), "k", LOST_AT, "lost", 0, "border", 0.71)
    assert record["Coverage"] == asdict(expected) == {name: row[name] for name in asdict(expected)}
    assert record["Remarks"] == [remark for remark in record["Remarks"] if "the cord was lost" in remark] != []
    assert str(tmp_path) not in str(record["Remarks"])
    page = (tmp_path / "sub-01_label-lesion_report.html").read_text()
    assert "the cord was lost at its superior end" in page
    probability = read_volume(tmp_path / "sub-01_label-lesion_probseg.nii.gz").data
    assert not probability[..., LOST_AT + 1 :].any()
    assert probability[..., : LOST_AT + 1].any(axis=(0, 1)).all()


def test_the_api_warns_and_returns_the_result_of_the_searched_part(find, scans, model):
    with pytest.warns(cordlesion.PartialSearchWarning, match="the cord was lost at its superior end") as caught:
        result = segment(scans[0], model)
    assert caught[0].filename == __file__
    assert result.coverage.is_partial
    assert result.coverage.superior_end == "lost"
    assert segment(scans[0], model, allow_partial=True).mask.sum() == result.mask.sum()
    with warnings.catch_warnings():
        warnings.simplefilter("error", cordlesion.PartialSearchWarning)
        with pytest.raises(cordlesion.PartialSearchWarning):
            segment(scans[0], model)
    find(WHOLE)
    assert not segment(scans[0], model).coverage.is_partial


def test_a_drawn_curve_is_never_lost_and_a_model_of_the_whole_image_has_no_coverage(scans, model, tmp_path):
    labels = scans[0].parents[2] / "derivatives/labels/sub-01/anat"
    drawn = {"centerline": labels / "sub-01_label-centerline_seg.nii.gz"}
    found = segment(scans[0], model, **drawn).coverage
    assert (found.superior_end, found.inferior_end, found.cord_confidence) == ("drawn", "drawn", None)
    assert (found.superior_slice, found.inferior_slice, found.searched_slices) == (37, 2, 36)
    bundle = untrained_bundle(edge_voxels=8)
    config = PreprocessConfig(region="foreground", spacing_mm=1.2)
    save_bundle(tmp_path / "whole", Bundle(bundle.card.model_copy(update={"preprocess": config}), bundle.network))
    assert segment(scans[0], tmp_path / "whole", **drawn).coverage is None


def test_a_table_of_an_earlier_version_is_extended(find, scans, model, tmp_path):
    """Its scans have no coverage; those of now keep whole numbers."""
    find(WHOLE)
    segment_files(scans[:1], model, tmp_path, pictures=False)
    now = read_table(tmp_path / "lesion_load.tsv")
    earlier = now[list(LESION_LOAD.required_names)].assign(rater="A")
    write_table(tmp_path / "lesion_load.tsv", earlier)
    segment_files(scans[1:], model, tmp_path, pictures=False)
    lines = (tmp_path / "lesion_load.tsv").read_text().splitlines()
    cells = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert list(cells[0]) == [*LESION_LOAD.names, "rater"]
    assert [cell["scan_id"] for cell in cells] == ["sub-01", "sub-02"]
    assert (cells[0]["searched_slices"], cells[0]["superior_end"], cells[0]["rater"]) == ("n/a", "n/a", "A")
    assert (cells[1]["searched_slices"], cells[1]["superior_end"]) == (str(LOST_AT + 1), "brainstem")
    assert all(re.fullmatch(r"\d+|n/a", cell["superior_slice"]) for cell in cells)


def test_a_study_keeps_and_lists_a_scan_in_which_the_cord_was_lost(cli, find, tmp_path):
    file = make_cohort(tmp_path)
    file.write_text(file.read_text().replace("centerline: file", "centerline: auto"))
    find({f"sub-{n:02d}": LOST if n == 3 else WHOLE for n in range(1, 15)})
    ended = cli("preprocess", file)
    assert ended.status == 2
    assert "sub-03_T2w.nii.gz: the cord was lost at its superior end" in ended.error
    assert "sub-04" not in ended.error
    recorded = json.loads((tmp_path / "study/manifest.json").read_text())
    assert list(recorded["partial"]) == ["sub-03"]
    assert recorded["partial"]["sub-03"].startswith("sub-03/anat/sub-03_T2w.nii.gz: the cord was lost")
    assert (tmp_path / "study/stacks/sub-03.safetensors").is_file()
    assert "14 of 14 scans, cord lost in 1" in cli("study", "status", tmp_path / "study").output
    again = cli("preprocess", file, "--allow-partial")
    assert again.status == 0
    assert "the cord was lost at its superior end" in again.output
    outcome = run_study(read_study(file), until="preprocess")
    assert dict(outcome) == {}
    assert list(outcome.partial) == ["sub-03"]
