"""Comparators in a study: their files matched with its scans, and their maps and masks brought into its folder."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from cordlesion.artifacts import StudyFolder
from cordlesion.comparators.bring import bring_file, predict_bundle
from cordlesion.comparators.match import Comparator, comparator_table, match_comparator, require_matched
from cordlesion.config import ComparatorRun, StudyConfig
from cordlesion.dataset.scan import Scan
from cordlesion.derivatives import describe_comparator, describe_dataset, mask_path
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import write_table
from cordlesion.execution.local import map_scans
from cordlesion.progress import track
from cordlesion.stages.marks import map_mark, predict_key
from cordlesion.stages.sets import Study

_WHAT = ("Lesion probability per voxel", "Lesion mask")


def match_comparators(
    config: StudyConfig, folder: StudyFolder, scans: Collection[str], measured: Collection[str]
) -> dict[str, Comparator]:
    """Match the files of every comparator with the scans that are measured, and write ``comparators.tsv``.

    Args:
        config: The study.
        folder: Where the table goes.
        scans: Names of all scans of the dataset.
        measured: Names of those in a threshold or test set.

    Returns:
        The comparators by name.

    Raises:
        CordlesionError: A folder is missing or no bundle, two files fit one scan, or a scan has no file.
    """
    path = folder.table("comparators")
    if not config.comparators:
        path.unlink(missing_ok=True)
        return {}
    found = {one.name: match_comparator(one, measured) for one in config.comparators}
    table = comparator_table(list(found.values()), sorted(measured), scans)
    write_table(path, table)
    require_matched(table, path)
    return found


def bring_files(study: Study, scans: Sequence[Scan]) -> None:
    """Bring in what comparators are given as files: before hours of training, so that a bad file is told early.

    Args:
        study: The study.
        scans: All that are measured; their references are not looked at.

    Raises:
        CordlesionError: Files cannot be used, a sentence each.
    """
    for run in {one.maps_name: one for one in study.config.comparator_runs}.values():
        if run.comparator.kind != "bundle":
            bring_comparator(study, run, scans)


def bring_comparator(study: Study, run: ComparatorRun, scans: Sequence[Scan]) -> None:
    """Bring the maps and masks of a comparator into the study folder, unless they are there already.

    Raises:
        CordlesionError: Files cannot be used, a sentence each.
    """
    folder, comparator = study.folder, study.comparators[run.comparator.name]
    marks = {scan: map_mark(study, run, scan) for scan in scans}
    pending = [
        scan for scan in scans if not folder.is_done(predict_key(scan, run), marks[scan], *_results(folder, run, scan))
    ]
    if not pending:
        return
    describe_dataset(folder, study.config.dataset)

    def bring(scan: Scan) -> None:
        probability = folder.probability(scan.scan_id, run.maps_name)
        with folder.stage(predict_key(scan, run), marks[scan]):
            write(scan=scan, probability=probability, mask=mask_path(probability))
            for path in _results(folder, run, scan):
                what = _WHAT[path != probability]
                describe_comparator(path, scan.image, study.config.dataset, comparator.config.name, what)

    if comparator.config.kind == "bundle":
        from cordlesion.model.bundle import load_bundle

        write = partial(
            predict_bundle, comparator, load_bundle(comparator.config.path), preprocess=study.config.preprocess
        )
        for scan in track(pending, f"predict {run.maps_name}", len(pending)):
            bring(scan)
    else:
        write = partial(bring_file, comparator)
        outcomes = map_scans(bring, pending, f"read {run.maps_name}")
        if faults := [f"comparator {run.maps_name}: {outcome.fault}" for outcome in outcomes if outcome.fault]:
            raise CordlesionError("\n".join(faults))


def _results(folder: StudyFolder, run: ComparatorRun, scan: Scan) -> list[Path]:
    """Return the files that there will be of a scan: a map, a mask where it is not tuned, or a mask alone."""
    probability = folder.probability(scan.scan_id, run.maps_name)
    maps = [] if run.comparator.kind == "masks" else [probability]
    return maps + ([] if run.is_tuned else [mask_path(probability)])
