"""Every pair of losses, and how much of their differences is noise between seeds."""

import pandas as pd

from cordlesion.report.comparisons import name_compared
from cordlesion.report.formats import MISSING, format_fine, format_interval, format_number, format_p
from cordlesion.report.losses import several_seeds
from cordlesion.report.numbers import Numbers
from cordlesion.report.results import StudyResults
from cordlesion.report.style import loss_name
from cordlesion.report.tables.layout import EMPTY_REFERENCE, METRIC_NAMES, SIGNIFICANT, Cell, Group, Table
from cordlesion.statistics import MIN_PAIRS

_COLUMNS = (
    *("Metric", "Loss", "Against", "Verdict", "Scans", "Difference", "95 % over subjects"),
    *("95 % over subjects and seeds", "Effect", "p", "p (Holm)"),
)
_SEED_COLUMNS = ("Loss", "Metric", "Seeds", "Mean", "Standard deviation", "Lowest", "Highest")


def pairs_table(_: StudyResults, numbers: Numbers) -> Table:
    """Lay out every pair of losses and comparators on the test set; no rows where there is one loss only."""
    groups = () if numbers.pairs.empty else numbers.pairs.groupby("metric", sort=False)
    return Table(
        columns=_COLUMNS,
        groups=tuple(
            Group(METRIC_NAMES[str(metric)], tuple(_pair_row(row) for _, row in rows.iterrows()))
            for metric, rows in groups
        ),
        n_words=4,
        label="Table 6.",
        note=(
            f"Every pair of {name_compared(numbers.pairs)}: test set, tuned thresholds. Difference: median over scans "
            "of (loss − against), each scan’s score being its mean over seeds. Intervals: bootstrap over subjects (of "
            "these trainings), and over subjects and seeds (of the losses; unknown where a loss has one seed). The "
            f"verdict rests on the bootstraps, Holm-corrected over the pairs of a metric; fewer than {MIN_PAIRS} "
            "subjects decide nothing. p: Wilcoxon signed-rank test, Holm-corrected in the same way. Effect: "
            f"matched-pairs rank-biserial correlation. {EMPTY_REFERENCE}"
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction",
    )


def seeds_table(results: StudyResults, numbers: Numbers) -> Table:
    """Lay out how the medians of runs vary over seeds; no rows where every loss has one seed."""
    shown = numbers.seeds[numbers.seeds["n_seeds"] > 0] if several_seeds(results) else numbers.seeds.iloc[:0]
    return Table(
        columns=_SEED_COLUMNS,
        groups=tuple(
            Group(loss_name(str(loss)), tuple(_seed_row(row) for _, row in rows.iterrows()))
            for loss, rows in shown.groupby("loss", sort=False)
        ),
        n_words=2,
        label="Table 7.",
        note=(
            "Noise between seeds: the median over test scans of each run at its tuned threshold, summarised over the "
            f"seeds of a loss. {_components(numbers.seeds)} {EMPTY_REFERENCE}"
        ),
    )


def _pair_row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(loss_name(str(row["second"]))),
        Cell(loss_name(str(row["first"]))),
        Cell(str(row["verdict"])),
        Cell(str(row["n_scans"])),
        Cell(format_number(row["median_difference"], signed=True)),
        Cell(_interval(row["subjects_low"], row["subjects_high"])),
        Cell(_interval(row["low"], row["high"])),
        Cell(format_number(row["rank_biserial"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_holm"]), bold=bool(row["p_holm"] <= SIGNIFICANT)),
    )


def _interval(low: float, high: float) -> str:
    return MISSING if pd.isna(low) else format_interval(low, high, signed=True)


def _seed_row(row: pd.Series) -> tuple[Cell, ...]:
    ends = (Cell(format_fine(row[name])) for name in ("mean", "std", "lowest", "highest"))
    return (Cell(METRIC_NAMES[row["metric"]]), Cell(str(row["n_seeds"])), *ends)


def _components(seeds: pd.DataFrame) -> str:
    """Set the spread between losses beside that between seeds of one loss."""
    parts = [
        f"{METRIC_NAMES[str(metric)]}: {format_fine(rows['between_losses'].iloc[0] ** 0.5)} between losses, "
        f"{format_fine(rows['between_seeds'].iloc[0] ** 0.5)} between seeds of one loss"
        for metric, rows in seeds.groupby("metric", sort=False)
    ]
    return f"Standard deviations (one-way random effects): {'; '.join(parts)}."
