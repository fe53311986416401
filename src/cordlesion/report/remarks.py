"""Remarks beside figures and tables: what calibration says about thresholds, and what the lesion rule changes."""

import pandas as pd

from cordlesion.io.formats import format_number
from cordlesion.pictures.style import loss_name
from cordlesion.report.answers import enumerate_words
from cordlesion.report.numbers import Numbers
from cordlesion.study_folder.results import StudyResults

TOLERANCE = 0.05
"""Where t and the share of lesion at it differ by less, p is taken at its word: one step of the study's grid."""


def calibration_remark(numbers: Numbers) -> str:
    """Say why losses want different thresholds, as far as their calibration on the threshold set tells."""
    if numbers.calibration.empty:
        return ""
    # Seeds together: the page asks about losses.
    rows = numbers.calibration.groupby("loss", sort=False)[["threshold", "share", "half_f1"]].mean().reset_index()
    said = [_common(rows)] if len(rows) > 1 else []
    above, below = rows["threshold"] > rows["share"] + TOLERANCE, rows["threshold"] < rows["share"] - TOLERANCE
    for part, words in (
        (rows[above], "there p overstates the chance of lesion, and t is set above it"),
        (rows[below], "there p understates the chance of lesion, and t is set below it"),
        (rows[~above & ~below], "there p is about the chance of lesion"),
    ):
        said += [f"{_named(part)}: {words}."] if len(part) else []
    half = _range(rows["half_f1"])
    return (
        f"{' '.join(said)} A map whose p is the chance of lesion has the highest F1 over voxels when it is cut at half "
        f"of that F1 (Lipton et al. 2014), here {half}: far below 0.5 as long as lesions are hard to find."
    )


def rules_remark(results: StudyResults, numbers: Numbers) -> str:
    """Say how far the rule alone moves the lesion F1, and whether it changes which loss leads."""
    rules = numbers.rules
    best = rules[rules["loss"] == results.best.loss].dropna(subset="median")
    if best.empty:
        return ""
    ordered = best.sort_values("median", kind="stable")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    masks = f"The same masks of {loss_name(results.best.loss)} have a median L-F1 of {format_number(low['median'])} by"
    differ = low["median"] < high["median"]
    rest = f"the rule {low['rule']} and of {format_number(high['median'])} by the rule {high['rule']}"
    said = f"{masks} {rest if differ else 'every rule'}."
    return f"{said} {_leaders(rules)}" if rules["loss"].nunique() > 1 else said


def _common(rows: pd.DataFrame) -> str:
    """Compare the spread of thresholds with that of the shares of lesion at them."""
    narrower = rows["share"].max() - rows["share"].min() < rows["threshold"].max() - rows["threshold"].min()
    so = (
        "the losses agree better on the chance of lesion at which to cut than on the p that they give to it"
        if narrower
        else "calibration does not explain why the thresholds differ"
    )
    return (
        f"The tuned thresholds go from {_range(rows['threshold'])}; the share of lesion among voxels with p = t, on "
        f"the threshold set, from {_range(rows['share'])}: {so}."
    )


def _range(values: "pd.Series[float]") -> str:
    low, high = format_number(values.min()), format_number(values.max())
    return low if low == high else f"{low} to {high}"


def _named(rows: pd.DataFrame) -> str:
    """List losses with their threshold and the share of lesion at it."""
    numbers = zip(rows["loss"], rows["threshold"].map(format_number), rows["share"].map(format_number), strict=True)
    return enumerate_words([f"{loss_name(str(loss))} (p = {t}, lesion {share})" for loss, t, share in numbers])


def _leaders(rules: pd.DataFrame) -> str:
    """Tell which loss has the highest median under which rules."""
    led: dict[str, list[str]] = {}
    for rule, rows in rules.groupby("rule", sort=False):
        top = rows.loc[rows["median"] == rows["median"].max(), "loss"]
        names = [loss_name(str(loss)) for loss in top] if len(top) < len(rows) else ["no loss alone"]
        led.setdefault(enumerate_words(names), []).append(str(rule))
    if len(led) == 1:
        return f"The highest median is that of {next(iter(led))} by every rule."
    parts = [f"of {losses} by {enumerate_words(names)}" for losses, names in led.items()]
    return f"The highest median is that {'; '.join(parts)}."
