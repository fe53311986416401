"""From the name of an objective in a study or a command to what it means."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import import_object, is_import_path
from cordlesion.metrics.columns import METRIC_COLUMNS
from cordlesion.threshold.objective import OBJECTIVES, Objective, ScanScore, mean_over_scans, median_over_scans
from cordlesion.threshold.own_objective import ObjectiveFunction, objective_of, own_title

if TYPE_CHECKING:
    from cordlesion.config import StudyConfig

AnyObjective: TypeAlias = str | Objective | ObjectiveFunction
"""The name of an objective, an objective, or a function of columns."""

_OVER_SCANS = {"mean_": mean_over_scans, "median_": median_over_scans}


def parse_objective(text: str, code: Path | str | None = None, metrics: Collection[str] = ()) -> Objective:
    """Return the objective of a name.

    Args:
        text: A name in :data:`OBJECTIVES`, with a number where one is given: ``f_beta:0.5``; the import path of a
            function of columns, ``my_module:worst_tenth`` or ``my_module:worst_tenth:0.2``, whose code is run; or
            ``mean_`` or ``median_`` and the name of one of ``metrics``.
        code: Folder in which the module of an import path is looked for first.
        metrics: Names of the user's own metrics.

    Raises:
        CordlesionError: There is no such objective, or the number does not suit it.
    """
    path, number = _divide(text)
    if path in OBJECTIVES:
        goal = OBJECTIVES[path]
    elif is_import_path(path):
        goal = objective_of(import_object(path, code), path)
    elif summarized := _of_metric(path, metrics):
        goal = summarized
    else:
        own = f", mean_ or median_ and one of {', '.join(metrics)}" if metrics else ""
        raise CordlesionError(
            f"{text!r} is no objective; one of {', '.join(OBJECTIVES)} is needed{own}, or <module>:<function> for one "
            "of your own."
        )
    if number is None:
        return goal
    try:
        return goal.with_number(_number(number))
    except ValueError as error:
        raise CordlesionError(f"The objective {text!r} has {number!r} after its colon; it needs {error}.") from None


def require_columns(goal: Objective, metrics: Collection[str] = ()) -> None:
    """Check that an objective reads columns that a sweep has: those of the program's metrics and the user's own.

    Raises:
        CordlesionError: It reads another one.
    """
    known = (*METRIC_COLUMNS, *metrics)
    if unknown := [name for name in goal.columns if name not in known]:
        raise CordlesionError(
            f"The objective {goal.title} reads {unknown[0]}, which no metric has; its parameters are names of metrics: "
            f"{', '.join(known)}."
        )


def study_goal(config: "StudyConfig") -> Objective:
    """Return what the thresholds of a study maximise; the code of a user's objective is run.

    Raises:
        CordlesionError: As :func:`parse_objective`.
    """
    return parse_objective(config.threshold.objective, config.code, [one.title for one in config.evaluation.metrics])


def is_own_objective(text: str) -> bool:
    """Return whether a name is an import path; nothing is imported."""
    path, _ = _divide(text)
    return path not in OBJECTIVES and is_import_path(path)


def printed_objective(config: "StudyConfig") -> str:
    """Return the printed name of what the thresholds of a study maximise; no code of the user is run."""
    text = config.threshold.objective
    if not is_own_objective(text):
        return study_goal(config).title
    path, number = _divide(text)
    return own_title(path, *([] if number is None else [_number(number)]))


def _divide(text: str) -> tuple[str, str | None]:
    """Divide a name from its number: the last part after a colon, of an import path the third."""
    first, *others = text.split(":")
    n_parts = 1 if first in OBJECTIVES or len(others) == 0 else 2
    parts = [first, *others]
    number = ":".join(parts[n_parts:])
    return ":".join(parts[:n_parts]), number if len(parts) > n_parts else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _of_metric(name: str, metrics: Collection[str]) -> Objective | None:
    for start, over_scans in _OVER_SCANS.items():
        if name.startswith(start) and (column := name.removeprefix(start)) in metrics:
            return ScanScore(name.replace("_", " "), column, over_scans)
    return None
