"""A scan's cord stack in a study: cut and written, or only tried."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cordlesion.centerlines import study_finder
from cordlesion.config import PostprocessConfig, PreprocessConfig
from cordlesion.cord.centerline import Finder
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import read_grid
from cordlesion.io.writing import atomic_path
from cordlesion.preprocess.stack_file import make_stack, stack_content
from cordlesion.study.inputs import require_unchanged
from cordlesion.study.sets import Cohort
from cordlesion.study.stack_fingerprint import earlier_stack_fingerprints, stack_fingerprint, stack_key
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.threshold.postprocess import read_cord

_LOST = "cord_lost"
"""Key of a stack's done-marker."""


@dataclass(frozen=True)
class StackToCut:
    """A scan whose stack the study needs."""

    scan: Scan
    fingerprint: str
    earlier_fingerprints: Sequence[str]
    """Fingerprints of the same stack in earlier versions."""
    hashes: Mapping[str, str]
    """SHA-256 of the scan's files."""
    is_measured: bool
    """Whether it is in a threshold or test set."""

    @property
    def unit(self) -> str:
        """Its name among the stacks."""
        return self.scan.scan_id


@dataclass(frozen=True)
class StackCutter:
    """Cuts the stack of a scan, unless that is done; raises CordlesionError where it cannot be cut."""

    folder: StudyFolder
    preprocess: PreprocessConfig
    postprocess: PostprocessConfig
    keep: bool = True
    """Whether the stack is written; otherwise it is only tried whether it can be cut."""

    def __call__(self, wanted: StackToCut) -> None:
        """Cut one stack."""
        scan = wanted.scan
        if wanted.is_measured:
            self._check_cord(scan)
        if self.is_done(wanted):
            return
        if not self.keep:
            make_stack(scan, self.preprocess, self._find)
            return
        stack = make_stack(scan, self.preprocess, self._find)
        content, found = stack_content(stack), {_LOST: stack.lost}
        require_unchanged(scan, wanted.hashes, {"image", "reference", self.preprocess.guide or ""})
        if self._is_same(wanted, content):
            self.folder.renew(_key(wanted), wanted.fingerprint, found)
            return
        path = self.folder.stack(scan.scan_id)
        with self.folder.stage(_key(wanted), wanted.fingerprint, path) as record, atomic_path(path) as temporary:
            temporary.write_bytes(content)
            record |= found

    def _check_cord(self, scan: Scan) -> None:
        try:
            read_cord(scan.cord_mask, read_grid(scan.image), self.postprocess)
        except CordlesionError as error:
            raise CordlesionError(f"{error}{scan.why_none('cord_mask')}") from None

    def is_done(self, wanted: StackToCut) -> bool:
        """Return whether the stack exists, cut from these files with these settings."""
        return self.folder.is_done(_key(wanted), wanted.fingerprint, self.folder.stack(wanted.scan.scan_id))

    def _is_same(self, wanted: StackToCut, content: bytes) -> bool:
        """Return whether an earlier version cut the same stack from the same files, so that its results stay valid."""
        last, path = self.folder.finished(_key(wanted)).get("fingerprint"), self.folder.stack(wanted.scan.scan_id)
        return last in wanted.earlier_fingerprints and path.is_file() and path.read_bytes() == content

    @cached_property
    def _find(self) -> Finder | None:
        return study_finder(self.preprocess)


def stack_cutter(cohort: Cohort, keep: bool = True) -> StackCutter:
    """Return the cutter of a study's stacks; without ``keep`` it writes nothing."""
    return StackCutter(cohort.folder, cohort.config.preprocess, cohort.config.postprocess, keep)


def stacks_to_cut(cohort: Cohort, scans: Iterable[Scan]) -> list[StackToCut]:
    """Return the stacks that the study needs of some scans."""
    measured, config = cohort.names_in("threshold", "test"), cohort.config.preprocess
    hashes, value = cohort.hashes, cohort.config.patterns.lesion_value
    return [
        StackToCut(
            scan,
            stack_fingerprint(config, hashes[scan.scan_id], value),
            earlier_stack_fingerprints(config, hashes[scan.scan_id], value),
            hashes[scan.scan_id],
            scan.scan_id in measured,
        )
        for scan in scans
    ]


def searched_in_part(folder: StudyFolder, scans: Iterable[str]) -> dict[str, str]:
    """Return the scans whose cord was lost at an end when their stack was cut, each with a sentence that says where."""
    markers = {name: folder.finished(stack_key(name)) for name in scans}
    return {name: str(marker[_LOST]) for name, marker in markers.items() if marker.get(_LOST)}


def _key(wanted: StackToCut) -> str:
    return stack_key(wanted.unit)
