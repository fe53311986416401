"""The choice of the decision threshold over a grid, with its bootstrap interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray
from cordlesion.io.formats import plural
from cordlesion.io.html import html_notes, html_rows
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.threshold.grid import VOLUME, Grid
from cordlesion.threshold.objective import Objective
from cordlesion.threshold.objective_names import AnyObjective, parse_objective
from cordlesion.threshold.own_objective import objective_of
from cordlesion.threshold.promise import Promise
from cordlesion.threshold.scans import ThresholdScans, arrange_scans
from cordlesion.threshold.shortfall import describe_shortfall, require_numbers
from cordlesion.threshold.stability import Stability, measure_stability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cordlesion.threshold.lesion_calibration import LesionCalibration
    from cordlesion.threshold.rule import ThresholdRule

_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class ThresholdChoice:
    """A decision threshold and how sure it is.

    Examples:
        Here ``references`` holds masks of ten scans, and ``maps`` a probability map of each.

        >>> import cordlesion
        >>> choice = cordlesion.tune_files("references", "maps")
        >>> low, high = choice.interval
        >>> low <= choice.value <= high
        True
        >>> choice.basis
        '10 scans of 10 subjects'
        >>> choice.curve.columns.tolist()
        ['threshold', 'score']
    """

    value: float
    """The chosen threshold t; a voxel is lesion when p >= t. NaN for a rule that finds one in each scan."""
    score: float
    """The objective at t."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval of t, resampling subjects; None where they are too few for one. No sample chooses t = 0,
    where every voxel is lesion; samples in which no other threshold meets the objective's condition are left out."""
    curve: pd.DataFrame
    """Columns ``threshold`` and ``score``: the objective over the grid, NaN where its condition is broken; before them
    a column for each of the settings."""
    stability: Stability
    """Of t, with the chosen settings."""
    objective: str
    """As it was named."""
    goal: Objective
    """What it means."""
    settings: Mapping[str, float]
    """What was chosen together with t, by its name in :data:`cordlesion.threshold.SETTINGS`; empty where only t was."""
    setting_intervals: Mapping[str, tuple[float, float]]
    """Their 95 % bootstrap intervals, where there are any."""
    n_scans: int
    """Scans that take part, lesion-free ones included where the objective counts them."""
    n_subjects: int
    n_lesion_free: int
    """Those without any lesion voxel among them."""
    n_left_out: int
    """Scans of the table that take no part, because the objective is not defined for them."""
    shortfall: str
    """Why the score does not describe the maps: half a sentence, empty where the network learned something."""
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Files that could not be read, each with the reason; only where the choice was made from files."""
    remarks: Sequence[str] = ()
    """What makes the choice doubtful, as sentences; only where it was made from files."""
    rule: "ThresholdRule | None" = None
    """The threshold rule that was chosen; only where the choice was made from files. Where it is not ``global``, its
    masks are ``rule.binarize(probability, spacing_mm)``, and ``value`` is a part of it."""
    promises: Sequence[Promise] = ()
    """What t is shown to keep (:func:`cordlesion.threshold.promise`); then it is the best of those that do, and has no
    interval."""
    lesion_calibration: "LesionCalibration | None" = None
    """The chance that a lesion of its masks is real; only where the choice was made from files with enough lesions."""
    n_groups: int = 0
    """Groups of scans that repeat each other, where the objective compares these."""

    def __repr__(self) -> str:
        between = "" if self.interval is None else f", interval=({self.interval[0]:g}, {self.interval[1]:g})"
        fault = f", shortfall={self.shortfall!r}" if self.shortfall else ""
        return (
            f"ThresholdChoice(value={self.value:g}{between}, score={self.score:.4g}, objective={self.objective!r}, "
            f"{self.basis}{fault})"
        )

    def plot(self, sweep: pd.DataFrame | None = None) -> "Figure":
        """Plot the score at every threshold, with the choice: :func:`cordlesion.plot_threshold_curve`.

        Args:
            sweep: The table that the choice was made from; with it every scan has a thin line.
        """
        import cordlesion

        return cordlesion.plot_threshold_curve(self, sweep)

    def _repr_html_(self) -> str:
        interval = self.interval and f"{self.interval[0]:g} to {self.interval[1]:g}"
        low, high = self.stability.plateau
        rows = {
            "threshold t": f"{self.value:g}",
            "95 % interval": interval or "none, too few subjects",
            self.goal.title: f"{self.score:.3f}",
            "plateau (within 5 % of the best)": f"{low:g} to {high:g}",
            "chosen on": self.basis,
        }
        rows |= {name.replace("_", " ").replace(" mm3", ", mm³"): f"{value:g}" for name, value in self.settings.items()}
        remarks = [f"Nothing was learned: {self.shortfall}." if self.shortfall else ""]
        remarks += [*self.remarks, *(f"Excluded: {reason}" for reason in self.excluded.values())]
        return html_rows("Decision threshold", rows) + html_notes(remarks)

    @property
    def minimum_volume_mm3(self) -> float | None:
        """The minimum lesion volume chosen together with t; None where it is not tuned."""
        return self.settings.get(VOLUME)

    @property
    def minimum_volume_interval(self) -> tuple[float, float] | None:
        """Its 95 % bootstrap interval, where there is one."""
        return self.setting_intervals.get(VOLUME)

    @property
    def learned(self) -> bool:
        """Whether the score is above 0 and above that of t = 0, where every voxel is lesion.

        Where it is not, no threshold finds lesions in the maps, and t is as good as any other.
        """
        return not self.shortfall

    @property
    def breaks_condition(self) -> bool:
        """Whether every threshold breaks the objective's condition, so that this is only the nearest one."""
        return bool(self.curve["score"].isna().all())

    @property
    def basis(self) -> str:
        """What the choice is based on, to be printed with it."""
        free = f", {self.n_lesion_free} of them lesion-free" if self.n_lesion_free else ""
        out = f"; {self.n_left_out} left out, for which it is undefined" if self.n_left_out else ""
        again = f"; {plural(self.n_groups, 'group')} of scans that repeat each other" if self.n_groups else ""
        scans, subjects = plural(self.n_scans, "scan"), plural(self.n_subjects, "subject")
        return f"{scans} of {subjects}{free}{again}{out}"


def choose_threshold(
    table: pd.DataFrame, objective: AnyObjective = "median_voxel_f1", *, n_resamples: int = 2000, seed: int = 0
) -> ThresholdChoice:
    """Choose the threshold with the highest objective over the scans of the threshold set.

    Ties are resolved by the middle of the widest run of tied thresholds (the lower of two middles, the lower of two
    widest runs). Scans for which the objective is not defined are left out and counted: for most objectives those
    without lesions; ``pooled_voxel_f1``, ``lesion_sensitivity`` and ``joint_f1_specificity`` see them, and
    ``repeatability`` those that repeat each other.

    With columns of :data:`SETTINGS`, such as ``minimum_volume_mm3`` and ``peak``, the table has a row per scan and
    combination of their values and the threshold, and all are chosen together: the combination with the highest
    objective; of tied ones those whose settings remove least, and of these the threshold as above. In the bootstrap all
    are chosen again in every sample.

    Args:
        table: A row per scan and threshold of one run, with the columns ``scan_id``, ``subject``, ``threshold`` and
            those that the objective reads; a column ``set``, if there is one, must be ``threshold`` in every row. For
            ``repeatability`` a column ``repeat``: one name for the scans of a subject that repeat each other.
        objective: A name in :data:`OBJECTIVES`, some with a number: ``f_beta:2``, ``repeatability:0.3``; or a
            function of your own: its parameters are columns of the table, each an array of shape (..., scans, cells)
            with NaN where a scan has no value, and it returns a score from 0 to 1 (1 is best) for each cell.
        n_resamples: Bootstrap samples behind the interval.
        seed: Of the bootstrap.

    Raises:
        CordlesionError: The table lacks columns or rows, holds scans of another set, no scan has a lesion (or, where
            the objective needs it, none is lesion-free), no threshold meets the objective's condition, or the objective
            does not exist.

    Examples:
        >>> import cordlesion
        >>> import pandas as pd
        >>> scores = {0.1: (0.5, 0.4, 0.6), 0.3: (0.7, 0.6, 0.9), 0.5: (0.4, 0.5, 0.8)}
        >>> rows = [
        ...     {"scan_id": f"sub-{n}", "subject": f"sub-{n}", "threshold": t, "voxel_f1": f1}
        ...     | {"reference_volume_mm3": 50.0}
        ...     for t, of_scans in scores.items()
        ...     for n, f1 in enumerate(of_scans)
        ... ]
        >>> choice = cordlesion.choose_threshold(pd.DataFrame(rows))
        >>> choice.value, choice.score, choice.interval  # fewer than five subjects: no interval
        (0.3, 0.7, None)

        Of your own, the score that all but one of ten scans reach:

        >>> import numpy as np
        >>> def worst_tenth(voxel_f1):
        ...     return np.nanquantile(voxel_f1, 0.1, axis=-2)
        >>> round(cordlesion.choose_threshold(pd.DataFrame(rows), worst_tenth).score, 2)
        0.62
    """
    choice = nearest_threshold(table, objective, n_resamples=n_resamples, seed=seed)
    if choice.breaks_condition:
        why = f"{choice.shortfall[0].upper()}{choice.shortfall[1:]}"
        raise CordlesionError(f"{why}. Give the objective another number, or choose another objective.")
    return choice


def nearest_threshold(
    table: pd.DataFrame, objective: AnyObjective, *, n_resamples: int = 2000, seed: int = 0
) -> ThresholdChoice:
    """Choose as :func:`choose_threshold`; where every threshold breaks the objective's condition, the nearest one.

    That has a score of 0, and has learned nothing: in a study the other methods go on.
    """
    if n_resamples < 1:
        raise CordlesionError(f"{n_resamples} bootstrap samples are asked for; at least 1 is needed.")
    goal = parse_objective(objective) if isinstance(objective, str) else objective_of(objective)
    scans = arrange_scans(table, goal)
    grid = scans.grid
    curve = goal.summarize(scans.measures)
    require_numbers(goal, scans, curve)
    number, t = grid.best(curve, goal.tolerance)
    interval: tuple[float, float] | None = None
    of_settings: dict[str, tuple[float, float]] = {}
    if scans.n_deciding >= MIN_SUBJECTS:
        interval, of_settings = _intervals(goal, scans, n_resamples, seed)
    at_settings = curve.reshape(-1, len(grid.thresholds))[number]
    return ThresholdChoice(
        value=float(grid.thresholds[t]),
        score=max(float(at_settings[t]), 0.0),
        interval=interval,
        curve=_curve_table(grid, curve),
        stability=measure_stability(grid.thresholds, at_settings, t),
        objective=objective if isinstance(objective, str) else goal.title,
        goal=goal,
        settings=grid.setting(number),
        setting_intervals=of_settings,
        shortfall=describe_shortfall(goal, scans, curve),
        n_scans=len(scans.subjects),
        n_subjects=int(scans.subjects.max()) + 1,
        n_lesion_free=int(scans.lesion_free.sum()),
        n_left_out=scans.n_left_out,
        n_groups=scans.n_groups,
    )


def _intervals(
    goal: Objective, scans: ThresholdScans, n_resamples: int, seed: int
) -> tuple[tuple[float, float] | None, dict[str, tuple[float, float]]]:
    """Return the intervals of t and of the settings: all are chosen again in every bootstrap sample."""
    grid = scans.grid
    resampled = scans.resampled_curves(goal, n_resamples, np.random.default_rng(seed))
    chosen = [cell for one in resampled if (cell := grid.best_above_zero(one, goal.tolerance))]
    if not chosen:
        return None, {}
    numbers, t = np.array(chosen).T
    places = np.unravel_index(numbers, grid.shape[:-1]) if grid.settings else ()
    of_settings = {name: _interval(values[k]) for (name, values), k in zip(grid.settings.items(), places, strict=True)}
    return _interval(grid.thresholds[t]), of_settings


def _interval(chosen: FloatArray) -> tuple[float, float]:
    tails = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(chosen, [tails, 1 - tails], method="inverted_cdf")
    return float(low), float(high)


def _curve_table(grid: Grid, curve: FloatArray) -> pd.DataFrame:
    values = np.meshgrid(*grid.settings.values(), grid.thresholds, indexing="ij")
    columns = dict(zip((*grid.settings, "threshold"), (one.ravel() for one in values), strict=True))
    return pd.DataFrame(columns | {"score": np.where(curve < 0, np.nan, curve)})
