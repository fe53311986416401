"""SCT's lesion network in a study: as shipped, a mask; with its probabilities kept, a threshold that is tuned."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cordlesion.config import read_study
from cordlesion.cord.centerline import read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_scan
from cordlesion.model.bundle import save_bundle
from cordlesion.prediction import predict_scan
from cordlesion.report.sections.paper import paper_table
from cordlesion.report.sections.scores import summarize_runs
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.results import read_results
from cordlesion.study_folder.runs import Run
from support.sct_models import sct_bundle
from support.tiny import make_cohort

ROWS = """\
comparators:
  - {name: sct_shipped, bundle: sct_shipped, threshold: 0.1}
  - {name: sct_soft, bundle: sct_soft}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with both rows, of a network of random weights."""
    folder = tmp_path_factory.mktemp("sct_rows")
    study = make_cohort(folder)
    for variant in ("shipped", "soft"):
        save_bundle(folder / f"sct_{variant}", sct_bundle(variant))
    study.write_text(study.read_text().replace("[bce, tversky]", "[bce]") + ROWS)
    run_study(read_study(study), until="analyze")
    return study


def test_the_shipped_network_gives_masks_and_the_soft_one_maps_to_be_tuned(file):
    folder = StudyFolder(file.parent / "study")
    evaluation, thresholds = read_table(folder.evaluation), read_table(folder.thresholds)
    assert list(thresholds["loss"]) == ["bce", "sct_soft"]
    assert evaluation[evaluation["loss"] == "sct_shipped"]["threshold"].isna().all()
    assert evaluation[evaluation["loss"] == "sct_soft"]["threshold"].notna().all()
    for scan, variant in (("sub-13", "shipped"), ("sub-14", "soft")):
        image = read_scan(file.parent / f"cohort/{scan}/anat/{scan}_T2w.nii.gz")
        labels = file.parent / f"cohort/derivatives/labels/{scan}/anat"
        curve = read_centerline(labels / f"{scan}_label-centerline_seg.nii.gz", image)
        expected = predict_scan(sct_bundle(variant), image, curve)
        assert expected.any()
        path = folder.probability(scan, f"sct_{variant}")
        np.testing.assert_allclose(nib.load(path).get_fdata(), expected, atol=1e-6)
    mask = str(folder.probability("sub-13", "sct_shipped")).replace("_probseg", "_mask")
    p = nib.load(folder.probability("sub-13", "sct_shipped")).get_fdata()
    assert set(np.unique(p)) == {0, 1}
    np.testing.assert_array_equal(nib.load(mask).get_fdata(), p)


def test_the_soft_network_stands_beside_the_papers_row(file):
    results = read_results(file.parent / "study")
    groups = {group.name: group.rows for group in paper_table(results, summarize_runs(results)).groups}
    assert list(groups) == ["BCE", "SCT"]
    assert [row[1].main for row in groups["SCT"]] == ["paper", "this study"] * 2
    assert float(groups["SCT"][1][2].main) == pytest.approx(results.tuned[Run("sct_soft", None)])


def test_the_shipped_network_without_its_threshold_is_refused_with_advice(file, tmp_path):
    shutil.copytree(file.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / "study.yaml"
    copy.write_text(copy.read_text().replace(", threshold: 0.1", ""))
    with pytest.raises(CordlesionError, match=r"gives masks, .* Set `threshold: 0\.1` of the comparator 'sct_shipped'"):
        run_study(read_study(copy), until="split")
