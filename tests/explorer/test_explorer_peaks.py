"""The rule `peak` in the explorer: every cell of the two sliders is what the rule makes of the map."""

import itertools
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.explorer.catalog import PEAKS_SHOWN, Catalog
from cordlesion.explorer.cohort import count_cohort
from cordlesion.explorer.lesion_lists import evaluate_peaks, evaluate_thresholds, find_reference_lesions
from cordlesion.explorer.scan_data import ScanData
from cordlesion.io.tables import read_table
from cordlesion.metrics import RULES, evaluate
from cordlesion.study_folder.results import read_results
from cordlesion.threshold import THRESHOLDS
from cordlesion.threshold.components import PeakThreshold


@pytest.fixture(scope="module")
def catalog(study):
    return Catalog(read_results(study))


def test_its_own_cut_is_what_the_study_measured(catalog, study):
    """The removal of small components, which is fixed in this study, comes on top of the rule."""
    table = read_table(study / "threshold_rules.tsv")
    choices = read_table(study / "rule_choices.tsv").set_index(["loss", "setting"])["value"]
    models = [model for model in catalog.models if model.kind == "peak"]
    assert [model.run.loss for model in models] == [model.run.loss for model in catalog.models[:2]]
    for model, scan in itertools.product(models, (catalog.scans[0], catalog.scans[-1])):
        described = ScanData.read(catalog, scan).describe_model(model)
        t, peak = (choices[model.run.loss, name] for name in ("threshold", "peak"))
        cell = described["rows"][catalog.level(t)][PEAKS_SHOWN.index(peak)]
        rows = table[(table["loss"] == model.run.loss) & (table["scan_id"] == scan.scan_id)]
        assert set(rows["set"]) == {scan.set_name}
        for name in ("voxel_f1", "lesion_f1", "n_predicted_lesions", "predicted_volume_mm3"):
            expected = rows[name].iloc[0]
            assert described["metrics"][name][cell] == (None if np.isnan(expected) else pytest.approx(expected))
        assert (catalog.own_level(model, scan), catalog.own_peak(model, scan)) == (
            catalog.level(t),
            PEAKS_SHOWN.index(peak),
        )
        counts = count_cohort(catalog, model)
        place = catalog.scans.index(scan)
        assert counts.counts["predicted"][0, place] == rows["n_predicted_lesions"].iloc[0]
        assert counts.own_peaks[place] == PEAKS_SHOWN.index(peak)


def test_a_rule_that_finds_nothing_is_not_shown(catalog):
    nothing = catalog.results.rule_choices.assign(learned=False)
    without = Catalog(replace(catalog.results, rule_choices=nothing))
    assert "peak" not in {model.kind for model in without.models}
    assert without.peaks == (0.0,)


SPACING_MM = (1.0, 1.0, 2.0)
TUNED = {"objective": "mean_lesion_f1", "interval": None}


@pytest.mark.parametrize("name", ["study", "multi_spine"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_each_cell_is_the_mask_of_the_rule(name, seed, share):
    rng = np.random.default_rng(seed)
    shape, rule = (7, 6, 8), RULES[name]
    reference = rng.random(shape) < 0.2
    p = np.where(rng.random(shape) < 0.4 + 0.6 * share, rng.random(shape), 0).round(2).astype(np.float32)
    thresholds, peaks = THRESHOLDS[::2], PEAKS_SHOWN[::3]
    lesions = find_reference_lesions(reference, rule, float(np.prod(SPACING_MM)))
    how = (lesions, p, p, thresholds, rule, float(np.prod(SPACING_MM)))
    results = evaluate_thresholds(*how)
    distinct, rows = evaluate_peaks(results, *how, peaks)
    assert rows.shape == (len(thresholds), len(peaks))
    assert rows[:, 0].tolist() == list(range(len(thresholds)))
    for t, row in zip(thresholds, rows, strict=True):
        for peak, cell in zip(peaks, row, strict=True):
            by_rule = PeakThreshold(value=t, peak=peak, connectivity=rule.connectivity, **TUNED)
            mask = by_rule.binarize(p, SPACING_MM)
            expected = asdict(evaluate(reference, mask, SPACING_MM, rule))
            assert asdict(distinct[cell].metrics) == pytest.approx(expected, nan_ok=True)
            shown = distinct[cell].predicted
            assert all(mask[tuple(place)] for place in shown.places)
            assert np.all(shown.peaks >= np.float32(peak) - 1e-6)
