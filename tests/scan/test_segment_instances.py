"""`segment --instances` with a bundle whose lesions are calibrated: files, tables and page state the same chances."""

import json
import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

import cordlesion
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.model.bundle import load_bundle, read_card, save_bundle
from cordlesion.model.bundle_updates import (
    forget_threshold,
    set_further_rules,
    set_lesion_calibration,
    set_threshold,
)
from cordlesion.prediction import Prediction
from cordlesion.scan.segment import segment_files
from cordlesion.threshold import GlobalThreshold, LesionCalibration
from cordlesion.threshold.further import FurtherRule
from support.images import SHAPE
from support.models import THRESHOLD, untrained_bundle
from support.tiny import write_scan

CALIBRATION = LesionCalibration(
    peak=0.8, mean=0.3, volume=0.4, shift=-3.5, threshold_rule=THRESHOLD.decisive, lesion_rule="study",
    n_lesions=50, n_real=20, n_subjects=12,
)  # fmt: skip
DSEG = "sub-01_desc-lesions_dseg"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_scan(folder, "sub-01", seed=1, lesions=1)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(folder, untrained_bundle())
    set_lesion_calibration(folder, CALIBRATION)
    return folder


@pytest.fixture(scope="module")
def scan(cohort):
    return cohort / "sub-01/anat/sub-01_T2w.nii.gz"


@pytest.fixture(scope="module")
def curve(cohort):
    return cohort / "derivatives/labels/sub-01/anat/sub-01_label-centerline_seg.nii.gz"


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """Three lesions of other probabilities and sizes, and a spot that is too small to count, in place of a network."""
    p = np.full(SHAPE, 0.01, np.float32)
    for n, (level, edge) in enumerate([(0.9, 4), (0.6, 5), (0.4, 3), (0.7, 1)]):
        p[10 : 10 + edge, 10 : 10 + edge, 4 + 9 * n : 4 + 9 * n + edge] = level
    monkeypatch.setattr("cordlesion.scan.segment.predict", lambda *_: Prediction(p))


def said(ended):
    """What a command printed, in one line."""
    return " ".join((ended.output + ended.error).split())


def test_images_tables_and_page_hold_the_same_lesions(bundle, scan, curve, tmp_path, cli):
    ended = cli("segment", scan, "-m", bundle, "-o", tmp_path, "--centerline", curve, "--instances")
    assert (ended.status, "no probability" in said(ended)) == (0, False)
    mask, labels = (np.asarray(nib.load(tmp_path / name).dataobj) for name in
                    ("sub-01_label-lesion_mask.nii.gz", f"{DSEG}.nii.gz"))  # fmt: skip
    rows, lesions = read_table(tmp_path / f"{DSEG}.tsv"), read_table(tmp_path / "lesions.tsv")
    assert len(lesions) == 3
    assert np.count_nonzero(mask) == np.count_nonzero(labels) + 1
    assert lesions.columns[-1] == "probability"
    assert rows["index"].tolist() == lesions["lesion"].tolist() == list(range(1, len(lesions) + 1))
    for name in ("volume_mm3", "peak_probability", "mean_probability", "probability"):
        assert rows[name].tolist() == lesions[name].tolist()
    assert rows["probability"].between(0, 1).all()
    assert rows["probability"].nunique() > 1
    for row in lesions.itertuples():
        assert np.count_nonzero(labels == row.lesion) == row.n_voxels
    assert ((labels > 0) <= (mask > 0)).all()
    record = json.loads((tmp_path / "sub-01_label-lesion_mask.json").read_text())
    assert [one["probability"] for one in record["Lesions"]] == rows["probability"].tolist()
    page = " ".join((tmp_path / "sub-01_label-lesion_report.html").read_text().split())
    assert "Chance<br>to be real" in page
    cells = [re.findall(r"<td>([^<]*)</td>", row) for row in re.findall(r"<tr><th>\d+</th>.*?</tr>", page)]
    assert [row[5] for row in cells] == [f"{value:.2f}" for value in rows["probability"][: len(cells)]]


def test_without_the_option_nothing_else_is_written_and_nothing_old_stays(bundle, scan, curve, tmp_path):
    def run(**options):
        segment_files([scan], bundle, tmp_path, centerlines=[curve], pictures=False, **options)
        return sorted(path.name for path in tmp_path.glob("*dseg*"))

    assert run() == []
    plain = (tmp_path / "sub-01_label-lesion_mask.nii.gz").read_bytes()
    assert run(instances=True) == [f"{DSEG}.json", f"{DSEG}.nii.gz", f"{DSEG}.tsv"]
    assert (tmp_path / "sub-01_label-lesion_mask.nii.gz").read_bytes() == plain
    assert run(instances=True)  # over its own files
    assert run() == []


def test_numbers_that_were_corrected_are_kept_and_that_is_said(bundle, scan, curve, tmp_path):
    given = {"centerlines": [curve], "pictures": False, "instances": True}
    segment_files([scan], bundle, tmp_path, **given)
    path = tmp_path / f"{DSEG}.nii.gz"
    image = nib.load(path)
    joined = np.asarray(image.dataobj).copy()
    joined[joined == 2] = 1  # two lesions are one, says the reader
    nib.save(nib.Nifti1Image(joined, None, image.header), path)
    before = path.read_bytes()
    for options in (given, given | {"instances": False}):
        with pytest.raises(CordlesionError, match=r"dseg.nii.gz: is not what its JSON file records"):
            segment_files([scan], bundle, tmp_path, **options)
        assert path.read_bytes() == before
    segment_files([scan], bundle, tmp_path, **given, overwrite=True)
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("names", "has_mask"), [((".json", ".tsv", ".nii"), False), ((".json",), True), ((".tsv",), True)]
)
def test_numbers_of_others_are_kept_and_that_is_said(bundle, scan, curve, tmp_path, names, has_mask):
    """A reader's own numbered lesions, with or without the option, and besides a mask of ours."""
    given = {"centerlines": [curve], "pictures": False}
    if has_mask:
        segment_files([scan], bundle, tmp_path, **given)
    theirs = [tmp_path / f"{DSEG}{ending}" for ending in names]
    for path in theirs:
        path.write_text('{"Sources": ["drawn.nii"]}' if path.suffix == ".json" else "drawn by hand")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for instances in (False, True):
        with pytest.raises(CordlesionError, match=rf"{DSEG}\.\S+: .* nothing is replaced\. .*--overwrite"):
            segment_files([scan], bundle, tmp_path, **given, instances=instances)
        with pytest.raises(CordlesionError, match=r"nothing is replaced"):
            cordlesion.segment(scan, bundle, centerline=curve).save(tmp_path, pictures=False, instances=instances)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    segment_files([scan], bundle, tmp_path, **given, instances=True, overwrite=True)
    assert json.loads((tmp_path / f"{DSEG}.json").read_text())["Sources"] == ["sub-01_label-lesion_mask.nii.gz"]


@pytest.mark.parametrize(("options", "why"), [
    ({"threshold": 0.5}, "lesions were calibrated for another threshold or threshold rule"),
    ({"bundle": "uncalibrated"}, "no calibration of lesions is stored"),
])  # fmt: skip
def test_where_no_chance_is_known_the_column_says_why(bundle, scan, curve, tmp_path, cli, options, why):
    place = bundle
    if "bundle" in options:
        save_bundle(place := tmp_path / "bundle", untrained_bundle())
    result = cordlesion.segment(scan, place, centerline=curve, threshold=options.get("threshold"))
    assert why in result.uncalibrated
    assert [one.probability for one in result.lesions] == [None] * len(result.lesions) != []
    more = ["--threshold", options["threshold"]] if "threshold" in options else []
    out = tmp_path / "out"
    ended = cli("segment", scan, "-m", place, "-o", out, "--centerline", curve, "--no-pictures", "--instances", *more)
    assert (ended.status, said(ended).count(why)) == (0, 1)
    assert read_table(out / f"{DSEG}.tsv")["probability"].isna().all()
    assert why in json.loads((out / f"{DSEG}.json").read_text())["probability"]["Description"]
    assert "probability" not in read_table(out / "lesions.tsv")


def test_masks_of_another_rule_of_the_model_have_no_chances(scan, curve, tmp_path):
    save_bundle(tmp_path, untrained_bundle())
    set_lesion_calibration(tmp_path, CALIBRATION)
    set_further_rules(tmp_path, {"sensitive": FurtherRule(rule=GlobalThreshold.given(0.2))})
    rules = (None, "sensitive")
    own, other = (cordlesion.segment(scan, tmp_path, centerline=curve, threshold_rule=name) for name in rules)
    assert own.uncalibrated == ""
    assert "calibrated for another threshold or threshold rule" in other.uncalibrated
    assert {one.probability for one in other.lesions} == {None}


def test_the_object_has_what_the_files_have(bundle, scan, curve, tmp_path):
    result = cordlesion.segment(scan, load_bundle(bundle), centerline=curve, threshold=THRESHOLD.value)
    assert result.uncalibrated == ""
    files = result.save(tmp_path, pictures=False, instances=True)
    assert tmp_path / f"{DSEG}.nii.gz" in files
    np.testing.assert_array_equal(result.instances, np.asarray(nib.load(tmp_path / f"{DSEG}.nii.gz").dataobj))
    assert read_table(tmp_path / f"{DSEG}.tsv")["probability"].tolist() == [one.probability for one in result.lesions]
    emptied = replace(result, mask=np.zeros_like(result.mask))
    assert not emptied.instances.any()


def test_another_threshold_forgets_the_chances_and_the_same_one_keeps_them(tmp_path):
    save_bundle(tmp_path, untrained_bundle())
    before = (tmp_path / "model.json").read_text()
    assert "lesion_calibration" not in before  # older versions read the card
    set_lesion_calibration(tmp_path, CALIBRATION)
    assert read_card(tmp_path).lesion_calibration == CALIBRATION
    set_threshold(tmp_path, THRESHOLD)
    assert read_card(tmp_path).lesion_calibration == CALIBRATION
    set_threshold(tmp_path, GlobalThreshold.given(0.6))
    assert read_card(tmp_path).lesion_calibration is None
    set_threshold(tmp_path, THRESHOLD)
    set_lesion_calibration(tmp_path, CALIBRATION)
    set_lesion_calibration(tmp_path, None)
    assert (tmp_path / "model.json").read_text() == before
    forget_threshold(tmp_path)
    with pytest.raises(CordlesionError, match="has no place for a calibration of lesions"):
        set_lesion_calibration(tmp_path, CALIBRATION)
