"""The scans of a study: found, checked, hashed and assigned to sets (stage ``split``)."""

from dataclasses import asdict, replace
from pathlib import Path

from cordlesion.config import NETWORK, PreprocessConfig, StudyConfig, study_yaml
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.recognition.recognize import require_references
from cordlesion.dataset.repeats import find_repeats
from cordlesion.dataset.scan import Scan, ScanContent, inspect_scan
from cordlesion.dataset.subset import choose_subset
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.io.fingerprints import file_hash, fingerprint
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.writing import write_text
from cordlesion.study.comparators.check import check_comparators
from cordlesion.study.comparators.maps import list_comparators, match_comparators
from cordlesion.study.options import DEFAULT, RunOptions
from cordlesion.study.outdated import remove_orphaned_results, remove_outdated_results
from cordlesion.study.sets import Cohort, require_scans
from cordlesion.study.setup import require_same_extent
from cordlesion.study.split import faults_by_scan, split_for_study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.manifest import write_manifest


def begin_study(config: StudyConfig, options: RunOptions = DEFAULT) -> Cohort:  # noqa: ARG001
    """Check the scans, assign them to sets, and remove results of other inputs (stage ``split``).

    Raises:
        CordlesionError: The input cannot be used; a finished study is then left as it is.
    """
    folder = StudyFolder(config.output)
    require_same_extent(config, folder)
    cohort = open_study(config, folder)
    check_comparators(cohort)
    # Nothing is refused from here on: until here a finished study is unchanged.
    write_manifest(folder, config, cohort.scans, cohort.hashes, cohort.excluded)
    write_text(folder.configuration, study_yaml(config))
    list_comparators(cohort)
    remove_orphaned_results(config, folder)
    remove_outdated_results(cohort)
    return cohort


def open_study(config: StudyConfig, folder: StudyFolder) -> Cohort:
    """Find and check the scans, assign them to sets (written once, then read), and find the files of comparators."""
    network = _network_hash(config.preprocess)
    scans, unusable = find_scans(config.dataset, config.patterns)
    require_references(config.dataset, config.patterns, scans)
    references = MaskValues("references", config.patterns.lesion_value)
    outcomes = map_scans(lambda scan: _inspect(scan, config, folder, references), scans, "read scans")
    references.require_one()
    excluded = faults_by_scan(outcomes, unusable)
    read = {o.item.scan_id: o.result for o in outcomes if o.result}
    usable = [scan for scan in scans if scan.scan_id in read]
    if config.reduced and config.reduced.scans:
        usable = choose_subset(
            usable, {n: content for n, (content, _) in read.items()}, config.reduced.scans, config.split
        )
    contents = {scan.scan_id: read[scan.scan_id][0] for scan in usable}
    hashes = {scan.scan_id: read[scan.scan_id][1] | network for scan in usable}
    splits = split_for_study(usable, contents, excluded, config.split, folder)
    repeats = find_repeats(config.dataset, usable)
    require_scans(config, splits, repeats=repeats)
    cohort = Cohort(config, folder, {scan.scan_id: scan for scan in usable}, hashes, splits, excluded, repeats=repeats)
    by_name, measured = {scan.scan_id: scan for scan in scans}, cohort.names_in("threshold", "test")
    return replace(cohort, comparators=match_comparators(config, by_name, measured))


def _network_hash(config: PreprocessConfig) -> dict[str, str]:
    """Return the SHA-256 of the network that finds centerlines, where that is a file.

    Raises:
        CordlesionError: There is no such file.
    """
    if config.guide != NETWORK:
        return {}
    path = Path(config.centerline)
    if not path.is_file():
        raise CordlesionError(
            f"{path}: no such file; SCT's centerline network is needed, as `preprocess.centerline` names it. "
            "Check the path, which is relative to the study's file, or choose the source `auto`."
        )
    return {NETWORK: file_hash(path)}


def _inspect(
    scan: Scan, config: StudyConfig, folder: StudyFolder, references: MaskValues
) -> tuple[ScanContent, dict[str, str]]:
    """Read a scan's content, or return that of the last time if no file has changed.

    Args:
        scan: The scan.
        config: The study.
        folder: The study, which keeps what was read.
        references: Collects the values by which references mark lesions.
    """
    hashes = {kind: file_hash(path) for kind, path in scan.files().items()}
    value = [] if scan.lesion_value is None else [scan.lesion_value]
    key = f"inspect/{scan.scan_id}"
    made_from = fingerprint("inspection", hashes, config.evaluation.rule, *value)
    if not folder.is_done(key, made_from):
        with folder.stage(key, made_from) as record:
            record["content"] = asdict(inspect_scan(scan, config.evaluation.rule, references))
    content = folder.kept(key, "content", ScanContent)
    if scan.reference is not None:
        references.add(scan.reference, content.reference_value)
    return content, hashes
