"""The operating points of the recommended model in words: balanced, and those that keep a promise, with their price."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cordlesion.io.formats import format_number, format_percent, plural
from cordlesion.io.reading import read_json
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import of_run
from cordlesion.threshold.further import BALANCED
from cordlesion.threshold.promise import TOO_CLOSE, RiskName, promise_text, risk_text


@dataclass(frozen=True)
class Point:
    """An operating point as the first screen shows it."""

    name: str
    """``balanced``, ``sensitive`` or ``specific``."""
    threshold: str
    """As printed; empty where no threshold is shown to keep the promise."""
    text: str
    """What is promised and what it costs, or what is lacking."""
    option: str = ""
    """What `segment` takes for this point; empty where the model has no such rule."""


def write_points(results: StudyResults) -> tuple[Point, ...]:
    """Describe the points of the recommended model.

    None in studies of earlier versions, where nothing is recommended, and with several folds, each of which has points
    of its own.
    """
    table = results.operating_points
    if table.empty or "fold" in table or not results.ranked:
        return ()
    return tuple(_point(results, row) for _, row in of_run(table, results.best).iterrows())


def _point(results: StudyResults, row: "pd.Series[Any]") -> Point:
    threshold = "" if math.isnan(row["threshold"]) else format_number(row["threshold"])
    if row["point"] == BALANCED:
        chosen = f"Chosen for the {results.objective}; nothing is promised."
        return Point(BALANCED, threshold, f"{chosen} {_on_test(row, ('missed', 'false_positives'), ' and ')}")
    if not threshold:
        return Point(row["point"], "", _lacking(row))
    price: RiskName = "false_positives" if row["risk"] == "missed" else "missed"
    sure = f"{_sentence(_promise(row))}, with {format_percent(row['certainty'])} certainty."
    text = f"{sure} {_on_test(row, (row['risk'], price), ', at the price of ')}"
    return Point(row["point"], threshold, text, _option(results, row["point"]))


def _option(results: StudyResults, point: str) -> str:
    """Return what `segment` takes for a point, if the model has its rule."""
    card = results.folder.bundle(results.best.name) / "model.json"
    rules = read_json(card, dict).get("further_rules", {}) if card.is_file() else {}
    return f"--threshold-rule {point}" if isinstance(rules, dict) and point in rules else ""


def _promise(row: "pd.Series[Any]") -> str:
    with_lesions = "" if row["lesion_free"] or row["risk"] == "missed" else " with lesions"
    return f"{promise_text(row['risk'], row['limit'])}{with_lesions}"


def _lacking(row: "pd.Series[Any]") -> str:
    """Return what is missing for a promise: subjects, or a better model."""
    asked = f"{_sentence(_promise(row))}: this cannot be promised with {format_percent(row['certainty'])} certainty"
    who = plural(int(row["n_subjects"]), "subject")
    if not pd.isna(row["needed"]):
        return f"{asked}. The threshold set has {who}; about {int(row['needed'])} like these would be enough."
    found = f"{risk_text(row['risk'], row[row['risk']])} on the threshold set"
    nearest = f"t = {format_number(row['nearest'])}, the nearest, has {found}"
    if row[row["risk"]] < row["limit"]:
        return f"{asked}. {nearest}, but is {TOO_CLOSE}."
    return f"{asked}, whatever the number of subjects: even {nearest}."


def _on_test(row: "pd.Series[Any]", risks: tuple[RiskName, ...], between: str) -> str:
    """Return what was measured on the test set, in the mean over subjects."""
    kind = "" if row["lesion_free"] else " with lesions"
    found = between.join(_measured(row, risk) for risk in risks)
    return f"In the mean over the {row['n_test_subjects']} test subjects{kind}: {found}."


def _measured(row: "pd.Series[Any]", risk: RiskName) -> str:
    return risk_text(risk, *(row[f"test_{risk}{end}"] for end in ("", "_low", "_high")))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
