"""Where commands may write: never over what they read, never among what others have put there (leaf module)."""

import contextlib
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.io.writing import (
    LONGEST_NAME,
    is_partial,
    remove_file,
    remove_partial_files,
    require_no_device,
    write_text,
)

_UNFINISHED = ".unfinished"
_READ_IN_FOLDERS = (
    *("*.nii", "*.nii.gz", "sub-*.json", "sub-*_scans.tsv", "sub-*_sessions.tsv"),
    *("participants.*", "dataset_description.json", "*.safetensors", "model.json", "study.yaml", "manifest.json"),
)
"""What commands read in folders they are given: scans, masks, maps and what describes them, models, studies."""


def portable_path(path: Path, folder: Path) -> str:
    """Return a path as it may stand in a file below ``folder`` that is passed on to others: relative to the folder.

    Where the two have only the root in common, the path between them would name places of this machine and be of no use
    on another; then it is the name alone.
    """
    path, folder = path.resolve(), folder.resolve()
    together = len(Path(os.path.commonpath([path, folder])).parts) > 1
    return Path(os.path.relpath(path, folder)).as_posix() if together else path.name


def check_output_file(path: Path, *inputs: Path | None) -> Path:
    """Refuse a path that cannot become a file, before any work is spent on what it is to hold.

    Every command that writes a file gives all that it reads: this is the one place where an output is kept from
    replacing an input.

    Args:
        path: The file to write.
        inputs: What it is made from, files and folders, which must not be overwritten.

    Raises:
        CordlesionError: ``path`` is a folder or a device, lies below a file, has too long a name, is one of the
            inputs, or is a file that is read from a folder among them.
    """
    require_short_name(path)
    require_no_device(path)
    for given in filter(None, inputs):
        _require_other(path, given)
    if path.is_dir():
        raise CordlesionError(
            f"{path}: is a folder; the name of a file to write is needed. Add one, e.g. {path / 'x'}."
        )
    check_output_folder(path.parent)
    return path


def _require_other(path: Path, given: Path) -> None:
    if not (path.is_file() and given.exists()):
        return
    if path.samefile(given):
        raise CordlesionError(
            f"{path}: is the file that is read, and would be overwritten; another name is needed for the output."
        )
    within = given.is_dir() and path.resolve().is_relative_to(given.resolve())
    # Tables and thresholds that an earlier call left in a folder of maps are replaced, as everywhere.
    if within and any(fnmatch(path.name, pattern) for pattern in _READ_IN_FOLDERS):
        raise CordlesionError(
            f"{path}: is a file of the folder that is read, {given}, and would be overwritten; another name is needed "
            "for the output."
        )


def check_output_folder(path: Path) -> Path:
    """Refuse a path that cannot become a folder, before any work is spent on what it is to hold.

    Raises:
        CordlesionError: ``path`` is a file, or lies below one.
    """
    for existing in (path, *path.parents):
        if existing.is_file():
            raise CordlesionError(f"{existing}: is a file; a folder to write into is needed. Choose another name.")
    return path


def require_short_name(path: Path) -> None:
    """Refuse a name that is longer than file systems allow.

    Raises:
        CordlesionError: It is.
    """
    if (n_bytes := len(os.fsencode(path.name))) > LONGEST_NAME:
        raise CordlesionError(
            f"{path}: its name has {n_bytes} bytes; file systems allow {LONGEST_NAME}. Choose a shorter name."
        )


def check_new_folder(path: Path) -> None:
    """Refuse a folder that holds anything, unless :func:`new_folder` was ended before it had filled it.

    Raises:
        CordlesionError: ``path`` holds something, or is a file, or lies below one.
    """
    check_output_folder(path)
    held = [entry.name for entry in path.iterdir() if not is_partial(entry.name)] if path.is_dir() else []
    if held and _UNFINISHED not in held:
        raise CordlesionError(f"{path}: is not empty; a new folder is needed. Choose another one, or delete it.")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Fill a new folder; killed at any moment, or on a full disk, the same command fills it again.

    Raises:
        CordlesionError: As :func:`check_new_folder`, or it cannot be written.
    """
    check_new_folder(path)
    write_text(path / _UNFINISHED, "This folder is incomplete: cordlesion ended while it was writing here.\n")
    yield
    remove_partial_files(path)
    remove_file(path / _UNFINISHED)
