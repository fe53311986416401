"""The user's own metrics and objective at this door: functions, or import paths."""

from collections.abc import Sequence
from pathlib import Path

from cordlesion.config.evaluation import TAKEN_COLUMNS
from cordlesion.errors import CordlesionError
from cordlesion.metrics.own import MetricFunction, OwnMetric, load_metric, metric_of
from cordlesion.threshold import AnyObjective, Objective, objective_of, parse_objective, require_columns


def find_metrics(metrics: Sequence[str | MetricFunction], code: Path | str | None) -> list[OwnMetric]:
    """Return the user's own metrics, imported where they are paths, and tried out.

    Args:
        metrics: Functions, or import paths, whose code is run.
        code: Folder in which modules are looked for first; by default the current one.

    Raises:
        CordlesionError: One of them cannot be imported, does not work, or has the name of another column.
    """
    found = [
        load_metric(one, {}, one.rpartition(":")[2], code or Path()) if isinstance(one, str) else metric_of(one)
        for one in metrics
    ]
    taken = set(TAKEN_COLUMNS)
    for metric in found:
        if metric.name in taken or not metric.name.isidentifier():
            found_name = "the name of another column" if metric.name in taken else "no name of a column"
            raise CordlesionError(f"The metric {metric.name} has {found_name} of the table. Rename the function.")
        taken.add(metric.name)
    return found


def find_objective(objective: AnyObjective, metrics: Sequence[str], code: Path | str | None) -> Objective:
    """Return what a threshold maximises, for tables with the program's metrics and some of the user's.

    Args:
        objective: A name, an import path, whose code is run, or a function.
        metrics: Names of the user's own metrics.
        code: Folder in which modules are looked for first; by default the current one.

    Raises:
        CordlesionError: There is no such objective, or it reads a column that no metric has.
    """
    goal = (
        parse_objective(objective, code or Path(), metrics) if isinstance(objective, str) else objective_of(objective)
    )
    require_columns(goal, metrics)
    return goal
