"""Comparators where a study has folds: their maps are the same in each, their thresholds are each fold's own."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cordlesion.config import read_study
from cordlesion.io.tables import read_table
from cordlesion.report.page import compute_findings, write_tables
from cordlesion.report.sections.example import choose_example, example_figure
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.results import read_results
from cordlesion.study_folder.runs import Run
from oracles.postprocess_oracle import naive_removal
from support.comparator_files import save, write_comparators
from support.tiny import make_cohort

FOLDS = (1, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study of two folds; maps of half of the scans are scaled down, so that folds choose other thresholds."""
    root = tmp_path_factory.mktemp("comparator_folds")
    file = make_cohort(root, subjects=12)
    text = file.read_text().replace("[bce, tversky]", "[tversky]").replace("test: 3}}", "test: 3}, folds: 2}")
    write_comparators(root)
    file.write_text(
        text + "threshold: {minimum_volumes_mm3: [0, 2]}\n"
        "comparators: [{name: soft, maps: maps}, {name: hard, masks: masks}, {name: theirs, bundle: theirs}]\n"
    )
    run_study(read_study(file), until="split")
    splits = read_table(root / "study" / "splits.tsv")
    for scan in splits[(splits["fold"] == 2) & (splits["set"] == "threshold")]["scan_id"]:
        path = root / "maps" / f"{scan}_probseg.nii.gz"
        image = nib.load(path)
        save(path, np.asarray(image.dataobj) ** 2, image.affine)
    assert run_study(read_study(file), until="analyze") == {}
    return StudyFolder(root / "study")


def rows_of(folder: StudyFolder, name: str, loss: str) -> pd.DataFrame:
    table = read_table(folder.table(name))
    return table[table["loss"] == loss]


def test_every_fold_chooses_on_its_own_threshold_set(folder):
    splits, chosen = read_table(folder.splits), rows_of(folder, "thresholds", "soft").set_index("fold")
    assert chosen["threshold"].nunique() == 2
    for fold in FOLDS:
        sweep = read_table(folder.run_sweep(f"soft_fold-{fold}", "threshold"))
        mine = splits[(splits["fold"] == fold) & (splits["set"] == "threshold")]
        assert set(sweep["scan_id"]) == set(mine["scan_id"])
        medians = sweep.groupby(["threshold", "minimum_volume_mm3"])["voxel_f1"].median()
        best = chosen.loc[fold]
        assert medians[best["threshold"], best["minimum_volume_mm3"]] == medians.max() == best["score"]


@pytest.mark.parametrize("loss", ["tversky", "soft", "hard", "theirs"])
def test_each_scan_is_tested_once_at_its_folds_threshold(folder, loss):
    evaluation = rows_of(folder, "evaluation", loss)
    tested = evaluation[(evaluation["set"] == "test") & (evaluation["threshold"] != 0.5)]
    assert sorted(tested["scan_id"]) == [f"sub-{n:02d}" for n in range(1, 13)]
    if loss == "hard":
        assert tested["threshold"].isna().all()
    else:
        chosen = rows_of(folder, "thresholds", loss).set_index("fold")["threshold"]
        assert tested["threshold"].eq(tested["fold"].map(chosen)).all()


def test_a_map_lies_once_and_its_masks_once_per_fold(folder):
    chosen = rows_of(folder, "thresholds", "soft").set_index("fold")
    maps = list(folder.derivatives.rglob("*desc-soft_probseg.nii.gz"))
    assert len(maps) == 12
    assert not list(folder.derivatives.rglob("*desc-softfold*_probseg.nii.gz"))
    found = 0
    for path in maps:
        p = nib.load(path).get_fdata(dtype=np.float32)
        for fold in FOLDS:
            mask = Path(str(path).replace("desc-soft_probseg", f"desc-softfold{fold}_mask"))
            if mask.exists():
                row = chosen.loc[fold]
                expected = naive_removal(p >= np.float32(row["threshold"]), (0.6,) * 3, row["minimum_volume_mm3"])
                np.testing.assert_array_equal(np.asarray(nib.load(mask).dataobj) > 0, expected)
                found += 1
    assert found == len(rows_of(folder, "evaluation", "hard"))
    assert len(list(folder.derivatives.rglob("*desc-hard_mask.nii.gz"))) == 12


def test_the_report_pools_comparators_as_it_pools_runs(folder):
    results = read_results(folder.root)
    assert {run.name for run in results.runs} == {"tversky_seed-0", "soft", "hard", "theirs"}
    assert list(results.histories) == [Run("tversky", 0, fold) for fold in FOLDS]
    soft, hard = Run("soft", None), Run("hard", None)
    assert list(results.chosen(soft)) == list(FOLDS)
    for run in (soft, hard):
        written = rows_of(folder, "evaluation", run.loss)
        own = written[(written["set"] == "test") & (written["threshold"] != 0.5)].set_index("scan_id")["voxel_f1"]
        pooled = results.evaluated(run, "test", results.tuned.get(run))["voxel_f1"]
        pd.testing.assert_series_equal(pooled.sort_index(), own.sort_index())
    scan = str(results.evaluated(soft, "test", 0.5).index[0])
    training, row = results.tested_by(soft, scan)
    assert results.maps_name(training) == "soft"
    assert row["threshold"] == results.chosen(soft)[training.fold]


def test_tables_and_the_example_are_drawn_from_pooled_comparators(folder):
    results = read_results(folder.root)
    tables = write_tables(compute_findings(results))
    assert [group.name for group in tables["thresholds"].groups] == ["Tversky", "soft", "theirs"]
    assert {group.name for group in tables["table2"].groups} == {"Tversky", "soft", "hard", "theirs"}
    assert choose_example(results).runs[0] == results.best == Run("soft", None)
    assert len(example_figure(results).axes) == 4  # image, reference, two masks
