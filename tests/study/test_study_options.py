"""Each option of training, prediction and post-processing in a whole study: what it does, and what it redoes."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger
from scipy import ndimage

from cordlesion.config import read_study
from cordlesion.io.tables import read_table
from cordlesion.metrics import evaluate
from cordlesion.model.bundle import read_card
from cordlesion.scan.segment import segment
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.training import curves
from oracles.postprocess_oracle import naive_removal
from support.plain_report import without_pictures
from support.tiny import make_cohort

RUN = "tversky_seed-0"
KINDS = {"weights": "model.safetensors", "maps": "*_probseg.nii.gz", "sweeps": "sweep*.tsv", "masks": "*_mask.nii.gz"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    file = make_cohort(tmp_path_factory.mktemp("finished"))
    file.write_text(file.read_text().replace("[bce, tversky]", "[tversky]"))
    assert run_study(read_study(file), until="evaluate") == {}
    return file


@pytest.fixture
def study(finished, tmp_path):
    shutil.copytree(finished.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


def written(study):
    folder = study.parent / "study" / "runs" / RUN, study.parent / "study" / "derivatives"
    return {
        kind: {path: path.stat().st_mtime_ns for root in folder for path in root.rglob(pattern)}
        for kind, pattern in KINDS.items()
    }


def change(study, section):
    study.write_text(study.read_text() + section + "\n")
    return read_study(study)


def card_of(study):
    return read_card(StudyFolder(study.parent / "study").bundle(RUN))


def label_of(study, subject, kind):
    return study.parent / f"cohort/derivatives/labels/{subject}/anat/{subject}_label-{kind}_seg.nii.gz"


@pytest.mark.parametrize(
    ("section", "redone"),
    [
        ("prediction: {blending: hann}", {"maps", "sweeps", "masks"}),
        ("prediction: {mirror: true}", {"maps", "sweeps", "masks"}),
        ("postprocess: {minimum_volume_mm3: 2}", {"sweeps", "masks"}),
        ("postprocess: {cord_margin_mm: 0.6}", {"sweeps", "masks"}),
        ("training: {epochs: 3, batch_size: 4, learning_rate: 0.01, early_stopping_epochs: 9}", set(KINDS)),
    ],
)
def test_a_changed_option_redoes_what_depends_on_it_and_no_more(study, section, redone):
    before = written(study)
    if section.startswith("training"):
        lines = study.read_text().splitlines()
        study.write_text("\n".join(line for line in lines if not line.startswith("training")) + "\n")
    assert run_study(change(study, section), until="evaluate") == {}
    after = written(study)
    for kind, files in before.items():
        assert files.keys() == after[kind].keys()
        changed = {path for path, time in files.items() if after[kind][path] != time}
        assert changed == (files.keys() if kind in redone else set()), kind
    config, card = read_study(study), card_of(study)
    assert (card.prediction, card.postprocess) == (config.prediction, config.postprocess)
    tuned = read_table(study.parent / "study/thresholds.tsv")["threshold"].item()
    assert card.threshold.value == tuned


def test_masks_tables_and_segment_agree_on_what_is_removed(study):
    """Every number of every threshold from the raw map and the cord mask, the naive way."""
    settings = {"minimum_volume_mm3": 1.5, "cord_margin_mm": 0.6}
    run_study(change(study, f"postprocess: {json.dumps(settings)}"), until="evaluate")
    folder = StudyFolder(study.parent / "study")
    sweep = read_table(folder.sweep).set_index(["scan_id", "threshold"])
    tuned = read_table(folder.thresholds)["threshold"].item()
    removed = 0
    for scan in sorted({name for name, _ in sweep.index}):
        path = folder.probability(scan, RUN)
        p = nib.load(path).get_fdata(dtype=np.float32)
        cord, reference = (np.asarray(nib.load(label_of(study, scan, kind)).dataobj) > 0 for kind in ("cord", "lesion"))
        grown = ndimage.binary_dilation(cord)  # 0.6 mm is one voxel
        for t in (0.3, 0.5, tuned):
            expected = naive_removal((p >= np.float32(t)) & grown, (0.6,) * 3, 1.5)
            removed += ((p >= np.float32(t)) & ~expected).sum()
            metrics, row = evaluate(reference, expected, (0.6,) * 3), sweep.loc[(scan, t)]
            assert row["predicted_volume_mm3"] == pytest.approx(metrics.predicted_volume_mm3)
            assert row["n_predicted_lesions"] == metrics.n_predicted_lesions
            assert row["voxel_f1"] == pytest.approx(metrics.voxel_f1, nan_ok=True)
        written_mask = Path(str(path).replace("_probseg", "_mask"))
        np.testing.assert_array_equal(np.asarray(nib.load(written_mask).dataobj) > 0, expected)
        described = json.loads(Path(str(written_mask).replace(".nii.gz", ".json")).read_text())
        assert described["Postprocessing"] == settings
        files = {"centerline": label_of(study, scan, "centerline"), "cord_mask": label_of(study, scan, "cord")}
        image = study.parent / f"cohort/{scan}/anat/{scan}_T2w.nii.gz"
        np.testing.assert_array_equal(segment(image, folder.bundle(RUN), **files).mask, expected)
    assert removed > 0


def test_a_scan_without_cord_mask_is_left_out_only_where_lesions_are_restricted_and_measured(study):
    sets = read_table(study.parent / "study/splits.tsv").groupby("set")["scan_id"].first()
    for name in ("train", "test"):
        label_of(study, sets[name], "cord").unlink()
    assert run_study(read_study(study), until="evaluate") == {}
    excluded = run_study(change(study, "postprocess: {cord_margin_mm: 3}"), until="evaluate")
    assert list(excluded) == [sets["test"]]
    assert "has no cord mask; one is needed" in excluded[sets["test"]]


def test_another_cord_mask_is_measured_again(study):
    run_study(change(study, "postprocess: {cord_margin_mm: 0}"), until="evaluate")
    before = written(study)
    scan = read_table(study.parent / "study/splits.tsv").set_index("set")["scan_id"]["test"].iloc[0]
    path = label_of(study, scan, "cord")
    image = nib.load(path)
    cord = np.asarray(image.dataobj).copy()
    cord[:, :, :20] = 0
    nib.save(nib.Nifti1Image(cord, image.affine), path)
    run_study(read_study(study), until="evaluate")
    after = written(study)
    assert before["maps"] == after["maps"]
    assert {p.name for p in before["sweeps"] if before["sweeps"][p] != after["sweeps"][p]} == {"sweep_test.tsv"}


def test_a_logger_draws_into_the_runs_folder_and_changes_no_byte(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "LOGGERS", {"wandb": lambda folder, _run: CSVLogger(folder, name="", version="")})
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: True)
    shutil.copytree(finished.parent / "cohort", tmp_path / "cohort")
    file = Path(shutil.copy(finished, tmp_path))
    file.write_text(file.read_text().replace("learning_rate: 0.01", "learning_rate: 0.01, logger: wandb"))
    run_study(read_study(file), until="evaluate")
    ours, theirs = tmp_path / "study", finished.parent / "study"
    for name in ("sweep.tsv", "thresholds.tsv", "evaluation.tsv"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    for name in ("model.safetensors", "model.json"):
        assert (ours / "runs" / RUN / "bundle" / name).read_bytes() == (
            theirs / "runs" / RUN / "bundle" / name
        ).read_bytes()
    assert len((ours / "runs" / RUN / "wandb/metrics.csv").read_text().splitlines()) == 1 + 3


def test_switching_the_logger_redoes_nothing(study, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: True)
    before = written(study)
    tables = (study.parent / "study/evaluation.tsv").stat().st_mtime_ns
    study.write_text(study.read_text().replace("learning_rate: 0.01", "learning_rate: 0.01, logger: mlflow"))
    run_study(read_study(study), until="train")
    assert written(study) == before
    assert (study.parent / "study/evaluation.tsv").stat().st_mtime_ns == tables


def test_a_logger_that_is_not_installed_is_reported_before_any_work(tmp_path, cli, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    file = make_cohort(tmp_path)
    file.write_text(file.read_text().replace("learning_rate: 0.01", "learning_rate: 0.01, logger: wandb"))
    ended = cli("study", "run", file)
    assert ended.status == 2
    assert "pip install 'cordlesion[wandb]'" in ended.error
    assert not (tmp_path / "study").exists()


def test_the_report_states_how_its_numbers_were_made(study):
    changed = change(study, "prediction: {blending: gaussian, mirror: true}\npostprocess: {cord_margin_mm: 3}")
    with without_pictures():
        run_study(changed)
    # The page states it once, above its tables; a caption that leaves the page alone takes it along.
    for name, times in (("report.html", 1), ("tables/captions.md", 2)):
        text = (study.parent / "study" / name).read_text()
        for words in ("blended by Gaussian windows, each a mean over its eight", "within 3 mm of the cord mask"):
            assert text.count(words) >= times, name
