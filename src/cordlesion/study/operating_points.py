"""The operating points of every method, balanced, sensitive and specific: ``operating_points.tsv``.

All come from the sweep: the thresholds from the threshold set, what they miss and mark falsely from the test set.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from cordlesion.config import Method, StudyConfig
from cordlesion.io.tables import read_in_parts, read_table, write_table
from cordlesion.study.sets import TunedThreshold
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.runs import lesion_bearing
from cordlesion.study_folder.tables import OPERATING_POINTS
from cordlesion.threshold import (
    VOLUME,
    Objective,
    Promised,
    RiskName,
    measure_risks,
    nearest_threshold,
    promise,
    study_goal,
)
from cordlesion.threshold.further import BALANCED
from cordlesion.threshold.risks import risks_of_masks

Point: TypeAlias = Literal["sensitive", "specific"]
POINTS: Mapping[Point, RiskName] = MappingProxyType({"sensitive": "missed", "specific": "false_positives"})
"""What each limits."""


def promised_points(config: StudyConfig, sweep: pd.DataFrame, goal: Objective) -> dict[Point, Promised]:
    """Return the points of a method whose promises the study asks for, by name.

    Args:
        config: The study.
        sweep: Of the method's threshold set, at its tuned minimum volume if that is tuned.
        goal: What its threshold maximises.
    """
    asked, balanced = config.threshold.promises, nearest_threshold(sweep, goal, n_resamples=1)
    return {
        point: promise(
            sweep,
            goal,
            {POINTS[point]: limit},
            certainty=asked.certainty,
            lesion_rule=config.evaluation.rule,
            n_volumes=max(1, len(config.threshold.minimum_volumes_mm3)),
            balanced=balanced,
        )
        for point, limit in _limits(config).items()
        if limit is not None and balanced.learned
    }


def _limits(config: StudyConfig) -> dict[Point, float | None]:
    asked = config.threshold.promises
    return {"sensitive": asked.missed, "specific": asked.false_positives}


def write_operating_points(folder: StudyFolder, config: StudyConfig) -> None:
    """Write the table of all methods with a tuned threshold, from ``sweep.tsv`` and ``thresholds.tsv``."""
    goal, methods = study_goal(config), {_key(one.columns): one for one in config.methods if one.is_tuned}
    tuned = {_key(row): TunedThreshold.of_row(row) for row in read_table(folder.thresholds).to_dict("records")}
    names = [*next(iter(methods.values())).columns]
    rows = []
    for part in read_in_parts(folder.sweep, names):
        for _, sweep in part.groupby(names, sort=False, dropna=False):
            key = _key(sweep.iloc[0].to_dict())
            rows += method_points(config, methods[key], sweep, tuned[key], goal)
    table = pd.DataFrame(rows).astype({"seed": "Int64", "needed": "Int64"})
    write_table(folder.root / OPERATING_POINTS.file, table, OPERATING_POINTS)


def method_points(
    config: StudyConfig, method: Method, sweep: pd.DataFrame, tuned: TunedThreshold, goal: Objective
) -> list[dict[str, object]]:
    """Return the rows of a method: its tuned threshold, then each point that promises something.

    Args:
        config: The study.
        method: A run, ensemble or comparator.
        sweep: Its rows of ``sweep.tsv``, both sets.
        tuned: Its threshold.
        goal: What that maximises.
    """
    tuning, test = (sweep[sweep["set"] == name] for name in ("threshold", "test"))
    free = bool((tuning["reference_volume_mm3"] == 0).any())
    test = test if free else lesion_bearing(test)
    volume = {} if tuned.minimum_volume_mm3 is None else {VOLUME: tuned.minimum_volume_mm3}
    certainty, limits = config.threshold.promises.certainty, _limits(config)
    common = {**method.columns, **volume, "lesion_free": free, "n_test_subjects": test["subject"].nunique()}
    balanced: dict[str, object] = {
        "point": BALANCED,
        "threshold": tuned.value,
        "n_subjects": tuning["subject"].nunique(),
    }
    balanced |= {**_means(tuning, tuned.value), **_tested(test, tuned.value)}
    rows: list[dict[str, object]] = [{**_UNKNOWN, **common, **balanced}]
    for point, found in promised_points(config, tuning, goal).items():
        asked_of = {"point": point, "risk": POINTS[point], "limit": limits[point], "certainty": certainty}
        rows.append({**_UNKNOWN, **common, **asked_of, **_found(found), **_tested(test, _value(found))})
    return rows


_UNKNOWN: Mapping[str, object] = dict.fromkeys(OPERATING_POINTS.required_names, math.nan)


def _found(found: Promised) -> dict[str, object]:
    risks = {str(name): value for name, value in found.risks.items()}
    beside = {"nearest": found.nearest, "needed": found.needed, "n_subjects": found.n_subjects}
    return {"threshold": _value(found), **beside, **risks}


def _value(found: Promised) -> float:
    return math.nan if found.choice is None else found.choice.value


def _means(rows: pd.DataFrame, threshold: float) -> dict[str, float]:
    """Return both risks at a threshold; none where no lesion counts."""
    here = rows[np.isclose(rows["threshold"], threshold)]
    if not (here["n_reference_lesions"] > 0).any():
        return {}
    return {str(name): value for name, value in measure_risks(_any_set(here)).at(0).items()}


def _tested(rows: pd.DataFrame, threshold: float) -> dict[str, float]:
    """Return both risks at a threshold on the test set, with intervals over subjects."""
    measured = risks_of_masks(_any_set(rows[np.isclose(rows["threshold"], threshold)]))
    ends = ("", "_low", "_high")
    return {f"test_{name}{end}": one for name, risk in measured.items() for end, one in zip(ends, risk, strict=False)}


def _any_set(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows as measures of risks take them: nothing is chosen here."""
    return rows.drop(columns=["set", VOLUME], errors="ignore")


def _key(columns: Mapping[Any, Any]) -> tuple[object, ...]:
    seed, fold = columns["seed"], columns.get("fold")
    return columns["loss"], None if pd.isna(seed) else int(seed), None if pd.isna(fold) else int(fold)
