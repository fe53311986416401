"""Comparators in a study: their files matched with its scans, and their maps and masks brought into its folder."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from cordlesion.config import ComparatorRun, PreprocessConfig, StudyConfig
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import Outcome, map_scans
from cordlesion.io.tables import write_table
from cordlesion.study.comparators.content import FileContent, require_findings
from cordlesion.study.comparators.faults import fold_faults
from cordlesion.study.comparators.import_files import bring_file, predict_bundle
from cordlesion.study.comparators.match import (
    Comparator,
    comparator_table,
    match_comparator,
    refuse_references,
    require_files,
    say_of_no_scan,
)
from cordlesion.study.fingerprints import brought_mark, predict_key
from cordlesion.study.inputs import require_same, require_unchanged
from cordlesion.study.sets import Cohort, Study
from cordlesion.study_folder.derivatives import describe_comparator, describe_dataset, mask_path
from cordlesion.study_folder.folder import StudyFolder

Writer: TypeAlias = Callable[[Scan, Path, Path], FileContent | None]
"""Writes a scan's map and mask, as far as there are any, to the two paths; tells what the file of it held."""


def match_comparators(
    config: StudyConfig, scans: Mapping[str, Scan], measured: Collection[str]
) -> dict[str, Comparator]:
    """Match the files of every comparator with the scans that are to be measured; nothing is written.

    A scan without a file is no fault yet, because it may have to be left out of the study.

    Args:
        config: The study.
        scans: All scans of the dataset, by name; of their references only the paths are looked at.
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
    """Write ``comparators.tsv``, or remove it where there are none, and say which files belong to no scan."""
    path, measured = cohort.folder.table("comparators"), sorted(cohort.names_in("threshold", "test"))
    if not cohort.comparators:
        path.unlink(missing_ok=True)
        return
    for comparator in cohort.comparators.values():
        say_of_no_scan(comparator, path)
    write_table(path, comparator_table(cohort.comparators.values(), measured, cohort.folder.root))


def bring_files(study: Study, scans: Sequence[Scan]) -> None:
    """Bring in what comparators are given as files: before hours of training, so that a bad file is told early.

    Args:
        study: The study.
        scans: All that are measured; their references are only compared with the files, which must not be copies.

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
            bring_comparator(study, run, scans)
            files = study.comparators[run.comparator.name].files
            contents = {
                files[scan.scan_id]: study.folder.kept(predict_key(scan, run), "content", FileContent) for scan in scans
            }
            require_findings(run.comparator, contents)


def bring_comparator(study: Study, run: ComparatorRun, scans: Sequence[Scan]) -> None:
    """Bring the maps and masks that a comparator has as files into the study folder, unless they are there already.

    Raises:
        CordlesionError: Files cannot be used, a sentence each.
    """
    pending = [scan for scan in scans if not is_brought(study, run, scan)]
    if not pending:
        return
    describe_dataset(study.folder, study.config.dataset)
    bringer, hashes = comparator_maps(study, run), study.hashes
    write = partial(bring_file, bringer.comparator)
    outcomes = map_scans(
        lambda scan: bringer.bring(scan, brought_mark(study, run, scan), hashes[scan.scan_id], write),
        pending,
        f"read {run.maps_name}",
    )
    require_no_faults(study, run, outcomes)


def is_brought(study: Cohort | Study, run: ComparatorRun, scan: Scan) -> bool:
    """Tell whether a comparator's map or mask of a scan is in the study folder, made from just these files."""
    return comparator_maps(study, run).is_done(scan, brought_mark(study, run, scan))


MapOf: TypeAlias = Callable[[Scan, str, Mapping[str, str]], None]
"""Writes the map of a scan, given its fingerprint and the SHA-256 of the scan's files."""


@dataclass(frozen=True)
class ComparatorMaps:
    """The maps and masks of a comparator in a study folder, and how they come there."""

    run: ComparatorRun
    comparator: Comparator
    folder: StudyFolder
    dataset: Path
    preprocess: PreprocessConfig | None
    """A model's own; None for files."""

    def load(self) -> MapOf:
        """Load the model and return what writes its map of a scan."""
        from cordlesion.centerlines import study_finder
        from cordlesion.model.bundle import load_bundle

        own = self.preprocess
        assert own is not None
        bundle = load_bundle(self.run.comparator.path)
        write = partial(predict_bundle, self.comparator, bundle, own, study_finder(own))
        return lambda scan, mark, hashes: self.bring(scan, mark, hashes, write)

    def bring(self, scan: Scan, mark: str, hashes: Mapping[str, str], write: Writer) -> None:
        """Write map and mask of a scan, describe them and mark them as done."""
        probability = self.folder.probability(scan.scan_id, self.run.maps_name)
        results = _results(self.folder, self.run, scan)
        with self.folder.stage(predict_key(scan, self.run), mark, *results) as record:
            if content := write(scan, probability, mask_path(probability)):
                record["content"] = asdict(content)
            for path in results:
                what = "Lesion probability per voxel" if path == probability else "Lesion mask"
                describe_comparator(path, scan.image, self.dataset, self.run.maps_name, what)
            require_unchanged(scan, hashes, ["image", "reference"])
            if file := self.comparator.files.get(scan.scan_id):
                require_same(file, self.comparator.hashes[scan.scan_id])

    def is_done(self, scan: Scan, mark: str) -> bool:
        """Tell whether map or mask of a scan are there, made from just these files."""
        return self.folder.is_done(predict_key(scan, self.run), mark, *_results(self.folder, self.run, scan))


def comparator_maps(study: Cohort | Study, run: ComparatorRun) -> ComparatorMaps:
    """Return the maps and masks of a comparator in a study."""
    comparator, config = study.comparators[run.comparator.name], study.config
    own = comparator.preprocess_in(config.preprocess)
    return ComparatorMaps(run, comparator, study.folder, config.dataset, own)


def require_no_faults(study: Cohort | Study, run: ComparatorRun, outcomes: Sequence[Outcome[Scan, Any]]) -> None:
    """Refuse files of a comparator that cannot be used.

    Raises:
        CordlesionError: There are some, a sentence for each fault.
    """
    files = study.comparators[run.comparator.name].files
    faults = [(files[o.item.scan_id], o.item.image, o.fault) for o in outcomes if o.fault]
    if faults:
        raise CordlesionError("\n".join(f"comparator {run.maps_name}: {fault}" for fault in fold_faults(faults)))


def _results(folder: StudyFolder, run: ComparatorRun, scan: Scan) -> list[Path]:
    """Return the files that there will be of a scan: a map, a mask where it is not tuned, or a mask alone."""
    probability = folder.probability(scan.scan_id, run.maps_name)
    maps = [] if run.comparator.kind == "masks" else [probability]
    return maps + ([] if run.is_tuned else [mask_path(probability)])
