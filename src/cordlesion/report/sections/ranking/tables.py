"""Every pair of losses, and how much of their differences is noise between seeds."""

import numpy as np
import pandas as pd

from cordlesion.io.formats import MISSING, format_fine, format_interval, format_number, format_p
from cordlesion.pictures.style import METRIC_NAMES, loss_name
from cordlesion.report.losses import several_seeds
from cordlesion.report.sections.ranking.comparisons import name_compared
from cordlesion.report.table import SIGNIFICANT, Cell, Group, Table
from cordlesion.statistics import MIN_PAIRS
from cordlesion.study_folder.results import StudyResults

_COLUMNS = (
    *("Metric", "Loss", "Against", "Verdict", "Scans", "Difference", "95 % over subjects"),
    *("95 % over subjects and seeds", "Effect", "p", "p (Holm)", "Subjects", "p over subjects (Holm)"),
    *("Detectable", "p as good (Holm)", "Compared", "Role"),
)
_SEED_COLUMNS = ("Loss", "Metric", "Seeds", "Mean", "Standard deviation", "Lowest", "Highest")


def pairs_table(results: StudyResults, pairs: pd.DataFrame) -> Table:
    """Lay out every pair of losses and comparators on the test set; no rows where there is one loss only."""
    groups = () if pairs.empty else pairs.groupby("metric", sort=False)
    return Table(
        columns=_COLUMNS,
        groups=tuple(
            Group(METRIC_NAMES[str(metric)], tuple(_pair_row(row) for _, row in rows.iterrows()))
            for metric, rows in groups
        ),
        n_words=4,
        lead=f"Every pair of {name_compared(pairs)}: test set, tuned thresholds. {_roles(results)}",
        note=(
            "Difference: mean over subjects of (loss − against), each the mean over its scans and seeds. Intervals: of "
            "the tests, not corrected; over subjects (of these trainings), and over subjects and seeds (of the losses; "
            "unknown where a loss has one seed). p: the test on which the verdict rests, Student’s t over subjects and "
            "seeds (over subjects where seeds are unknown), also corrected by Holm’s method over the number of "
            "comparisons under Compared. p over subjects: of these trainings alone. Detectable: the true difference "
            f"that would be found in 80 % of such studies. {_as_good(results)} Fewer than {MIN_PAIRS} subjects decide "
            "nothing. Effect: matched-pairs rank-biserial correlation over subjects."
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction",
    )


def seeds_table(results: StudyResults, seeds: pd.DataFrame) -> Table:
    """Lay out how the medians of runs vary over seeds; no rows where every loss has one seed."""
    shown = seeds[seeds["n_seeds"] > 0] if several_seeds(results) else seeds.iloc[:0]
    return Table(
        columns=_SEED_COLUMNS,
        groups=tuple(
            Group(loss_name(str(loss)), tuple(_seed_row(row) for _, row in rows.iterrows()))
            for loss, rows in shown.groupby("loss", sort=False)
        ),
        n_words=2,
        lead="Noise between seeds: median over test scans, tuned thresholds, summarised over the seeds of a loss.",
        note=_components(seeds),
    )


def _pair_row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(loss_name(str(row["second"]))),
        Cell(loss_name(str(row["first"]))),
        Cell(str(row["verdict"])),
        Cell(str(row["n_scans"])),
        Cell(format_number(row["difference"], signed=True)),
        Cell(_interval(row["subjects_low"], row["subjects_high"])),
        Cell(_interval(row["low"], row["high"])),
        Cell(format_number(row["rank_biserial"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_holm"]), bold=bool(row["p_holm"] <= SIGNIFICANT)),
        Cell(str(row["n_subjects"])),
        Cell(format_p(row["p_subjects"])),
        Cell(MISSING if np.isinf(row["detectable"]) else format_number(row["detectable"])),
        Cell(format_p(row["p_equivalent"]), bold=bool(row["p_equivalent"] <= SIGNIFICANT)),
        Cell(str(row["n_compared"])),
        Cell(str(row["role"])),
    )


def _as_good(results: StudyResults) -> str:
    margin = f"{results.config.evaluation.equivalence_margin:g}"
    return (
        f"p as good: two one-sided tests that V-F1 differs by less than {margin} in either direction (TOST), over "
        "subjects and seeds; none where a loss has one seed."
    )


def _roles(results: StudyResults) -> str:
    """Describe which comparisons are primary, and why the others are not."""
    declared = results.primary
    if declared and declared.in_time:
        pair = f"{loss_name(declared.second)} against {loss_name(declared.first)}"
        return f"Primary: {pair} in {METRIC_NAMES[declared.metric]}, as declared; all others are exploratory."
    late = (
        "The declared comparison was declared after the test set was opened and counts as others do. "
        if declared
        else ""
    )
    return (
        f"{late}Primary: V-F1 of the loss that was chosen on the threshold set against each other one; all others are "
        "exploratory, and they count only where one of these is significant."
    )


def _interval(low: float, high: float) -> str:
    return MISSING if pd.isna(low) else format_interval(low, high, signed=True)


def _seed_row(row: pd.Series) -> tuple[Cell, ...]:
    ends = (Cell(format_fine(row[name])) for name in ("mean", "std", "lowest", "highest"))
    return (Cell(METRIC_NAMES[row["metric"]]), Cell(str(row["n_seeds"])), *ends)


def _components(seeds: pd.DataFrame) -> str:
    """Compare the spread between losses with that between seeds of one loss."""
    parts = [
        f"{METRIC_NAMES[str(metric)]}: {format_fine(rows['between_losses'].iloc[0] ** 0.5)} between losses, "
        f"{format_fine(rows['between_seeds'].iloc[0] ** 0.5)} between seeds of one loss"
        for metric, rows in seeds.groupby("metric", sort=False)
    ]
    return (
        f"Standard deviations (one-way random effects): {'; '.join(parts)}. One of 0 between losses does not show that "
        "they are equal."
    )
