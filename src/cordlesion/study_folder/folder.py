"""The folder of a study: paths, done-markers, what is its own; and, for those who use it, how files are written."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from cordlesion.config.names import file_label
from cordlesion.errors import CordlesionError, RunError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.reading import parse_json, read_json, read_record
from cordlesion.io.writing import is_partial, remove_file, write_json, written_files

Kept = TypeVar("Kept")

_BEFORE_A_STUDY = {".lock", ".DS_Store", "jobs", "splits.tsv", "study.yaml"}
"""What may lie in the folder of a study that has not begun: a split made by hand, its configuration, logs of jobs."""


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
            RunError: The marker is damaged, which is no fault of the scan that it belongs to.
        """
        path = self._marker(stage)
        if not path.is_file():
            return {}
        try:
            marker = read_record(path, fingerprint=str)
        except CordlesionError as error:
            raise RunError(str(error)) from error
        if not isinstance(marker.get("files", {}), dict):
            raise _damaged_marker(path)
        return marker

    def kept(self, stage: str, name: str, kind: type[Kept]) -> Kept:
        """Return a small result, a dataclass, that a stage has kept in its marker; its types are checked.

        Raises:
            RunError: The marker is damaged, which is no fault of the scan that it belongs to.
        """
        try:
            # Read as JSON, which has no tuples, and strictly: the text "3" is no number of lesions.
            kept: Kept = TypeAdapter(kind).validate_json(json.dumps(self.finished(stage)[name]), strict=True)
        except (KeyError, ValidationError) as error:
            raise _damaged_marker(self._marker(stage)) from error
        return kept

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
            again = set(written)
            self.remove([path for path in earlier if path not in again])

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


def _damaged_marker(path: Path) -> RunError:
    return RunError(
        f"{path}: is no readable done-marker; it says what of the study is done. Remove it: what it stands for is done "
        "again."
    )


def _written(path: Path) -> tuple[int, int, str]:
    """Return what a file is known by: its size in bytes, its time in ns, and its SHA-256."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, file_hash(path)


def _is_as_written(path: Path, size: int, time_ns: int, sha256: str) -> bool:
    """Say whether a file is unchanged: by size and time, and where only the time differs by its SHA-256."""
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
