"""Does uncertainty point at errors? Error-retention curves of ensembles and of single networks."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from cordlesion.io.formats import MISSING, format_fine, format_number, with_interval
from cordlesion.pictures.style import INK, MUTED, PALETTE, WIDTH_INCHES, loss_name, style
from cordlesion.report.section import Findings, ReportFigure, ReportTable, Section
from cordlesion.report.summary_tables import UNCERTAINTIES
from cordlesion.report.table import Cell, Group, Table
from cordlesion.report.words import enumerate_words
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
_LEAST_CHECKED = 1e-3
"""Where the logarithmic axis of checked voxels starts."""


def summarize_uncertainty(results: StudyResults) -> pd.DataFrame:
    """Average the areas under the error-retention curves of test scans, the seeds of a loss together.

    Returns:
        A row per loss or ensemble, level and measure: ``loss level uncertainty n_scans n_subjects score area`` (means
        over scans), and ``gain low high``: the mean over subjects of the area less that of the entropy of single
        networks (of an ensemble: its members, mean over them), with Student's interval over subjects.
    """
    areas = results.uncertainty
    if areas.empty or not results.ensembles:
        return pd.DataFrame(columns=list(UNCERTAINTIES.names))
    by = ["loss", "level", "uncertainty", "scan_id", "subject"]
    scans = areas.groupby(by, sort=False)[["area", "score"]].mean().reset_index()
    rows = [
        {
            "loss": loss,
            "level": level,
            "uncertainty": name,
            **_summary(mine, _base(results, scans, str(loss), str(level))),
        }
        for (loss, level, name), mine in scans.groupby(["loss", "level", "uncertainty"], sort=False)
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
        note=(
            "Does uncertainty point at errors? Test set, tuned thresholds. The most certain share of the voxels of the "
            "stack (or of the predicted lesions) is kept, and the rest is replaced by the reference, as if an expert "
            "looked at it; the area under the curve of F1 against the share kept (voxels: on a logarithmic grid, as "
            "few are in doubt), mean over scans with lesions (lesions: and with predicted ones). Random and ideal "
            "order: what an uncertainty gives that knows nothing, or all. Entropy: of the (mean) probability. Distance "
            "from t: of the (mean) probability from the threshold. Of ensembles, spread: standard deviation over the "
            "networks; mutual information: entropy of the mean less the mean entropy; disagreement: 1 − mean overlap "
            "of a lesion with the networks’ own. Of a lesion: the mean over its voxels. Seeds of a loss: their mean."
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
            _draw(axes, single, level, "entropy", color=INK, linewidth=1.1, linestyle=(0, (1, 1)), single=True)
            axes.set(title=title, xlabel=f"share of {title.lower()} checked", ylabel="F1")
            axes.grid(axis="y")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        figure.axes[0].set_xscale("log")
        figure.axes[0].set_xlim(_LEAST_CHECKED, 1)
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


def _summary(mine: pd.DataFrame, base: pd.DataFrame) -> dict[str, Any]:
    both = mine.merge(base, on=["scan_id", "subject"], suffixes=("", "_base"))
    found = {"n_scans": len(mine), "n_subjects": mine["subject"].nunique()}
    means = {name: float(mine[name].to_numpy(float).mean()) for name in ("score", "area")}
    if both["subject"].nunique() < 2:
        return {**found, **means, **dict.fromkeys(("gain", "low", "high"), np.nan)}
    by_subject = both.groupby("subject")[["area_base", "area"]].mean().to_numpy(float).T
    test = crossed_test(by_subject[:1], by_subject[1:])
    low, high = (float(end) for end in test.interval)
    return {**found, **means, "gain": float(test.difference), "low": low, "high": high}


def _base(results: StudyResults, scans: pd.DataFrame, loss: str, level: str) -> pd.DataFrame:
    """Return the area of the entropy of single networks, scan by scan."""
    of = results.ensembles[loss].losses if loss in results.ensembles else (loss,)
    rows = scans[scans["loss"].isin(of) & (scans["level"] == level) & (scans["uncertainty"] == "entropy")]
    return rows.groupby(["scan_id", "subject"], sort=False)["area"].mean().reset_index()


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
            Cell(format_fine(float(rows.loc[name, "area"])), best=name == best and len(measured) > 1)
            if name in rows.index
            else Cell(MISSING)
            for name in MEASURES
        )
        first = rows.iloc[0]
        yield (Cell(title), Cell(str(first["n_scans"])), Cell(format_number(first["score"])), *cells)


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
    label = "Entropy, single network" if single else MEASURES[measure]
    axes.plot(checked, mean.to_numpy(float), label=label if len(mean) else None, **look)


def _remark(results: StudyResults, name: str, level: str, uncertainty: pd.DataFrame) -> str:
    rows = uncertainty[(uncertainty["loss"] == name) & (uncertainty["level"] == level)]
    rows = rows[rows["uncertainty"].isin(_COMPARED)].reset_index(drop=True)
    if rows.empty:
        return ""
    best = rows.loc[int(rows["area"].to_numpy(float).argmax())]
    tried = enumerate_words([MEASURES[str(one)].lower() for one in rows["uncertainty"]])
    measure = MEASURES[str(best["uncertainty"])].lower()
    gain = with_interval(best["gain"], best["low"], best["high"], digits=3, signed=True)
    return (
        f"{_name(results, name)}, {_LEVELS[level].lower()}: of {tried}, {measure} has the largest area, "
        f"{format_fine(best['area'])}; against the entropy of its single networks {gain}."
    )


def _words(findings: Findings) -> Mapping[str, object]:
    results = findings.results
    shown = _name(results, shown_ensemble(results)) if results.ensembles else ""
    return {"remark": uncertainty_remark(results, findings.frames["uncertainty"]), "shown": shown}


SECTION = Section(
    key="uncertainty",
    link="Uncertainty",
    title="Does uncertainty show where the errors are?",
    summarize={"uncertainty": summarize_uncertainty},
    tables=(ReportTable("uncertainty", lambda of: uncertainty_table(of.results, of.frames["uncertainty"])),),
    figures=(ReportFigure("figure7_uncertainty", retention_figure, is_drawn=has_curves),),
    words=_words,
    is_shown=lambda tables: bool(tables["uncertainty"].groups),
)
