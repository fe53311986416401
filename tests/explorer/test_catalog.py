from pathlib import Path

import pandas as pd
import pytest

from cordlesion.config import PostprocessConfig
from cordlesion.explorer.catalog import Catalog
from cordlesion.io.tables import read_table
from cordlesion.study_folder.results import read_results


@pytest.fixture(scope="module")
def catalog(study: Path) -> Catalog:
    return Catalog(read_results(study))


def test_models_are_ranked_on_the_threshold_set_and_those_without_a_tuned_threshold_are_last(catalog):
    scores = read_table(catalog.results.folder.thresholds).sort_values("score", ascending=False)
    names = [model.run.loss for model in catalog.models]
    assert names == [*scores["loss"], "hard", "shipped"]
    assert [model.kind for model in catalog.models] == ["tuned", "tuned", "mask", "published"]


def test_only_scans_of_the_threshold_and_the_test_set_are_shown(catalog):
    splits = read_table(catalog.results.folder.splits)
    expected = {(row.scan_id, row.set) for row in splits.itertuples() if row.set in ("test", "threshold")}
    assert {(scan.scan_id, scan.set_name) for scan in catalog.scans} == expected
    assert len(catalog.scans) == len(expected)
    assert {scan["set"] for scan in catalog.describe()["scans"]} == {"test", "threshold"}


def test_the_slider_has_every_hundredth_and_every_threshold_of_the_study(catalog):
    thresholds = catalog.thresholds
    assert list(thresholds) == sorted(set(thresholds))
    assert {round(k / 100, 2) for k in range(101)} | {0.225} == set(thresholds)
    assert thresholds[catalog.level(0.05 + 1e-12)] == 0.05


def test_each_model_has_its_own_threshold_and_only_tuned_maps_are_post_processed(catalog):
    scan = catalog.scans[0]
    tuned = read_table(catalog.results.folder.thresholds).set_index("loss")["threshold"]
    applied = {model.run.loss: catalog.apply(model, scan) for model in catalog.models}
    assert {name: a.threshold for name, a in applied.items()} == {**tuned, "hard": None, "shipped": 0.225}
    assert {name for name, a in applied.items() if a.removal == PostprocessConfig()} == {"hard", "shipped"}
    assert applied["bce"].removal.minimum_volume_mm3 == 4


def test_scores_for_sorting_are_those_of_the_evaluation_at_the_tuned_threshold(catalog):
    evaluation = read_table(catalog.results.folder.evaluation)
    tuned = read_table(catalog.results.folder.thresholds).set_index("loss")["threshold"]
    described = {(s["name"], s["set"]): s["scores"] for s in catalog.describe()["scans"]}
    for number, model in enumerate(catalog.models):
        name = model.run.loss
        rows = evaluation[(evaluation["loss"] == name)]
        rows = rows[rows["threshold"].isna() if name not in tuned else rows["threshold"] == tuned[name]]
        assert len(rows) == len(described)
        for row in rows.itertuples():
            scores = described[row.scan_id, row.set][number]
            assert scores["missed"] == row.n_reference_lesions - row.n_detected_lesions
            assert scores["false"] == row.n_predicted_lesions - row.n_true_predicted_lesions
            assert (scores["voxel_f1"] is None) == pd.isna(row.voxel_f1)
            assert scores["voxel_f1"] is None or scores["voxel_f1"] == pytest.approx(row.voxel_f1)
