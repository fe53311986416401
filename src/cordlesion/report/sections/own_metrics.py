"""The user's own metrics on the test set, at t = 0.5 and at tuned thresholds."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.formats import MISSING, format_p
from cordlesion.pictures.style import loss_name
from cordlesion.report.losses import several_seeds
from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.summary_tables import OWN_METRICS
from cordlesion.report.table import SEEDS_AVERAGED, SIGNIFICANT, Cell, Group, Table
from cordlesion.statistics import holm, median_interval, wilcoxon
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults, learned_runs
from cordlesion.study_folder.stages import run_stage_of

_COLUMNS = (
    *("Metric", "Loss", "Scans", "t = 0.5", "Tuned t", "Difference", "95 % interval", "p", "p (Holm)", "Subjects"),
)


def summarize_own_metrics(results: StudyResults) -> pd.DataFrame:
    """Compare the tuned threshold of every loss that learned one with t = 0.5 on the test set, by the user's metrics.

    Where a loss has several seeds, a scan's value is their mean. Scans for which a metric is undefined at one of the
    thresholds are left out and counted.

    Returns:
        A row per metric and loss: ``metric higher_is_better loss n n_undefined default tuned difference low high
        p_value p_holm n_subjects``; Holm's correction is over the losses of a metric. No row without such metrics.
    """
    metrics = {one.title: one.higher_is_better for one in results.config.evaluation.metrics}
    if not metrics:
        return pd.DataFrame(columns=list(OWN_METRICS.names))
    default, tuned = (_by_loss(results, list(metrics), tuned=tuned) for tuned in (False, True))
    rows = [
        {
            "metric": name,
            "higher_is_better": higher,
            "loss": loss,
            **_change(scans[name], tuned[name], scans["subject"]),
        }
        for name, higher in metrics.items()
        for loss, scans in default.groupby("loss", sort=False)
    ]
    table = pd.DataFrame(rows).assign(p_holm=math.nan)
    return table.assign(p_holm=table.groupby("metric", sort=False)["p_value"].transform(holm))[list(OWN_METRICS.names)]


def own_metrics_table(results: StudyResults, summary: pd.DataFrame) -> Table:
    """Lay out the user's metrics, from :func:`summarize_own_metrics`; no rows without them."""
    groups = tuple(Group(_name(str(name)), tuple(_rows(rows))) for name, rows in summary.groupby("metric", sort=False))
    lower = [_name(one.title) for one in results.config.evaluation.metrics if not one.higher_is_better]
    direction = f" A lower value is better: {', '.join(lower)}." if lower else ""
    return Table(
        columns=_COLUMNS,
        groups=groups,
        n_words=2,
        lead="Metrics of this study’s own, test set: the tuned threshold against t = 0.5.",
        note=(
            "Medians over the scans for which they are defined at both "
            "thresholds, and the median of (tuned − 0.5) with its 95 % interval, with subjects as units. Wilcoxon "
            "signed-rank test of the subjects’ mean differences, Holm’s correction over the losses of each metric."
            f"{direction}{SEEDS_AVERAGED if several_seeds(results) else ''}"
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction",
        best="best median of its metric at tuned thresholds" if summary["loss"].nunique() > 1 else "",
    )


def _name(metric: str) -> str:
    return metric.replace("_", " ")


def _by_loss(results: StudyResults, metrics: list[str], *, tuned: bool) -> pd.DataFrame:
    """Return the metrics of each test scan and loss that learned, the mean over its seeds."""
    tables = []
    for run in learned_runs(results):
        rows = results.evaluated(run, "test", results.tuned.get(run) if tuned else DEFAULT_THRESHOLD)
        if missing := [name for name in metrics if name not in rows]:
            path = results.folder.evaluation
            raise CordlesionError(f"{path}: lacks the metric {missing[0]} of the study. {run_stage_of(path.name)}")
        tables.append(rows.reset_index()[["loss", "scan_id", "subject", *metrics]])
    if not tables:
        return pd.DataFrame(columns=["loss", "scan_id", "subject", *metrics]).set_index(["loss", "scan_id"])
    by_seed = pd.concat(tables).groupby(["loss", "scan_id", "subject"], sort=False)[metrics]
    # Undefined where that of one seed is.
    means: pd.DataFrame = by_seed.mean().where(by_seed.count().eq(by_seed.size(), axis=0))
    return means.reset_index("subject")


def _change(default: pd.Series, tuned: pd.Series, subjects: pd.Series) -> dict[str, Any]:
    tuned = tuned.reindex(default.index)
    defined = default.notna() & tuned.notna()
    first, second, who = default[defined], tuned[defined], subjects[defined]
    test = wilcoxon(first, second, who)
    low, high = median_interval(second - first, who)
    return {
        "n": int(defined.sum()),
        "n_undefined": int((~defined).sum()),
        "default": first.median(),
        "tuned": second.median(),
        "difference": (second - first).median(),
        "low": low,
        "high": high,
        "p_value": test.p_value if test.n_nonzero else math.nan,
        "n_subjects": test.n_subjects,
    }


def _rows(rows: pd.DataFrame) -> Iterator[tuple[Cell, ...]]:
    best = rows["tuned"].max() if rows["higher_is_better"].iloc[0] else rows["tuned"].min()
    several = rows["tuned"].nunique() > 1
    for _, row in rows.iterrows():
        undefined = f"{row['n_undefined']} undefined" if row["n_undefined"] else ""
        yield (
            Cell(loss_name(str(row["loss"]))),
            Cell(str(row["n"]), undefined),
            Cell(_number(row["default"])),
            Cell(_number(row["tuned"]), best=bool(several and row["tuned"] == best)),
            Cell(_number(row["difference"], signed=True)),
            Cell(_interval(row["low"], row["high"])),
            Cell(format_p(row["p_value"])),
            Cell(format_p(row["p_holm"]), bold=bool(row["p_holm"] <= SIGNIFICANT)),
            Cell(str(row["n_subjects"])),
        )


def _number(value: float, *, signed: bool = False) -> str:
    """Print four digits, whatever the unit."""
    if math.isnan(value):
        return MISSING
    digits = 3 if not value else max(0, min(3, 3 - math.floor(math.log10(abs(value)))))
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def _interval(low: float, high: float) -> str:
    return MISSING if math.isnan(low) else f"[{_number(low, signed=True)}, {_number(high, signed=True)}]"


def _words(findings: Findings) -> Mapping[str, object]:
    return {"functions": [one.name for one in findings.results.config.evaluation.metrics]}


SECTION = Section(
    key="own_metrics",
    title="Metrics of this study’s own",
    summarize={"own_metrics": summarize_own_metrics},
    tables=(
        ReportTable(
            "own_metrics",
            lambda of: own_metrics_table(of.results, of.frames["own_metrics"]),
            title="Own metrics",
            has_scores=False,
        ),
    ),
    words=_words,
    is_shown=lambda tables: bool(tables["own_metrics"].groups),
)
