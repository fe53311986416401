"""A promise with its price: the best threshold that keeps "at most 20 % of lesions are missed" (numpy and pandas only).

The risk is the mean, over new subjects like those of the threshold set, of what happens in the scans of a subject: the
share of its lesions that is missed, or its false positives per scan (up to five times the limit, since no number of
subjects says anything about a rare scan with thousands). Thresholds are tested from the safest on by
:func:`cordlesion.threshold.certify`: the chance that the returned one breaks the promise is at most 5 %. Among those
that keep it the objective of the study decides.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.formats import format_percent, plural
from cordlesion.threshold.choice import ThresholdChoice, choose_threshold
from cordlesion.threshold.enough import enough_subjects
from cordlesion.threshold.grid import TIE, Grid
from cordlesion.threshold.objective_names import AnyObjective
from cordlesion.threshold.promise import TOO_CLOSE, RiskName, promise_text, risk_text
from cordlesion.threshold.risks import RISKS, SubjectRisks, TestedRisk, measure_risks
from cordlesion.threshold.stability import measure_stability

CERTAINTY = 0.95
_USEFUL = 0.5
"""A threshold that finds less than this part of the lesions that the best one finds is no answer."""


@dataclass(frozen=True, eq=False)
class Promised:
    """The threshold that keeps promises, or why there is none."""

    choice: ThresholdChoice | None
    """With its ``promises``; None where no threshold is shown to keep them."""
    nearest: float
    """Without a choice, the threshold that comes nearest; NaN with one."""
    risks: Mapping[RiskName, float]
    """Means over the subjects of the threshold set at that threshold; where there is none, at the nearest one."""
    n_subjects: int
    needed: int | None
    """Without a threshold: how many subjects, more than these, would be enough in 4 of 5 studies; None if no number up
    to 2 000 is."""
    text: str
    """The promise and its price, or why there is none, as a sentence without its full stop."""


def promise(
    table: pd.DataFrame,
    objective: AnyObjective,
    limits: Mapping[RiskName, float],
    *,
    certainty: float = CERTAINTY,
    lesion_rule: str = "study",
    n_volumes: int = 1,
    balanced: ThresholdChoice | None = None,
) -> Promised:
    """Choose the best threshold by an objective among those that are shown to keep all limits.

    The threshold of the objective alone is kept if it is one of them.

    Args:
        table: As for :func:`cordlesion.choose_threshold`.
        objective: As there.
        limits: What the risks may be: the share of lesions missed, the number of false positives per scan.
        certainty: That all limits are kept.
        lesion_rule: The name of the one that scans were measured by.
        n_volumes: How many minimum volumes were tried, where the table has the chosen one only.
        balanced: The choice by the objective alone, if it was made before.

    Raises:
        CordlesionError: A limit or the certainty is out of range, or as :func:`cordlesion.choose_threshold`.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> import pandas as pd
        >>> from cordlesion.threshold import promise
        >>> rows = []
        >>> for subject, found in enumerate(np.random.default_rng(0).binomial(10, 0.95, 60)):
        ...     for t in (0.1, 0.3, 0.5):
        ...         n = int(found * (1.1 - t))
        ...         row = {"scan_id": subject, "subject": subject, "threshold": t, "voxel_f1": 0.8 - (t - 0.5) ** 2}
        ...         row |= {"n_reference_lesions": 10, "n_detected_lesions": n, "n_predicted_lesions": n + 1}
        ...         rows.append(row | {"n_true_predicted_lesions": n, "reference_volume_mm3": 50.0})
        >>> promise(pd.DataFrame(rows), "mean_voxel_f1", {"missed": 0.4}).text
        'at t = 0.3 at most 40 % of lesions are missed, with 95 % certainty; price on the threshold set: 1.0 false \
positives per scan'
    """
    check_limits(limits)
    check_certainty(certainty)
    if not (table["n_reference_lesions"] > 0).any():
        why = "no lesion of the threshold set counts by the lesion rule, so that nothing can be promised"
        return Promised(None, math.nan, {}, 0, None, why)
    balanced = balanced or choose_threshold(table, objective, n_resamples=1)
    error_rate = (1 - certainty) / n_volumes
    return keep_limits(measure_risks(table), balanced, limits, error_rate, certainty, lesion_rule)


def keep_limits(
    risks: SubjectRisks,
    balanced: ThresholdChoice,
    limits: Mapping[RiskName, float],
    error_rate: float = 1 - CERTAINTY,
    certainty: float = CERTAINTY,
    lesion_rule: str = "study",
) -> Promised:
    """Choose as :func:`promise` does, from what was measured.

    Args:
        risks: Of the threshold set.
        balanced: The choice by the objective alone, on the same grid.
        limits: What the risks may be.
        error_rate: Chance that a limit is broken, of what is tested here.
        certainty: As it is stated.
        lesion_rule: The name of the one that scans were measured by.
    """
    cell = kept_cell(risks, balanced, limits, error_rate)
    if cell is None:
        return _none(risks, limits, error_rate, certainty)
    tested = _tested(risks, limits)
    made = tuple(one.promise(certainty, lesion_rule, lesion_free=risks.lesion_free) for one in tested.values())
    choice = replace(_choice_at(risks.grid, cell, balanced), promises=made)
    return Promised(choice, math.nan, risks.at(cell), _smallest(tested), None, _price(risks, cell, limits, certainty))


def kept_cell(
    risks: SubjectRisks, balanced: ThresholdChoice, limits: Mapping[RiskName, float], error_rate: float = 1 - CERTAINTY
) -> int | None:
    """Return the cell that :func:`keep_limits` chooses; None where none is shown to keep all limits.

    Args:
        risks: As there.
        balanced: As there.
        limits: As there.
        error_rate: As there.
    """
    shown = [one.valid_cells(error_rate / len(limits)) for one in _tested(risks, limits).values()]
    kept = np.logical_and.reduce([useful_cells(risks), *shown])
    return _best(risks, kept, balanced, limits) if kept.any() else None


def check_limits(limits: Mapping[RiskName, float]) -> None:
    """Refuse limits that cannot be kept or say nothing.

    Raises:
        CordlesionError: There is none, or one is out of range.
    """
    for name, limit in limits.items():
        if name not in RISKS:
            raise CordlesionError(f"{name!r} is no risk that can be limited; {' or '.join(RISKS)} is needed.")
        if not 0 < limit < RISKS[name].allowed:
            raise CordlesionError(
                f"{name.replace('_', ' ')}: the limit is {limit:g}; a value above 0 and below {RISKS[name].allowed:g} "
                "is needed."
            )
    if not limits:
        raise CordlesionError("No limit is given; one or more are needed, such as {'missed': 0.2}.")


def check_certainty(certainty: float) -> None:
    """Refuse a certainty that is none.

    Raises:
        CordlesionError: It is out of range.
    """
    if not 0.5 <= certainty < 1:
        raise CordlesionError(f"The certainty is {certainty:g}; a share from 0.5 to below 1 is needed, such as 0.95.")


def useful_cells(risks: SubjectRisks) -> Mask:
    """Return which cells find enough to be an answer; t = 0, where every voxel is lesion, is none."""
    above_zero = risks.grid.above_zero
    found = np.zeros(risks.losses["missed"].shape[1])
    found[above_zero] = 1 - risks.means["missed"][above_zero]
    useful: Mask = found >= max(_USEFUL * found.max() - TIE, TIE)
    return useful


def _best(risks: SubjectRisks, kept: Mask, balanced: ThresholdChoice, limits: Mapping[RiskName, float]) -> int:
    """Return the cell of the objective alone if it is kept, else the kept one with the highest objective.

    Of equals the one with the lowest price, and then the lowest risk.
    """
    # The curve has a row per cell, in their order.
    curve, means = balanced.curve, risks.means
    here = curve["threshold"] == balanced.value
    for name, value in balanced.settings.items():
        here &= curve[name] == value
    own = int(here.to_numpy().argmax())
    if kept[own]:
        return own
    scores = curve["score"].fillna(-np.inf).to_numpy().round(12)
    prices = [means[name] for name in RISKS if name not in limits]
    order = np.lexsort((*(means[name] for name in limits), *prices, -scores))
    return int(order[kept[order]][0])


def _choice_at(grid: Grid, cell: int, balanced: ThresholdChoice) -> ThresholdChoice:
    """Return a choice of another cell; its interval would be that of the limits, not of the best threshold."""
    number, t = divmod(cell, len(grid.thresholds))
    scores = balanced.curve["score"].to_numpy(np.float64)
    here = scores.reshape(-1, len(grid.thresholds))[number]
    return replace(
        balanced,
        value=float(grid.thresholds[t]),
        score=float(scores[cell]),
        interval=None,
        settings=grid.setting(number),
        setting_intervals={},
        stability=measure_stability(grid.thresholds, here, t),
    )


def _price(risks: SubjectRisks, cell: int, limits: Mapping[RiskName, float], certainty: float) -> str:
    kept = " and ".join(promise_text(name, limit) for name, limit in limits.items())
    cost = [name for name in RISKS if name not in limits] or list(RISKS)
    price = ", ".join(risk_text(name, risks.at(cell)[name]) for name in cost)
    sure = f"with {format_percent(certainty)} certainty"
    return f"at {risks.grid.name(cell)} {kept}, {sure}; price on the threshold set: {price}"


def _tested(risks: SubjectRisks, limits: Mapping[RiskName, float]) -> dict[RiskName, TestedRisk]:
    return {name: TestedRisk.of(risks, name, limit) for name, limit in limits.items()}


def _none(risks: SubjectRisks, limits: Mapping[RiskName, float], error_rate: float, certainty: float) -> Promised:
    """Return why no threshold is shown to keep the limits, and how many subjects would be enough."""
    tested, useful = _tested(risks, limits), useful_cells(risks)
    shares = np.max([one.losses.mean(axis=0) / one.limit for one in tested.values()], axis=0)
    eligible = np.flatnonzero(useful) if useful.any() else risks.grid.above_zero
    cell = int(eligible[shares[eligible].argmin()])
    found, n = risks.at(cell), _smallest(tested)
    needed = enough_subjects([*tested.values()], useful, error_rate / len(limits))
    if needed is None:
        why = _never(risks.grid.name(cell), found, tested, within=bool(shares[cell] < 1))
    else:
        who = plural(n, "subject") + (" with lesions" if "missed" in tested else "")
        why = f"{who} are too few, about {needed} like these would be enough"
    asked = " and ".join(promise_text(name, limit) for name, limit in limits.items())
    sure = f"cannot be promised with {format_percent(certainty)} certainty"
    nearest = float(risks.grid.thresholds[cell % len(risks.grid.thresholds)])
    return Promised(None, nearest, found, n, needed, f"{asked}: {sure}: {why}")


def _never(where: str, found: Mapping[RiskName, float], tested: Mapping[RiskName, TestedRisk], *, within: bool) -> str:
    """Return why more subjects are no help; ``within`` is whether the nearest cell keeps all limits on these."""
    so_far = " and ".join(risk_text(name, found[name]) for name in tested)
    if not within:
        return (
            f"even {where}, the nearest, has {so_far} on the threshold set, and no number of subjects would be enough"
        )
    return f"{where}, the nearest, has {so_far} on the threshold set, but is {TOO_CLOSE}"


def _smallest(tested: Mapping[RiskName, TestedRisk]) -> int:
    return min(len(one.losses) for one in tested.values())
