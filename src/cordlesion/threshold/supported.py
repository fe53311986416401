"""The smallest limit that scans support, where the one that was asked for cannot be promised (numpy and pandas only).

A limit that is chosen after a look at the scans spends certainty, since it was free to follow them. It spends none at a
threshold that was fixed before, as those are at which the tests of a promise begin: there the risk is tested against
candidate limits from the largest on, each at the whole error rate of this start, until the first that is not shown. So
a limit below the true risk is shown only if the largest of the candidates below it is, whose chance is at most that
rate (testing in a fixed sequence).
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cordlesion.io.arrays import IndexArray
from cordlesion.threshold.guarantees import certify
from cordlesion.threshold.promise import RiskName, promise_text
from cordlesion.threshold.promises import CERTAINTY, useful_cells
from cordlesion.threshold.risks import RISKS, SubjectRisks, TestedRisk, measure_risks

CANDIDATES: tuple[float, ...] = tuple(float(f"{digits}e{power}") for power in range(-3, 3) for digits in range(10, 100))
"""Limits that are tried: two digits each."""


@dataclass(frozen=True)
class Supported:
    """The smallest limit at which a promise would have been made."""

    risk: RiskName
    limit: float
    at: str
    """The threshold (and setting) that keeps it, in words."""
    is_shown: bool
    """Whether the limit holds at this threshold with the stated certainty, although it is read from the scans."""

    @property
    def text(self) -> str:
        """The limit in a few words."""
        return f"at {self.at} {promise_text(self.risk, self.limit)}"


def supported_limit(table: pd.DataFrame, risk: RiskName, *, certainty: float = CERTAINTY) -> Supported | None:
    """Return the smallest of :data:`CANDIDATES` at which :func:`cordlesion.threshold.promise` finds a threshold.

    Args:
        table: As for :func:`cordlesion.choose_threshold`; a lesion counts in one scan at least.
        risk: What is limited.
        certainty: That the limit is kept.

    Returns:
        The limit; None where the subjects are too few for any.

    Raises:
        CordlesionError: As :func:`cordlesion.choose_threshold`.
    """
    risks, error_rate = measure_risks(table), 1 - certainty
    limits = [one for one in CANDIDATES if one < RISKS[risk].allowed]
    # What keeps a limit keeps a higher one.
    place = bisect_left(limits, True, key=lambda limit: len(_kept(risks, risk, limit, error_rate)) > 0)
    if place == len(limits):
        return None
    kept = _kept(risks, risk, limits[place], error_rate)
    starts = TestedRisk.of(risks, risk, limits[place]).start_cells
    level = error_rate / len(starts)
    shown = [cell for cell in starts if cell in kept and _is_shown(risks, risk, cell, limits[place:], level)]
    cell = shown[0] if shown else int(kept[risks.means[risk][kept].argmin()])
    return Supported(risk, limits[place], risks.grid.name(cell), bool(shown))


def _kept(risks: SubjectRisks, name: RiskName, limit: float, error_rate: float) -> IndexArray:
    """Return the cells that a promise of this limit could choose."""
    return np.flatnonzero(useful_cells(risks) & TestedRisk.of(risks, name, limit).valid_cells(error_rate))


def _is_shown(risks: SubjectRisks, name: RiskName, cell: int, limits: list[float], level: float) -> bool:
    """Return whether a cell is shown to keep the first of ascending limits, and all others before it."""
    for limit in reversed(limits):
        largest = RISKS[name].largest(limit)
        losses = np.minimum(risks.losses[name][:, [cell]], largest)
        if not certify(losses, limit, [[0]], largest=largest, error_rate=level).valid:
            return False
    return True
