"""Files of other programs: all errors while reading them become clear messages."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cordlesion.errors import CordlesionError

MAX_BYTES = 2**26
"""Upper limit; the files of SCT have 1 to 4 MB."""


_STATM = Path("/proc/self/statm")


class ForeignFileError(ValueError):
    """The reason why a file cannot be used, as a part of a sentence."""


@contextmanager
def foreign_file(path: Path, needs: str, extra: str) -> Iterator[int]:
    """Context for reading a network that SCT published; yields the size of the file in bytes.

    Args:
        path: The file.
        needs: The expected file, e.g. ``a .h5 file``.
        extra: The extra of cordlesion that is needed to read it.

    Raises:
        CordlesionError: The file is missing or too large, a library is not installed, or the body raises an error.
    """
    if not path.is_file():
        raise CordlesionError(f"{path}: no such file. Check the name; {needs} as SCT published it is needed.")
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise ForeignFileError(f"it has {n_bytes / 2**20:.0f} MiB, more than any of SCT's")
        yield n_bytes
    except ImportError as error:
        raise CordlesionError(
            f"{path}: {error.name} is needed to read it, but is not installed. Run `pip install 'cordlesion[{extra}]'`."
        ) from None
    # Libraries raise any of these for damaged files.
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, MemoryError, SystemError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CordlesionError(
            f"{path}: cannot be used as a network of SCT ({reason}); {needs} as SCT published it is needed. "
            "Download it again."
        ) from error


@contextmanager
def limited_memory(n_bytes: int) -> Iterator[None]:
    """Limit the memory that is taken inside, so that a library that a damaged file misleads fails early.

    Nothing is limited where the system does not state how much this process has (all but Linux).

    Args:
        n_bytes: What may be taken in addition.
    """
    if not _STATM.is_file():
        yield
        return
    taken = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    lower = [taken + n_bytes, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(lower), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
