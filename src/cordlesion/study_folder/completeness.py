"""Whether the tables of a study fit together: every method on the same scans, at both thresholds, in every category."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.study_folder.runs import DEFAULT_THRESHOLD, REPORTED_SETS, lesion_bearing
from cordlesion.study_folder.stages import run_stage

if TYPE_CHECKING:
    from cordlesion.study_folder.results import StudyResults


def require_complete(results: "StudyResults") -> None:
    """Check that every run was evaluated on scans with lesions, in both sets, at both thresholds."""
    wanted = itertools.product(results.runs, REPORTED_SETS, (False, True))
    in_set = {name: set(rows["scan_id"]) for name, rows in results.evaluation.groupby("set")}
    split = set(zip(results.splits["set"], results.splits["scan_id"], strict=True))
    if unknown := sorted({(str(name), scan) for name, scans in in_set.items() for scan in scans} - split):
        raise CordlesionError(
            f"{results.folder.evaluation}: has the scan {unknown[0][1]} in the set {unknown[0][0]}, which "
            f"{results.folder.splits} does not have there; tables of one study are needed. {run_stage('evaluate')}"
        )
    for name in ("rules", "strata", "froc", "calibration", "reliability"):
        if others := set(getattr(results, name)["loss"]) - {run.loss for run in results.runs}:
            raise CordlesionError(
                f"{results.folder.table(name)}: has rows of {min(others)}, which {results.folder.evaluation} lacks; "
                f"tables of one study are needed. {run_stage('analyze')}"
            )
    for name, category in (("rules", "rule"), ("strata", "stratum")):
        _require_same_categories(results.folder.table(name), getattr(results, name), category)
    for run, set_name, tuned in wanted:
        threshold = results.tuned.get(run) if tuned else DEFAULT_THRESHOLD
        rows = results.evaluated(run, set_name, threshold)
        if missing := sorted(in_set.get(set_name, set()) - set(rows.index)):
            raise CordlesionError(
                f"{results.folder.evaluation}: lacks {missing[0]} of the set {set_name} for {run.name} at "
                f"{'its tuned threshold' if tuned else 't = 0.5'}; every method is needed on the same scans. "
                f"{run_stage('evaluate')}"
            )
        if lesion_bearing(rows).empty:
            raise CordlesionError(
                f"{results.folder.evaluation}: has no scan with lesions of the set {set_name} for {run.name} at "
                f"{'its tuned threshold' if tuned else 't = 0.5'}; the report needs some. {run_stage('evaluate')}"
            )


def _require_same_categories(path: Path, table: pd.DataFrame, category: str) -> None:
    """Check that every scan has a row for each category (such as a lesion size) with every method."""
    key = [name for name in ("loss", "seed", "fold", "scan_id") if name in table]
    counts = table.groupby(category)[category].count()
    if counts.nunique() > 1:
        rare = str(counts.idxmin())
        raise CordlesionError(
            f"{path}: has {counts.min()} rows of the {category} {rare[:40]!r} and {counts.max()} of others; one for "
            f"each scan and method is needed. {run_stage('analyze')}"
        )
    if table.groupby(key, dropna=False).size().nunique() > 1:
        raise CordlesionError(
            f"{path}: lacks the {category} of some scans; one row for each scan, method and {category} is needed. "
            f"{run_stage('analyze')}"
        )
