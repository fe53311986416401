"""What was chosen at an end of what was tried, where more may be gained beyond it (numpy and pandas only)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cordlesion.threshold.choice import ThresholdChoice
from cordlesion.threshold.grid import LEAST_DICE, MOST, PEAK, SLOPE, THRESHOLDS, VOLUME


@dataclass(frozen=True)
class _Range:
    """What a setting can be."""

    title: str
    low: float
    """From here down nothing changes, or nothing is possible."""
    high: float = math.inf
    unit: str = ""


_RANGES: Mapping[str, _Range] = MappingProxyType(
    {
        "threshold": _Range("threshold", 0, 1),
        VOLUME: _Range("minimum volume", 0, unit=" mm3"),
        PEAK: _Range("peak", THRESHOLDS[1], 1),  # a peak at or below t removes nothing
        MOST: _Range("number of components", 1),
        SLOPE: _Range("slope", -math.inf),
        LEAST_DICE: _Range("least expected Dice", 0, 1),
    }
)


def describe_edge(name: str, chosen: float, tried: Iterable[float]) -> str:
    """Return that a value is the lowest or the highest that was tried; empty where it is not, or none lies beyond it.

    Args:
        name: ``threshold``, or one of :data:`cordlesion.threshold.SETTINGS`.
        chosen: The value.
        tried: All of them.

    Examples:
        >>> describe_edge("minimum_volume_mm3", 24, (0, 3, 6, 12, 24))
        '24 mm3 is the largest minimum volume that was tried'
        >>> describe_edge("threshold", 1, (0, 0.5, 1))
        ''
    """
    limits, is_threshold = _RANGES.get(name) or _Range(name.replace("_", " "), -math.inf), name == "threshold"
    values = sorted({value for value in tried if value > 0 or not is_threshold})
    ends = [math.isclose(chosen, value) for value in (values[0], values[-1])] if len(values) > 1 else [False]
    if not (any(ends) and limits.low < chosen < limits.high):
        return ""
    end = "lowest" if ends[0] else "largest"
    beside = " above 0" if is_threshold and ends[0] else ""
    return f"{chosen:.3g}{limits.unit} is the {end} {limits.title}{beside} that was tried"


def describe_edges(choice: ThresholdChoice, maps_cut_at: float | None = None) -> dict[str, str]:
    """Describe everything of a choice that lies at an end of what was tried, by name; most choices have nothing.

    Args:
        choice: The choice; where nothing was learned, there is nothing to gain.
        maps_cut_at: The value below which maps hold only 0, if there is one: lower thresholds give the same masks.
    """
    if not choice.learned:
        return {}
    threshold = {} if maps_cut_at is not None else {"threshold": choice.value}
    chosen = {**threshold, **choice.settings}
    found = {name: describe_edge(name, value, choice.curve[name]) for name, value in chosen.items()}
    return {name: words for name, words in found.items() if words}
