"""The counts of all scans at every threshold of the tables, as the page receives them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from payloads import parse, unpack

from cordlesion.explorer.catalog import Catalog
from cordlesion.explorer.cohort import F1_STEPS, UNDEFINED, CohortCounts, count_cohort
from cordlesion.explorer.site import Site
from cordlesion.io.tables import read_table
from cordlesion.study_folder.results import read_results

COUNTS = {
    "reference": "n_reference_lesions",
    "detected": "n_detected_lesions",
    "predicted": "n_predicted_lesions",
    "confirmed": "n_true_predicted_lesions",
}


@pytest.fixture(scope="module")
def catalog(study: Path) -> Catalog:
    return Catalog(read_results(study))


@pytest.fixture(scope="module")
def cohorts(site: Site, catalog: Catalog) -> dict[str, dict]:
    """What the page receives, by model."""
    read = {model.run.loss: site.read(f"data/cohort/m{n:02d}.js") for n, model in enumerate(catalog.models)}
    return {name: parse(script)[1] for name, script in read.items()}


def test_every_count_and_score_is_that_of_the_tables(catalog, cohorts):
    tables = {name: read_table(catalog.results.folder.table(name)) for name in ("sweep", "evaluation")}
    for model in catalog.models:
        cohort = cohorts[model.run.loss]
        rows = tables["sweep" if model.kind == "tuned" else "evaluation"]
        rows = rows[(rows["loss"] == model.run.loss) & rows["set"].isin(["test", "threshold"])]
        arrays = {name: unpack(cohort[name]) for name in (*COUNTS, "voxel_f1", "lesion_f1")}
        assert {array.size for array in arrays.values()} == {len(rows)} == {len(cohort["levels"]) * len(catalog.scans)}
        assert len(rows) >= len(catalog.scans)
        places = {(scan.scan_id, scan.set_name): n for n, scan in enumerate(catalog.scans)}
        for row in rows.itertuples():
            level = cohort["own"][0] if pd.isna(row.threshold) else catalog.level(row.threshold)
            at = cohort["levels"].index(level), places[row.scan_id, row.set]
            for name, column in COUNTS.items():
                assert arrays[name][at] == getattr(row, column)
            for name in ("voxel_f1", "lesion_f1"):
                written = getattr(row, name)
                assert (arrays[name][at] == UNDEFINED) == pd.isna(written)
                assert pd.isna(written) or arrays[name][at] / F1_STEPS == pytest.approx(written, abs=0.5 / F1_STEPS)


def test_sums_are_the_points_of_the_froc_curve(catalog, cohorts):
    froc = read_table(catalog.results.folder.table("froc"))
    sets = np.array([scan.set_name for scan in catalog.scans])
    compared = 0
    for row in froc.itertuples():
        cohort = cohorts[row.loss]
        if catalog.level(row.threshold) not in cohort["levels"]:
            continue
        at = cohort["levels"].index(catalog.level(row.threshold))
        sums = {name: unpack(cohort[name])[at][sets == row.set].astype(int).sum() for name in COUNTS}
        assert sums["detected"] / sums["reference"] == pytest.approx(row.sensitivity)
        assert (sums["predicted"] - sums["confirmed"]) / row.n_scans == pytest.approx(row.false_per_scan)
        compared += 1
    assert compared >= 42


def test_the_own_threshold_is_the_tuned_or_published_one_and_the_highest_for_masks(catalog, cohorts):
    tuned = read_table(catalog.results.folder.thresholds).set_index("loss")["threshold"]
    expected = {**tuned, "hard": 1.0, "shipped": 0.225}
    for name, cohort in cohorts.items():
        assert [catalog.thresholds[level] for level in cohort["own"]] == [expected[name]] * len(catalog.scans)


def test_with_folds_each_scan_has_the_threshold_of_the_training_without_it(study):
    """Two folds with different thresholds: every second scan is of the second fold."""
    results = read_results(study)
    run = results.best
    written = results.written_thresholds
    first = written.assign(fold=1)
    second = written.assign(fold=2, threshold=written["threshold"].where(written["loss"] != run.loss, 0.8))
    evaluation = results.evaluation
    names = sorted(evaluation["scan_id"].unique())
    evaluation = evaluation.assign(fold=evaluation["scan_id"].map(lambda name: 1 + names.index(name) % 2))
    catalog = Catalog(replace(results, written_thresholds=pd.concat([first, second]), evaluation=evaluation))
    model = next(model for model in catalog.models if model.run == run)
    chosen = {1: results.tuned[run], 2: 0.8}
    own = count_cohort(catalog, model).own
    assert [catalog.thresholds[n] for n in own] == [chosen[1 + names.index(s.scan_id) % 2] for s in catalog.scans]
    assert len(set(own)) == 2


def test_more_lesions_than_fit_are_cut_to_the_largest_number_that_is_not_reserved():
    counts = {name: np.full((1, 1), 70_000) for name in COUNTS}
    nothing = np.full((1, 1), np.nan)
    cohort = CohortCounts(np.array([5]), np.array([5]), counts, {"voxel_f1": nothing, "lesion_f1": nothing})
    described = cohort.describe()
    assert unpack(described["predicted"]).tolist() == [[UNDEFINED - 1]]
    assert unpack(described["lesion_f1"]).tolist() == [[UNDEFINED]]


def test_only_models_of_the_study_have_counts(site, catalog):
    assert site.read(f"data/cohort/m{len(catalog.models):02d}.js") is None
    assert site.read("data/cohort/m0.js") is None


def test_the_page_receives_no_score_before_it_asks_for_a_model(site):
    """A study of many models and scans must not be sent as a whole."""
    study = parse(site.read("data/study.js"))[1]
    assert {key for scan in study["scans"] for key in scan} == {
        *("name", "set", "subject", "session", "site", "volume_mm3"),
    }
