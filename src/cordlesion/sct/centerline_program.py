"""The centerline from the Spinal Cord Toolbox, where that is installed: its programs are run."""

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from cordlesion.cord.centerline import Centerline, centerline_from_cord_mask, read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import Volume

TIMEOUT_S = 600
_PROGRAMS = ("sct_get_centerline", "sct_deepseg")


def sct_version() -> dict[str, str]:
    """Tell which of SCT's programs finds the cord here, and the version that ``sct_version`` prints; empty if none."""
    return _version_along(os.environ.get("PATH", ""))


@cache
def _version_along(path: str) -> dict[str, str]:
    """Ask once: whoever asks for fingerprints asks for every scan."""
    program = next((name for name in _PROGRAMS if shutil.which(name, path=path)), None)
    if program is None:
        return {}
    told = shutil.which("sct_version", path=path)
    return {"program": program, "version": _said(told) if told else ""}


def _said(program: str) -> str:
    try:
        return subprocess.run([program], capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def centerline_from_sct(scan: Volume) -> Centerline:
    """Let ``sct_get_centerline`` find the cord or, where only that is there, ``sct_deepseg spinalcord`` segment it.

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
            return read_centerline(output, scan)
        if program := shutil.which("sct_deepseg"):
            _run([program, "spinalcord", "-i", str(scan.path), "-o", str(output)], output)
            return centerline_from_cord_mask(output, scan)
    raise CordlesionError(
        f"{scan.path}: the centerline is to come from the Spinal Cord Toolbox, but neither sct_get_centerline nor "
        "sct_deepseg is on the PATH. Install it, or choose the source `auto`."
    )


def _run(command: list[str], output: Path) -> None:
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CordlesionError(
            f"{name}: could not be run ({error}). Try it by hand, or choose the source `auto`."
        ) from error
    if done.returncode or not output.is_file():
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise CordlesionError(
            f"{name}: ended with status {done.returncode} and {'a' if output.is_file() else 'no'} centerline; its last "
            f"words: {said}. Try it by hand, or choose the source `auto`."
        )
