import math

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.metrics import froc_curve, sweep

# Two scans, the second without lesions: threshold, reference, detected, predicted, true.
ROWS = [
    (0.2, 4, 4, 9, 3),
    (0.5, 4, 3, 4, 3),
    (0.9, 4, 1, 1, 1),
    (0.5, 0, 0, 1, 0),
    (0.9, 0, 0, 0, 0),
    (0.2, 0, 0, 4, 0),
]


def curve(rows):
    return froc_curve(*np.array(rows).T)


def test_sensitivity_against_false_lesions_per_scan():
    found = curve(ROWS)
    assert found.thresholds.tolist() == [0.2, 0.5, 0.9]
    assert found.sensitivity.tolist() == [1, 0.75, 0.25]
    assert found.false_per_scan.tolist() == [5, 1, 0]
    assert (found.n_scans, found.n_reference_lesions) == (2, 4)


def test_sensitivity_at_a_rate_is_that_of_a_real_threshold():
    found = curve(ROWS)
    assert [found.sensitivity_at(rate) for rate in (0, 0.99, 1, 4.9, 5)] == [0.25, 0.25, 0.75, 0.75, 1]
    assert found.score((0, 1)) == 0.5
    assert found.score() == pytest.approx((3 * 0.25 + 3 * 0.75 + 1) / 7)


def test_a_curve_that_turns_back_takes_the_best_point():
    assert curve([(0.1, 2, 1, 1, 1), (0.2, 2, 2, 2, 2)]).sensitivity_at(0) == 1
    assert curve([(0.1, 2, 1, 9, 1)]).sensitivity_at(1) == 0


def test_without_lesions_there_is_no_sensitivity():
    found = curve([(0.5, 0, 0, 3, 0)])
    assert math.isnan(found.sensitivity[0])
    assert math.isnan(found.score())
    assert found.false_per_scan.tolist() == [3]


def test_takes_what_a_sweep_gives():
    reference = np.zeros((5, 5, 20), dtype=bool)
    reference[1:4, 1:4, 1:4] = True
    p = reference * np.float32(0.8)
    p[1:4, 1:4, 10:14] = 0.4
    swept = sweep(reference, p, (1, 1, 1), [0.3, 0.6, 0.9])
    names = ("n_reference_lesions", "n_detected_lesions", "n_predicted_lesions", "n_true_predicted_lesions")
    found = froc_curve([0.3, 0.6, 0.9], *([getattr(m, name) for m in swept] for name in names))
    assert found.sensitivity.tolist() == [1, 1, 0]
    assert found.false_per_scan.tolist() == [1, 0, 0]


@pytest.mark.parametrize("rows", [ROWS[:-1], [*ROWS[:4], (0.9, 1, 0, 0, 0), ROWS[5]]])
def test_scans_that_lack_thresholds_are_refused(rows):
    with pytest.raises(CordlesionError, match="every scan is needed at every threshold"):
        curve(rows)


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(CordlesionError, match="columns of one length"):
        froc_curve([0.1, 0.2], [1], [1], [1], [1])
    with pytest.raises(CordlesionError, match="columns of one length"):
        froc_curve([], [], [], [], [])
