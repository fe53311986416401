"""Files of a scan, as they were when the study began."""

from collections.abc import Collection, Mapping
from pathlib import Path

from cordlesion.dataset.scan import Scan
from cordlesion.errors import RunError
from cordlesion.io.fingerprints import file_hash


def require_unchanged(scan: Scan, hashes: Mapping[str, str], kinds: Collection[str]) -> None:
    """Refuse to keep what was made of files that have changed since the study began; called when it has been made.

    Args:
        scan: Whose files.
        hashes: SHA-256 of each when the study began, by kind.
        kinds: Those that were read.

    Raises:
        RunError: One was replaced.
    """
    for kind, path in scan.files().items():
        if kind in kinds:
            require_same(path, hashes[kind])


def require_same(path: Path, sha256: str) -> None:
    """Refuse a file that has changed since the study began.

    Raises:
        RunError: It was replaced.
    """
    if file_hash(path) != sha256:
        raise RunError(
            f"{path}: was replaced while the study ran, so that results would be of two files; nothing was kept of it. "
            "Run the study again: what depends on the file is done again."
        )
