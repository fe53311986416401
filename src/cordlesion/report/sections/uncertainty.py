"""Does uncertainty point at errors? Error-retention curves of ensembles and of single networks."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cordlesion.io.arrays import FloatArray
from cordlesion.io.formats import MISSING, format_fine, format_number, format_percent, with_interval
from cordlesion.pictures.style import INK, MUTED, PALETTE, WIDTH_INCHES, loss_name, style
from cordlesion.report.section import Findings, ReportFigure, ReportTable, Section
from cordlesion.report.summary_tables import UNCERTAINTIES
from cordlesion.report.table import Cell, Group, Table
from cordlesion.statistics import crossed_test
from cordlesion.study_folder.results import StudyResults

MEASURES = {
    "random": "Random order",
    "entropy": "Entropy",
    "margin": "Distance from t",
    "spread": "Spread",
    "mutual_information": "Mutual information",
    "disagreement": "Disagreement",
    "ideal": "Ideal order",
}
"""Measures of uncertainty as printed, those for comparison first and last."""
_COMPARED = tuple(name for name in MEASURES if name not in ("random", "ideal"))
_LEVELS = {"voxel": "Voxels", "lesion": "Lesions"}
_COLUMNS = ("Loss", "Share", "Scans", "F1", *MEASURES.values())
_LEAST_CHECKED = 2e-3
"""Where the logarithmic axis of checked voxels starts."""
SINGLE = {"voxel": "entropy", "lesion": "margin"}
"""What a single network has to offer at each level."""


def summarize_uncertainty(results: StudyResults) -> pd.DataFrame:
    """Average the areas under the error-retention curves of test scans, the seeds of a loss together.

    Returns:
        A row per loss or ensemble, level and measure: ``loss level uncertainty n_scans n_subjects score area`` (means
        over scans); ``gain low high``: the mean over subjects of the area less that of a random order, with Student's
        interval over subjects; and ``reached``: the share of what the ideal order gains over the random one. Masks and
        scores of two methods differ, and with them what there is to gain; only ``reached`` compares them.
    """
    areas = results.uncertainty
    if areas.empty or not results.ensembles:
        return pd.DataFrame(columns=list(UNCERTAINTIES.names))
    by = ["loss", "level", "uncertainty", "scan_id", "subject"]
    scans = areas.groupby(by, sort=False)[["area", "score"]].mean().reset_index()
    rows = [
        {"loss": loss, "level": level, **row}
        for (loss, level), mine in scans.groupby(["loss", "level"], sort=False)
        for row in _summaries(mine)
    ]
    return pd.DataFrame(rows)[list(UNCERTAINTIES.names)]


def uncertainty_table(results: StudyResults, uncertainty: pd.DataFrame) -> Table:
    """Lay out the areas, from :func:`summarize_uncertainty`; no rows without ensembles."""
    groups = tuple(
        Group(_name(results, str(loss)), tuple(_rows(mine))) for loss, mine in uncertainty.groupby("loss", sort=False)
    )
    return Table(
        columns=_COLUMNS,
        groups=groups,
        n_words=2,
        lead="Area under the curve of F1 against the share that is kept: test set, tuned thresholds.",
        note=(
            "The most certain share of the voxels of the "
            "stack (or of the predicted lesions) is kept, and the rest is replaced by the reference, as if an expert "
            "looked at it; the area under the curve of F1 against the share kept (voxels: on a logarithmic grid, as "
            "few are in doubt), mean over scans with lesions (lesions: and with predicted ones), and in brackets the "
            "share of what the ideal order gains over a random one. Entropy: of the (mean) probability. Distance "
            "from t: of the (mean) probability from the threshold. Of ensembles, spread: standard deviation over the "
            "networks; mutual information: entropy of the mean less the mean entropy; disagreement: 1 − mean overlap "
            "of a lesion with the networks’ own. Of a lesion: the mean over its voxels. Seeds of a loss: their mean. "
            "Empty references: scans without a lesion in the reference take no part."
        ),
        best="largest area of a measure in its row",
    )


def retention_figure(results: StudyResults) -> Figure:
    """Draw the error-retention curves of the ensemble that ranks highest: voxels, and lesions.

    The axis is the share that is checked, 1 - the share that is kept.
    """
    name = shown_ensemble(results)
    members = results.ensembles[name].losses
    curves = results.retention
    mine, single = curves[curves["loss"] == name], curves[curves["loss"].isin(members)]
    colors = dict(zip(_COMPARED, PALETTE, strict=False))
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 3.0), layout="constrained")
        for axes, (level, title) in zip(figure.subplots(1, 2), _LEVELS.items(), strict=True):
            for order in ("random", "ideal"):
                _draw(axes, mine, level, order, color=MUTED, linestyle=(0, (3, 2)), linewidth=0.9)
            for measure in _COMPARED:
                _draw(axes, mine, level, measure, color=colors[measure], linewidth=1.3)
            _draw(axes, single, level, SINGLE[level], color=INK, linewidth=1.1, linestyle=(0, (1, 1)), single=True)
            axes.set(title=title, xlabel=f"share of {title.lower()} checked", ylabel="F1")
            axes.grid(axis="y")
            if level == "voxel":
                axes.set_xscale("log")
                axes.set_xlim(_LEAST_CHECKED, 1)
                axes.xaxis.set_major_locator(FixedLocator([0.003, 0.01, 0.03, 0.1, 0.3, 1]))
                axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        handles: dict[str, Artist] = {}
        for axes in figure.axes:
            lines, labels = axes.get_legend_handles_labels()
            handles |= dict(zip(labels, lines, strict=True))
        figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4)
        return figure


def has_curves(results: StudyResults) -> bool:
    """Return whether there is an ensemble with error-retention curves."""
    return bool(results.ensembles) and not results.retention.empty


def shown_ensemble(results: StudyResults) -> str:
    """Return the name of the ensemble with the highest score on the threshold set; the first one where none learned."""
    ranked = [run.loss for run in results.ranked if run.loss in results.ensembles]
    return (ranked or list(results.ensembles))[0]


def uncertainty_remark(results: StudyResults, uncertainty: pd.DataFrame) -> str:
    """Describe which measure points best at errors, and whether that is better than a single network's entropy."""
    sentences = [
        sentence
        for name in results.ensembles
        for level in _LEVELS
        if (sentence := _remark(results, name, level, uncertainty))
    ]
    return " ".join(sentences)


def _summaries(scans: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Summarise the measures of one method at one level."""
    wide = scans.pivot(index=["subject", "scan_id"], columns="uncertainty", values="area")
    means = wide.mean()
    possible = float(means["ideal"] - means["random"])
    for name in scans["uncertainty"].unique():
        by_subject = wide[["random", name]].groupby(level="subject").mean().to_numpy(float).T
        low, high = _interval(by_subject)
        gain = float(means[name] - means["random"])
        yield {
            "uncertainty": name,
            "n_scans": len(wide),
            "n_subjects": by_subject.shape[1],
            "score": float(scans.loc[scans["uncertainty"] == name, "score"].to_numpy(float).mean()),
            "area": float(means[name]),
            "gain": float(np.subtract(*by_subject[::-1]).mean()),
            "low": low,
            "high": high,
            "reached": gain / possible if possible > 0 else np.nan,
        }


def _interval(by_subject: FloatArray) -> tuple[float, float]:
    """Return Student's interval of the mean difference, second row - first row, over subjects."""
    if by_subject.shape[1] < 2:
        return np.nan, np.nan
    low, high = crossed_test(by_subject[:1], by_subject[1:]).interval
    return float(low), float(high)


def _name(results: StudyResults, loss: str) -> str:
    if loss in results.ensembles:
        return next(results.label(run) for run in results.runs if run.loss == loss)
    return f"{loss_name(loss)}, single networks"


def _rows(mine: pd.DataFrame) -> Iterator[tuple[Cell, ...]]:
    for level, title in _LEVELS.items():
        rows = mine[mine["level"] == level].set_index("uncertainty")
        if rows.empty:
            continue
        measured = [name for name in _COMPARED if name in rows.index]
        best = rows.loc[measured, "area"].idxmax()
        cells = (
            _cell(rows.loc[[name]].iloc[0], best=name == best and len(measured) > 1)
            if name in rows.index
            else Cell(MISSING)
            for name in MEASURES
        )
        first = rows.iloc[0]
        yield (Cell(title), Cell(str(first["n_scans"])), Cell(format_number(first["score"])), *cells)


def _cell(row: pd.Series, *, best: bool) -> Cell:
    is_baseline = row.name in ("random", "ideal")
    reached = "" if is_baseline or np.isnan(row["reached"]) else f"({_percent(row['reached'])})"
    return Cell(format_fine(float(row["area"])), reached, best=best)


def _draw(
    axes: Axes,
    curves: pd.DataFrame,
    level: str,
    measure: str,
    *,
    single: bool = False,
    **look: Any,  # noqa: ANN401
) -> None:
    rows = curves[(curves["level"] == level) & (curves["uncertainty"] == measure)]
    mean = rows.groupby("retained")["score"].mean()
    checked = 1 - mean.index.to_numpy(float)
    label = "Single network" if single else MEASURES[measure]
    axes.plot(checked, mean.to_numpy(float), label=label if len(mean) else None, **look)


def _remark(results: StudyResults, name: str, level: str, uncertainty: pd.DataFrame) -> str:
    rows = uncertainty[(uncertainty["level"] == level) & uncertainty["uncertainty"].isin(_COMPARED)]
    mine = rows[(rows["loss"] == name) & rows["reached"].notna()]
    if mine.empty:
        return ""
    best = mine.iloc[int(mine["area"].to_numpy(float).argmax())]
    single = rows[rows["loss"].isin(results.ensembles[name].losses) & (rows["uncertainty"] == SINGLE[level])]
    of_one = f"{MEASURES[SINGLE[level]].lower()} of its single networks: {_percent(single['reached'].mean())}"
    gained = with_interval(best["gain"], best["low"], best["high"], digits=3, signed=True)
    measure = MEASURES[str(best["uncertainty"])].lower()
    points = (
        f"{measure} points best at errors" if best["low"] > 0 else f"no measure is shown to point at errors; {measure}"
    )
    gains = f"{'. It' if best['low'] > 0 else ''} gains {gained} over a random order"
    reached = f"{_percent(best['reached'])} of what is possible ({of_one})"
    return f"{_name(results, name)}, {_LEVELS[level].lower()}: {points}{gains}, {reached}."


def _percent(share: float) -> str:
    return format_percent(share).replace("-", "−")


def _words(findings: Findings) -> Mapping[str, object]:
    results = findings.results
    shown = _name(results, shown_ensemble(results)) if results.ensembles else ""
    return {"remark": uncertainty_remark(results, findings.frames["uncertainty"]), "shown": shown}


SECTION = Section(
    key="uncertainty",
    title="Does uncertainty show where the errors are?",
    summarize={"uncertainty": summarize_uncertainty},
    tables=(ReportTable("uncertainty", lambda of: uncertainty_table(of.results, of.frames["uncertainty"])),),
    figures=(ReportFigure("figure7_uncertainty", retention_figure, is_drawn=has_curves),),
    words=_words,
    is_shown=lambda tables: bool(tables["uncertainty"].groups),
)
