"""Whether the tables of a finished study belong together and lack nothing."""

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from cordlesion.config import SetName
from cordlesion.errors import CordlesionError
from cordlesion.study_folder.runs import DEFAULT_THRESHOLD, REPORTED_SETS, Run, lesion_bearing
from cordlesion.study_folder.stages import run_stage

if TYPE_CHECKING:
    from cordlesion.study_folder.results import StudyResults

_BY_CATEGORY: dict[Literal["rules", "strata"], str] = {"rules": "rule", "strata": "stratum"}
"""The tables with several rows for each scan and run, and the column in which they differ."""
_OF_RUNS = ("froc", "calibration", "reliability", "uncertainty", "retention", "rule_choices", "threshold_rules")


def require_complete(results: "StudyResults") -> None:
    """Check that every run was evaluated on the same scans, some of them with lesions, at both thresholds.

    Raises:
        CordlesionError: It was not, or tables are of different studies.
    """
    evaluated = {scan for run in results.runs for scan in _evaluated_scans(results, run)}
    split = set(zip(results.splits["set"], results.splits["scan_id"], strict=True))
    if unknown := sorted(evaluated - split):
        raise CordlesionError(
            f"{results.folder.evaluation}: has the scan {unknown[0][1]} in the set {unknown[0][0]}, which "
            f"{results.folder.splits} does not have there; tables of one study are needed. {run_stage('evaluate')}"
        )
    known = {run.loss for run in results.runs}
    in_tables: dict[str, list[str]] = {name: results.losses_in(name) for name in _BY_CATEGORY}
    in_tables |= {name: list(getattr(results, name)["loss"]) for name in _OF_RUNS}
    for name, losses in in_tables.items():
        if others := set(losses) - known:
            raise CordlesionError(
                f"{results.folder.table(name)}: has rows of {min(others)}, which {results.folder.evaluation} lacks; "
                f"tables of one study are needed. {run_stage('analyze')}"
            )
    for name in _BY_CATEGORY:
        _require_same_categories(results, name)
    in_set = {wanted: {scan for name, scan in evaluated if name == wanted} for wanted in REPORTED_SETS}
    for run, set_name, tuned in itertools.product(results.runs, REPORTED_SETS, (False, True)):
        _require_evaluated(results, run, set_name, tuned, in_set[set_name])


def _evaluated_scans(results: "StudyResults", run: Run) -> Iterable[tuple[str, str]]:
    """Return the set and name of each scan."""
    rows = results.rows("evaluation", run, ["set", "scan_id"])
    return zip(rows["set"], rows["scan_id"], strict=True)


def _require_evaluated(results: "StudyResults", run: Run, set_name: SetName, tuned: bool, scans: set[str]) -> None:
    rows = results.evaluated(run, set_name, results.tuned.get(run) if tuned else DEFAULT_THRESHOLD)
    where = f"of the set {set_name} for {run.name} at {'its tuned threshold' if tuned else 't = 0.5'}"
    if missing := sorted(scans - set(rows.index)):
        raise CordlesionError(
            f"{results.folder.evaluation}: lacks {missing[0]} {where}; every method is needed on the same scans. "
            f"{run_stage('evaluate')}"
        )
    if lesion_bearing(rows).empty:
        raise CordlesionError(
            f"{results.folder.evaluation}: has no scan with lesions {where}; the report needs some. "
            f"{run_stage('evaluate')}"
        )


def _require_same_categories(results: "StudyResults", name: Literal["rules", "strata"]) -> None:
    """Check that every scan has a row for each category (such as a lesion size) with every method."""
    path, category = results.folder.table(name), _BY_CATEGORY[name]
    counts: Counter[str] = Counter()
    per_scan: set[int] = set()
    for run in results.runs_in(name):
        rows = results.rows(name, run, ["scan_id", "fold", category])
        counts.update(rows[category])
        per_scan |= set(rows.groupby([*rows.columns.intersection(["fold", "scan_id"])], dropna=False).size())
    if len(set(counts.values())) > 1:
        rare, most = min(counts, key=lambda one: (counts[one], one)), max(counts.values())
        raise CordlesionError(
            f"{path}: has {counts[rare]} rows of the {category} {str(rare)[:40]!r} and {most} of others; one for "
            f"each scan and method is needed. {run_stage('analyze')}"
        )
    if len(per_scan) > 1:
        raise CordlesionError(
            f"{path}: lacks the {category} of some scans; one row for each scan, method and {category} is needed. "
            f"{run_stage('analyze')}"
        )
