"""How sure is a marked lesion: whether the calibrated chances of lesions hold on the test set, with subjects as units.

Lesions are sorted by their chance and divided into bins of equal number, so that every point rests on as many lesions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.io.arrays import FloatArray
from cordlesion.io.formats import MISSING, format_fine, format_percent, plural
from cordlesion.pictures.style import INK, MUTED, loss_colors, loss_name, panel_grid, style
from cordlesion.report.section import Findings, ReportFigure, ReportTable, Section
from cordlesion.report.summary_tables import LESION_CHANCES
from cordlesion.report.table import Cell, Group, Table
from cordlesion.statistics.intervals import draw_counts, percentile_interval
from cordlesion.statistics.rates import share_interval
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run, of_run
from cordlesion.threshold.lesion_calibration import shortage

BIN_LESIONS = 20
"""Fewest lesions of a bin: with 20 independent ones, half of which are real, the interval is from 0.27 to 0.73."""
_MOST_BINS, _LEAST_BINS = 10, 2
FEWEST = BIN_LESIONS * _LEAST_BINS
"""Fewest predicted lesions of the test set for a reliability diagram and an expected calibration error."""
_DRAWS, _RESAMPLES, _SEED = 500, 2000, 0
_LIKELY, _UNLIKELY = 0.5, 0.1
_COLUMNS = (
    *("Loss", "Lesions", "Real", "Brier", "Brier of the peak", "Brier of the share"),
    *("ECE", "ECE by chance", "ECE of the peak"),
)


@dataclass(frozen=True, eq=False)
class _Chances:
    """The predicted lesions of a method in the test set."""

    chance: FloatArray
    peak: FloatArray
    is_real: FloatArray
    subjects: "pd.Series[str]"

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "_Chances":
        chance, peak, real = (rows[name].to_numpy(float) for name in ("probability", "peak_probability", "is_real"))
        return cls(chance, peak, real, rows["subject"])


def summarize_lesion_chances(results: StudyResults) -> pd.DataFrame:
    """Measure on the test set how well the chances of predicted lesions hold.

    Returns:
        A row per run, with the columns of ``summary_lesion_probabilities.tsv``; scores are NaN where the threshold set
        has too few lesions to fit chances on, or the test set too few to measure them.
    """
    rows = [_summary(run, of_run(results.lesion_probabilities, run)) for run in _methods(results)]
    return pd.DataFrame(rows, columns=list(LESION_CHANCES.names)).astype({"seed": "Int64"})


def lesion_chances_table(results: StudyResults, summary: pd.DataFrame) -> Table:
    """Lay out how well the chances hold, from :func:`summarize_lesion_chances`."""
    groups = tuple(Group(results.label(run), (_cells(of_run(summary, run).iloc[0]),)) for run in _methods(results))
    return Table(
        columns=_COLUMNS,
        groups=groups,
        lead="How well the chances of marked lesions hold on the test set.",
        note=(
            "Lesions: marked in the test set; real: confirmed by the reference under the lesion rule. The chance of a "
            "lesion comes from a logistic regression on its highest and mean probability and its volume, fitted on the "
            "threshold set. Brier: mean of (chance − real)², 0 is best, with the 95 % interval over subjects; of the "
            "peak: with the highest p in place of the chance; of the share: with the share of real lesions for all, so "
            "that chances which are not below it are of no use. ECE: expected calibration error, the mean distance of "
            f"chance and share of real lesions, in up to {_MOST_BINS} bins of at least {BIN_LESIONS} lesions; by "
            "chance: what chances that hold exactly would reach with so few lesions. Lesion-free scans count: all "
            "that is marked in them is false."
        ),
    )


def lesion_chances_figure(results: StudyResults) -> Figure:
    """Draw the share of real lesions against their chance, a panel per loss, its seeds together."""
    table = _of_test(results.lesion_probabilities)
    losses = list(dict.fromkeys(run.loss for run in _methods(results)))
    colors = loss_colors(run.loss for run in results.runs)
    with style():
        figure, panels = panel_grid(len(losses), row_inches=2.1, n_columns=3)
        for axes, loss in zip(panels, losses, strict=True):
            mine = table[table["loss"] == loss]
            _draw(axes, mine, colors[loss], max(1, mine["seed"].nunique()))
            axes.set_title(loss_name(loss))
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
            axes.grid(axis="both")
        figure.supxlabel("chance that a lesion is real", fontsize=8, color=INK)
        figure.supylabel("share of real lesions", fontsize=8, color=INK)
        return figure


def has_chances(results: StudyResults) -> bool:
    """Return whether some method has enough lesions with a chance in the test set for a reliability diagram."""
    return any(n >= FEWEST for n in _with_chance(results).values())


def chances_remark(results: StudyResults) -> str:
    """Describe what the chances of the recommended method are worth, and which methods have none, and why."""
    methods = _methods(results)
    first = results.best if results.best in methods else next(iter(methods), None)
    sentences = [_worth(results, first)] if first is not None else []
    for run in methods:
        tuning = of_run(results.lesion_probabilities, run, set="threshold")
        if fault := shortage(tuning):
            sentences.append(f"{results.label(run)} has no chances: of the threshold set, {fault}.")
    if (counts := _with_chance(results)) and not has_chances(results):
        sentences.append(
            f"The test set has at most {plural(max(counts.values()), 'marked lesion')} with a chance; {FEWEST} are "
            "needed for a reliability diagram."
        )
    return " ".join(sentence for sentence in sentences if sentence)


def _methods(results: StudyResults) -> list[Run]:
    """Return the runs that predicted lesions in the test set, in the order of the report."""
    tested = _of_test(results.lesion_probabilities)
    return [run for run in results.runs if not of_run(tested, run).empty]


def _with_chance(results: StudyResults) -> dict[Run, int]:
    """Return the number of lesions with a chance in the test set, of each run that has any."""
    tested = _of_test(results.lesion_probabilities)
    counts = {run: len(of_run(tested, run).dropna(subset=["probability"])) for run in _methods(results)}
    return {run: n for run, n in counts.items() if n}


def _of_test(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["set"] == "test"]


def _summary(run: Run, table: pd.DataFrame) -> dict[str, Any]:
    rows = _of_test(table)
    found = {
        "loss": run.loss,
        "seed": run.seed,
        "n_lesions": len(rows),
        "n_real": int(rows["is_real"].sum()),
        "n_subjects": rows["subject"].nunique(),
    }
    return found if rows["probability"].isna().any() else found | _scores(_Chances.of(rows))


def _scores(lesions: _Chances) -> dict[str, float]:
    real = lesions.is_real
    low, high = _mean_interval(np.square(lesions.chance - real), lesions.subjects)
    share = float(real.mean())
    found = {
        "brier": float(np.square(lesions.chance - real).mean()),
        "low": low,
        "high": high,
        "brier_peak": float(np.square(lesions.peak - real).mean()),
        "brier_share": share * (1 - share),
    }
    if len(real) < FEWEST:
        return found
    n_bins = _n_bins(len(real))
    return found | {
        "ece": _calibration_error(lesions.chance, real, n_bins),
        "ece_chance": _error_by_chance(lesions.chance, n_bins),
        "ece_peak": _calibration_error(lesions.peak, real, n_bins),
    }


def _n_bins(n: int) -> int:
    return min(_MOST_BINS, n // BIN_LESIONS)


def _bins(chance: FloatArray, n_bins: int) -> list[Any]:
    """Return the lesions of each bin, from the lowest chances."""
    return np.array_split(np.argsort(chance, kind="stable"), n_bins)


def _calibration_error(chance: FloatArray, is_real: FloatArray, n_bins: int) -> float:
    gaps = [abs(float((chance[part] - is_real[part]).sum())) for part in _bins(chance, n_bins)]
    return sum(gaps) / len(chance)


def _error_by_chance(chance: FloatArray, n_bins: int) -> float:
    """Return the mean calibration error of chances that hold exactly, with as many lesions."""
    drawn = np.random.default_rng(_SEED).random((_DRAWS, len(chance))) < chance
    gaps = [np.abs((chance[part] - drawn[:, part]).sum(axis=1)) for part in _bins(chance, n_bins)]
    return float(np.mean(np.sum(gaps, axis=0)) / len(chance))


def _mean_interval(values: FloatArray, subjects: "pd.Series[str]") -> tuple[float, float]:
    """Return the bootstrap interval of a mean over lesions, resampling subjects."""
    owner, names = pd.factorize(subjects)
    sums, sizes = np.bincount(owner, values), np.bincount(owner)
    counts = draw_counts(len(names), _RESAMPLES, np.random.default_rng(_SEED))
    return percentile_interval((counts @ sums) / (counts @ sizes), 0.95)


def _cells(row: pd.Series) -> tuple[Cell, ...]:
    share = format_percent(row["n_real"] / row["n_lesions"])
    interval = "" if pd.isna(row["low"]) else f"[{format_fine(row['low'])}, {format_fine(row['high'])}]"
    return (
        Cell(str(row["n_lesions"])),
        Cell(str(row["n_real"]), f"({share})"),
        Cell(_printed(row["brier"]), interval=interval),
        *(Cell(_printed(row[name])) for name in ("brier_peak", "brier_share", "ece", "ece_chance", "ece_peak")),
    )


def _printed(value: float) -> str:
    return MISSING if pd.isna(value) else format_fine(float(value))


def _draw(axes: Axes, rows: pd.DataFrame, color: str, n_seeds: int) -> None:
    """Draw the reliability of one loss; its seeds mark the same lesions, which is why bins have more of them."""
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7)
    rows = rows[rows["probability"].notna()]
    n = len(rows) // n_seeds
    if n < FEWEST:
        few = "no chances" if rows.empty else f"{plural(n, 'lesion')}; {FEWEST} are needed"
        axes.text(0.5, 0.5, few, ha="center", va="center", fontsize=7, color=INK)
        return
    lesions = _Chances.of(rows)
    for part in _bins(lesions.chance, _n_bins(n)):
        real, mean = lesions.is_real[part], float(lesions.chance[part].mean())
        low, high = share_interval(real, np.ones(len(part)), lesions.subjects.iloc[part])
        axes.plot([mean, mean], [low, high], color=color, linewidth=0.9)
        axes.plot(mean, real.mean(), color=color, marker="o", markersize=3.5)


def _worth(results: StudyResults, run: Run) -> str:
    """Say how many of the lesions with a high and with a low chance are real, and whether chances hold on average."""
    rows = of_run(results.lesion_probabilities, run).dropna(subset=["probability"])
    tested, tuning = _of_test(rows), rows[rows["set"] == "threshold"]
    if tested.empty:
        return ""
    parts = [
        f"of {plural(len(some), 'lesion')} with a chance {words}, {int(some['is_real'].sum())} are real"
        for words, some in (
            (f"of {_LIKELY:g} or more", tested[tested["probability"] >= _LIKELY]),
            (f"below {_UNLIKELY:g}", tested[tested["probability"] < _UNLIKELY]),
        )
    ]
    mean, share, before = (
        format_percent(float(values.mean())) for values in (tested["probability"], tested["is_real"], tuning["is_real"])
    )
    average = f"The mean chance is {mean}, and {share} are real (threshold set: {before})."
    return f"{results.label(run)}, test set: {'; '.join(parts)}. {average}"


def _words(findings: Findings) -> Mapping[str, object]:
    return {"remark": chances_remark(findings.results)}


SECTION = Section(
    key="lesion_probabilities",
    title="How sure is a marked lesion?",
    summarize={"lesion_probabilities": summarize_lesion_chances},
    tables=(
        ReportTable(
            "lesion_probabilities",
            lambda of: lesion_chances_table(of.results, of.frames["lesion_probabilities"]),
            has_scores=False,
        ),
    ),
    figures=(ReportFigure("figure8_lesion_probabilities", lesion_chances_figure, is_drawn=has_chances),),
    words=_words,
    is_shown=lambda tables: bool(tables["lesion_probabilities"].groups),
)
