"""A scan's stack in a study: cut and kept, or only tried."""

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
from cordlesion.study.fingerprints import earlier_stack_marks, stack_key, stack_mark
from cordlesion.study.inputs import require_unchanged
from cordlesion.study.sets import Cohort
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.threshold.postprocess import read_cord


@dataclass(frozen=True)
class StackToCut:
    """A scan whose stack the study needs."""

    scan: Scan
    mark: str
    """Fingerprint of the stack."""
    earlier_marks: Sequence[str]
    """What it was in versions before this one."""
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
    """Whether the stack is written; otherwise only those that cannot be cut are told from the others."""

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
        content = stack_content(make_stack(scan, self.preprocess, self._find))
        require_unchanged(scan, wanted.hashes, {"image", "reference", self.preprocess.guide or ""})
        if self._is_same(wanted, content):
            self.folder.renew(_key(wanted), wanted.mark)
            return
        path = self.folder.stack(scan.scan_id)
        with self.folder.stage(_key(wanted), wanted.mark, path), atomic_path(path) as temporary:
            temporary.write_bytes(content)

    def _check_cord(self, scan: Scan) -> None:
        try:
            read_cord(scan.cord_mask, read_grid(scan.image), self.postprocess)
        except CordlesionError as error:
            raise CordlesionError(f"{error}{scan.why_none('cord_mask')}") from None

    def is_done(self, wanted: StackToCut) -> bool:
        """Tell whether a stack is there, cut from just these files in just this way."""
        return self.folder.is_done(_key(wanted), wanted.mark, self.folder.stack(wanted.scan.scan_id))

    def _is_same(self, wanted: StackToCut, content: bytes) -> bool:
        """Say whether an earlier version cut the same stack from the same files: results made of it then stay valid."""
        last, path = self.folder.finished(_key(wanted)).get("fingerprint"), self.folder.stack(wanted.scan.scan_id)
        return last in wanted.earlier_marks and path.is_file() and path.read_bytes() == content

    @cached_property
    def _find(self) -> Finder | None:
        return study_finder(self.preprocess)


def stack_cutter(cohort: Cohort, keep: bool = True) -> StackCutter:
    """Return what cuts the stacks of a study; with ``keep`` unset it only tries."""
    return StackCutter(cohort.folder, cohort.config.preprocess, cohort.config.postprocess, keep)


def stacks_to_cut(cohort: Cohort, scans: Iterable[Scan]) -> list[StackToCut]:
    """Return what is to be cut of scans."""
    measured, config = cohort.names_in("threshold", "test"), cohort.config.preprocess
    hashes, value = cohort.hashes, cohort.config.patterns.lesion_value
    return [
        StackToCut(
            scan,
            stack_mark(config, hashes[scan.scan_id], value),
            earlier_stack_marks(config, hashes[scan.scan_id], value),
            hashes[scan.scan_id],
            scan.scan_id in measured,
        )
        for scan in scans
    ]


def _key(wanted: StackToCut) -> str:
    return stack_key(wanted.unit)
