"""Losses and networks of users, named by an import path ``my_module:MyNet`` (leaf module).

Resolving an import path runs the code of the module. Nothing is imported before a study or an option names it.
"""

import importlib
import importlib.util
import inspect
import os
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
_FOLDERS: list[Path] = []
"""The folder of the user's code that was appended to ``sys.path``."""


def is_import_path(name: str) -> bool:
    """Return whether a name has the form ``module:name``; nothing is imported."""
    return _IMPORT_PATH.fullmatch(name) is not None


def import_object(path: str, folder: Path | str | None = None) -> Any:  # noqa: ANN401 - whatever the module holds
    """Import the object that an import path names. This runs the code of its module.

    Args:
        path: ``module:name``.
        folder: Where the module is looked for first; then in all folders of ``sys.path``. It is appended to
            ``sys.path``, so that the module can import its neighbours, in place of the folder of the call before. A
            file that changed is loaded again.

    Raises:
        CordlesionError: The module cannot be imported, or has no such name.
    """
    module_name, _, name = path.partition(":")
    try:
        module = _import_module(module_name, None if folder is None else Path(folder))
    except CordlesionError:
        raise
    except (Exception, SystemExit) as error:  # the user's code can raise anything, and leave by sys.exit
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        where = f" in {folder} or the installed packages" if folder else ""
        raise CordlesionError(
            f"{path}: cannot be imported ({reason}). A module {module_name}{where} is needed; check its name and place."
        ) from error
    if not hasattr(module, name):
        raise CordlesionError(f"{path}: the module {module_name} has no {name}. Check the name after the colon.")
    return getattr(module, name)


def module_hash(path: str, folder: Path | str | None = None) -> str | None:
    """Return the SHA-256 of the file of an import path's module, or None without one. The module is not run."""
    name = path.partition(":")[0]
    file = _own_file(name, Path(folder)) if folder else None
    if file is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        file = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
    return file_hash(file) if file is not None and file.is_file() else None


def source_hashes(path: str, folder: Path | str | None = None) -> list[str]:
    """Return the SHA-256 of the module's file, and of the file that defines the object where that is another one.

    Args and errors as for :func:`import_object`.
    """
    found = inspect.unwrap(import_object(path, folder))  # a decorator may come from elsewhere
    named = module_hash(path, folder)
    try:
        source = inspect.getsourcefile(found) if inspect.isclass(found) or inspect.isroutine(found) else None
    except (TypeError, OSError):  # built into Python
        source = None
    hashes = [one for one in (named, source and file_hash(Path(source))) if one]
    if not hashes:
        raise CordlesionError(f"{path}: no file defines it, so changes of its code would go unseen. Put it in a file.")
    return list(dict.fromkeys(hashes))


def _import_module(name: str, folder: Path | None) -> ModuleType:
    if folder is None:
        return importlib.import_module(name)
    _let_import_neighbours(folder.resolve())
    parts = name.split(".")
    loaded = None
    for n in range(1, len(parts) + 1):  # packages before their modules
        prefix = ".".join(parts[:n])
        if (file := _own_file(prefix, folder)) is not None:
            loaded = _load_file(prefix, file)
        elif loaded is not None or n == len(parts):
            loaded = importlib.import_module(prefix)
    assert loaded is not None
    return loaded


def _own_file(name: str, folder: Path) -> Path | None:
    """Return the file of a module or package in the user's folder, or None where it is not there."""
    place = folder.resolve() / Path(*name.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def _let_import_neighbours(folder: Path) -> None:
    """Append a folder to ``sys.path``; the one before, and what was imported from it, is of another study."""
    for other in [one for one in _FOLDERS if one != folder]:
        _FOLDERS.remove(other)
        if str(other) in sys.path:
            sys.path.remove(str(other))
        for name, module in list(sys.modules.items()):
            own = _own_file(name.partition(".")[0], other)
            if own is not None and str(getattr(module, "__file__", "") or "").startswith(f"{other}{os.sep}"):
                del sys.modules[name]
    if folder not in _FOLDERS and str(folder) not in sys.path:
        _FOLDERS.append(folder)
        sys.path.append(str(folder))
    importlib.invalidate_caches()


def _load_file(name: str, file: Path) -> ModuleType:
    """Load a file of the user as a module, unless that was done and the file is as it was."""
    sha256, loaded = file_hash(file), sys.modules.get(name)
    if loaded is not None and getattr(loaded, _SHA256, None) is None and loaded.__file__ != str(file):
        raise CordlesionError(f"{file}: has the name of the module {name}, which is in use. Rename the file.")
    if loaded is not None and (loaded.__file__, getattr(loaded, _SHA256, None)) == (str(file), sha256):
        return loaded
    inside = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inside)
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
