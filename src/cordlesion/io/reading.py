"""Reads files; errors of the system or of the content become clear messages (leaf module)."""

import json
from pathlib import Path
from typing import Any

from cordlesion.errors import CordlesionError

_JSON_WORDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
    object: "anything",
}


def cannot_read(path: Path | str, error: OSError, needed: str) -> CordlesionError:
    """Return the error for a file or folder that the system cannot read.

    Args:
        path: The file or folder.
        error: Error of the system.
        needed: The expected content, such as ``a JSON file``.
    """
    remedy = "Ask for permission to read it" if isinstance(error, PermissionError) else "Check the path"
    reason = error.strerror or str(error)
    return CordlesionError(f"{path}: cannot be read ({reason}); {needed} is needed. {remedy}.")


def read_json(path: Path, expected: type = object) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Read a JSON file.

    Args:
        path: The file.
        expected: Type of its content: ``dict``, ``list``, ...; any type by default.

    Raises:
        CordlesionError: The file is missing or unreadable, is not JSON, or contains another type.
    """
    try:
        # Windows editors write a byte order mark.
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise cannot_read(path, error, "a JSON file") from error
    except UnicodeDecodeError as error:
        raise CordlesionError(f"{path}: not a JSON file ({error}). Restore it, or save it in UTF-8.") from error
    return parse_json(text, path, expected)


def parse_json(text: str | bytes, where: Path | str, expected: type = object) -> Any:  # noqa: ANN401
    """Read JSON from a text.

    Args:
        text: The JSON.
        where: Its source, for the message.
        expected: As in :func:`read_json`.

    Raises:
        CordlesionError: As :func:`read_json`.
    """
    try:
        value = json.loads(text)
        if b"\\ud" in (text if isinstance(text, bytes) else text.encode()).lower():
            # Escapes of unpaired surrogates are valid JSON, but cannot be stored or shown.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise CordlesionError(
            f"{where}: not a JSON file of cordlesion (nested too deep). Restore or remove it."
        ) from error
    except ValueError as error:
        reason = error if isinstance(error, json.JSONDecodeError | UnicodeError) else "a number of thousands of digits"
        raise CordlesionError(f"{where}: not a JSON file ({reason}). Restore or remove it.") from error
    if not isinstance(value, expected):
        raise CordlesionError(
            f"{where}: holds {_JSON_WORDS[type(value)]}; {_JSON_WORDS[expected]} is needed. Restore or remove it."
        )
    return value


def read_record(path: Path, **fields: type | tuple[type, ...]) -> dict[str, Any]:
    """Read a JSON file with an object.

    Args:
        path: The file.
        fields: Required keys and the types of their values.

    Raises:
        CordlesionError: As :func:`read_json`, or a key is missing or has another type.
    """
    record: dict[str, Any] = read_json(path, dict)
    for name, kind in fields.items():
        if not isinstance(record.get(name), kind):
            found = f"holds {_JSON_WORDS[type(record[name])]} as {name}" if name in record else f"lacks {name}"
            raise CordlesionError(f"{path}: {found}, so it is not such a file of cordlesion. Restore or remove it.")
    return record
