"""What the functions of this door share: pairs of files with their lesion values, names that exist, excluded files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from cordlesion.dataset.matching import MASK_NAMES, MapPair, pair_files
from cordlesion.errors import CordlesionError
from cordlesion.execution.outcome import Outcome
from cordlesion.metrics.rules import row_name

Result = TypeVar("Result")
FigureFormat: TypeAlias = Literal["png", "svg"]
"""Formats of pictures."""


def pair_by_name(
    reference: Path,
    prediction: Path,
    names: Sequence[str] = MASK_NAMES,
    lesion_value: float | None = None,
    predicted_value: float | None = None,
) -> tuple[list[MapPair], dict[str, str]]:
    """Match references with predictions and note which values are lesion in them.

    Returns:
        The pairs, sorted by name; and the files that cannot be used, each with the reason.

    Raises:
        CordlesionError: As :func:`cordlesion.dataset.matching.pair_files`.
    """
    pairs, unmatched = pair_files(reference, prediction, names)
    valued = [replace(pair, lesion_value=lesion_value, predicted_value=predicted_value) for pair in pairs]
    return valued, dict(unmatched)


def usable_results(
    outcomes: Sequence[Outcome[MapPair, Result]], unmatched: Mapping[str, str]
) -> tuple[list[Result], dict[str, str]]:
    """Return the results, and the excluded scans and files, each with the reason.

    Raises:
        CordlesionError: There is no result; the first reason.
    """
    excluded = {outcome.item.scan_id: outcome.fault for outcome in outcomes if outcome.fault} | dict(unmatched)
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    if not results:
        raise CordlesionError(next(iter(excluded.values())))
    return results, excluded


def require_name(name: str, table: Iterable[str], kind: str) -> str:
    """Return the key of a table that a name stands for, or refuse the name.

    Raises:
        CordlesionError: The table has no such row; the sentence lists the names.
    """
    names = list(table)
    key = row_name(name, names)
    if key not in names:
        raise CordlesionError(f"{name!r} is no {kind}; one of {', '.join(names)} is needed.")
    return key
