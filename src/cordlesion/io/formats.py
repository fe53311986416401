"""Formatting of numbers in tables and sentences."""

import math

MISSING = "–"
"""Printed instead of a missing number."""


def format_number(value: float, *, signed: bool = False) -> str:
    """Format with two decimals and a typographic minus sign."""
    if math.isnan(value):
        return MISSING
    return _rounded(value, 2, signed=signed)


def format_fine(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """Format small values with more decimals."""
    if math.isnan(value):
        return MISSING
    return _rounded(value, digits, signed=signed)


def _rounded(value: float, digits: int, *, signed: bool) -> str:
    """Format with a typographic minus sign; what is printed as 0 has no sign."""
    text = f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text.lstrip("+−")


def format_fine_interval(low: float, high: float, *, signed: bool = False) -> str:
    """Format an interval of small values in brackets; a dash if it is undefined."""
    return _brackets(format_fine(low, signed=signed), format_fine(high, signed=signed))


def format_interval(low: float, high: float, *, signed: bool = False) -> str:
    """Format an interval in brackets; a dash if it is undefined."""
    return _brackets(format_number(low, signed=signed), format_number(high, signed=signed))


def with_interval(value: float, low: float, high: float, *, digits: int = 2, signed: bool = False) -> str:
    """Format a value with its interval in brackets, for a sentence; without interval if it is undefined."""
    printed = [format_fine(one, digits, signed=signed) for one in (value, low, high)]
    return printed[0] if MISSING in printed[1:] else f"{printed[0]} {_brackets(*printed[1:])}"


def format_percent(share: float) -> str:
    """Format a share as a percentage, with a space before the sign."""
    return MISSING if math.isnan(share) else f"{share:.0%}".replace("%", " %")


def _brackets(low: str, high: str) -> str:
    return MISSING if low == high == MISSING else f"[{low}, {high}]"


def format_p(p: float) -> str:
    """Format a p-value with three decimals, or as ``< 0.001``."""
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def plural(number: int, noun: str, many: str = "") -> str:
    """Print a number of things: ``1 scan``, ``2 scans``; ``many`` where the plural has another ending."""
    return f"{number} {noun}" if number == 1 else f"{number} {many or noun + 's'}"
