"""Done-markers of a study: what is done, from which inputs, which files it wrote, and how long it took."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from cordlesion.errors import CordlesionError, RunError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.reading import parse_json, read_record
from cordlesion.io.writing import remove_file, write_json, written_files

Kept = TypeVar("Kept")
_MAX_SECONDS = 1e9


@dataclass(frozen=True)
class DoneMarkers:
    """The done-markers below a folder, ``.done/<unit>.json``: a unit is a stage, or one scan or run of a stage."""

    root: Path

    def is_done(self, unit: str, fingerprint: str, *results: Path) -> bool:
        """Return whether a unit was completed from the inputs with this fingerprint.

        Args:
            unit: Its name.
            fingerprint: Of its inputs.
            results: Files it wrote; if one was deleted or changed since, the unit is not done.
        """
        marker = self.finished(unit)
        return marker.get("fingerprint") == fingerprint and all(self._is_whole(path, unit, marker) for path in results)

    def _is_whole(self, path: Path, unit: str, marker: Mapping[str, Any]) -> bool:
        if not path.is_file():
            return False
        written = marker.get("files", {}).get(path.relative_to(self.root).as_posix())
        # Earlier versions recorded no files.
        if written is None:
            return True
        if not isinstance(written, list) or len(written) != 3:
            raise _damaged_marker(self._marker(unit))
        return _is_as_written(path, *written)

    def finished(self, unit: str) -> dict[str, Any]:
        """Return the done-marker of a unit: its fingerprint and seconds; empty if it is not done.

        Raises:
            RunError: The marker is damaged, which is no fault of the scan that it belongs to.
        """
        path = self._marker(unit)
        if not path.is_file():
            return {}
        try:
            marker = read_record(path, fingerprint=str)
        except CordlesionError as error:
            raise RunError(str(error)) from error
        if not isinstance(marker.get("files", {}), dict):
            raise _damaged_marker(path)
        return marker

    def kept(self, unit: str, name: str, kind: type[Kept]) -> Kept:
        """Return a small result, a dataclass, that is kept in the done-marker of a unit; its types are checked.

        Raises:
            RunError: The marker is damaged, which is no fault of the scan that it belongs to.
        """
        try:
            # Read as JSON, which has no tuples, and strictly: the text "3" is no number of lesions.
            kept: Kept = TypeAdapter(kind).validate_json(json.dumps(self.finished(unit)[name]), strict=True)
        except (KeyError, ValidationError) as error:
            raise _damaged_marker(self._marker(unit)) from error
        return kept

    def units(self, stage: str) -> list[str]:
        """Return the units of a stage that have a done-marker: of ``predict``, ``tversky_seed-0/sub-01`` and so on."""
        folder = self.root / ".done" / stage
        return sorted(path.relative_to(folder).as_posix().removesuffix(".json") for path in folder.rglob("*.json"))

    def groups(self, stage: str) -> list[str]:
        """Return the groups of a stage's units (of ``predict`` the methods), without listing the units."""
        return sorted(path.name for path in (self.root / ".done" / stage).glob("*/"))

    def seconds(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield the name of every done unit, ``("predict", "tversky_seed-0", "sub-01")``, and its time; in order."""
        yield from _seconds_below(self.root / ".done", ())

    @contextlib.contextmanager
    def stage(self, unit: str, fingerprint: str, *results: Path) -> Iterator[dict[str, Any]]:
        """Do a unit: its done-marker is removed before and written after, with the time it took.

        Args:
            unit: Its name.
            fingerprint: Of its inputs.
            results: Files it writes; their size, time and SHA-256 are recorded, so that later changes are noticed.

        Yields:
            A dictionary for small results to keep in the marker.
        """
        self.undo(unit)
        record: dict[str, Any] = {}
        start = time.perf_counter()
        yield record
        seconds = round(time.perf_counter() - start, 2)
        files = {path.relative_to(self.root).as_posix(): _written(path) for path in results if path.is_file()}
        self.mark_done(unit, fingerprint, {"seconds": seconds, **record} | ({"files": files} if files else {}))

    def mark_done(self, unit: str, fingerprint: str, record: Mapping[str, Any]) -> None:
        """Write the done-marker of a unit: its fingerprint, and the results that are kept in it."""
        write_json(
            self._marker(unit), {"fingerprint": fingerprint} | {k: v for k, v in record.items() if k != "fingerprint"}
        )

    def renew(self, unit: str, fingerprint: str, record: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Set the fingerprint of a unit that was done again with the very same result.

        What was made from the result stays valid: the first fingerprint is kept as ``unchanged_since``.

        Args:
            unit: Its name.
            fingerprint: Of its inputs.
            record: Small results to keep in the marker.
        """
        last = self.finished(unit)
        since = last.get("unchanged_since", last["fingerprint"])
        write_json(self._marker(unit), last | {**record, "fingerprint": fingerprint, "unchanged_since": since})

    @contextlib.contextmanager
    def listed(self, unit: str) -> Iterator[Callable[[], None]]:
        """Keep a list of all files that are written inside the context; other files are not ours and are never touched.

        Yields:
            A function that removes the files of the last time that were not written again.
        """
        earlier = self.list_of(unit) or []

        def remove_others() -> None:
            again = set(written)
            self.remove([path for path in earlier if path not in again])

        with written_files() as written:
            try:
                yield remove_others
            finally:
                known = dict.fromkeys([*written, *(path for path in earlier if path.is_file())])
                names = sorted(path.relative_to(self.root).as_posix() for path in known)
                self.mark_done(unit, "", {"list": names})

    def list_of(self, unit: str) -> list[Path] | None:
        """Return the files that a unit has listed; None if it has listed none."""
        names = self.finished(unit).get("list")
        if not isinstance(names, list):
            return None
        return [self.root / name for name in names if isinstance(name, str) and ".." not in Path(name).parts]

    def remove(self, paths: Iterable[Path]) -> int:
        """Remove the files that exist and lie in this folder itself, not behind a link.

        Returns:
            How many were removed.
        """
        root = self.root.resolve()
        present = [path for path in paths if path.is_file() and path.parent.resolve().is_relative_to(root)]
        for path in present:
            remove_file(path)
        return len(present)

    def undo(self, unit: str) -> None:
        """Remove the done-marker of a unit."""
        remove_file(self._marker(unit))

    def _marker(self, unit: str) -> Path:
        return self.root / ".done" / f"{unit}.json"


def _damaged_marker(path: Path) -> RunError:
    return RunError(
        f"{path}: is no readable done-marker; it records what of the study is done. Remove it: that part is done again."
    )


def _written(path: Path) -> tuple[int, int, str]:
    """Return what identifies a file: its size in bytes, its time in ns, and its SHA-256."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, file_hash(path)


def _is_as_written(path: Path, size: int, time_ns: int, sha256: str) -> bool:
    """Return whether a file is unchanged: by size and time, or by its SHA-256 if only the time differs."""
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
            if not (isinstance(seconds, int | float) and 0 <= seconds <= _MAX_SECONDS):
                raise CordlesionError(
                    f"{entry.path}: lacks the seconds that the unit took, so it is no done-marker of ours. Remove it."
                )
            yield (*names, entry.name.removesuffix(".json")), float(seconds)
