"""YAML that remembers where each key stands, so that a fault is told with file:line:column (leaf module)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from cordlesion.errors import CordlesionError


def parse_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever YAML can hold
    """Read a YAML file that holds a mapping, with the place of every key.

    Raises:
        CordlesionError: The file cannot be read, is no YAML, or holds no keys.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise CordlesionError(f"{path}{place} {error.problem}. Mend the YAML and try again.") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        # The system's own text would name the path a second time.
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise CordlesionError(f"{path}: cannot be read ({reason}). A study in YAML is needed.") from None
    if not isinstance(document, dict):
        raise CordlesionError(
            f"{path}:1:1 holds no keys; a study in YAML is needed. Start from `cordlesion study init`."
        )
    return document


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

    if isinstance(node, CommentedMap) and part in node:
        line, column = node.lc.key(part)
    elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
        line, column = node.lc.item(part)
    else:
        return None
    return line, column
