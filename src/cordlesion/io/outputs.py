"""Checks of output paths: no command overwrites its inputs or writes among other files (leaf module)."""

import contextlib
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.io.writing import (
    MAX_NAME_BYTES,
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
"""Files that commands read from folders: scans, masks, maps and their descriptions, models, studies."""


def portable_path(path: Path, folder: Path) -> str:
    """Return a path relative to ``folder``, for files in this folder that are shared with others.

    If the two have only the root in common, a relative path would reveal folders of this machine and be useless on
    another; then only the name is returned.
    """
    path, folder = path.resolve(), folder.resolve()
    have_common_folder = len(Path(os.path.commonpath([path, folder])).parts) > 1
    return Path(os.path.relpath(path, folder)).as_posix() if have_common_folder else path.name


def optional_path(path: Path | str | None) -> Path | None:
    """Return a path that may be given as text, or not at all."""
    return None if path is None else Path(path)


def check_output_file(path: Path, *inputs: Path | None) -> Path:
    """Reject a path that cannot be written as a file, before any computation.

    Every command that writes a file passes all its inputs: only here is checked that an output does not replace an
    input.

    Args:
        path: The file to write.
        inputs: Input files and folders, which must not be overwritten.

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
    # Tables and thresholds of an earlier call in a folder of maps may be replaced, as everywhere.
    if within and any(fnmatch(path.name, pattern) for pattern in _READ_IN_FOLDERS):
        raise CordlesionError(
            f"{path}: is a file of the folder that is read, {given}, and would be overwritten; another name is needed "
            "for the output."
        )


def check_output_folder(path: Path) -> Path:
    """Reject a path that cannot be a folder, before any computation.

    Raises:
        CordlesionError: ``path`` is a file, or inside one.
    """
    for existing in (path, *path.parents):
        if existing.is_file():
            raise CordlesionError(f"{existing}: is a file; a folder to write into is needed. Choose another name.")
    return path


def require_short_name(path: Path) -> None:
    """Reject a name that is longer than file systems allow.

    Raises:
        CordlesionError: The name is too long.
    """
    if (n_bytes := len(os.fsencode(path.name))) > MAX_NAME_BYTES:
        raise CordlesionError(
            f"{path}: its name has {n_bytes} bytes; file systems allow {MAX_NAME_BYTES}. Choose a shorter name."
        )


def check_new_folder(path: Path) -> None:
    """Reject a folder that is not empty, unless :func:`new_folder` was interrupted in it.

    Raises:
        CordlesionError: ``path`` is not empty, is a file, or is inside a file.
    """
    check_output_folder(path)
    found = [entry.name for entry in path.iterdir() if not is_partial(entry.name)] if path.is_dir() else []
    if found and _UNFINISHED not in found:
        raise CordlesionError(f"{path}: is not empty; a new folder is needed. Choose another one, or delete it.")


def require_finished(path: Path, remedy: str) -> None:
    """Reject a folder in which :func:`new_folder` was interrupted: it may hold files of another command.

    Raises:
        CordlesionError: It is unfinished.
    """
    if (path / _UNFINISHED).exists():
        raise CordlesionError(f"{path}: is incomplete, because a command was interrupted in it. {remedy}")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Context for filling a new folder; after an interruption or a full disk, the same command can fill it again.

    Raises:
        CordlesionError: As :func:`check_new_folder`, or it cannot be written.
    """
    check_new_folder(path)
    is_made = not path.exists()
    write_text(path / _UNFINISHED, "This folder is incomplete: cordlesion ended while it was writing here.\n")
    try:
        yield
    except CordlesionError:
        # Where nothing was written, the folder is as good as new: the same command must not find it unfinished.
        if [entry.name for entry in path.iterdir()] == [_UNFINISHED]:
            remove_file(path / _UNFINISHED)
            if is_made:
                path.rmdir()
        raise
    remove_partial_files(path)
    remove_file(path / _UNFINISHED)
