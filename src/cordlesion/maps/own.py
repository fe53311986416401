"""The metrics and the objective that a user names at this door: names, functions, or import paths."""

from collections.abc import Sequence
from pathlib import Path

from cordlesion.config.evaluation import TAKEN_COLUMNS
from cordlesion.errors import CordlesionError
from cordlesion.metrics.own import MetricFunction, OwnMetric, load_metric, metric_of
from cordlesion.threshold import AnyObjective, Objective, objective_of, parse_objective, refuse_worst, require_columns


def find_metrics(metrics: Sequence[str | MetricFunction], code: Path | str | None) -> list[OwnMetric]:
    """Return the metrics that the user names, imported where they are paths, and tried out.

    Args:
        metrics: Names of :data:`cordlesion.FURTHER_METRICS`, functions, or import paths, whose code is run.
        code: Folder in which modules are looked for first; by default the current one.

    Raises:
        CordlesionError: One of them cannot be imported, does not work, or has the name of another column.
    """
    found = [
        load_metric(one, {}, one.rpartition(":")[2], code or Path()) if isinstance(one, str) else metric_of(one)
        for one in metrics
    ]
    for number, metric in enumerate(found):
        if metric.name in {one.name for one in found[:number]}:
            raise CordlesionError(
                f"The metric {metric.name} is named twice, and a column holds one metric. Leave one out, or rename "
                "one of two functions of this name."
            )
        if metric.name in TAKEN_COLUMNS or not metric.name.isidentifier():
            found_name = "the name of another column" if metric.name in TAKEN_COLUMNS else "no name of a column"
            raise CordlesionError(f"The metric {metric.name} has {found_name} of the table. Rename the function.")
    return found


def find_objective(objective: AnyObjective, metrics: Sequence[OwnMetric], code: Path | str | None) -> Objective:
    """Return what a threshold maximises, for tables with the program's metrics and some of the user's.

    Args:
        objective: A name, an import path, whose code is run, or a function.
        metrics: Those that the user names.
        code: Folder in which modules are looked for first; by default the current one.

    Raises:
        CordlesionError: There is no such objective, it reads a column that no metric has, or it would be highest where
            a metric is worst.
    """
    names = [one.name for one in metrics]
    if isinstance(objective, str):
        refuse_worst(objective, [one.name for one in metrics if not one.higher_is_better])
        goal = parse_objective(objective, code or Path(), names)
    else:
        goal = objective_of(objective)
    require_columns(goal, names)
    return goal
