"""Atomic writing of files, and locks of folders (leaf, standard library only)."""

import contextlib
import errno
import fcntl
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from cordlesion.errors import CordlesionError, RunError

_PARTIAL_NAME = re.compile(r"\.part-[a-z0-9_]{8}-")
_ABANDONED_S = 60.0
"""A temporary file that is older than this and not locked belongs to a process that was killed."""
_CLEANED: set[Path] = set()
_PARTIAL = ".part-"
MAX_NAME_BYTES = 255
"""Longest file name of common file systems."""
_WRITTEN: ContextVar[list[Path] | None] = ContextVar("written", default=None)
_UMASK_LOCK = threading.Lock()
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it is flushed to disk and renamed, on failure removed.

    The temporary name keeps all suffixes of ``path``, because writers choose the format (``.nii.gz``) by the name.

    Raises:
        CordlesionError: ``path`` is a device, pipe or socket.
        RunError: The folder cannot be written (missing rights, read-only or full file system).
    """
    path = Path(path)
    require_no_device(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        # Only the end of a long name, because the prefix makes the name longer.
        end = os.fsdecode(os.fsencode(path.name)[-MAX_NAME_BYTES // 2 :])
        handle, name = tempfile.mkstemp(prefix=_PARTIAL, suffix="-" + end, dir=path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        _try_lock(handle)
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # mkstemp creates files private to the user; a result must be as readable as any other file.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        if (written := _WRITTEN.get()) is not None:
            written.append(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        # If the folder is now read-only, the error was raised above.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(handle)


def require_no_device(path: Path) -> None:
    """Reject a device, pipe or socket such as ``/dev/null``, which a file would replace for all programs.

    Raises:
        CordlesionError: ``path`` is one of these.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise CordlesionError(
            f"{path}: is a device, pipe or socket; the name of a file to write is needed. Choose another name."
        )


def _try_lock(handle: int) -> bool:
    """Lock a file until it is closed; return False if another process has the lock or there are no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_abandoned(folder: Path) -> None:
    """Remove temporary files of killed processes, once per folder."""
    if folder in _CLEANED:
        return
    _CLEANED.add(folder)
    for entry in os.scandir(folder):
        if is_partial(entry.name):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat().st_mtime > _ABANDONED_S:
                    handle = os.open(entry.path, os.O_RDWR)
                    try:
                        if _try_lock(handle):
                            Path(entry.path).unlink(missing_ok=True)
                    finally:
                        os.close(handle)


@contextlib.contextmanager
def written_files() -> Iterator[list[Path]]:
    """Collect the paths of all files that are written inside the context, in the order of their completion."""
    written: list[Path] = []
    token = _WRITTEN.set(written)
    try:
        yield written
    finally:
        _WRITTEN.reset(token)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically.

    Raises:
        CordlesionError: The folder cannot be written, or the text contains a file name that is not UTF-8.
    """
    with atomic_path(path) as temporary, utf8_only(path):
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def utf8_only(path: Path) -> Iterator[None]:
    """Convert the error for names that are not UTF-8 in the content of ``path`` to a clear message."""
    try:
        yield
    except UnicodeEncodeError as error:
        before, after = str(error.object)[: error.start], str(error.object)[error.start :]
        name = re.split(r'["\t\n]', before)[-1] + re.split(r'["\t\n]', after)[0]
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise CordlesionError(
            f"{path}: would contain a file or folder name that is not UTF-8 ({shown}). Rename that file or folder."
        ) from error


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write ``value`` as indented JSON to ``path`` atomically; NaN is rejected because JSON does not have it."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Return what :func:`write_json` writes."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[str]:
    """Lock ``folder`` for this process; the system releases the lock when the process ends for any reason.

    Yields:
        A warning if the file system has no locks (some network file systems) and others are not locked out; else "".

    Raises:
        CordlesionError: Another process has the lock, or the folder cannot be written.
    """
    lock, remark = Path(folder) / ".lock", ""
    with _open_lock(lock) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CordlesionError(
                f"{folder}: another cordlesion process works in this folder. Wait until it ends, or stop it."
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise _cannot_write(lock, error) from error
            reason = error.strerror
            remark = f"{folder}: its file system has no locks ({reason}); do not start another command in this folder"
        yield remark


@contextlib.contextmanager
def waiting_lock(lock: Path) -> Iterator[None]:
    """Wait for the lock of the file ``lock`` and hold it: for short operations, such as adding to a table.

    On a file system without locks (some network file systems), nothing is locked.

    Raises:
        CordlesionError: The file cannot be written.
    """
    with _open_lock(Path(lock)) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise _cannot_write(lock, error) from error
        yield


def is_partial(name: str) -> bool:
    """Return whether a name is that of a temporary file of :func:`atomic_path`."""
    return _PARTIAL_NAME.match(name) is not None


def remove_partial_files(folder: Path) -> None:
    """Remove temporary files of killed processes; requires the lock of the folder."""
    # os.walk takes half the time of rglob; a large study has millions of files.
    for place, _, names in os.walk(folder):
        for name in names:
            if is_partial(name):
                remove_file(Path(place, name))


def remove_file(path: Path) -> None:
    """Remove a file, if it exists.

    Raises:
        RunError: Its folder cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _open_lock(lock: Path) -> IO[str]:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return lock.open("a+")
    except OSError as error:
        raise _cannot_write(lock, error) from error


def _umask() -> int:
    """Return the umask. Reading requires setting it, so only one thread may do this at a time."""
    with _UMASK_LOCK:
        mask = os.umask(0)
        os.umask(mask)
    return mask


def _cannot_write(path: Path, error: OSError) -> RunError:
    reason = error.strerror or str(error)
    return RunError(f"{path}: cannot be written ({reason}). Choose an output folder with space and write access.")
