"""Files that somebody else made: what goes wrong with them becomes a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cordlesion.errors import CordlesionError

LARGEST_BYTES = 2**26
"""SCT's files take 1 to 4 MB."""


class ForeignFileError(ValueError):
    """What is wrong with a file: the middle of a sentence."""


@contextmanager
def foreign_file(path: Path, needs: str, extra: str) -> Iterator[int]:
    """Look into a network that SCT published; yields the size of the file in bytes.

    Args:
        path: The file.
        needs: What is wanted, e.g. ``a .h5 file``.
        extra: The extra of this program that reads it.

    Raises:
        CordlesionError: The file is missing or too large, what reads it is not installed, or the body finds a fault.
    """
    if not path.is_file():
        raise CordlesionError(f"{path}: no such file. Check the name; {needs} as SCT published it is needed.")
    try:
        n_bytes = path.stat().st_size
        if n_bytes > LARGEST_BYTES:
            raise ForeignFileError(f"it has {n_bytes / 2**20:.0f} MiB, more than any of SCT's")
        yield n_bytes
    except ImportError as error:
        raise CordlesionError(
            f"{path}: {error.name} is needed to read it, which is not installed. "
            f"Run `pip install 'cordlesion[{extra}]'`."
        ) from None
    # What libraries make of damaged bytes is any of these.
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, MemoryError, SystemError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CordlesionError(
            f"{path}: cannot be used as a network of SCT ({reason}); {needs} as SCT published it is needed. "
            "Download it again."
        ) from error
