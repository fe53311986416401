"""What is wrong with a value of a file, in the words of this program: pydantic's own name Python's types (leaf module).

A fault is a dictionary of ``pydantic.ValidationError.errors()``.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from pydantic import ValidationError

Fault: TypeAlias = Mapping[str, Any]
NUMBER, WHOLE, TEXT, LIST, SWITCH = "a number", "a whole number", "a text", "a list", "true or false"
NEEDED: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), WHOLE)
    | dict.fromkeys(("float_type", "float_parsing"), NUMBER)
    | dict.fromkeys(("bool_type", "bool_parsing"), SWITCH)
    | dict.fromkeys(("string_type", "string_unicode"), TEXT)
    | dict.fromkeys(("tuple_type", "list_type"), LIST)
    | dict.fromkeys(("dict_type", "model_type", "model_attributes_type", "mapping_type"), "a section with keys")
    | {
        "path_type": "a path",
        "finite_number": "a finite number",
        "greater_than": "a number above {gt:g}",
        "greater_than_equal": "a number of at least {ge:g}",
        "less_than": "a number below {lt:g}",
        "less_than_equal": "a number of at most {le:g}",
        "too_short": "a list with {min_length} or more values",
        "too_long": "a list with up to {max_length} values",
        "literal_error": "{expected}",
    }
)
"""What each type of fault needs; the places are filled from its context."""
_MOST_SHOWN = 60


def reason(faults: Sequence[Fault]) -> str:
    """Return what is wrong with one value, as a part of a sentence.

    Args:
        faults: Of one value; several where the value may be of several types, and is of none.
    """
    first = faults[0]
    if first["type"] == "extra_forbidden":
        return "unknown key; remove it or check its spelling"
    if first["type"] == "missing":
        return "is missing; add this key"
    if first["input"] is None:
        return "holds nothing; give it a value, or remove the key where it has a default"
    needed = " or ".join(dict.fromkeys(filter(None, map(_needed, faults))))
    text = f"{needed} is needed" if needed else str(first["msg"]).removeprefix("Value error, ")
    return text + _found(first)


def _needed(fault: Fault) -> str:
    form = NEEDED.get(fault["type"], "")
    return form.format_map(fault.get("ctx") or {})


def _found(fault: Fault) -> str:
    """Return what was found, as it stands in a file; a long list or a section by its extent."""
    value = fault["input"]
    if isinstance(value, bool):
        return f", found {str(value).lower()}"
    if isinstance(value, Mapping):
        # Sentences on keys of a section name them.
        return "" if fault["type"] in ("value_error", "fault_at") else f", found a section with {len(value)} keys"
    if isinstance(value, list | tuple):
        # Sentences on values of a list name them; so the number of a list that is too long or too short is shown.
        shown = repr(list(value))
        return f", found {shown if len(shown) <= _MOST_SHOWN else f'a list of {len(value)}'}"
    shown = repr(value) if isinstance(value, str | int | float) else str(value)
    return f", found {shown if len(shown) <= _MOST_SHOWN else f'{shown[:_MOST_SHOWN]} ...'}"


def place_of(fault: Fault, document: Any) -> tuple[str | int, ...]:  # noqa: ANN401 - whatever a file can hold
    """Return the keys and indices that lead to a value; the location of a fault also names the types it may have.

    Args:
        fault: The fault.
        document: What was checked.
    """
    node, kept = document, []
    for part in fault["loc"]:
        inside = isinstance(node, Mapping) and part in node
        if inside or (isinstance(node, list | tuple) and isinstance(part, int) and part < len(node)):
            kept.append(part)
            node = node[part]
    # These name a key that the document may lack.
    lacking = fault["loc"][-1:] if fault["type"] == "missing" else ()
    return (*kept, *lacking, *fault.get("ctx", {}).get("place", ()))


def first_fault(error: ValidationError, document: Any) -> str:  # noqa: ANN401
    """Return where the first fault of a document is, and what it is: ``key: reason``."""
    faults = error.errors()
    place = place_of(faults[0], document)
    key = ".".join(map(str, place))
    return f"{key}{': ' if key else ''}{reason([one for one in faults if place_of(one, document) == place])}"
