"""A scan's stack in a study: cut and kept, or only tried."""

from collections.abc import Callable

from cordlesion.centerlines import study_finder
from cordlesion.dataset.scan import Scan
from cordlesion.postprocess import read_cord
from cordlesion.preprocess.stack_file import make_stack, write_stack
from cordlesion.stages.marks import stack_mark
from cordlesion.stages.sets import Cohort
from cordlesion.volume import read_grid


def stack_cutter(cohort: Cohort, keep: bool = True) -> Callable[[Scan], None]:
    """Return what cuts the stack of a scan, unless that is done; it raises CordlesionError where it cannot be cut.

    Args:
        cohort: The study.
        keep: Whether the stack is written; otherwise only those that cannot be cut are told from the others.
    """
    config, folder = cohort.config, cohort.folder
    measured, find = cohort.names_in("threshold", "test"), study_finder(config.preprocess)

    def cut(scan: Scan) -> None:
        if scan.scan_id in measured:
            read_cord(scan.cord_mask, read_grid(scan.image), config.postprocess)
        key, mark = f"preprocess/{scan.scan_id}", stack_mark(config.preprocess, cohort.hashes[scan.scan_id])
        path = folder.stack(scan.scan_id)
        if folder.is_done(key, mark, path):
            return
        if not keep:
            make_stack(scan, config.preprocess, find)
            return
        with folder.stage(key, mark):
            write_stack(path, make_stack(scan, config.preprocess, find))

    return cut
