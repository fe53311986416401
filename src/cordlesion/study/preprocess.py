"""The cord stacks of a study (stage ``preprocess``)."""

from dataclasses import replace

from cordlesion.execution.local import map_scans
from cordlesion.io.progress import show_message
from cordlesion.study.comparators.maps import import_comparators
from cordlesion.study.models_aside import set_models_aside
from cordlesion.study.options import DEFAULT, RunOptions
from cordlesion.study.outdated import clear_outdated_thresholds
from cordlesion.study.sets import Cohort, Study, close_test_sets, require_scans
from cordlesion.study.stacks import searched_in_part, stack_cutter, stacks_to_cut


def preprocess(cohort: Cohort, options: RunOptions = DEFAULT) -> Study:
    """Cut the cord stack of every scan, close the test sets, and import the files of comparators.

    A scan without a usable centerline is excluded and listed. One in which the cord is lost at an end takes part and is
    listed, too: its scores show what a method finds in such a scan.
    """
    excluded = _cut_stacks(cohort, options)
    splits = cohort.splits[~cohort.splits["scan_id"].isin(excluded.keys())]
    if excluded:
        require_scans(cohort.config, splits, f"First fault: {next(iter(excluded.values()))}", cohort.repeats)
    hashes = {name: files for name, files in cohort.hashes.items() if name not in excluded}
    partial = searched_in_part(cohort.folder, splits["scan_id"].unique())
    if partial:
        show_message(f"the cord was lost in {len(partial)} of {len(hashes)} scans; they are listed at the end")
    cut = replace(cohort, hashes=hashes, splits=splits, excluded={**cohort.excluded, **excluded}, partial=partial)
    study = close_test_sets(cut)
    set_models_aside(study)
    clear_outdated_thresholds(cohort)
    measured = cohort.names_in("threshold", "test") & hashes.keys()
    import_comparators(study, [cohort.scans[name] for name in sorted(measured)])
    return study


def _cut_stacks(cohort: Cohort, options: RunOptions) -> dict[str, str]:
    """Cut the stacks that are not there yet; returns why others cannot be cut, by scan."""
    used, cut = set(cohort.splits["scan_id"]), stack_cutter(cohort)
    wanted = stacks_to_cut(cohort, [scan for name, scan in cohort.scans.items() if name in used])
    # Stacks that exist are only checked again, which is too little work for a cluster.
    outcomes = []
    if done := [one for one in wanted if cut.is_done(one)]:
        outcomes += map_scans(cut, done, "check stacks")
    if pending := [one for one in wanted if not cut.is_done(one)]:
        outcomes += options.executor.each_scan(cut, pending, "cut stacks")
    return {o.item.unit: o.fault for o in outcomes if o.fault}
