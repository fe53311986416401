"""A segmented scan in a quality-control report of the Spinal Cord Toolbox."""

from pathlib import Path

from cordlesion.io.outputs import portable_path
from cordlesion.io.progress import show_message
from cordlesion.scan.outputs import Segmentation


def add_to_qc(qc: Path, result: Segmentation, folder: Path) -> None:
    """Add a scan to a quality-control report of the Spinal Cord Toolbox, with the command that reproduces it.

    Args:
        qc: The report, existing or not.
        result: What was found.
        folder: Where the results lie.

    Raises:
        CordlesionError: The report cannot be written.
    """
    from cordlesion.sct.qc_report import write_qc_entry

    here, scan = Path.cwd(), result.scan.path
    places = {"-m": result.bundle or Path(), "-o": folder, "--qc": qc, **result.cord_input.options}
    options = [part for option, place in places.items() for part in (option, portable_path(place, here))]
    named = portable_path(scan, here) if scan else ""
    command_line = ["cordlesion", "segment", named, *options, "--threshold", f"{result.threshold:g}"]
    show_message(f"{write_qc_entry(qc, result.scan, result.mask, result.centerline, command_line)}")
