"""Files that are never half-written; the folder of a study: paths, done-markers, lock (leaf, standard library only)."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal, TypeVar

from cordlesion.errors import CordlesionError, RunError
from cordlesion.reading import cannot_read, parse_json, read_record
from cordlesion.reading import read_json as read_json

Kept = TypeVar("Kept")
_PARTIAL_NAME = re.compile(r"\.part-[a-z0-9_]{8}-")
_ABANDONED_S = 60.0
"""What is older than this and held by no process was left by one that was killed."""
_SWEPT: set[Path] = set()
_PARTIAL = ".part-"
_LONGEST_NAME = 255
"""Bytes, of the file systems in use."""
_BEFORE_A_STUDY = {".lock", ".DS_Store", "jobs", "splits.tsv", "study.yaml"}
"""What may lie in the folder of a study that has not begun: a split made by hand, its configuration, logs of jobs."""
_WRITTEN: ContextVar[list[Path] | None] = ContextVar("written", default=None)
_UNFINISHED = ".unfinished"
_UMASK_LOCK = threading.Lock()
_READ_IN_FOLDERS = (
    *("*.nii", "*.nii.gz", "sub-*.json", "sub-*_scans.tsv", "sub-*_sessions.tsv"),
    *("participants.*", "dataset_description.json", "*.safetensors", "model.json", "study.yaml", "manifest.json"),
)
"""What commands read in folders they are given: scans, masks, maps and what describes them, models, studies."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

METHOD_VERSION = 2
"""Raised when a change of the code changes results: what older code made then counts as not done."""

ResultKind = Literal[
    "inspection", "stack", "drawn stack", "training", "map", "comparator", "sweep", "masks", "analysis", "results"
]
CHANGED_IN: Mapping[ResultKind, int] = MappingProxyType({"stack": 2, "drawn stack": 3, "training": 2, "map": 2})
"""The :data:`METHOD_VERSION` that last changed results of a kind; those that are not named change with every one.

What takes hours is named: a change of how maps are measured must not train a network anew. A stack is drawn where its
curve is read from a file of the scan.
"""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is flushed to disk and renamed, on failure removed.

    The temporary name keeps all suffixes of ``path``, because writers choose their format (``.nii.gz``) by name.

    Raises:
        RunError: The folder cannot be written (missing rights, read-only or full file system).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        # The end of a long name only: with what is put before it, the whole could be too long for a file system.
        end = os.fsdecode(os.fsencode(path.name)[-_LONGEST_NAME // 2 :])
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


def _hold(handle: int) -> bool:
    """Take a file for this process until it ends, if nobody has it; no file can be had where there are no locks."""
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
                    if _hold(handle):
                        Path(entry.path).unlink(missing_ok=True)
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


def portable_path(path: Path, folder: Path) -> str:
    """Return a path as it may stand in a file below ``folder`` that is passed on to others: relative to the folder.

    Where the two have nothing but the root in common, the way from one to the other would tell of this machine and be
    of no use on another; then it is the name alone.
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
        CordlesionError: ``path`` is a folder, lies below a file, has too long a name, is one of the inputs, or is a
            file that is read from a folder among them.
    """
    require_short_name(path)
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
    if (n_bytes := len(os.fsencode(path.name))) > _LONGEST_NAME:
        raise CordlesionError(
            f"{path}: its name has {n_bytes} bytes; file systems allow {_LONGEST_NAME}. Choose a shorter name."
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
    write_text(path / _UNFINISHED, "This folder is not whole: cordlesion was ended while it wrote it.\n")
    yield
    remove_partial_files(path)
    remove_file(path / _UNFINISHED)


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


def require_own_folder(root: Path) -> None:
    """Refuse a folder that holds anything but a study: nothing that others have put there is ever touched.

    Raises:
        CordlesionError: It holds other files.
    """
    if not root.is_dir() or (root / ".done").is_dir() or _is_manifest(root / "manifest.json"):
        return
    others = sorted(e.name for e in root.iterdir() if e.name not in _BEFORE_A_STUDY and not is_partial(e.name))
    if others:
        raise CordlesionError(
            f"{root}: holds {', '.join(others[:3])}{' ...' if len(others) > 3 else ''} and no study; a new or empty "
            "folder is needed. Choose another `output` folder."
        )


def _is_manifest(path: Path) -> bool:
    try:
        content = read_json(path)
    except CordlesionError:
        return False
    return isinstance(content, dict) and "cordlesion" in content


def is_partial(name: str) -> bool:
    """Tell whether a file of this name is one that :func:`atomic_path` was writing."""
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


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        CordlesionError: The file is missing, is a link to a missing one, or cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise CordlesionError(
            f"{path}: no such file, or a link to a file that is not there; its content is needed. Fetch or restore it."
        ) from error
    except OSError as error:
        raise cannot_read(path, error, "its content") from error


def fingerprint(kind: ResultKind, *parts: object) -> str:
    """Return a hash of JSON-like ``parts`` and of the version that last changed this kind of result."""
    return digest(CHANGED_IN.get(kind, METHOD_VERSION), *parts)


def earlier_fingerprints(kind: ResultKind, *parts: object) -> list[str]:
    """Return what :func:`fingerprint` was in the versions before, for results that may not have changed after all."""
    return [digest(version, *parts) for version in range(1, CHANGED_IN.get(kind, METHOD_VERSION))]


def digest(*parts: object) -> str:
    """Return a hash of JSON-like ``parts``."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def file_label(name: str) -> str:
    """Return a run's name as it stands in file names, where BIDS allows letters and digits only."""
    return "".join(character for character in name if character.isalnum())


@dataclass(frozen=True)
class StudyFolder:
    """Where everything of a study lies, and what of it is done."""

    root: Path

    @property
    def configuration(self) -> Path:
        """The complete configuration."""
        return self.root / "study.yaml"

    @property
    def manifest(self) -> Path:
        """Versions, inputs, hardware, times."""
        return self.root / "manifest.json"

    @property
    def splits(self) -> Path:
        """Who is in which set."""
        return self.root / "splits.tsv"

    @property
    def sweep(self) -> Path:
        """Metrics at every threshold."""
        return self.root / "sweep.tsv"

    @property
    def thresholds(self) -> Path:
        """Tuned thresholds."""
        return self.root / "thresholds.tsv"

    @property
    def evaluation(self) -> Path:
        """Metrics at 0.5 and at the tuned threshold."""
        return self.root / "evaluation.tsv"

    def table(self, name: str) -> Path:
        """One of the tables of the analysis."""
        return self.root / f"{name}.tsv"

    @property
    def derivatives(self) -> Path:
        """Probability maps and masks, a BIDS derivative."""
        return self.root / "derivatives" / "cordlesion"

    def stack(self, scan_id: str) -> Path:
        """The cord stack of a scan."""
        return self.root / "stacks" / f"{scan_id}.safetensors"

    def run(self, name: str) -> Path:
        """The folder of one training."""
        return self.root / "runs" / name

    def bundle(self, name: str) -> Path:
        """The trained model of a run."""
        return self.run(name) / "bundle"

    def run_sweep(self, name: str, set_name: str) -> Path:
        """Metrics of one run on one set at every threshold."""
        return self.run(name) / ("sweep.tsv" if set_name == "threshold" else f"sweep_{set_name}.tsv")

    def probability(self, scan_id: str, run: str) -> Path:
        """The probability map of a scan by a run."""
        parts = [part for part in scan_id.split("_") if part.startswith(("sub-", "ses-"))]
        name = f"{scan_id}_label-lesion_desc-{file_label(run)}_probseg.nii.gz"
        return self.derivatives.joinpath(*parts, "anat", name)

    def is_done(self, stage: str, mark: str, *results: Path) -> bool:
        """Tell whether ``stage`` was completed from what ``mark`` (a fingerprint of its inputs) stands for.

        Args:
            stage: Name of the stage.
            mark: Fingerprint of its inputs.
            results: Files it made; one that was deleted, or is not as it was written, makes it undone.
        """
        marker = self.finished(stage)
        return marker.get("fingerprint") == mark and all(self._is_whole(path, stage, marker) for path in results)

    def _is_whole(self, path: Path, stage: str, marker: Mapping[str, Any]) -> bool:
        if not path.is_file():
            return False
        written = marker.get("files", {}).get(path.relative_to(self.root).as_posix())
        # Versions before wrote none down.
        if written is None:
            return True
        if not isinstance(written, list) or len(written) != 3:
            raise _damaged_marker(self._marker(stage))
        return _is_as_written(path, *written)

    def finished(self, stage: str) -> dict[str, Any]:
        """Return the done-marker of a stage: its fingerprint and seconds; empty where it is not done.

        Raises:
            CordlesionError: The marker is damaged.
        """
        path = self._marker(stage)
        if not path.is_file():
            return {}
        marker = read_record(path, fingerprint=str)
        if not isinstance(marker.get("files", {}), dict):
            raise _damaged_marker(path)
        return marker

    def kept(self, stage: str, name: str, kind: type[Kept]) -> Kept:
        """Return a small result that a stage has kept in its marker.

        Raises:
            CordlesionError: The marker is damaged.
        """
        try:
            return kind(**self.finished(stage)[name])
        except (KeyError, TypeError) as error:
            raise _damaged_marker(self._marker(stage)) from error

    def units(self, stage: str) -> list[str]:
        """Return the units of a stage that have a done-marker: of ``predict``, ``tversky_seed-0/sub-01`` and so on."""
        folder = self.root / ".done" / stage
        return sorted(path.relative_to(folder).as_posix().removesuffix(".json") for path in folder.rglob("*.json"))

    def groups(self, stage: str) -> list[str]:
        """Return what the units of a stage belong to (of ``predict`` methods), without looking at the units."""
        return sorted(path.name for path in (self.root / ".done" / stage).glob("*/"))

    def seconds(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield the name of every done unit, ``("predict", "tversky_seed-0", "sub-01")``, and its time; in order."""
        yield from _seconds_below(self.root / ".done", ())

    @contextlib.contextmanager
    def stage(self, stage: str, mark: str, *results: Path) -> Iterator[dict[str, Any]]:
        """Run a stage: its done-marker is removed before and written after, with the time it took.

        Args:
            stage: Name of the stage.
            mark: Fingerprint of its inputs.
            results: Files it makes, whose size, time and SHA-256 are written down, so that damage is noticed.

        Yields:
            A dictionary for small results that are to be kept in the marker.
        """
        self.undo(stage)
        record: dict[str, Any] = {}
        start = time.perf_counter()
        yield record
        seconds = round(time.perf_counter() - start, 2)
        files = {path.relative_to(self.root).as_posix(): _written(path) for path in results if path.is_file()}
        self.mark_done(stage, mark, {"seconds": seconds, **record} | ({"files": files} if files else {}))

    def mark_done(self, stage: str, mark: str, record: Mapping[str, Any]) -> None:
        """Write the done-marker of a stage: its fingerprint, and what is kept of it."""
        write_json(self._marker(stage), {"fingerprint": mark} | {k: v for k, v in record.items() if k != "fingerprint"})

    def renew(self, stage: str, mark: str) -> None:
        """Let the done-marker of a stage stand for ``mark`` too: it was done again, with the very same result.

        What was made from the result stays valid: the fingerprint under which that was made is kept beside the new one.
        """
        last = self.finished(stage)
        since = last.get("unchanged_since", last["fingerprint"])
        write_json(self._marker(stage), last | {"fingerprint": mark, "unchanged_since": since})

    @contextlib.contextmanager
    def listed(self, stage: str) -> Iterator[Callable[[], None]]:
        """Keep a list of all files that are written inside: what is not on it is not this program's, and is left alone.

        Yields:
            What removes the files of the last time that were not written again.
        """
        earlier = self.list_of(stage) or []

        def forget() -> None:
            self.remove([path for path in earlier if path not in written])

        with written_files() as written:
            try:
                yield forget
            finally:
                known = dict.fromkeys([*written, *(path for path in earlier if path.is_file())])
                names = sorted(path.relative_to(self.root).as_posix() for path in known)
                self.mark_done(stage, "", {"list": names})

    def list_of(self, stage: str) -> list[Path] | None:
        """Return the files that a stage is known to have written; None where none has been listed."""
        names = self.finished(stage).get("list")
        if not isinstance(names, list):
            return None
        return [self.root / name for name in names if isinstance(name, str) and ".." not in Path(name).parts]

    def remove(self, paths: Iterable[Path]) -> int:
        """Remove those of the files that are there and lie in this folder itself, not behind a link.

        Returns:
            How many there were.
        """
        root = self.root.resolve()
        present = [path for path in paths if path.is_file() and path.parent.resolve().is_relative_to(root)]
        for path in present:
            remove_file(path)
        return len(present)

    def undo(self, stage: str) -> None:
        """Remove a stage's done-marker."""
        remove_file(self._marker(stage))

    def _marker(self, stage: str) -> Path:
        return self.root / ".done" / f"{stage}.json"


def _damaged_marker(path: Path) -> CordlesionError:
    return CordlesionError(
        f"{path}: is no readable done-marker; it says what of the study is done. Remove it: what it stands for is done "
        "again."
    )


def _written(path: Path) -> tuple[int, int, str]:
    """Return what a file is known by: its size in bytes, its time in ns, and its SHA-256."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, file_hash(path)


def _is_as_written(path: Path, size: int, time_ns: int, sha256: str) -> bool:
    """Tell whether a file is as it was; of one with the same size and time that is taken for granted, not read."""
    found = path.stat()
    return found.st_size == size and (found.st_mtime_ns == time_ns or file_hash(path) == sha256)


def _seconds_below(folder: str | Path, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Read the done-markers below a folder; by plain strings, because a large study has millions of them."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _seconds_below(entry.path, (*names, entry.name))
        elif entry.name.endswith(".json") and not entry.name.startswith("."):
            with open(entry.path, "rb") as stream:  # noqa: PTH123
                record = parse_json(stream.read(), entry.path, dict)
            if "list" in record:
                continue
            seconds = record.get("seconds")
            if not isinstance(seconds, int | float):
                raise CordlesionError(f"{entry.path}: lacks seconds, so it is no done-marker of ours. Remove it.")
            yield (*names, entry.name.removesuffix(".json")), float(seconds)


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
