"""A study with an objective and metrics of the user: measured, chosen by, printed, and made anew when code changes."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError, RunError
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.study import run as study_run
from cordlesion.study.run import run_study
from cordlesion.study_folder.results import read_results
from cordlesion.threshold import choose_threshold
from support.tiny import make_cohort

MODULE = """
import numpy as np

def jaccard(reference, prediction, spacing_mm, *, power: float = 1.0):
    either = (reference | prediction).sum()
    return ((reference & prediction).sum() / either) ** power if reference.any() else float("nan")

def error_mm3(reference, prediction, spacing_mm):
    return abs(int(prediction.sum()) - int(reference.sum())) * float(np.prod(spacing_mm))

def worst(jaccard, *, share: float = 0.5):
    return np.nanquantile(jaccard, share, axis=-2)
"""
SECTIONS = """
threshold: {objective: "own_measures:worst:0"}
evaluation:
  metrics:
    - own_measures:jaccard
    - {name: own_measures:jaccard, label: squared, parameters: {power: 2}}
    - {name: own_measures:error_mm3, higher_is_better: false}
"""
LOWER = """
threshold: {objective: mean_error_mm3}
evaluation: {metrics: [{name: "own_measures:error_mm3", higher_is_better: false}]}
"""


def make_study(folder: Path, sections: str = SECTIONS) -> Path:
    study = make_cohort(folder)
    text = study.read_text().replace("[bce, tversky]", "[bce]").replace("epochs: 3", "epochs: 2")
    study.write_text(text + sections)
    (folder / "own_measures.py").write_text(MODULE)
    return study


@pytest.fixture(autouse=True)
def forget_module():
    path = sys.path[:]
    yield
    sys.path[:] = path
    sys.modules.pop("own_measures", None)


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    study = make_study(tmp_path_factory.mktemp("own"))
    assert run_study(read_study(study), until="analyze") == {}
    return study


@pytest.fixture
def copy(analyzed, tmp_path):
    shutil.copytree(analyzed.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


def test_metrics_of_the_user_are_measured_at_every_threshold(analyzed):
    folder = analyzed.parent / "study"
    sweep = read_table(folder / "sweep.tsv")
    assert sweep.columns[-3:].tolist() == ["jaccard", "squared", "error_mm3"]
    for (scan, t), rows in sweep.groupby(["scan_id", "threshold"]):
        reference = read_mask(next((analyzed.parent / "cohort").rglob(f"{scan}_label-lesion_seg.nii.gz")))
        p = read_probability(next(folder.rglob(f"{scan}_*probseg.nii.gz")), like=reference)
        lesion, mask = reference.data > 0, p.data >= np.float32(t)
        expected = (lesion & mask).sum() / (lesion | mask).sum() if lesion.any() else np.nan
        volume = abs(int(mask.sum()) - int(lesion.sum())) * np.prod(reference.spacing_mm)
        np.testing.assert_allclose(rows[["jaccard", "squared", "error_mm3"]], [[expected, expected**2, volume]])
    evaluation = read_table(folder / "evaluation.tsv")
    assert {"jaccard", "squared", "error_mm3"} < set(evaluation)


def test_the_threshold_maximises_the_objective_of_the_user(analyzed):
    folder = analyzed.parent / "study"
    sweep, (chosen,) = read_table(folder / "sweep.tsv"), read_table(folder / "thresholds.tsv").to_dict("records")
    tuning = sweep[(sweep["set"] == "threshold") & (sweep["reference_volume_mm3"] > 0)]
    lowest = tuning.groupby("threshold")["jaccard"].min()
    assert chosen["objective"] == "own_measures:worst:0"
    assert chosen["score"] == pytest.approx(lowest.max())
    assert lowest[chosen["threshold"]] == pytest.approx(lowest.max())
    results = read_results(folder)
    assert results.objective == results.goal.title == "worst (0)"
    assert choose_threshold(tuning, results.goal).value == chosen["threshold"]


def test_the_name_of_the_objective_is_printed_without_running_its_code(copy):
    (copy.parent / "own_measures.py").write_text("raise RuntimeError('it runs')\n")
    results = read_results(copy.parent / "study")
    assert results.objective == "worst (0)"
    assert "own_measures" not in sys.modules


def times(folder: Path, *patterns: str) -> dict[str, int]:
    found = [path for pattern in patterns for path in sorted(folder.rglob(pattern))]
    return {str(path): path.stat().st_mtime_ns for path in found}


def test_a_changed_metric_is_measured_again_and_no_network_map_or_mask_is_made_again(copy):
    folder = copy.parent / "study"
    kept, measured = ("model.safetensors", "*.nii.gz"), ("runs/*/sweep*.tsv",)
    before, swept = times(folder, *kept), times(folder, *measured)
    run_study(read_study(copy), until="evaluate")
    assert (times(folder, *kept), times(folder, *measured)) == (before, swept)
    (copy.parent / "own_measures.py").write_text(MODULE.replace("abs(int", "2 * abs(int"))
    errors = read_table(folder / "evaluation.tsv")["error_mm3"]
    run_study(read_study(copy), until="evaluate")
    assert times(folder, *kept) == before
    assert all(made > swept[path] for path, made in times(folder, *measured).items())
    np.testing.assert_allclose(read_table(folder / "evaluation.tsv")["error_mm3"], 2 * errors)


def test_code_that_changes_while_the_study_runs_ends_it(copy, monkeypatch):
    def changed(*arguments):
        (copy.parent / "own_measures.py").write_text(MODULE + "# later\n")
        write(*arguments)

    write = study_run.write_manifest  # called after each stage
    monkeypatch.setattr(study_run, "write_manifest", changed)
    with pytest.raises(RunError, match=r"the code of own_measures:worst or .* changed while the study was running"):
        run_study(read_study(copy), until="tune")


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ("threshold: {objective: 'own_measures:absent'}", "the module own_measures has no absent"),
        ("threshold: {objective: 'own_measures:worst'}", "reads jaccard, which no metric has; .* voxel_f1"),
        (LOWER, "highest error_mm3, of which a lower value is better"),
        ("evaluation: {metrics: ['own_measures:worst']}", "The metric worst fails on"),
        ("evaluation: {metrics: ['own_measures:jaccard', 'own_measures:jaccard']}", "metrics.1.label: jaccard is"),
        ("evaluation: {metrics: [{name: 'own_measures:jaccard', label: voxel_f1}]}", "voxel_f1 is the name of another"),
        ("evaluation: {metrics: [jaccard]}", "an import path such as my_module:my_metric is needed"),
    ],
)
def test_mistakes_are_found_before_anything_is_done(tmp_path, sections, sentence):
    study = make_study(tmp_path, sections)
    with pytest.raises(CordlesionError, match=sentence):
        run_study(read_study(study), until="split")
    assert not (tmp_path / "study").exists()


def test_studies_without_metrics_of_the_user_have_the_fingerprints_of_before(tmp_path):
    plain = read_study(make_study(tmp_path, ""))
    assert "metrics" not in plain.decisive["evaluation"]
    assert "code" not in plain.decisive
    own = read_study(make_study(tmp_path / "own"))
    assert set(own.decisive["code"]) == {"own_measures:worst", "own_measures:jaccard", "own_measures:error_mm3"}
    assert own.runs[0].learned_from == plain.runs[0].learned_from
