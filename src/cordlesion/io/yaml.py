"""Reads YAML with the position of each key, so that errors are reported with file:line:column (leaf module)."""

import datetime
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from cordlesion.errors import CordlesionError
from cordlesion.io.faults import Fault, place_of, reason

_MAX_BYTES, _MAX_NODES, _MAX_DEPTH = 2**18, 100_000, 50
"""Upper limits, far above those of any study."""
_MAX_INTEGER = 2**63
_NESTING = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever YAML can hold
    """Read a YAML file with a mapping, and the position of every key.

    Allowed are mappings, lists, texts, dates, true, false, null and 64-bit numbers; no recursive structures.

    Raises:
        CordlesionError: The file cannot be read, is not YAML, has no keys, or contains something else.
    """
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise _unreadable(path, f"{size} bytes are more than any study has")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # The full text of the system error would repeat the path.
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

    if _nesting_depth(text) > _MAX_DEPTH:  # the time of the parser is quadratic in the depth
        raise _unreadable(path, "nested too deep")
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = str(error.problem).splitlines()[0]
        raise CordlesionError(f"{path}{place} {problem}. Correct the YAML and try again.") from None
    except RecursionError:
        raise _unreadable(path, "nested too deep") from None
    except Exception as error:
        # The parser raises errors of many types: for impossible dates, numbers with thousands of digits, merges
        # without a mapping. All are errors in the file.
        raise _unreadable(path, str(error) or type(error).__name__) from None


def _nesting_depth(text: str) -> int:
    """Return the nesting depth of brackets, including those in comments and texts."""
    return max(itertools.accumulate(_NESTING.get(character, 0) for character in text), default=0)


def _unreadable(path: Path, reason: str) -> CordlesionError:
    remedy = "Mend the file." if path.is_file() else "Check the path, or start from `cordlesion study init`."
    return CordlesionError(f"{path}: cannot be read ({' '.join(reason.split())}). A study in YAML is needed. {remedy}")


def _require_plain(path: Path, document: Any) -> None:  # noqa: ANN401
    """Reject values that no setting can have, and aliases that expand to too many values, before they are expanded."""
    extents: dict[int, tuple[int, int]] = {}  # by the identity of the container, which its aliases share

    def extent(node: Any, place: str) -> tuple[int, int]:  # noqa: ANN401
        """Return the number of values of a node and their nesting depth, with all aliases expanded."""
        if not isinstance(node, dict | list):
            _require_scalar(path, node, place)
            return 1, 0
        if id(node) not in extents:
            extents[id(node)] = _MAX_NODES, _MAX_DEPTH  # for a recursive alias, until the values are known
            inside = [extent(child, where) for child, where in _children(path, node)]
            extents[id(node)] = 1 + sum(n for n, _ in inside), 1 + max((depth for _, depth in inside), default=0)
        n_values, depth = extents[id(node)]
        if n_values > _MAX_NODES or depth > _MAX_DEPTH:
            raise CordlesionError(
                f"{path}{place} is too large or contains itself, because of aliases. Write it without them."
            )
        return n_values, depth

    extent(document, ":1:1")


def _children(path: Path, node: Any) -> list[tuple[Any, str]]:  # noqa: ANN401
    """Return the values of a mapping or list with their position ``:line:column``; also checks the keys."""
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
    """Reject a value that is not a text, number, date, true, false or null, or that cannot be stored."""
    if isinstance(value, str):
        fault = "" if _is_text(value) else "holds half a character"
    elif isinstance(value, int):
        fault = "" if abs(value) < _MAX_INTEGER else "is a number that is too large"
    else:  # each setting checks itself whether a number is finite
        allowed = value is None or isinstance(value, float | datetime.date)
        fault = "" if allowed else "is no text, number, mapping or list"
    if fault:
        raise CordlesionError(f"{path}{place} {fault}. Correct the value and try again.")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(node: Any) -> Any:  # noqa: ANN401
    """Convert the containers of ruamel, which store positions, to dict, list and scalars."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return node


def fault_at(reason: str, *place: str | int) -> PydanticCustomError:
    """Return an error that validators of whole sections raise for one of their keys.

    Args:
        reason: The reason, as a part of a sentence.
        place: Path from the section to the key; :func:`located_faults` reports the part of it that is in the file.
    """
    return PydanticCustomError("fault_at", "{reason}", {"reason": reason, "place": place})


def located_faults(path: Path, document: Any, error: ValidationError) -> str:  # noqa: ANN401
    """Return all errors of pydantic for a document, one per line, as ``file:line:column key: reason``.

    Args:
        path: The file.
        document: Result of :func:`parse_yaml`.
        error: Error of pydantic for its plain form.
    """
    by_place: dict[tuple[str | int, ...], list[Fault]] = {}
    for fault in error.errors():
        by_place.setdefault(place_of(fault, document), []).append(fault)
    # Others only follow from an error of a nested key.
    within = {place[:depth] for place in by_place for depth in range(len(place))}
    return "\n".join(_located(path, document, *found) for found in by_place.items() if found[0] not in within)


def _located(path: Path, document: Any, location: Sequence[str | int], faults: Sequence[Fault]) -> str:  # noqa: ANN401
    line, column, node = 0, 0, document
    for part in location:
        place = _place(node, part)
        if place is None:
            break
        line, column = place
        node = node[part]
    key = ".".join(str(part) for part in location)
    return f"{path}:{line + 1}:{column + 1} {key + ': ' if key else ''}{reason(faults)}"


def _place(node: Any, part: str | int) -> tuple[int, int] | None:  # noqa: ANN401
    """Return line and column (from 0) of a key in a mapping or of an item in a list; None if it is not in the file."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if not isinstance(node, CommentedMap | CommentedSeq):
        return None
    # Merged keys (`<<`) are in the mapping, but have no position.
    place = (node.lc.data or {}).get(part)
    return (place[0], place[1]) if place else None
