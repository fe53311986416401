"""YAML that remembers where each key stands, so that a fault is reported with file:line:column (leaf module)."""

import datetime
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from cordlesion.errors import CordlesionError

_MOST_BYTES, _MOST_NODES, _MOST_LEVELS = 2**18, 100_000, 50
"""Far beyond any study."""
_LARGEST = 2**63
_NESTING = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever YAML can hold
    """Read a YAML file that holds a mapping, with the place of every key.

    What it holds are mappings, lists, texts, dates, true, false, null, and numbers of 64 bits; nothing within itself.

    Raises:
        CordlesionError: The file cannot be read, is no YAML, holds no keys, or holds something else.
    """
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise _unreadable(path, f"{size} bytes are more than any study has")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # The system's own text would name the path a second time.
        raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from None
    document = _load(path, text)
    if not isinstance(document, dict):
        raise CordlesionError(
            f"{path}:1:1 holds no keys; a study in YAML is needed. Start from `cordlesion study init`."
        )
    _require_plain(path, document)
    return document


def _load(path: Path, text: str) -> Any:  # noqa: ANN401
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    if _deepest(text) > _MOST_LEVELS:  # the parser's time grows with the square of it
        raise _unreadable(path, "nested too deep")
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = str(error.problem).splitlines()[0]
        raise CordlesionError(f"{path}{place} {problem}. Mend the YAML and try again.") from None
    except RecursionError:
        raise _unreadable(path, "nested too deep") from None
    except Exception as error:
        # A date that no calendar has, a number of thousands of digits, a merge with no mapping: the parser raises
        # errors of many types, and all are faults of the text.
        raise _unreadable(path, str(error) or type(error).__name__) from None


def _deepest(text: str) -> int:
    """Return how deep brackets are nested; those in comments and texts count as well."""
    return max(itertools.accumulate(_NESTING.get(character, 0) for character in text), default=0)


def _unreadable(path: Path, reason: str) -> CordlesionError:
    return CordlesionError(f"{path}: cannot be read ({' '.join(reason.split())}). A study in YAML is needed.")


def _require_plain(path: Path, document: Any) -> None:  # noqa: ANN401
    """Refuse what no setting can be, and aliases that multiply: before anything walks through what they stand for."""
    extents: dict[int, tuple[int, int]] = {}  # by the identity of each container, which aliases share

    def extent(node: Any, place: str) -> tuple[int, int]:  # noqa: ANN401
        """Return how many values a node stands for, and how deep they are nested."""
        if not isinstance(node, dict | list):
            _require_scalar(path, node, place)
            return 1, 0
        if id(node) not in extents:
            extents[id(node)] = _MOST_NODES, _MOST_LEVELS  # within itself, until its own is known
            inside = [extent(child, where) for child, where in _children(path, node)]
            extents[id(node)] = 1 + sum(n for n, _ in inside), 1 + max((depth for _, depth in inside), default=0)
        n_values, depth = extents[id(node)]
        if n_values > _MOST_NODES or depth > _MOST_LEVELS:
            raise CordlesionError(f"{path}{place} holds too much, or itself, by aliases. Write out what is meant.")
        return n_values, depth

    extent(document, ":1:1")


def _children(path: Path, node: Any) -> list[tuple[Any, str]]:  # noqa: ANN401
    """Return what a mapping or list holds, each with its place as ``:line:column``; keys are checked like values."""
    parts = list(node) if isinstance(node, dict) else range(len(node))
    found = []
    for part in parts:
        line, column = _place(node, part) or (0, 0)
        where = f":{line + 1}:{column + 1}"
        if isinstance(node, dict):
            _require_scalar(path, part, where)
        found.append((node[part], where))
    return found


def _require_scalar(path: Path, value: Any, place: str) -> None:  # noqa: ANN401
    """Refuse a value that is no text, number, date, true, false or null, or that no file of ours can hold."""
    if isinstance(value, str):
        fault = "" if _is_text(value) else "holds half a character"
    elif isinstance(value, int):
        fault = "" if abs(value) < _LARGEST else "is a number that is too large"
    else:  # that a number is finite, each setting asks by its name
        allowed = value is None or isinstance(value, float | datetime.date)
        fault = "" if allowed else "is no text, number, mapping or list"
    if fault:
        raise CordlesionError(f"{path}{place} {fault}. Mend the value and try again.")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(node: Any) -> Any:  # noqa: ANN401
    """Strip ruamel's containers, which remember places, down to dict, list and scalars."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return node


def fault_at(reason: str, *place: str | int) -> PydanticCustomError:
    """Return a fault for validators of whole sections to raise, which tells the key that is to be mended.

    Args:
        reason: What is wrong.
        place: Way from the section to the key; :func:`located_faults` points at as much of it as is in the file.
    """
    return PydanticCustomError("fault_at", "{reason}", {"reason": reason, "place": place})


def located_faults(path: Path, document: Any, error: ValidationError) -> str:  # noqa: ANN401
    """Return every fault that pydantic found in a document, one per line, as ``file:line:column key: reason``.

    Args:
        path: The file.
        document: What :func:`parse_yaml` returned.
        error: What pydantic said of its plain form.
    """
    return "\n".join(_located(path, document, fault) for fault in _innermost(error))


def _innermost(error: ValidationError) -> list[Any]:
    """Leave out faults that only follow from a fault further inside."""
    faults = error.errors()
    within = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return [fault for fault in faults if fault["loc"] not in within]


def _located(path: Path, document: Any, fault: Any) -> str:  # noqa: ANN401
    location: Sequence[str | int] = (*fault["loc"], *fault.get("ctx", {}).get("place", ()))
    line, column, node = 0, 0, document
    for part in location:
        place = _place(node, part)
        if place is None:
            break
        line, column = place
        node = node[part]
    key = ".".join(str(part) for part in location)
    return f"{path}:{line + 1}:{column + 1} {key + ': ' if key else ''}{_reason(fault)}"


def _reason(fault: Any) -> str:  # noqa: ANN401
    if fault["type"] == "extra_forbidden":
        return "unknown key; remove it or check its spelling"
    found = fault["input"]
    if found is None:
        return "holds nothing; give it a value, or remove the key where it has a default"
    said = f", found {found!r}" if isinstance(found, str | int | float) else ""
    # Whoever writes YAML knows nothing of our classes.
    return re.sub(r" or instance of \w+", "", str(fault["msg"]).removeprefix("Value error, ")) + said


def _place(node: Any, part: str | int) -> tuple[int, int] | None:  # noqa: ANN401
    """Line and column (from 0) of a key in a mapping or of an item in a list, or None where it is not in the file."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if not isinstance(node, CommentedMap | CommentedSeq):
        return None
    # Keys that were merged in (`<<`) are in the mapping and have no place in it.
    place = (node.lc.data or {}).get(part)
    return (place[0], place[1]) if place else None
