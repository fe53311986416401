"""Files that are never half-written, and the locks of folders (leaf, standard library only)."""

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
"""What is older than this and held by no process was left by one that was killed."""
_SWEPT: set[Path] = set()
_PARTIAL = ".part-"
LONGEST_NAME = 255
"""Bytes, of the file systems in use."""
_WRITTEN: ContextVar[list[Path] | None] = ContextVar("written", default=None)
_UMASK_LOCK = threading.Lock()
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is flushed to disk and renamed, on failure removed.

    The temporary name keeps all suffixes of ``path``, because writers choose their format (``.nii.gz``) by name.

    Raises:
        CordlesionError: ``path`` is a device, pipe or socket.
        RunError: The folder cannot be written (missing rights, read-only or full file system).
    """
    path = Path(path)
    require_no_device(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        # The end of a long name only: with what is put before it, the whole could be too long for a file system.
        end = os.fsdecode(os.fsencode(path.name)[-LONGEST_NAME // 2 :])
        handle, name = tempfile.mkstemp(prefix=_PARTIAL, suffix="-" + end, dir=path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        _hold(handle)
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
        # Where the folder has become read-only, that has been said above.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(handle)


def require_no_device(path: Path) -> None:
    """Refuse a device, pipe or socket, such as ``/dev/null``, which a file would replace for every program.

    Raises:
        CordlesionError: It is one.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise CordlesionError(
            f"{path}: is a device, pipe or socket; the name of a file to write is needed. Choose another name."
        )


def _hold(handle: int) -> bool:
    """Lock a file until it is closed; False where another process has it, or where the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_abandoned(folder: Path) -> None:
    """Remove, once for each folder, what writers that were killed have left in it."""
    if folder in _SWEPT:
        return
    _SWEPT.add(folder)
    for entry in os.scandir(folder):
        if is_partial(entry.name):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat().st_mtime > _ABANDONED_S:
                    handle = os.open(entry.path, os.O_RDWR)
                    try:
                        if _hold(handle):
                            Path(entry.path).unlink(missing_ok=True)
                    finally:
                        os.close(handle)


@contextlib.contextmanager
def written_files() -> Iterator[list[Path]]:
    """Collect the paths of all files that are written inside, in the order in which they are whole."""
    written: list[Path] = []
    token = _WRITTEN.set(written)
    try:
        yield written
    finally:
        _WRITTEN.reset(token)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically.

    Raises:
        CordlesionError: The folder cannot be written, or the text names a file whose name is not UTF-8.
    """
    with atomic_path(path) as temporary, utf8_only(path):
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def utf8_only(path: Path) -> Iterator[None]:
    """Turn what happens where names that are not UTF-8 are written to ``path`` into a sentence."""
    try:
        yield
    except UnicodeEncodeError as error:
        before, after = str(error.object)[: error.start], str(error.object)[error.start :]
        name = re.split(r'["\t\n]', before)[-1] + re.split(r'["\t\n]', after)[0]
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise CordlesionError(
            f"{path}: would hold a file or folder name that is not UTF-8 ({shown}). Rename that file or folder."
        ) from error


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write ``value`` as indented JSON to ``path`` atomically; NaN is refused because JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[str]:
    """Hold ``folder`` for this process; the system frees the lock when the process ends, however it ends.

    Yields:
        A remark where the file system has no locks (some network file systems) and nobody is kept out; else nothing.

    Raises:
        CordlesionError: Another process holds the folder, or the folder cannot be written.
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
            remark = (
                f"{folder}: its file system has no locks ({error.strerror}); start no second command in this folder"
            )
        yield remark


@contextlib.contextmanager
def waiting_lock(lock: Path) -> Iterator[None]:
    """Hold the file ``lock`` for this process once nobody else does: for work of moments, such as adding to a table.

    A file system that has no locks (some network file systems) stops nobody: there processes are not kept apart.

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
    """Say whether a file of this name is one that :func:`atomic_path` was writing."""
    return _PARTIAL_NAME.match(name) is not None


def remove_partial_files(folder: Path) -> None:
    """Remove what writers that were killed have left; call it while holding the folder's lock."""
    # Not rglob, which takes twice the time: a large study has millions of files.
    for place, _, names in os.walk(folder):
        for name in names:
            if is_partial(name):
                remove_file(Path(place, name))


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

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
    """Read the mask, which needs setting it: one thread at a time, or later files would be open to all."""
    with _UMASK_LOCK:
        mask = os.umask(0)
        os.umask(mask)
    return mask


def _cannot_write(path: Path, error: OSError) -> RunError:
    reason = error.strerror or str(error)
    return RunError(f"{path}: cannot be written ({reason}). Choose an output folder with space and write access.")
