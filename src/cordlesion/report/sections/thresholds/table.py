"""The tuned thresholds, their intervals and their plateaus."""

import math

import pandas as pd

from cordlesion.io.formats import MISSING, format_fine, format_interval, format_number
from cordlesion.report.losses import without_rank
from cordlesion.report.table import Cell, Group, Table
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run, of_run
from cordlesion.threshold import VOLUME

_COLUMNS = (
    *("Loss", "Tuned t", "95 % interval", "Plateau", "Width", "Score", "Lost at t − 0.05", "Lost at t + 0.05"),
    "Area under the curve",
)
_VOLUME_COLUMNS = ("Tuned minimum volume (mm³)", "95 % interval (mm³)")
_VOLUME_NOTE = "Minimum volume: components up to it are removed from the prediction; tuned together with t. "


def thresholds_table(results: StudyResults) -> Table:
    """Lay out the tuned thresholds with their intervals and plateaus."""
    tunes_volume = VOLUME in results.written_thresholds
    return Table(
        columns=(*_COLUMNS, *(_VOLUME_COLUMNS if tunes_volume else ())),
        groups=tuple(Group(results.label(run), _rows(results, run)) for run in results.tuned),
        lead=f"Tuned decision thresholds. Score: {results.objective} over the threshold set.",
        note=(
            "Interval: 95 % bootstrap interval of t, resampling subjects. Plateau: thresholds around t where the score "
            "stays within 5 % of its best value; the wider, the less the choice matters. Lost: what the score loses "
            "when t is moved (– outside the grid, whose t = 0 does not count). Area under the curve: the score of a "
            f"threshold above 0 taken at random. {_VOLUME_NOTE if tunes_volume else ''}Basis: "
            f"{' | '.join(dict.fromkeys(results.thresholds['basis'].astype(str)))}.{without_rank(results)}"
        ),
        best="highest score",
    )


def _rows(results: StudyResults, run: Run) -> tuple[tuple[Cell, ...], ...]:
    """One row, or one for each fold: each fold has chosen for itself."""
    written = of_run(results.written_thresholds, run)
    best = run == _highest(results) and len(written) == 1
    return tuple(_row(row, best=best) for _, row in written.iterrows())


def _highest(results: StudyResults) -> Run | None:
    """Return the run with the highest score among those that learned; the first one of equals."""
    scores = {run: float(of_run(results.thresholds, run)["score"].iloc[0]) for run in results.ranked}
    return max(scores, key=lambda run: scores[run], default=None)


def _row(row: pd.Series, *, best: bool) -> tuple[Cell, ...]:
    return (
        Cell(format_number(row["threshold"]), detail=f"fold {row['fold']}" if "fold" in row else ""),
        Cell(format_interval(row["interval_low"], row["interval_high"])),
        Cell(format_interval(row["plateau_low"], row["plateau_high"])),
        Cell(format_number(row["plateau_high"] - row["plateau_low"])),
        Cell(format_number(row["score"]), best=best),
        Cell(format_fine(row["loss_below"])),
        Cell(format_fine(row["loss_above"])),
        Cell(format_number(row["area"])),
        *(_volume_cells(row) if VOLUME in row else ()),
    )


def _volume_cells(row: pd.Series) -> tuple[Cell, Cell]:
    low, high = row["volume_interval_low"], row["volume_interval_high"]
    return Cell(f"{row[VOLUME]:g}"), Cell(MISSING if math.isnan(low) else f"[{low:g}, {high:g}]")
