"""Which lesions are found, and how far that depends on the rule."""

import math

import pandas as pd

from cordlesion.io.formats import MISSING, format_interval, format_number
from cordlesion.metrics import RULES
from cordlesion.pictures.style import loss_name
from cordlesion.report.losses import several_seeds
from cordlesion.report.numbers import Numbers
from cordlesion.report.pipeline import describe_rule
from cordlesion.report.tables.layout import EMPTY_REFERENCE, SEEDS_AVERAGED, Cell, Group, Table
from cordlesion.statistics import format_summary
from cordlesion.study_folder.results import StudyResults

_PARTS = ("sensitivity", "precision")


def strata_table(results: StudyResults, numbers: Numbers) -> Table:
    """Lay out sensitivity and precision by lesion size, and the FROC score, a row of each per loss."""
    sizes = numbers.strata[["stratum", "low_mm3", "high_mm3"]].drop_duplicates()
    names = {str(row["stratum"]): _size(row) for _, row in sizes.iterrows()}
    froc = {row["loss"]: row for _, row in numbers.froc.iterrows()}
    groups = tuple(
        Group(loss_name(str(loss)), tuple(_strata_row(rows, part, names, froc.get(loss)) for part in _PARTS))
        for loss, rows in numbers.strata.groupby("loss", sort=False)
    )
    seeds = " Counts are summed over the seeds of a loss." if several_seeds(results) else ""
    return Table(
        columns=("Loss", "Share", *names.values(), "FROC score"),
        groups=groups,
        n_words=2,
        label="Table 8.",
        note=(
            "Which lesions are found? Test set, tuned thresholds, pooled over scans. Sensitivity: detected lesions by "
            "their volume in the reference; precision: true predicted lesions by their predicted volume. 95 % "
            "intervals with subjects as units. FROC score (approximate 95 % bootstrap interval over subjects): mean "
            f"sensitivity, over all lesions, at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false lesions per scan.{seeds} Empty "
            "references: scans without a lesion add no lesion to the sensitivities; what is predicted in them counts "
            "as false, in precision and in the FROC score."
        ),
    )


def rules_table(results: StudyResults, numbers: Numbers) -> Table:
    """Lay out the lesion F1 of every loss under every lesion rule."""
    losses = list(dict.fromkeys(numbers.rules["loss"]))
    highest = numbers.rules.groupby("rule")["median"].transform("max")
    ties = numbers.rules.groupby("rule")["median"].transform("nunique") == 1
    marked = numbers.rules.assign(best=(numbers.rules["median"] == highest) & ~ties)
    return Table(
        columns=("Rule", *(loss_name(str(loss)) for loss in losses)),
        groups=tuple(
            Group(str(rule), (tuple(_rule_cell(row) for _, row in rows.iterrows()),))
            for rule, rows in marked.groupby("rule", sort=False)
        ),
        label="Table 9.",
        note=(
            "L-F1 depends on the rule: the same masks (test set, tuned thresholds) under six rules. Median (mean ± "
            f"standard deviation) over scans, 95 % interval with subjects as units. {_described(numbers.rules)}"
            f"{SEEDS_AVERAGED if several_seeds(results) else ''} {EMPTY_REFERENCE} A rule that removes small lesions "
            "leaves out scans whose lesions are all removed."
        ),
        best="highest value of its row" if len(losses) > 1 else "",
    )


def _size(row: pd.Series) -> str:
    low, high = row["low_mm3"], row["high_mm3"]
    if math.isinf(high):
        return f"≥ {low:g} mm³"
    return f"{low:g} to {high:g} mm³" if low else f"< {high:g} mm³"


def _strata_row(rows: pd.DataFrame, part: str, names: dict[str, str], froc: pd.Series | None) -> tuple[Cell, ...]:
    found = {row["stratum"]: row for _, row in rows[rows["part"] == part].iterrows()}
    cells = (_share_cell(found[name]) for name in names)
    # Masks have no curve.
    score = Cell(MISSING) if froc is None else Cell(format_number(froc["score"]), interval=_interval(froc))
    return (Cell(part), *cells, score if part == "sensitivity" else Cell(""))


def _share_cell(share: pd.Series) -> Cell:
    if not share["n"]:
        return Cell(MISSING, "no lesion")
    return Cell(format_number(share["value"]), f"({share['count']}/{share['n']})", _interval(share))


def _interval(row: pd.Series) -> str:
    return "" if math.isnan(row["low"]) else format_interval(row["low"], row["high"])


def _rule_cell(row: pd.Series) -> Cell:
    if not row["n"]:
        return Cell(MISSING)
    median, _, spread = format_summary(row["median"], row["mean"], row["std"]).partition(" ")
    return Cell(median, spread, format_interval(row["low"], row["high"]), best=bool(row["best"]))


def _described(rules: pd.DataFrame) -> str:
    names = [str(name) for name in dict.fromkeys(rules["rule"]) if name in RULES]
    return " ".join(f"{name}: {describe_rule(name)}." for name in names)
