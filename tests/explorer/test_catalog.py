from dataclasses import replace
from pathlib import Path

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


def test_paths_are_relative_to_the_study_unless_the_page_is_served_here(catalog, study):
    path = catalog.results.folder.root / "runs" / "a b"
    assert catalog.path_text(path) == "runs/a b"
    assert Catalog(catalog.results, absolute_paths=True).path_text(path) == str(study.absolute() / "runs" / "a b")


def test_studies_with_other_scans_or_another_title_have_another_identity(catalog, study):
    identity = catalog.describe()["id"]
    assert Catalog(read_results(study)).describe()["id"] == identity
    assert Catalog(replace(catalog.results, name="other")).describe()["id"] != identity
    fewer = Catalog(catalog.results)
    vars(fewer)["scans"] = catalog.scans[1:]
    assert fewer.describe()["id"] != identity
