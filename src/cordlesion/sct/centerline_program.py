"""The centerline from an installed Spinal Cord Toolbox: its programs are run."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from cordlesion.cord.centerline import Centerline, centerline_from_cord_mask, read_centerline
from cordlesion.cord.ends import end_reasons
from cordlesion.cord.slabs import SLAB_MM
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

TIMEOUT_S = 600
_PROGRAMS = ("sct_get_centerline", "sct_deepseg")


def sct_version() -> dict[str, str]:
    """Return which installed program of SCT finds the cord, and the output of ``sct_version``; empty if none."""
    return _version_along(os.environ.get("PATH", ""))


@cache
def _version_along(path: str) -> dict[str, str]:
    # Cached, because fingerprints need it for every scan.
    program = next((name for name in _PROGRAMS if shutil.which(name, path=path)), None)
    if program is None:
        return {}
    version = shutil.which("sct_version", path=path)
    return {"program": program, "version": _output_of(version) if version else ""}


def _output_of(program: str) -> str:
    try:
        return subprocess.run([program], capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def centerline_from_sct(scan: Volume) -> Centerline:
    """Find the cord by ``sct_get_centerline``, or segment it by ``sct_deepseg spinalcord`` if only that is installed.

    Args:
        scan: An image that was read from a file.

    Raises:
        CordlesionError: Neither is installed, or the program fails or writes nothing usable.
    """
    if scan.path is None:
        raise ValueError("a scan without a file cannot be given to another program")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "cord.nii.gz"
        if program := shutil.which("sct_get_centerline"):
            # It takes the name without its ending.
            _run([program, "-i", str(scan.path), "-c", "t2", "-o", str(output).removesuffix(".nii.gz")], output)
            return _with_ends(read_centerline(output, scan), scan)
        if program := shutil.which("sct_deepseg"):
            _run([program, "spinalcord", "-i", str(scan.path), "-o", str(output)], output)
            return _with_ends(centerline_from_cord_mask(output, scan), scan)
    raise CordlesionError(
        f"{scan.path}: the source of the centerline is the Spinal Cord Toolbox, but neither sct_get_centerline nor "
        "sct_deepseg is on the PATH. Install it, or choose the source `auto`."
    )


def _with_ends(curve: Centerline, scan: Volume) -> Centerline:
    """Add why the curve ends: at the border of the image, or lost, because the programs give no reasons."""
    las = to_las(scan)
    slab_slices = max(1, round(SLAB_MM / las.spacing_mm[2]))
    return replace(curve, ends=end_reasons(curve.z[0], curve.z[-1], las.data.shape[2], slab_slices))


def _run(command: list[str], output: Path) -> None:
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CordlesionError(
            f"{name}: could not be run ({error}). Try it by hand, or choose the source `auto`."
        ) from error
    if done.returncode or not output.is_file():
        output_line = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise CordlesionError(
            f"{name}: ended with status {done.returncode} and {'a' if output.is_file() else 'no'} centerline; its last "
            f"output: {output_line}. Try it by hand, or choose the source `auto`."
        )
