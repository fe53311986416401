"""Which lesions are found: sensitivity and precision by size, and lesion sensitivity against false positives (FROC)."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.io.arrays import Array, FloatArray, IntArray
from cordlesion.io.formats import MISSING, format_interval, format_number
from cordlesion.metrics.columns import LESION_COUNTS
from cordlesion.metrics.froc import FALSE_LESIONS_PER_SCAN
from cordlesion.pictures.style import INK, WIDTH_INCHES, loss_colors, loss_name, style
from cordlesion.report.losses import several_seeds
from cordlesion.report.section import ReportFigure, ReportTable, Section
from cordlesion.report.table import Cell, Group, Table
from cordlesion.statistics import MIN_SUBJECTS, share_interval
from cordlesion.statistics.intervals import draw_counts, percentile_interval
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import of_run

Dash: TypeAlias = str | tuple[float, tuple[float, ...]]

_PARTS = {
    "sensitivity": ("n_detected_lesions", "n_reference_lesions"),
    "precision": ("n_true_predicted_lesions", "n_predicted_lesions"),
}
_RESAMPLES = 2000
_SIZE = ("stratum", "low_mm3", "high_mm3")

# With more losses than that, colours are too close to each other alone.
_COLORS_PER_DASH = 6
_DASHES: tuple[Dash, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)))
_MARKERS = ("o", "s", "D", "^", "P", "X", "*")
_LABELS = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2"}
_LEGEND_LINE_INCHES = 0.16


def summarize_strata(results: StudyResults) -> pd.DataFrame:
    """Summarise which lesions each loss finds by size, pooled over the test scans and over seeds.

    Returns:
        A row per loss, stratum and part (``sensitivity`` of the reference's lesions of that size, ``precision`` of the
        predicted ones): ``loss stratum low_mm3 high_mm3 part count n value low high``; the interval takes subjects
        as units.
    """
    rows: list[dict[str, Any]] = []
    for loss in results.losses_in("strata"):
        lesions = results.rows_of_loss("strata", loss, ["subject", *_SIZE, *LESION_COUNTS])
        for size, scans in lesions.groupby([*_SIZE], sort=False):
            rows += [{"loss": loss, **dict(zip(_SIZE, size, strict=True)), **part} for part in _shares(scans)]
    return pd.DataFrame(rows)


def summarize_froc(results: StudyResults) -> pd.DataFrame:
    """Score the FROC curve of every loss on the test set, counts pooled over seeds.

    Returns:
        A row per loss: ``loss score low high n_scans``: the mean sensitivity at 1/8, 1/4 .. 8 false positives per scan
        with its bootstrap interval over subjects.
    """
    rows = []
    for loss in results.losses_in("sweep"):
        scans = summed_over_seeds(results, loss)
        counts, n_scans = counts_by_subject(scans)
        drawn = draw_counts(len(n_scans), _RESAMPLES, np.random.default_rng(0))
        low, high = percentile_interval(_froc_scores(counts, n_scans, drawn), 0.95)
        (score,) = _froc_scores(counts, n_scans, np.ones((1, len(n_scans)), dtype=np.int64))
        enough = scans.loc[scans["n_reference_lesions"] > 0, "subject"].nunique() >= MIN_SUBJECTS
        ends = {"low": low, "high": high} if enough else {"low": math.nan, "high": math.nan}
        rows.append({"loss": loss, "score": score, **ends, "n_scans": scans["scan_id"].nunique()})
    return pd.DataFrame(rows)


def strata_table(results: StudyResults, strata: pd.DataFrame, froc: pd.DataFrame) -> Table:
    """Lay out sensitivity and precision by lesion size, and the FROC score, a row of each per loss.

    Args:
        results: The study.
        strata: From :func:`summarize_strata`.
        froc: From :func:`summarize_froc`.
    """
    sizes = strata[[*_SIZE]].drop_duplicates()
    names = {str(row["stratum"]): _size(row) for _, row in sizes.iterrows()}
    curves = {row["loss"]: row for _, row in froc.iterrows()}
    groups = tuple(
        Group(loss_name(str(loss)), tuple(_strata_row(rows, part, names, curves.get(loss)) for part in _PARTS))
        for loss, rows in strata.groupby("loss", sort=False)
    )
    seeds = " Counts are summed over the seeds of a loss." if several_seeds(results) else ""
    return Table(
        columns=("Loss", "Share", *names.values(), "FROC score"),
        groups=groups,
        n_words=2,
        lead="Lesions found by size: test set, tuned thresholds, pooled over scans.",
        note=(
            "Sensitivity: lesions of the reference by their volume, share found; precision: marked lesions by their "
            "volume, share of true positives. 95 % intervals with subjects as units. FROC score (approximate 95 % "
            "bootstrap interval over subjects): mean sensitivity, over all lesions, at 1/8, 1/4, 1/2, 1, 2, 4 and 8 "
            f"false positives per scan.{seeds}"
        ),
    )


def froc_figure(results: StudyResults) -> Figure:
    """Draw lesion sensitivity against false positives per scan on the test set, a curve per loss (mean over seeds)."""
    rows = results.froc[(results.froc["set"] == "test") & (results.froc["threshold"] > 0)]
    losses = list(dict.fromkeys(rows["loss"]))
    colors = loss_colors(run.loss for run in results.runs)
    with style():
        height = max(3.6, 0.5 + _LEGEND_LINE_INCHES * len(losses))
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        axes = figure.add_subplot()
        for number, loss in enumerate(losses):
            curve = rows[rows["loss"] == loss].groupby("threshold")[["false_per_scan", "sensitivity"]].mean()
            # Distinct in grey too: neighbours by their markers, many by dashes.
            look = {
                "linestyle": _DASHES[number // _COLORS_PER_DASH % len(_DASHES)],
                "marker": _MARKERS[number % len(_MARKERS)],
            }
            _draw_froc(axes, curve, colors[loss], look, loss_name(loss))
            for run in (run for run in results.tuned if run.loss == loss):
                _mark_tuned(axes, of_run(rows, run), list(results.chosen(run).values()), colors[loss])
        _scale_froc(axes, highest=float(rows["sensitivity"].max()))
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper")
        return figure


def _shares(scans: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for part, (hit, tried) in _PARTS.items():
        count, n = int(scans[hit].sum()), int(scans[tried].sum())
        low, high = share_interval(scans[hit], scans[tried], scans["subject"])
        value = count / n if n else math.nan
        yield {"part": part, "count": count, "n": n, "value": value, "low": low, "high": high}


def summed_over_seeds(results: StudyResults, loss: str) -> pd.DataFrame:
    """Sum the lesion counts of each test scan and threshold over the runs of a loss, and the scans: 1 of each run."""
    by, total = ["subject", "scan_id", "threshold"], pd.DataFrame()
    for run in (run for run in results.runs_in("sweep") if run.loss == loss):
        rows = results.rows("sweep", run, [*by, *LESION_COUNTS], set="test").set_index(by)
        counts = rows[list(LESION_COUNTS)].assign(n_scans=1)
        total = counts if total.empty else total.add(counts, fill_value=0)
    return total.reset_index()


def counts_by_subject(scans: pd.DataFrame) -> tuple[Array, Array]:
    """Return the four lesion counts of each subject, shape (4, subjects, thresholds), and its scans per threshold."""
    sums = scans.groupby(["subject", "threshold"])[list(LESION_COUNTS)].sum()
    counts = np.stack([sums[name].unstack("threshold").to_numpy(dtype=np.float64) for name in LESION_COUNTS])
    n_scans = scans.groupby("subject")["n_scans"].sum() / scans["threshold"].nunique()
    return counts, n_scans.to_numpy()


def _froc_scores(counts: Array, n_scans: Array, drawn: IntArray) -> FloatArray:
    """Return the FROC score of each resample of subjects; NaN counts as 0 where no lesion was drawn."""
    reference, detected, predicted, true = (drawn @ one for one in counts)
    sensitivity = detected / np.maximum(reference, 1)
    false = (predicted - true) / (drawn @ n_scans)[:, None]
    best = [np.where(false <= rate, sensitivity, 0.0).max(axis=1) for rate in FALSE_LESIONS_PER_SCAN]
    scores: FloatArray = np.mean(best, axis=0)
    return scores


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


def _draw_froc(axes: Axes, curve: pd.DataFrame, color: str, look: dict[str, Any], name: str) -> None:
    """Draw every threshold as a point, and the best sensitivity with at most so many false positives as steps."""
    points = curve.sort_values("false_per_scan", kind="stable")
    axes.plot(
        [*points["false_per_scan"], FALSE_LESIONS_PER_SCAN[-1]],
        np.append(best := points["sensitivity"].cummax(), best.max()),
        color=color, linestyle=look["linestyle"], linewidth=1.3, drawstyle="steps-post",
    )  # fmt: skip
    spots = {"marker": look["marker"], "markersize": 3.2, "color": color, "markeredgewidth": 0}
    axes.plot(points["false_per_scan"], points["sensitivity"], linestyle="none", **spots)
    axes.plot([], [], linestyle=look["linestyle"], linewidth=1.3, label=name, **spots)


def _mark_tuned(axes: Axes, curve: pd.DataFrame, tuned: Sequence[float], color: str) -> None:
    here = curve[[bool(np.isclose(t, tuned, atol=1e-6).any()) for t in curve["threshold"]]]
    axes.plot(
        here["false_per_scan"], here["sensitivity"], linestyle="none", marker="v", markersize=6, color=color,
        markeredgecolor=INK, markeredgewidth=0.6, zorder=5,
    )  # fmt: skip


def _scale_froc(axes: Axes, highest: float) -> None:
    axes.set_xscale("symlog", base=2, linthresh=FALSE_LESIONS_PER_SCAN[0], linscale=0.6)
    ticks = [0, *FALSE_LESIONS_PER_SCAN]
    axes.set_xticks(ticks, [_LABELS.get(tick, f"{tick:g}") for tick in ticks])
    axes.minorticks_off()
    axes.set(xlim=(-0.01, FALSE_LESIONS_PER_SCAN[-1] * 1.05), ylim=(-0.02, min(1.02, 1.2 * highest + 0.02)))
    axes.set(xlabel="false positives per scan", ylabel="lesion sensitivity")
    axes.grid(axis="both")


SECTION = Section(
    key="lesions",
    title="Which lesions are found",
    summarize={"strata": summarize_strata, "froc": summarize_froc},
    tables=(ReportTable("strata", lambda of: strata_table(of.results, of.frames["strata"], of.frames["froc"])),),
    figures=(ReportFigure("figure5_froc", froc_figure),),
)
