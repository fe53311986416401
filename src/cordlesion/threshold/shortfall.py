"""Why no threshold is worth anything by an objective, in words."""

import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray
from cordlesion.threshold.grid import TIE
from cordlesion.threshold.objective import Objective
from cordlesion.threshold.scans import ThresholdScans


def require_numbers(goal: Objective, scans: ThresholdScans, curve: FloatArray) -> None:
    """Check that the objective is defined everywhere.

    Args:
        goal: The objective.
        scans: Of the threshold set.
        curve: Its values, shape (cells,).

    Raises:
        CordlesionError: It is not.
    """
    if (undefined := np.isnan(curve)).any():
        place = scans.grid.name(int(undefined.argmax()))
        raise CordlesionError(
            f"The objective {goal.title} gives no number at {place} for these scans; perhaps it needs lesion-free "
            "ones, and there are none. Add some, or choose another objective."
        )


def describe_shortfall(goal: Objective, scans: ThresholdScans, curve: FloatArray) -> str:
    """Return why the best score is worth nothing, half a sentence; empty where it is worth something.

    Args:
        goal: The objective.
        scans: Of the threshold set.
        curve: Its values, shape (cells,); negative where its condition is broken.
    """
    marking_all = scans.grid.score_of_marking_all(curve)
    if curve.max() > marking_all + TIE:
        return ""
    if curve.max() <= TIE:
        cells = scans.grid.above_zero
        return goal.failure(scans.measures[..., cells], lambda number: scans.grid.name(int(cells[number])))
    return (
        f"no threshold above 0 reaches a higher {goal.title} than {marking_all:.3g}, which marking every voxel as "
        "lesion (t = 0) does"
    )
