import math

import numpy as np
import pytest

from cordlesion.threshold import FINE_THRESHOLDS, GRIDS, THRESHOLDS
from cordlesion.threshold.stability import measure_stability

GRID = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize(
    ("curve", "best", "plateau"),
    [
        ([0, 0.94, 1, 0.96, 0.95], 2, (0.5, 1.0)),
        ([1, 0.5, 0, 0, 0], 0, (0.0, 0.0)),
        ([1, 0, 1, 1, 0], 2, (0.5, 0.75)),
        ([1, 1, 1, 1, 1], 2, (0.25, 1.0)),
        ([0.95, 1, -0.3, 1, 1], 1, (0.25, 0.25)),
    ],
)
def test_plateau_around_the_choice(curve, best, plateau):
    stability = measure_stability(GRID, np.array(curve), best)
    assert stability.plateau == plateau
    assert stability.width == plateau[1] - plateau[0]


def test_loss_near_the_choice():
    curve = np.array([0.2, 0.3, 0.8, 0.7, *[0.1] * 17])
    stability = measure_stability(np.array(THRESHOLDS), curve, 2)
    assert stability.loss_below == pytest.approx(0.5)
    assert stability.loss_above == pytest.approx(0.1)


def test_loss_between_thresholds_of_the_grid_and_outside_it():
    curve = np.linspace(1, 0, len(FINE_THRESHOLDS))
    stability = measure_stability(np.array(FINE_THRESHOLDS), curve, 3)
    assert FINE_THRESHOLDS[3] == 0.03
    # 0.08 lies three fifths of the way from 0.05 to 0.1.
    assert stability.loss_above == pytest.approx(curve[3] - (0.4 * curve[4] + 0.6 * curve[5]))
    assert math.isnan(stability.loss_below)
    assert math.isnan(measure_stability(GRID, np.ones(5), 4).loss_above)
    # The upper end of the grid belongs to it.
    assert measure_stability(np.array(THRESHOLDS), np.ones(21), 19).loss_above == 0


def test_a_broken_condition_scores_nothing():
    stability = measure_stability(np.array([0.0, 0.05, 0.1]), np.array([-2.0, 0.6, 0.6]), 1)
    assert (stability.loss_above, stability.area) == (0, 0.6)
    broken = measure_stability(np.array([0.0, 0.05, 0.1]), np.array([0.0, -2.0, 0.6]), 2)
    assert (broken.loss_below, broken.area) == (0.6, pytest.approx(0.3))


@pytest.mark.parametrize("at_zero", [0.0, 0.44, 1.0])
def test_t_0_is_no_neighbour(at_zero):
    """There every voxel is lesion: what is lost by going there says nothing of the maps."""
    stability = measure_stability(np.array(THRESHOLDS), np.array([at_zero, 0.45, 0.44, *[0.2] * 18]), 1)
    assert math.isnan(stability.loss_below)
    assert stability.loss_above == pytest.approx(0.01)
    assert stability.plateau == (0.05, 0.1)
    assert stability.area == pytest.approx(np.trapezoid([0.45, 0.44, *[0.2] * 18], THRESHOLDS[1:]) / 0.95)


def test_t_0_itself_has_no_stability():
    stability = measure_stability(GRID, np.array([0.5, 0.2, 0.2, 0.2, 0.2]), 0)
    assert stability.plateau == (0.0, 0.0)
    assert math.isnan(stability.loss_below)
    assert math.isnan(stability.loss_above)
    assert stability.area == pytest.approx(0.2)


def test_area_under_the_curve():
    assert measure_stability(GRID, np.array([9, 1, 1, 1, 0.0]), 2).area == pytest.approx(2.5 / 3)
    assert measure_stability(np.array([0.2, 0.4]), np.array([0.5, 0.7]), 1).area == pytest.approx(0.6)
    assert measure_stability(np.array([0.2]), np.array([0.5]), 0).area == 0.5


def test_the_grids():
    assert GRIDS["paper"] is THRESHOLDS
    assert len(THRESHOLDS) == 21
    assert tuple(float(f"{i / 20:.2f}") for i in range(21)) == THRESHOLDS
    assert GRIDS["fine"] == (0.0, 0.01, 0.02, 0.03, *THRESHOLDS[1:])
