"""The guard of `segment` and `predict`: what it says, refuses, and puts on record."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cordlesion.cord.centerline import read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.guard.profile import FILE, make_profile, profile_scan
from cordlesion.io.volume import read_scan, write_volume
from cordlesion.model.bundle import load_bundle, save_bundle
from cordlesion.preprocess.cord_stack import sample_stack
from cordlesion.preprocess.region import place_stack
from cordlesion.preprocess.stack_file import CordStack
from cordlesion.scan.segment import predict_file, segment, segment_files
from support.models import untrained_bundle
from support.page import Page
from support.sct_models import sct_bundle
from support.tiny import write_scan

SCAN = "cohort/sub-{0:02d}/anat/sub-{0:02d}_T2w.nii.gz"
CURVE = "cohort/derivatives/labels/sub-{0:02d}/anat/sub-{0:02d}_label-centerline_seg.nii.gz"
LIKE = "like the training scans"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle with the profile of ten scans, one without, and two scans more: one as it is, one inverted."""
    folder = tmp_path_factory.mktemp("guard")
    for number in range(1, 13):
        write_scan(folder / "cohort", f"sub-{number:02d}", seed=number, lesions=1)
    bundle = untrained_bundle()
    settings = bundle.card.preprocess
    scans = []
    for number in range(1, 12):
        image = read_scan(folder / SCAN.format(number))
        geometry = place_stack(image, read_centerline(folder / CURVE.format(number), image), settings)
        stack = sample_stack(image, geometry)
        scans.append([profile_scan(CordStack(stack, np.zeros(stack.shape, bool), geometry), settings.spacing_mm)])
    save_bundle(folder / "bundle", replace(bundle, profile=make_profile(scans)))
    save_bundle(folder / "old", bundle)
    image = read_scan(folder / SCAN.format(12))
    write_volume(folder / "inverted.nii.gz", image.data.max() - image.data, image)
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def record(folder, scan="inverted"):
    return json.loads((folder / f"{scan}_label-lesion_mask.json").read_text())


def page(folder, scan="inverted"):
    return Page((folder / f"{scan}_label-lesion_report.html").read_text(encoding="utf-8")).text


def test_a_bundle_keeps_its_profile(here):
    assert load_bundle("bundle").profile.n_subjects == 11
    assert (here / "bundle" / FILE).is_file()
    assert load_bundle("old").profile is None
    assert not (here / "old" / FILE).exists()


def test_a_scan_like_the_training_scans_is_said_to_be_one(tmp_path, cli):
    """The untrained network marks much of the cord, which is another matter."""
    ended = cli("segment", SCAN.format(12), "-m", "bundle", "-o", tmp_path, "--centerline", CURVE.format(12))
    assert ended.status == 0
    result = segment(SCAN.format(12), "bundle", centerline=CURVE.format(12))
    found = record(tmp_path, "sub-12")["Guard"]
    assert found == json.loads(json.dumps(result.verdict.record()))
    assert (found["Subjects"], found["Forced"], found["Level"]) == (11, False, 0.1667)
    assert found["PValue"] > found["Level"]
    assert f"sub-12: {result.verdict.sentence}" in ended.output
    assert f"{found['Verdict']} (p = {found['PValue']:.2g} among 11 subjects" in page(tmp_path, "sub-12")


def test_a_refused_scan_is_not_segmented(tmp_path, cli):
    scans, curves = [SCAN.format(12), "inverted.nii.gz"], [CURVE.format(12)] * 2
    options = [part for curve in curves for part in ("--centerline", curve)]
    ended = cli("segment", *scans, "-m", "bundle", "-o", tmp_path, "--no-pictures", *options)
    assert ended.status == 2
    assert (
        "inverted.nii.gz: is refused, because it looks unlike the scans that the model was trained on: " in ended.error
    )
    assert "the fluid around the cord is darker than the cord" in ended.error
    assert ended.error.rstrip().endswith("with --force.")
    names = {path.name.partition("_label")[0] for path in tmp_path.glob("*_label-*")}
    assert names == {"sub-12"}
    with pytest.raises(CordlesionError, match="is refused"):
        segment("inverted.nii.gz", "bundle", centerline=CURVE.format(12))


def test_a_refused_scan_can_be_segmented_all_the_same_and_that_is_on_record(tmp_path, cli):
    ended = cli(
        "segment", "inverted.nii.gz", "-m", "bundle", "-o", tmp_path, "--centerline", CURVE.format(12), "--force"
    )
    assert ended.status == 0
    found = record(tmp_path)
    assert (found["Guard"]["Verdict"], found["Guard"]["Forced"]) == ("refused", True)
    assert found["Guard"]["Reasons"][0].startswith("the fluid around the cord is darker than the cord")
    assert found["Remarks"] == []
    shown = page(tmp_path)
    assert (
        "This scan is refused for this model, but accepted with --force: the fluid around the cord is darker" in shown
    )
    assert "Guard refused (p = 0.17 among 11 subjects of the training scans" in shown
    result = segment("inverted.nii.gz", "bundle", centerline=CURVE.format(12), force=True)
    free = segment("inverted.nii.gz", "old", centerline=CURVE.format(12))
    np.testing.assert_array_equal(result.probability, free.probability)
    np.testing.assert_array_equal(result.mask, free.mask)


def test_a_map_is_predicted_under_the_same_guard(tmp_path, cli):
    options = ("-m", "bundle", "-o", tmp_path / "p.nii.gz", "--centerline", CURVE.format(12))
    refused = cli("predict", "inverted.nii.gz", *options)
    assert (refused.status, (tmp_path / "p.nii.gz").exists()) == (2, False)
    assert "is refused" in refused.error
    forced = cli("predict", "inverted.nii.gz", *options, "--force")
    assert (forced.status, (tmp_path / "p.nii.gz").exists()) == (0, True)
    assert "inverted: refused, but accepted with --force: the fluid" in forced.output


def test_a_model_without_a_profile_is_used_and_that_is_said(here, tmp_path, cli):
    ended = cli(
        "segment", "inverted.nii.gz", "-m", "old", "-o", tmp_path, "--no-pictures", "--centerline", CURVE.format(12)
    )
    assert ended.status == 0
    assert "the model has no profile of its training scans" in ended.output
    assert record(tmp_path)["Guard"]["PValue"] is None
    predict_file(here / "inverted.nii.gz", here / "old", tmp_path / "p.nii.gz", centerline=here / CURVE.format(12))


def test_networks_of_sct_have_no_training_scans(here, tmp_path):
    save_bundle(tmp_path / "sct", sct_bundle("shipped"))
    assert load_bundle(tmp_path / "sct").profile is None
    segment_files(
        [here / SCAN.format(12)],
        tmp_path / "sct",
        tmp_path / "o",
        pictures=False,
        centerlines=[here / CURVE.format(12)],
    )
    found = record(tmp_path / "o", "sub-12")["Guard"]
    assert found["Reasons"][0] == "the scans that this network was trained on are not known"


def test_a_lesion_as_long_as_the_cord_is_unusual(tmp_path):
    result = segment(SCAN.format(12), "bundle", centerline=CURVE.format(12), threshold=1e-6)
    assert result.load.n_lesions == 1
    assert result.verdict.status == "unusual"
    length, section = result.verdict.reasons
    assert length == "one lesion takes 100 % of the length of the cord that was searched"
    mean_mm2 = result.load.volume_mm3 / result.load.cord_mm
    assert section == f"the lesions fill {mean_mm2:.1f} mm2 of a section, on average along the cord"
    result.save(tmp_path)
    assert "one lesion takes 100 % of the length of the cord" in page(tmp_path, "sub-12")


def test_a_damaged_profile_is_refused_before_anything_is_written(here, tmp_path):
    save_bundle(tmp_path / "bundle", load_bundle("bundle"))
    (tmp_path / "bundle" / FILE).write_text("{}")
    with pytest.raises(CordlesionError, match=r"profile\.json: .* Remove this file"):
        segment_files([here / SCAN.format(12)], tmp_path / "bundle", tmp_path / "o")
    assert not (tmp_path / "o").exists()
