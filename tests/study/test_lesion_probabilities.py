"""The chances of lesions in a study: table, bundle and `segment` have the same, of the same lesions."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

import cordlesion
from cordlesion.config import read_study
from cordlesion.io.tables import read_table
from cordlesion.model.bundle import read_card
from cordlesion.model.bundle_updates import set_lesion_calibration
from cordlesion.study.lesion_probabilities import lesion_chances
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.results import read_results
from cordlesion.study_folder.tables import LESION_PROBABILITIES
from cordlesion.threshold import GlobalThreshold, LesionCalibration
from support.tiny import make_cohort

FILE = LESION_PROBABILITIES.file
RUN = ["loss", "seed"]


@pytest.fixture(scope="module", autouse=True)
def few():
    """Let a lesion of each kind suffice, as a tiny study has no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cordlesion.threshold.lesion_calibration.MIN_OF_EACH", 1)
        patch.setattr("cordlesion.threshold.lesion_calibration.MIN_SUBJECTS", 2)
        yield


def overlook(path: Path) -> None:
    """Remove a lesion from a reference that has several: what is found there is false."""
    image = nib.load(path)
    labels, n = ndimage.label(np.asarray(image.dataobj))
    if n > 1:
        nib.save(nib.Nifti1Image((labels > 1).astype(np.uint8), None, image.header), path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = make_cohort(tmp_path_factory.mktemp("chances"))
    text = file.read_text().replace("losses: [bce, tversky]", "losses: [tversky]\nseeds: [0, 1]")
    file.write_text(text)
    for path in file.parent.rglob("*_label-lesion_seg.nii.gz"):
        overlook(path)
    run_study(read_study(file), until="analyze")
    return file


@pytest.fixture(scope="module")
def folder(finished: Path) -> StudyFolder:
    return StudyFolder(finished.parent / "study")


@pytest.fixture(scope="module")
def table(folder: StudyFolder) -> pd.DataFrame:
    return read_table(folder.root / FILE, LESION_PROBABILITIES)


def of_run(rows: pd.DataFrame, loss: str, seed: float) -> pd.DataFrame:
    return rows[(rows["loss"] == loss) & (rows["seed"].isna() if np.isnan(seed) else rows["seed"] == seed)]


def runs(table: pd.DataFrame) -> list[tuple[str, float]]:
    return [(row.loss, float(row.seed)) for row in table[RUN].drop_duplicates().astype({"seed": float}).itertuples()]


def test_every_predicted_lesion_has_a_row_and_the_real_ones_are_those_of_the_evaluation(folder, table):
    evaluation = read_table(folder.evaluation)
    thresholds = read_table(folder.thresholds)
    assert {loss for loss, _ in runs(table)} == {"tversky", "tversky_ensemble"}
    for loss, seed in runs(table):
        tuned = of_run(thresholds, loss, seed)["threshold"].item()
        scans = of_run(evaluation, loss, seed)
        scans = scans[scans["threshold"] == tuned].set_index("scan_id")
        rows = of_run(table, loss, seed)
        for scan, counts in scans.iterrows():
            mine = rows[rows["scan_id"] == scan]
            assert len(mine) == counts["n_predicted_lesions"]
            assert mine["is_real"].sum() == counts["n_true_predicted_lesions"]
            assert mine["lesion"].tolist() == list(range(1, len(mine) + 1))
            assert mine["volume_mm3"].is_monotonic_decreasing
            assert (mine["set"] == counts["set"]).all()
        assert len(rows) == scans["n_predicted_lesions"].sum()
        assert (rows["peak_probability"] >= rows["mean_probability"]).all()
        assert (rows["mean_probability"] >= tuned - 1e-6).all()


def test_the_fit_is_that_of_the_threshold_set_alone_and_lies_in_the_bundle(folder, table):
    found = []
    for loss, seed in runs(table):
        rows, name = of_run(table, loss, seed), loss if np.isnan(seed) else f"{loss}_seed-{seed:.0f}"
        tuning, test = (rows[rows["set"] == part] for part in ("threshold", "test"))
        card = read_card(folder.bundle(name))
        if 0 < tuning["is_real"].sum() < len(tuning) and tuning["subject"].nunique() > 1:
            expected = LesionCalibration.fit(tuning, card.threshold)
            assert card.lesion_calibration == expected
            np.testing.assert_allclose(test["probability"], expected.chances(test), rtol=1e-12)
            found.append(name)
        else:
            assert card.lesion_calibration is None
            assert rows["probability"].isna().all()
    assert found, "no method of this study could be calibrated: the test shows nothing"


def test_the_test_set_has_no_part_in_it():
    rng = np.random.default_rng(3)
    lesions = pd.DataFrame({
        "subject": [f"sub-{n % 9}" for n in range(80)], "peak_probability": rng.uniform(0.3, 0.99, 80),
        "mean_probability": rng.uniform(0.3, 0.7, 80), "volume_mm3": rng.lognormal(3, 1, 80),
    })  # fmt: skip
    lesions["is_real"] = (rng.random(80) < lesions["peak_probability"]).astype(int)
    tuning, test = lesions[:50], lesions[50:]
    rule = GlobalThreshold.given(0.3)
    one, other = (lesion_chances(tuning, test.assign(is_real=real), rule) for real in (0, 1))
    np.testing.assert_array_equal(one["probability"], other["probability"])
    assert one["probability"].notna().all()
    too_few = lesion_chances(tuning[tuning["is_real"] == 1], test, rule)
    assert too_few["probability"].isna().all()
    assert len(too_few) == (tuning["is_real"] == 1).sum() + len(test)
    assert len(lesion_chances(tuning[:0], test[:0], rule)) == 0


def test_segment_gives_the_chances_of_the_table(folder, table):
    name = next(run for run in ("tversky_ensemble", "tversky_seed-0", "tversky_seed-1")
                if read_card(folder.bundle(run)).lesion_calibration)  # fmt: skip
    loss, _, seed = name.partition("_seed-")
    rows = of_run(table, loss, float(seed or "nan"))
    scan = rows.loc[rows["set"] == "test", "scan_id"].value_counts().idxmax()
    cohort = folder.root.parent / "cohort"
    curve = cohort / f"derivatives/labels/{scan}/anat/{scan}_label-centerline_seg.nii.gz"
    result = cordlesion.segment(cohort / f"{scan}/anat/{scan}_T2w.nii.gz", folder.bundle(name), centerline=curve)
    expected = rows[(rows["scan_id"] == scan) & (rows["set"] == "test")]
    assert [one.lesion for one in result.lesions] == expected["lesion"].tolist()
    assert [one.volume_mm3 for one in result.lesions] == pytest.approx(expected["volume_mm3"].tolist(), abs=0.01)
    assert [one.probability for one in result.lesions] == pytest.approx(expected["probability"].tolist(), abs=2e-4)


def test_what_is_done_is_not_done_again_and_a_bundle_that_lost_it_gets_it_back(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.parent, tmp_path / "copy")
    study, bundles = tmp_path / "copy/study.yaml", tmp_path / "copy/study/runs"
    before = {path: json.loads(path.read_text()) for path in bundles.glob("*/bundle/model.json")}
    for path in before:
        set_lesion_calibration(path.parent, None)
    monkeypatch.setattr("cordlesion.study.lesion_probabilities._judge", lambda *_, **__: pytest.fail("judged again"))
    run_study(read_study(study), until="analyze")
    assert {path: json.loads(path.read_text()) for path in before} == before


def test_studies_of_earlier_versions_are_read_and_their_reports_have_no_such_section(finished, tmp_path):
    shutil.copytree(finished.parent / "study", tmp_path / "study")
    whole = read_results(tmp_path / "study").lesion_probabilities
    assert len(whole) > 0
    (tmp_path / "study" / FILE).unlink()
    (tmp_path / "study/.done/tables.json").unlink()  # which earlier versions did not write
    assert len(read_results(tmp_path / "study").lesion_probabilities) == 0
