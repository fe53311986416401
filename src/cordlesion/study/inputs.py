"""Files of a scan must not change while a study runs."""

from collections.abc import Collection, Mapping
from pathlib import Path

from cordlesion.dataset.scan import Scan
from cordlesion.errors import RunError
from cordlesion.io.fingerprints import file_hash


def require_unchanged(scan: Scan, hashes: Mapping[str, str], kinds: Collection[str]) -> None:
    """Refuse a result if its input files have changed since the study started; called before the result is kept.

    Args:
        scan: The scan.
        hashes: SHA-256 of each file at the start, by kind.
        kinds: The kinds of files that were read.

    Raises:
        RunError: A file was replaced.
    """
    for kind, path in scan.files().items():
        if kind in kinds:
            require_same(path, hashes[kind])


def require_same(path: Path, sha256: str) -> None:
    """Refuse a file that has changed since the study started.

    Raises:
        RunError: It was replaced.
    """
    if file_hash(path) != sha256:
        raise RunError(
            f"{path}: was replaced while the study ran, so that results would be of two files; nothing was kept of it. "
            "Run the study again: what depends on the file is done again."
        )
