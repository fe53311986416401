"""What `segment` leaves on record: where the centerline came from, what is remarkable, and how to do it again."""

import json
import re
import shlex

import numpy as np
import pytest
from matplotlib.figure import Figure

from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_mask, read_scan, write_volume
from cordlesion.model.bundle import Bundle, save_bundle
from cordlesion.scan.segment import predict_file, segment, segment_files
from support.keras_networks import centerline_layers, lesion_layers, write_keras
from support.models import untrained_bundle
from support.sct_models import sct_bundle
from support.tiny import write_scan

CURVE = Centerline(np.full(2, 12.0), np.full(2, 12.0), np.array([2.0, 37.0]), 0.93)
SCAN = "cohort/sub-01/anat/sub-01_T2w.nii.gz"
LABELS = "cohort/derivatives/labels/sub-01/anat/sub-01_label-{}_seg.nii.gz"

pytestmark = pytest.mark.usefixtures("plain_montage")


@pytest.fixture
def here(tmp_path, monkeypatch):
    save_bundle(tmp_path / "bundle", untrained_bundle())
    write_scan(tmp_path / "cohort", "sub-01", seed=1, lesions=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cordlesion.centerlines.FINDERS", {"auto": lambda _: CURVE, "sct": lambda _: CURVE})
    monkeypatch.setattr("cordlesion.sct.centerline_network.curve_in_heatmap", lambda *_: CURVE)
    monkeypatch.setattr("cordlesion.sct.centerline_network.MAP_SPACING_MM", 0)  # a map for each slice
    write_keras(tmp_path / "t2_ctr.h5", centerline_layers())
    return tmp_path


def record(folder):
    return json.loads((folder / "sub-01_label-lesion_mask.json").read_text())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"Source": "auto", "File": None, "Confidence": 0.93}),
        (["--centerline-source", "sct"], {"Source": "sct", "File": None, "Confidence": 0.93}),
        (["--centerline-source", "t2_ctr.h5"], {"Source": "t2_ctr.h5", "File": None, "Confidence": 0.93}),
        (
            ["--centerline", LABELS.format("centerline")],
            {"Source": "file", "File": "sub-01_label-centerline_seg.nii.gz", "Confidence": None},
        ),
        (
            ["--cord-mask", LABELS.format("cord")],
            {"Source": "cord_mask", "File": "sub-01_label-cord_seg.nii.gz", "Confidence": None},
        ),
    ],
    ids=["auto", "sct", "network", "curve", "mask"],
)
def test_the_origin_of_the_curve_is_on_record_and_the_command_can_be_repeated(here, cli, options, expected):
    command = ["segment", SCAN, "-m", "bundle", "-o", "out", *options, "--qc", "qc"]
    assert cli(*command, "-q").status == 0
    assert record(here / "out")["Centerline"] == expected
    (entry,) = (json.loads(path.read_text()) for path in (here / "qc/_json").iterdir())
    assert entry["path"] == ".."
    program, *told = shlex.split(entry["cmdline"])
    assert program == "cordlesion"
    pairs = [told[n : n + 2] for n in range(0, len(told), 2)]
    assert sorted(pairs) == sorted([command[n : n + 2] for n in range(0, len(command), 2)] + [["--threshold", "0.35"]])
    before = file_hash(here / "out/sub-01_label-lesion_probseg.nii.gz")
    assert cli(*told, "-q").status == 0
    assert file_hash(here / "out/sub-01_label-lesion_probseg.nii.gz") == before


def test_nothing_on_record_tells_of_the_machine(here, cli):
    """With absolute paths, and a scan whose two transforms disagree."""
    scan = read_scan(SCAN)
    scan.header.set_qform(scan.affine, code=1)
    scan.header["qoffset_x"] = 40
    write_volume(here / "odd_T2w.nii.gz", scan.data, scan)
    out, qc = here / "out", here / "qc"
    cord = here / LABELS.format("cord")
    ended = cli("segment", here / "odd_T2w.nii.gz", "-m", here / "bundle", "-o", out, "--cord-mask", cord, "--qc", qc)
    assert ended.status == 0
    (remark,) = json.loads((out / "odd_T2w_label-lesion_mask.json").read_text())["Remarks"]
    assert remark.startswith("odd_T2w.nii.gz: its sform is used; its qform")
    written = [path for folder in (out, qc) for path in folder.rglob("*") if path.suffix in (".json", ".tsv")]
    assert len(written) >= 3
    for path in written:
        assert str(here) not in path.read_text(), path


def test_a_curve_that_covers_little_of_the_scan_is_told_and_on_record(here, cli):
    drawn = read_mask(LABELS.format("centerline"))
    short = drawn.data.copy()
    short[..., :30] = False
    write_volume(here / "short.nii.gz", short, drawn)
    ended = cli("segment", SCAN, "-m", "bundle", "-o", "out", "--centerline", "short.nii.gz")
    sentence = (
        "sub-01_T2w.nii.gz: the centerline covers 8 of 40 axial slices (20 %); no lesions are looked for in the others."
    )
    assert sentence in ended.output.replace("\n", " ")
    assert record(here / "out")["Remarks"] == [sentence]


def page(folder):
    text = (folder / "sub-01_label-lesion_report.html").read_text()
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_a_model_of_the_foreground_looks_beyond_a_curve_and_says_so(here, cli):
    """The network is untrained and marks lesions everywhere; the curve has 8 of 40 slices of 0.6 mm."""
    drawn, bundle = read_mask(LABELS.format("centerline")), untrained_bundle(edge_voxels=8)
    short = drawn.data.copy()
    short[..., :30] = 0
    write_volume(here / "short.nii.gz", short, drawn)
    config = PreprocessConfig(region="foreground", spacing_mm=1.2)
    save_bundle(here / "model", Bundle(bundle.card.model_copy(update={"preprocess": config}), bundle.network))
    cut = f"{np.quantile(segment(SCAN, 'model', threshold=1.0).probability, 0.9):.6f}"
    ended = cli("segment", SCAN, "-m", "model", "-o", "out", "--centerline", "short.nii.gz", "--threshold", cut)
    assert ended.status == 0
    assert "no lesions are looked for" not in ended.output
    told = record(here / "out")
    assert told["Remarks"] == []
    assert told["LesionLoad"]["n_lesions"] > 0
    assert 0 < told["LesionLoad"]["affected_mm"] <= told["LesionLoad"]["cord_mm"] < 8.0
    assert "in the spinal cord" not in page(here / "out")
    assert "mm of cord that the centerline covers" in page(here / "out")


def test_a_mask_has_no_probabilities_to_tell(here, cli):
    save_bundle(here / "sct", sct_bundle("shipped"))
    assert cli("segment", SCAN, "-m", "sct", "-o", "out", "--cord-mask", LABELS.format("cord")).status == 0
    table = read_table(here / "out/lesions.tsv")
    assert len(table) > 0
    assert table[["peak_probability", "mean_probability"]].isna().all(axis=None)
    assert "n/a n/a" in page(here / "out")


@pytest.mark.usefixtures("here")
def test_a_picture_says_what_it_shows(cli, monkeypatch):
    shown = {}
    monkeypatch.setattr("cordlesion.pictures.montage.montage", lambda *_, **options: shown.update(options) or Figure())
    assert cli("segment", SCAN, "-m", "bundle", "-o", "out", "--cord-mask", LABELS.format("cord")).status == 0
    assert shown == {"title": "sub-01 · p ≥ 0.35 · research use only", "cord_only": True}


@pytest.mark.usefixtures("here")
def test_a_curve_beside_something_that_looks_for_one_is_refused():
    with pytest.raises(CordlesionError, match=r"cord was given, and .*\(sct\).*Leave out --centerline-source"):
        segment(SCAN, "bundle", cord_mask=LABELS.format("cord"), centerline_source="sct")


def test_a_network_that_cannot_be_used_is_told_before_any_scan_is_read(here):
    write_keras(here / "t2_lesion.h5", lesion_layers())
    for source, told in (
        ("t2_lesion.h5", "not named as SCT's centerline networks"),
        ("auot", "no source of centerlines"),
    ):
        with pytest.raises(CordlesionError, match=told):
            segment_files([here / "absent.nii.gz"], here / "bundle", here / "out", centerline_source=source)
        assert not (here / "out").exists()


def test_predict_looks_for_the_cord_as_segment_does(here, cli):
    ended = cli("predict", SCAN, "-m", "bundle", "-o", "p.nii.gz", "--centerline-source", "t2_ctr.h5")
    assert ended.status == 0
    assert "p.nii.gz: lesion probabilities" in ended.output
    predict_file(here / SCAN, here / "bundle", here / "q.nii.gz", centerline_source="auto")
    assert read_scan("p.nii.gz").data.tobytes() == read_scan("q.nii.gz").data.tobytes()
