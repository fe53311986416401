"""Which lesions are counted together: by size, contrast, place in the section and along the cord (no torch)."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from cordlesion.detectability.names import CONTRAST

VOLUME_MM3 = (0.0, 10.0, 30.0, 100.0, 300.0, math.inf)
DISTANCE_MM = (0.0, 1.5, 3.0, math.inf)
PARTS = ("upper third", "middle third", "lower third")
"""Of the positions along the cord of the lesions of a scan's dataset, where levels are unknown."""


def named_bands(edges: Sequence[float], unit: str = "") -> list[tuple[str, float, float]]:
    """Return the bands between edges: name, lowest value (included) and highest (excluded)."""
    space = f" {unit}" if unit else ""
    return [(_name(low, high, space), low, high) for low, high in pairwise(edges)]


def _name(low: float, high: float, unit: str) -> str:
    if math.isinf(high):
        return f"from {low:g}{unit}"
    return f"below {high:g}{unit}" if low in (0.0, 1.0) else f"{low:g} to {high:g}{unit}"


def strata(lesions: pd.DataFrame, contrast: Sequence[float] = CONTRAST) -> Iterator[tuple[str, str, pd.Index]]:
    """Yield what lesions have in common, in words, and their rows; empty ones are left out.

    Args:
        lesions: A row per lesion, with the columns of ``true_lesions.tsv``.
        contrast: Edges of the bands of contrast.
    """
    yield "all", "all", lesions.index
    volumes, contrasts = named_bands(VOLUME_MM3, "mm3"), named_bands(contrast)
    for by, column, bands in (
        ("volume", "volume_mm3", volumes),
        ("contrast", "contrast", contrasts),
        ("distance", "distance_mm", named_bands(DISTANCE_MM, "mm")),
    ):
        yield from _nonempty(by, ((name, _within(lesions[column], low, high)) for name, low, high in bands))
    yield from _nonempty(
        "volume and contrast",
        (
            (f"{volume}, {one}", _within(lesions["volume_mm3"], a, b) & _within(lesions["contrast"], c, d))
            for volume, a, b in volumes
            for one, c, d in contrasts
        ),
    )
    yield from _nonempty("column", ((name, lesions["column"] == name) for name in sorted(set(lesions["column"]))))
    level = lesions["level"].fillna("").astype(str)
    if (level != "").any():
        yield from _nonempty("level", ((name, level == name) for name in sorted(set(level), key=_level_order) if name))
    else:
        yield from _nonempty("position", _parts(lesions))


def _level_order(name: str) -> tuple[int, int]:
    return ("CTL".find(name[:1]), int(name[1:]) if name[1:].isdigit() else 0)


def _parts(lesions: pd.DataFrame) -> Iterator[tuple[str, "pd.Series[bool]"]]:
    """Divide the lesions of each subject at the thirds of the stretch of cord that they lie in."""
    ends = lesions.groupby("subject")["position_mm"].agg(["min", "max"]).reindex(lesions["subject"])
    length = (ends["max"] - ends["min"]).to_numpy()
    share = (lesions["position_mm"].to_numpy() - ends["min"].to_numpy()) / np.where(length > 0, length, 1)
    third = np.minimum((share * len(PARTS)).astype(int), len(PARTS) - 1)
    for number, name in enumerate(PARTS):
        yield name, pd.Series(third == number, index=lesions.index)


def _within(values: "pd.Series[float]", low: float, high: float) -> "pd.Series[bool]":
    return (values >= low) & (values < high)


def _nonempty(by: str, groups: Iterator[tuple[str, "pd.Series[bool]"]]) -> Iterator[tuple[str, str, pd.Index]]:
    for name, inside in groups:
        if inside.any():
            yield by, name, inside.index[inside]
