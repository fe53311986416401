"""Comparators that cannot be measured are refused before the study writes or removes anything."""

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from cordlesion.config import ComparatorRun
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.execution.outcome import Outcome
from cordlesion.study.comparators.content import FileContent, require_findings
from cordlesion.study.comparators.import_files import check_file
from cordlesion.study.comparators.maps import is_imported, require_no_faults
from cordlesion.study.comparators.match import comparator_table, require_files
from cordlesion.study.fingerprints import predict_key
from cordlesion.study.sets import Cohort
from cordlesion.study.stacks import stack_cutter, stacks_to_cut

CheckedFiles: TypeAlias = Sequence[Outcome[Scan, FileContent]]


def check_comparators(cohort: Cohort) -> None:
    """Refuse comparators that lack files, or whose files cannot be used; nothing is written.

    Imported files are not read again, and scans that the study excludes need no file.

    Raises:
        CordlesionError: A scan has no file, files cannot be used, a sentence each, or a model cannot be loaded.
    """
    if not cohort.comparators:
        return
    scans = [cohort.scans[name] for name in sorted(cohort.names_in("threshold", "test"))]
    runs = {one.maps_name: one for one in cohort.config.comparator_runs}.values()
    checked = [(run, _check(cohort, run, scans)) for run in runs if run.comparator.kind != "bundle"]
    excluded = _excluded(cohort, scans, [outcomes for _, outcomes in checked])
    kept = [scan.scan_id for scan in scans if scan not in excluded]
    require_files(comparator_table(cohort.comparators.values(), kept, cohort.folder.root))
    for run, outcomes in checked:
        counted = [outcome for outcome in outcomes if outcome.item not in excluded]
        require_no_faults(cohort, run, counted)
        files = cohort.comparators[run.comparator.name].files
        require_findings(run.comparator, {files[o.item.scan_id]: o.result for o in counted if o.result})
    for run in runs:
        if run.comparator.kind == "bundle" and not all(is_imported(cohort, run, scan) for scan in scans):
            _require_loadable(run)


def _require_loadable(run: ComparatorRun) -> None:
    from cordlesion.model.bundle import ModelCard, load_bundle, read_card

    card = read_card(run.comparator.path)
    if isinstance(card, ModelCard) and card.network.is_imported:
        raise CordlesionError(
            f"{run.comparator.path}: its network is {card.network.name}, Python code from outside of cordlesion, which "
            "a study does not run for a comparator. Give its maps instead (`maps:`), made with `cordlesion segment`."
        )
    load_bundle(run.comparator.path)


def _check(cohort: Cohort, run: ComparatorRun, scans: Sequence[Scan]) -> CheckedFiles:
    files = cohort.comparators[run.comparator.name].files
    present = [scan for scan in scans if scan.scan_id in files]
    return map_scans(partial(_content, cohort, run), present, f"check {run.maps_name}")


def _content(cohort: Cohort, run: ComparatorRun, scan: Scan) -> FileContent:
    if is_imported(cohort, run, scan):
        return cohort.folder.kept(predict_key(scan, run), "content", FileContent)
    return check_file(cohort.comparators[run.comparator.name], scan)


def _excluded(cohort: Cohort, scans: Sequence[Scan], checked: Sequence[CheckedFiles]) -> set[Scan]:
    """Return the scans without a usable file of some comparator that the study itself cannot use either."""
    usable = [{outcome.item for outcome in outcomes if not outcome.fault} for outcomes in checked]
    doubtful = [scan for scan in scans if not all(scan in found for found in usable)]
    if not doubtful:
        return set()
    outcomes = map_scans(stack_cutter(cohort, keep=False), stacks_to_cut(cohort, doubtful), "check scans")
    return {outcome.item.scan for outcome in outcomes if outcome.fault}
