"""Losses and networks of users, named by an import path ``my_module:MyNet`` (leaf module).

Resolving an import path runs the code of the module. Nothing is imported before a study or an option names it.
"""

import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)  # runs are named by it
_SHA256 = "__cordlesion_sha256__"
"""Set on a module that was loaded from a file of the user: the hash of that file."""


def is_import_path(name: str) -> bool:
    """Return whether a name has the form ``module:name``; nothing is imported."""
    return _IMPORT_PATH.fullmatch(name) is not None


def import_object(path: str, folder: Path | None = None) -> Any:  # noqa: ANN401 - whatever the module holds
    """Import the object that an import path names. This runs the code of its module.

    Args:
        path: ``module:name``.
        folder: Where the module is looked for first; then in all folders of ``sys.path``. It is appended to
            ``sys.path``, so that the module can import its neighbours. A file that changed is loaded again.

    Raises:
        CordlesionError: The module cannot be imported, or has no such name.
    """
    module_name, _, name = path.partition(":")
    try:
        module = _import_module(module_name, folder)
    except CordlesionError:
        raise
    except Exception as error:  # the user's code can raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        where = f" in {folder} or the installed packages" if folder else ""
        raise CordlesionError(
            f"{path}: cannot be imported ({reason}). A module {module_name}{where} is needed; check its name and place."
        ) from error
    if not hasattr(module, name):
        raise CordlesionError(f"{path}: the module {module_name} has no {name}. Check the name after the colon.")
    return getattr(module, name)


def source_hash(path: str, folder: Path | None = None) -> str:
    """Return the SHA-256 of the file that defines an object; arguments and errors as for :func:`import_object`."""
    found = inspect.unwrap(import_object(path, folder))  # a decorator may come from elsewhere
    source = inspect.getsourcefile(found) if inspect.isclass(found) or inspect.isroutine(found) else None
    file = source or getattr(sys.modules[path.partition(":")[0]], "__file__", None)
    if file is None:
        raise CordlesionError(f"{path}: no file defines it, so changes of its code would go unseen. Put it in a file.")
    return file_hash(Path(file))


def _import_module(name: str, folder: Path | None) -> ModuleType:
    if folder is None:
        return importlib.import_module(name)
    folder = folder.resolve()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()
    file = (folder / Path(*name.split("."))).with_suffix(".py")
    return _load_file(name, file) if file.is_file() else importlib.import_module(name)


def _load_file(name: str, file: Path) -> ModuleType:
    """Load a file of the user as a module, unless that was done and the file is as it was."""
    sha256, loaded = file_hash(file), sys.modules.get(name)
    if loaded is not None and getattr(loaded, _SHA256, None) is None and loaded.__file__ != str(file):
        raise CordlesionError(f"{file}: has the name of the module {name}, which is in use. Rename the file.")
    if loaded is not None and (loaded.__file__, getattr(loaded, _SHA256, None)) == (str(file), sha256):
        return loaded
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs, as import does
    try:
        # Not by the loader: its cache of bytecode misses a change within the same second.
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    setattr(module, _SHA256, sha256)
    return module
