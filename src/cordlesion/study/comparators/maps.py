"""Comparators in a study: their files are matched with its scans, and imported into the study folder."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from cordlesion.config import ComparatorRun, PreprocessConfig, StudyConfig
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.execution.outcome import Outcome
from cordlesion.io.tables import write_table
from cordlesion.study.comparators.content import FileContent, require_findings
from cordlesion.study.comparators.faults import group_faults
from cordlesion.study.comparators.import_files import import_file, predict_bundle
from cordlesion.study.comparators.match import (
    Comparator,
    comparator_table,
    match_comparator,
    refuse_references,
    require_files,
    warn_unmatched,
)
from cordlesion.study.fingerprints import imported_fingerprint, predict_key
from cordlesion.study.inputs import require_same, require_unchanged
from cordlesion.study.sets import Cohort, Study
from cordlesion.study_folder.derivatives import describe_comparator, describe_dataset, mask_path
from cordlesion.study_folder.folder import StudyFolder

Writer: TypeAlias = Callable[[Scan, Path, Path], FileContent | None]
"""Writes a scan's map and mask, if there are any, to the two paths; returns what the comparator's file holds."""


def match_comparators(
    config: StudyConfig, scans: Mapping[str, Scan], measured: Collection[str]
) -> dict[str, Comparator]:
    """Match the files of every comparator with the measured scans; nothing is written.

    A scan without a file is no fault yet, because the study may exclude the scan.

    Args:
        config: The study.
        scans: All scans of the dataset, by name; only the paths of their references are used.
        measured: Names of those in a threshold or test set.

    Returns:
        The comparators by name.

    Raises:
        CordlesionError: A folder is missing or no bundle, two files fit one scan, or a file is a reference.
    """
    images = {name: scan.image for name, scan in scans.items()}
    found = {one.name: match_comparator(one, measured, images) for one in config.comparators}
    for comparator in found.values():
        refuse_references(comparator, {name: scan.reference for name, scan in scans.items()})
    return found


def list_comparators(cohort: Cohort) -> None:
    """Write ``comparators.tsv``, or remove it if there are no comparators, and report files that match no scan."""
    path, measured = cohort.folder.table("comparators"), sorted(cohort.names_in("threshold", "test"))
    if not cohort.comparators:
        path.unlink(missing_ok=True)
        return
    for comparator in cohort.comparators.values():
        warn_unmatched(comparator, path)
    write_table(path, comparator_table(cohort.comparators.values(), measured, cohort.folder.root))


def import_comparators(study: Study, scans: Sequence[Scan]) -> None:
    """Import the files of comparators before hours of training, so that a bad file is reported early.

    Args:
        study: The study.
        scans: All measured scans; their references are only compared with the files, which must not be copies.

    Raises:
        CordlesionError: A scan has no file, or files cannot be used, a sentence each.
    """
    if not study.comparators:
        return
    path = study.folder.table("comparators")
    names = [scan.scan_id for scan in scans]
    write_table(path, table := comparator_table(study.comparators.values(), names, study.folder.root))
    require_files(table)
    for run in {one.maps_name: one for one in study.config.comparator_runs}.values():
        if run.comparator.kind != "bundle":
            import_comparator(study, run, scans)
            files = study.comparators[run.comparator.name].files
            contents = {
                files[scan.scan_id]: study.folder.kept(predict_key(scan, run), "content", FileContent) for scan in scans
            }
            require_findings(run.comparator, contents)


def import_comparator(study: Study, run: ComparatorRun, scans: Sequence[Scan]) -> None:
    """Import the maps and masks of a comparator into the study folder, unless that is done.

    Raises:
        CordlesionError: Files cannot be used, a sentence each.
    """
    pending = [scan for scan in scans if not is_imported(study, run, scan)]
    if not pending:
        return
    describe_dataset(study.folder, study.config.dataset)
    maps, hashes = comparator_maps(study, run), study.hashes
    write = partial(import_file, maps.comparator)
    outcomes = map_scans(
        lambda scan: maps.write(scan, imported_fingerprint(study, run, scan), hashes[scan.scan_id], write),
        pending,
        f"read {run.maps_name}",
    )
    require_no_faults(study, run, outcomes)


def is_imported(study: Cohort | Study, run: ComparatorRun, scan: Scan) -> bool:
    """Return whether a comparator's map or mask of a scan is in the study folder, made from these files."""
    return comparator_maps(study, run).is_done(scan, imported_fingerprint(study, run, scan))


MapOf: TypeAlias = Callable[[Scan, str, Mapping[str, str]], None]
"""Writes the map of a scan, given its fingerprint and the SHA-256 of the scan's files."""


@dataclass(frozen=True)
class ComparatorMaps:
    """The maps and masks of a comparator in a study folder, and how they are written."""

    run: ComparatorRun
    comparator: Comparator
    folder: StudyFolder
    dataset: Path
    preprocess: PreprocessConfig | None
    """Of the comparator's model; None for files."""

    def load(self) -> MapOf:
        """Load the model and return a function that writes its map of a scan."""
        from cordlesion.centerlines import study_finder
        from cordlesion.model.bundle import load_bundle

        own = self.preprocess
        assert own is not None
        bundle = load_bundle(self.run.comparator.path)
        write = partial(predict_bundle, self.comparator, bundle, own, study_finder(own))
        return lambda scan, fingerprint, hashes: self.write(scan, fingerprint, hashes, write)

    def write(self, scan: Scan, fingerprint: str, hashes: Mapping[str, str], write: Writer) -> None:
        """Write map and mask of a scan, describe them and mark them as done."""
        probability = self.folder.probability(scan.scan_id, self.run.maps_name)
        results = _results(self.folder, self.run, scan)
        with self.folder.stage(predict_key(scan, self.run), fingerprint, *results) as record:
            if content := write(scan, probability, mask_path(probability)):
                record["content"] = asdict(content)
            for path in results:
                what = "Lesion probability per voxel" if path == probability else "Lesion mask"
                describe_comparator(path, scan.image, self.dataset, self.run.maps_name, what)
            require_unchanged(scan, hashes, ["image", "reference"])
            if file := self.comparator.files.get(scan.scan_id):
                require_same(file, self.comparator.hashes[scan.scan_id])

    def is_done(self, scan: Scan, fingerprint: str) -> bool:
        """Return whether map and mask of a scan exist, made from these files."""
        return self.folder.is_done(predict_key(scan, self.run), fingerprint, *_results(self.folder, self.run, scan))


def comparator_maps(study: Cohort | Study, run: ComparatorRun) -> ComparatorMaps:
    """Return the maps and masks of a comparator in a study."""
    comparator, config = study.comparators[run.comparator.name], study.config
    own = comparator.preprocess_in(config.preprocess)
    return ComparatorMaps(run, comparator, study.folder, config.dataset, own)


def require_no_faults(study: Cohort | Study, run: ComparatorRun, outcomes: Sequence[Outcome[Scan, Any]]) -> None:
    """Refuse files of a comparator that cannot be used.

    Raises:
        CordlesionError: There are such files, a sentence for each fault.
    """
    files = study.comparators[run.comparator.name].files
    faults = [(files[o.item.scan_id], o.item.image, o.fault) for o in outcomes if o.fault]
    if faults:
        raise CordlesionError("\n".join(f"comparator {run.maps_name}: {fault}" for fault in group_faults(faults)))


def _results(folder: StudyFolder, run: ComparatorRun, scan: Scan) -> list[Path]:
    """Return the files of a scan: a map, and a mask if the threshold is not tuned; or only a mask."""
    probability = folder.probability(scan.scan_id, run.maps_name)
    maps = [] if run.comparator.kind == "masks" else [probability]
    return maps + ([] if run.is_tuned else [mask_path(probability)])
