"""The model in the package: small, whole, and of use on scans that it has not seen."""

import re
from pathlib import Path

import numpy as np
import pytest

import cordlesion
from cordlesion.cli.app import main
from cordlesion.config import PACKAGED_BUNDLE, builtin_study, read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.progress import shown
from cordlesion.io.reading import read_json
from cordlesion.io.tables import read_table
from cordlesion.io.volume import Volume, write_volume
from cordlesion.model.bundle import load_bundle
from cordlesion.model.packaged_model import announcer, bundle_folder
from cordlesion.simulate import ScanPlan, simulate_scan
from cordlesion.simulate.anatomy import Person
from cordlesion.simulate.scan import SimulatedScan

SEED = 31_415
"""No cohort of the model has this seed."""
PAGE = Path(__file__).parents[2] / "docs/packaged_model.md"


def simulated(subject: int, plane: str, lesions: bool = False, domain: str = "clinical") -> SimulatedScan:
    shown = ((0, plane, "cervical"),) if lesions else ()
    person = Person(40, "F")
    return simulate_scan(ScanPlan(SEED, subject, 0, subject, person, 1, plane, "cervical", not lesions, shown, domain))


def written(scan: SimulatedScan, folder: Path) -> Path:
    write_volume(folder / "scan.nii.gz", scan.image.data, scan.image)
    write_volume(folder / "curve.nii.gz", scan.centerline.data, scan.centerline)
    return folder / "scan.nii.gz"


@pytest.fixture(scope="module")
def lesion_scan(tmp_path_factory):
    """The first subject with lesions of more than 150 mm3, brighter than usual, in a scan with little noise."""
    scan = simulated(13, "sagittal", lesions=True, domain="varied")
    assert scan.reference.data.sum() * np.prod(scan.image.spacing_mm) > 150
    assert scan.signals.lesion_gain > 1
    assert scan.acquisition.noise < 0.08
    return scan, written(scan, tmp_path_factory.mktemp("lesion"))


def test_it_is_whole_and_small():
    assert sum(path.stat().st_size for path in PACKAGED_BUNDLE.iterdir()) <= 3 * 2**20
    card = load_bundle(PACKAGED_BUNDLE).card
    assert card.weights_sha256 == file_hash(PACKAGED_BUNDLE / "model.safetensors")
    assert card.training_data.simulated
    assert card.threshold is not None
    assert card.test_error.n_lesion_free > 0
    assert str(Path.home()) not in (PACKAGED_BUNDLE / "model.json").read_text()


def test_it_is_that_of_its_study_and_its_page_names_it():
    run, card = read_study(builtin_study("packaged_model")).runs[0], load_bundle(PACKAGED_BUNDLE).card
    assert (card.network, card.preprocess, card.patches) == (run.network, run.preprocess.portable, run.patches)
    assert card.provenance["training"]["epochs"] == run.training.epochs
    assert card.weights_sha256[:16] in PAGE.read_text()


def test_the_chance_of_its_lesions_is_that_of_its_own_masks_and_its_page_has_the_numbers():
    card = load_bundle(PACKAGED_BUNDLE).card
    chance = card.lesion_calibration
    assert (chance.threshold_rule, chance.lesion_rule) == (card.threshold.decisive, card.test_error.rule)
    page = " ".join(PAGE.read_text().split())
    assert f"fitted on the {chance.n_lesions} lesions that it marks in the 45 scans" in page
    assert f"of which {chance.n_real} are real" in page
    shown = re.findall(r"(0\.\d\d) (?:the chance is )?(0\.\d\d)\b", page)
    assert len(shown) == 3
    for mean, expected in shown:
        assert chance.chance(0.999, float(mean), 50.0) == pytest.approx(float(expected), abs=0.006)


def test_it_finds_a_large_lesion(lesion_scan):
    scan, path = lesion_scan
    found = cordlesion.segment(path, centerline=path.with_name("curve.nii.gz"))
    assert found.bundle == PACKAGED_BUNDLE
    assert (found.mask & scan.reference.data).any()


@pytest.mark.parametrize(("subject", "plane"), [(0, "sagittal"), (3, "axial")])
def test_it_marks_nothing_in_a_healthy_cord_of_a_clinical_protocol(tmp_path, subject, plane):
    path = written(simulated(subject, plane), tmp_path)
    assert not cordlesion.segment(path, centerline=path.with_name("curve.nii.gz")).mask.any()


def test_the_commands_use_it_and_say_so(lesion_scan, tmp_path, capsys):
    _, path = lesion_scan
    curve = ["--centerline", str(path.with_name("curve.nii.gz"))]
    assert run(["segment", str(path), "-o", str(tmp_path / "out"), "--no-pictures", "--instances", *curve]) == 0
    said = capsys.readouterr().out
    assert "no probability" not in said
    lesions = read_table(tmp_path / "out" / "scan_desc-lesions_dseg.tsv")
    chance = load_bundle(PACKAGED_BUNDLE).card.lesion_calibration
    features = (lesions[name] for name in ("peak_probability", "mean_probability", "volume_mm3"))
    np.testing.assert_allclose(lesions["probability"], chance.chance(*features), atol=2e-3)
    assert len(lesions)
    assert re.search(r"model of the package .* \d+ simulated scans .* no patient; it is no clinical tool", said)
    record = read_json(tmp_path / "out" / "scan_label-lesion_mask.json")
    weights = file_hash(PACKAGED_BUNDLE / "model.safetensors")
    assert record["GeneratedBy"]["Bundle"] == "packaged"
    assert record["GeneratedBy"]["WeightsSHA256"] == weights

    assert run(["predict", str(path), "-o", str(tmp_path / "map.nii.gz"), *curve]) == 0
    assert "no clinical tool" in capsys.readouterr().out
    maps = [tmp_path / "map.nii.gz", tmp_path / "out/scan_label-lesion_probseg.nii.gz"]
    np.testing.assert_array_equal(*(cordlesion.read_probability(path).data for path in maps))
    assert run(["segment", str(path), "-o", str(tmp_path / "quiet"), "--quiet", "--no-pictures", *curve]) == 0
    assert capsys.readouterr().out == ""


def test_it_has_a_name_that_every_command_takes(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    assert bundle_folder(None) == bundle_folder("packaged") == bundle_folder(Path("packaged")) == PACKAGED_BUNDLE
    assert bundle_folder("other") == Path("other")
    assert cli("model", "info", "packaged").output == cli("model", "info").output != ""
    (tmp_path / "packaged").mkdir()  # a folder of other things changes nothing
    assert bundle_folder("packaged") == PACKAGED_BUNDLE
    (tmp_path / "packaged/model.json").write_text("{}")
    with pytest.raises(CordlesionError, match=f"Give the whole path of the folder .{tmp_path}/packaged.") as caught:
        bundle_folder("packaged")
    assert len(str(caught.value).splitlines()) == 1
    assert bundle_folder(tmp_path / "packaged") == tmp_path / "packaged"
    assert bundle_folder(None) == PACKAGED_BUNDLE


@pytest.mark.parametrize("command", ["segment", "predict"])
@pytest.mark.parametrize("model", [[], ["-m", "packaged"]])
def test_a_missing_file_is_named_alone(tmp_path, monkeypatch, cli, command, model):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).random((9, 9, 9), np.float32)
    write_volume(tmp_path / "here.nii.gz", noise, Volume(noise, np.eye(4)))
    for given in (["no.nii.gz"], ["here.nii.gz", "--centerline", "no.nii.gz"]):
        done = cli(command, *given, "-o", tmp_path / "out.nii.gz", *model)
        assert done.status == 2
        assert "no.nii.gz" in done.error
        assert "package" not in done.output + done.error


def test_the_message_about_it_comes_once_and_says_how_it_was_named(capsys):
    with shown():
        for given in (None, "packaged", "other"):
            announce = announcer(given)
            announce(Path("no such file"))
            announce()
            announce()
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert [line.partition("model of")[0] for line in lines] == ["No --model was given, so the ", "The "]


def run(command):
    with pytest.raises(SystemExit) as end:
        main(command)
    return end.value.code
