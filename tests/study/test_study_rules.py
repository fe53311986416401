"""Further threshold rules of a study: chosen on the threshold set, measured on the test set, kept in the models."""

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
from cordlesion.metrics import RULES
from cordlesion.model.bundle import read_card
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.results import read_results
from cordlesion.threshold import choose_threshold
from cordlesion.threshold.components import PeakThreshold
from cordlesion.threshold.rule import TuningScan
from oracles import lesion_oracle
from support.tiny import make_cohort

SPACING_MM = (0.6, 0.6, 0.6)
METHODS = ("tversky_seed-0", "tversky_seed-1", "tversky_ensemble", "copied")
OBJECTIVE = "mean_lesion_f1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file of a study with an objective of lesions: two seeds, their ensemble, maps of another tool."""
    file = make_cohort(tmp_path_factory.mktemp("rules"))
    labels = sorted((file.parent / "cohort").rglob("*_label-lesion_seg.nii.gz"))
    rng = np.random.default_rng(5)
    (file.parent / "maps").mkdir()
    for path in labels:
        image = nib.load(path)
        p = 0.7 * ndimage.gaussian_filter(np.asarray(image.dataobj, np.float32), 1) + rng.uniform(0, 0.25, image.shape)
        name = path.name.replace("_seg.nii.gz", "_probseg.nii.gz")
        nib.save(nib.Nifti1Image(p.astype(np.float32), image.affine), file.parent / "maps" / name)
    text = file.read_text().replace("losses: [bce, tversky]", "losses: [tversky]\nseeds: [0, 1]")
    text += f"threshold: {{objective: {OBJECTIVE}}}\ncomparators: [{{name: copied, maps: maps}}]\n"
    file.write_text(text.replace("epochs: 3", "epochs: 2"))
    run_study(read_study(file), until="analyze")
    return file


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


@pytest.fixture(scope="module")
def folder(finished: Path) -> StudyFolder:
    return StudyFolder(finished.parent / "study")


def data(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def reference(folder, scan):
    return data(folder.root.parent / f"cohort/derivatives/labels/{scan}/anat/{scan}_label-lesion_seg.nii.gz") > 0


def scans_of(folder, set_name):
    splits = read_table(folder.splits)
    return splits.loc[splits["set"] == set_name, "scan_id"].tolist()


def map_of(folder, scan, method):
    return data(folder.probability(scan, method))


def of_method(table, method):
    loss, _, seed = method.partition("_seed-")
    rows = table[table["loss"] == loss]
    return rows[rows["seed"] == int(seed)] if seed else rows


def by_loops(p, t, peak, least_mm3):
    """The mask of the rule: components by flood fill, one by one."""
    mask, seen = np.zeros(p.shape, bool), np.zeros(p.shape, bool)
    above = p >= np.float32(t)
    for start in np.argwhere(above):
        if seen[tuple(start)]:
            continue
        seen[tuple(start)] = True
        component, waiting = [], [tuple(start)]
        while waiting:
            voxel = waiting.pop()
            component.append(voxel)
            for axis in range(3):
                for step in (-1, 1):
                    near = tuple(v + step * (a == axis) for a, v in enumerate(voxel))
                    if all(0 <= v < n for v, n in zip(near, p.shape, strict=True)) and above[near] and not seen[near]:
                        seen[near] = True
                        waiting.append(near)
        if max(p[v] for v in component) >= np.float32(peak) and len(component) * np.prod(SPACING_MM) > least_mm3:
            mask[tuple(np.transpose(component))] = True
    return mask


@pytest.mark.parametrize("method", METHODS)
def test_the_choice_is_that_of_the_threshold_set_alone(folder, method):
    tables = []
    for scan in scans_of(folder, "threshold"):
        one = TuningScan(scan, scan, reference(folder, scan), map_of(folder, scan, method), SPACING_MM)
        tables.append(PeakThreshold.measure(one, RULES["study"]))
    expected = choose_threshold(pd.concat(tables), OBJECTIVE)
    rows = of_method(read_table(folder.root / "rule_choices.tsv"), method).set_index("setting")
    chosen = {"threshold": expected.value, **expected.settings}
    assert rows["value"].to_dict() == pytest.approx(chosen)
    assert set(rows["threshold_rule"]) == {"peak"}
    assert rows["score"].to_list() == pytest.approx([expected.score] * 3)
    assert rows["n_scans"].to_list() == [expected.n_scans] * 3
    assert rows["objective"].unique().tolist() == [OBJECTIVE]


@pytest.mark.parametrize("method", METHODS)
def test_scans_are_measured_as_plain_loops_measure_them(folder, method):
    table = of_method(read_table(folder.root / "threshold_rules.tsv"), method).set_index("scan_id")
    choices = of_method(read_table(folder.root / "rule_choices.tsv"), method).set_index("setting")["value"]
    for name in ("threshold", "test"):
        assert sorted(table.index[table["set"] == name]) == sorted(scans_of(folder, name))
    assert (table["threshold"] == choices["threshold"]).all()
    for scan, row in table.iterrows():
        mask = by_loops(map_of(folder, scan, method), *choices[["threshold", "peak", "minimum_volume_mm3"]])
        expected = lesion_oracle.evaluate(reference(folder, scan), mask, SPACING_MM, RULES["study"])
        for key, value in expected.items():
            assert row[key] == pytest.approx(value, nan_ok=True, rel=1e-5), key


def test_models_hold_the_rule_and_segment_applies_it_as_the_study_did(folder):
    for method in METHODS[:3]:
        rule = read_card(folder.bundle(method)).further_rules["peak"].rule
        choices = of_method(read_table(folder.root / "rule_choices.tsv"), method).set_index("setting")["value"]
        assert (rule.value, rule.peak, rule.minimum_volume_mm3) == tuple(
            choices[["threshold", "peak", "minimum_volume_mm3"]]
        )
    scan = scans_of(folder, "test")[0]
    cohort = folder.root.parent / "cohort"
    curve = cohort / f"derivatives/labels/{scan}/anat/{scan}_label-centerline_seg.nii.gz"
    image = cohort / f"{scan}/anat/{scan}_T2w.nii.gz"
    found = cordlesion.segment(image, folder.bundle(METHODS[0]), centerline=curve, threshold_rule="peak")
    table = of_method(read_table(folder.root / "threshold_rules.tsv"), METHODS[0]).set_index("scan_id")
    assert found.load.volume_mm3 == pytest.approx(table.loc[scan, "predicted_volume_mm3"], rel=1e-3)


def test_results_hold_the_tables(folder):
    results = read_results(folder.root)
    n_scans = len(scans_of(folder, "threshold")) + len(scans_of(folder, "test"))
    assert len(results.threshold_rules) == len(METHODS) * n_scans
    assert len(results.rule_choices) == len(METHODS) * 3


def changed_since(before: dict[Path, int]) -> set[str]:
    return {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}


def times(folder: Path) -> dict[Path, int]:
    """When each file of the methods was written; a card is written again with the same content."""
    files = [path for path in (folder / "runs").rglob("*") if path.is_file() and path.name != "model.json"]
    return {path: path.stat().st_mtime_ns for path in files}


def test_nothing_is_tuned_or_measured_twice_and_what_was_lost_is_made_again(copy):
    folder = copy.parent / "study"
    before, content = times(folder), (folder / "threshold_rules.tsv").read_bytes()
    lost = folder / "runs" / METHODS[1] / "threshold_rules.tsv"
    lost.unlink()
    del before[lost]
    (folder / "threshold_rules.tsv").unlink()
    cards = [path.read_text() for path in sorted(folder.rglob("model.json"))]
    run_study(read_study(copy), until="analyze")
    assert [path.read_text() for path in sorted(folder.rglob("model.json"))] == cards
    assert changed_since(before) == set()
    assert (folder / "threshold_rules.tsv").read_bytes() == content


def test_other_rules_are_tuned_without_touching_other_results_and_go_when_they_are_named_no_more(copy):
    folder = copy.parent / "study"
    others = {path: path.read_bytes() for path in folder.glob("*.tsv") if "rule_" not in path.name}
    del others[folder / "threshold_rules.tsv"]
    text = copy.read_text()
    named = f"{{objective: {OBJECTIVE}, rules: [top_components, rank_dice]}}"
    copy.write_text(text.replace(f"{{objective: {OBJECTIVE}}}", named))
    run_study(read_study(copy), until="analyze")
    assert set(read_table(folder / "threshold_rules.tsv")["threshold_rule"]) == {"top_components", "rank_dice"}
    assert set(read_card(folder / "runs" / METHODS[0] / "bundle").further_rules) == {"top_components", "rank_dice"}
    assert {path: path.read_bytes() for path in others} == others
    copy.write_text(text.replace(f"{{objective: {OBJECTIVE}}}", f"{{objective: {OBJECTIVE}, rules: []}}"))
    run_study(read_study(copy), until="analyze")
    assert not (folder / "threshold_rules.tsv").exists()
    assert not (folder / "rule_choices.tsv").exists()
    assert read_card(folder / "runs" / METHODS[0] / "bundle").further_rules == {}
    assert {path: path.read_bytes() for path in others} == others
    assert read_results(folder).threshold_rules.empty


def test_volumes_that_are_tuned_later_do_not_become_those_of_the_further_rules(copy):
    bundle = copy.parent / "study/runs" / METHODS[0] / "bundle"
    assert read_card(bundle).further_rules["peak"].minimum_volume_mm3 is None
    tuned = f"{{objective: {OBJECTIVE}, minimum_volumes_mm3: [500, 2000]}}"
    copy.write_text(copy.read_text().replace(f"{{objective: {OBJECTIVE}}}", tuned))
    run_study(read_study(copy), until="analyze")
    card = read_card(bundle)
    assert card.postprocess.minimum_volume_mm3 in (500, 2000)
    assert card.further_rules["peak"].minimum_volume_mm3 == 0
