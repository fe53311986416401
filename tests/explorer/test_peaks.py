"""The rule `peak` in the explorer: every cell of the two sliders is what the rule makes of the map."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.explorer.catalog import PEAKS_SHOWN
from cordlesion.explorer.lesion_lists import evaluate_peaks, evaluate_thresholds, find_reference_lesions
from cordlesion.metrics import RULES, evaluate
from cordlesion.threshold import THRESHOLDS
from cordlesion.threshold.components import PeakThreshold

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
