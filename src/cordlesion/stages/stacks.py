"""A scan's stack in a study: cut and kept, or only tried."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from cordlesion.artifacts import StudyFolder
from cordlesion.centerlines import study_finder
from cordlesion.config import PostprocessConfig, PreprocessConfig
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.postprocess import read_cord
from cordlesion.preprocess.centerline import Finder
from cordlesion.preprocess.stack_file import make_stack, write_stack
from cordlesion.stages.marks import stack_mark
from cordlesion.stages.sets import Cohort
from cordlesion.volume import read_grid


@dataclass(frozen=True)
class StackToCut:
    """A scan whose stack the study needs."""

    scan: Scan
    mark: str
    """Fingerprint of the stack."""
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
        with self.folder.stage(_key(wanted), wanted.mark):
            write_stack(self.folder.stack(scan.scan_id), make_stack(scan, self.preprocess, self._find))

    def _check_cord(self, scan: Scan) -> None:
        try:
            read_cord(scan.cord_mask, read_grid(scan.image), self.postprocess)
        except CordlesionError as error:
            raise CordlesionError(f"{error}{scan.why_none('cord_mask')}") from None

    def is_done(self, wanted: StackToCut) -> bool:
        """Tell whether a stack is there, cut from just these files in just this way."""
        return self.folder.is_done(_key(wanted), wanted.mark, self.folder.stack(wanted.scan.scan_id))

    @cached_property
    def _find(self) -> Finder | None:
        return study_finder(self.preprocess)


def stack_cutter(cohort: Cohort, keep: bool = True) -> StackCutter:
    """Return what cuts the stacks of a study; with ``keep`` unset it only tries."""
    return StackCutter(cohort.folder, cohort.config.preprocess, cohort.config.postprocess, keep)


def stacks_to_cut(cohort: Cohort, scans: Iterable[Scan]) -> list[StackToCut]:
    """Return what is to be cut of scans."""
    measured, config = cohort.names_in("threshold", "test"), cohort.config.preprocess
    return [StackToCut(s, stack_mark(config, cohort.hashes[s.scan_id]), s.scan_id in measured) for s in scans]


def _key(wanted: StackToCut) -> str:
    return f"preprocess/{wanted.unit}"
