"""What is found in scans without lesions."""

import numpy as np
import pandas as pd

from cordlesion.io.formats import format_interval, format_number
from cordlesion.report.section import ReportTable, Section
from cordlesion.report.sections.scores import name_row, scans_at
from cordlesion.report.table import Cell, Group, Table
from cordlesion.statistics import share_interval
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import lesion_free, of_run

_COLUMNS = (
    *("Loss", "Threshold", "Scans", "Without a false positive", "95 % interval", "False positives"),
    "Their volume, mm³",
)


def summarize_lesion_free(results: StudyResults) -> pd.DataFrame:
    """Count what each run finds in the test scans without lesions, at t = 0.5 and at its tuned threshold.

    Returns:
        A row per run and threshold (one of masks): ``loss seed tuned threshold n n_clean low high`` (scans without a
        predicted lesion, interval with subjects as units), and per scan ``lesions_mean lesions_max volume_mean
        volume_max`` of what is found.
    """
    rows = []
    for run in results.runs:
        # Masks are the same at every threshold.
        for tuned in (False, True) if run in results.tuned else (True,):
            scans = lesion_free(scans_at(results, run, "test", tuned=tuned))
            n_clean = int((scans["n_predicted_lesions"] == 0).sum())
            low, high = share_interval(scans["n_predicted_lesions"] == 0, np.ones(len(scans)), scans["subject"])
            rows.append(
                {
                    **name_row(results, run, tuned=tuned),
                    "n": len(scans),
                    "n_clean": n_clean,
                    "low": low,
                    "high": high,
                    "lesions_mean": scans["n_predicted_lesions"].mean(),
                    "lesions_max": scans["n_predicted_lesions"].max(),
                    "volume_mean": scans["predicted_volume_mm3"].mean(),
                    "volume_max": scans["predicted_volume_mm3"].max(),
                }
            )
    return pd.DataFrame(rows).astype({"seed": "Int64"})


def lesion_free_table(results: StudyResults) -> Table:
    """Lay out what each run finds in the test scans without lesions; no rows where there are no such scans."""
    found = summarize_lesion_free(results)
    found = found[found["n"] > 0]
    rows = {run: tuple(_row(row) for _, row in of_run(found, run).iterrows()) for run in results.runs}
    return Table(
        columns=_COLUMNS,
        groups=tuple(Group(results.label(run), mine) for run, mine in rows.items() if mine),
        lead="Lesion-free test scans, and what is marked in them: mean (largest) per scan.",
        note=(
            "Without a false positive: P-specificity, with the 95 % interval of Clopper and Pearson (where subjects "
            "have several scans, of the effective number of scans)."
        ),
    )


def _row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(format_number(row["threshold"]), "tuned" if row["tuned"] and row["threshold"] >= 0 else ""),
        Cell(str(row["n"])),
        Cell(format_number(row["n_clean"] / row["n"]), f"({row['n_clean']}/{row['n']})"),
        Cell(format_interval(row["low"], row["high"])),
        Cell(format_number(row["lesions_mean"]), f"({row['lesions_max']:.0f})"),
        Cell(f"{row['volume_mean']:.0f}", f"({row['volume_max']:.0f})"),
    )


SECTION = Section(
    key="free",
    title="Lesion-free scans",
    tables=(ReportTable("lesion_free", lambda of: lesion_free_table(of.results)),),
    is_shown=lambda tables: bool(tables["lesion_free"].groups),
)
