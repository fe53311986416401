"""Operating points with a guarantee: "at most a share of the lesions is missed", "at most so many false lesions".

Two kinds of guarantee, both over subjects, who are the exchangeable units (scans of one person, and lesions of one
scan, are not):

* **With 95 % certainty** (learn then test: Angelopoulos et al., Ann. Appl. Stat. 2025): the chance over threshold sets
  that the risk on new subjects exceeds the limit is at most 5 %. Each setting is a hypothesis "the risk is too high",
  with the p-value of a betting martingale (Waudby-Smith and Ramdas, J. R. Stat. Soc. B 2024); settings are tested in
  sequences, from the safest on, until the first that is not rejected.
* **On average** (conformal risk control: Angelopoulos et al., ICLR 2024): the risk of one more subject is at most the
  limit, on average over threshold sets.

Losses of a subject are the share of its lesions that are missed, or its false lesions per scan up to a largest number.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, IndexArray

ERROR_RATE = 0.05
"""How often a guarantee with 95 % certainty may fail."""
_ORDERS = 20
"""Orders of the subjects over which the p-value is averaged: it depends on the order, which says nothing."""
_MOST_SUBJECTS = 2000
_POWER = 0.8
_DRAWN = 200


@dataclass(frozen=True)
class Guarantee:
    """What can be guaranteed about a risk."""

    valid: tuple[int, ...]
    """Cells of the grid whose risk is shown to be at most the limit, in the order of their sequences; none where the
    subjects are too few, or where no cell is good enough."""
    needed: int | None
    """Where no cell is valid: subjects, up to 2 000, that would be enough for the safest one in 4 of 5 studies. None
    where some are valid, and where none would be enough."""
    n_subjects: int


def certify(
    losses: FloatArray,
    limit: float,
    sequences: Sequence[Sequence[int]],
    *,
    largest: float = 1.0,
    error_rate: float = ERROR_RATE,
    seed: int = 0,
) -> Guarantee:
    """Find the cells whose mean loss over new subjects is at most a limit, with 95 % certainty.

    Args:
        losses: Of each subject at each cell, from 0 to ``largest``, shape (subjects, cells).
        limit: What the mean loss may be.
        sequences: Cells from the safest to the most daring; chosen without a look at these subjects. The error rate is
            divided between them.
        largest: What no loss exceeds.
        error_rate: Chance that a returned cell has a higher risk.
        seed: Of the orders of the subjects.

    Raises:
        CordlesionError: A loss is outside its range, the limit is not between 0 and ``largest``, the error rate not
            between 0 and 1, or there is no sequence or an empty one.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.threshold import certify
        >>> rng = np.random.default_rng(0)
        >>> missed = np.clip(rng.uniform(0, 0.1, (60, 1)) + [0, 0.1, 0.3], 0, 1)  # of 60 subjects at three thresholds
        >>> certify(missed, limit=0.2, sequences=[[0, 1, 2]]).valid
        (0, 1)
    """
    scaled = _checked(losses, limit, largest)
    if not (sequences and all(len(sequence) for sequence in sequences) and 0 < error_rate < 1):
        raise CordlesionError(
            f"There are {len(sequences)} sequences and an error rate of {error_rate:g}; one or more sequences of cells "
            "and an error rate between 0 and 1 are needed."
        )
    level = error_rate / len(sequences)
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(len(scaled)) for _ in range(_ORDERS)])
    valid: list[int] = []
    for sequence in sequences:
        for cell in sequence:
            if p_value(scaled[orders, cell], limit / largest, level) > level:
                break
            valid.append(cell)
    safest = scaled[:, [sequence[0] for sequence in sequences]]
    needed = None if valid else _enough(safest[:, safest.mean(axis=0).argmin()], limit / largest, level, rng)
    return Guarantee(tuple(dict.fromkeys(valid)), needed, len(scaled))


def control_on_average(losses: FloatArray, limit: float, *, largest: float = 1.0) -> int | None:
    """Return the most daring cell whose loss in one more subject is at most a limit, on average.

    A loss that is lower at a more daring cell than at a safer one counts as high as there, as the proof needs.

    Args:
        losses: Of each subject at each cell, from the safest cell on, shape (subjects, cells).
        limit: What the mean loss may be.
        largest: What no loss exceeds.

    Returns:
        The number of the cell; None where the subjects are too few, or no cell is good enough.

    Raises:
        CordlesionError: As for :func:`certify`.
    """
    scaled = np.maximum.accumulate(_checked(losses, limit, largest), axis=1)
    n = len(scaled)
    bound = (scaled.sum(axis=0) + 1) / (n + 1)
    within = np.flatnonzero(bound <= limit / largest + 1e-12)
    return int(within[-1]) if len(within) else None


def p_value(losses: FloatArray, limit: float, level: float) -> float:
    """Return the p-value of "the mean loss is at least the limit" (Waudby-Smith and Ramdas, predictable plug-in bets).

    The capital of a bettor who bets on losses below the limit grows beyond 1 / p with a probability of at most p if
    that hypothesis is true, whatever the distribution. The mean of the capital over orders has the same property at its
    end.

    Args:
        losses: In [0, 1], in one or several orders, shape (orders, subjects).
        limit: In (0, 1).
        level: At which the bets aim.
    """
    n = losses.shape[1]
    count = np.arange(1, n + 1)
    mean = (0.5 + losses.cumsum(axis=1)) / (1 + count)
    variance = (0.25 + ((losses - mean) ** 2).cumsum(axis=1)) / (1 + count)
    known = np.concatenate([np.full((len(losses), 1), 0.25), variance[:, :-1]], axis=1)
    bet = np.minimum(1, np.sqrt(2 * math.log(1 / level) / (n * known)))
    capital = np.exp(np.log1p(-bet * (losses - limit)).sum(axis=1)).mean()
    return float(min(1, 1 / capital)) if capital > 0 else 1.0


def _enough(losses: FloatArray, limit: float, level: float, rng: np.random.Generator) -> int | None:
    """Return how many subjects like these would show that their mean loss is at most the limit, in 4 of 5 studies."""
    if losses.mean() >= limit:
        return None
    for n in _sizes(len(losses)):
        drawn = rng.choice(losses, size=(_DRAWN, 1, n))
        if np.mean([p_value(one, limit, level) <= level for one in drawn]) >= _POWER:
            return n
    return None


def _sizes(n: int) -> Iterable[int]:
    """Yield numbers of subjects, each a tenth more than the last."""
    size = n
    while size <= _MOST_SUBJECTS:
        yield size
        size = max(size + 1, round(1.1 * size))


def _checked(losses: FloatArray, limit: float, largest: float) -> FloatArray:
    if losses.ndim != 2 or not len(losses) or not ((losses >= 0) & (losses <= largest)).all():
        raise CordlesionError(
            f"The losses have shape {losses.shape}; values from 0 to {largest:g} of one or more subjects at each cell "
            "are needed."
        )
    if not 0 < limit < largest:
        raise CordlesionError(f"The limit is {limit:g}; a value between 0 and {largest:g} is needed.")
    return losses / largest


def by_subject(values: FloatArray, subjects: IndexArray) -> FloatArray:
    """Return the mean over the scans of each subject, shape (subjects, cells); NaN (no loss) is left out.

    Args:
        values: Of each scan at each cell, shape (scans, cells).
        subjects: The subject of each scan, from 0, shape (scans,).
    """
    defined = ~np.isnan(values)
    sums, n = (
        np.stack([np.bincount(subjects, column, minlength=subjects.max() + 1) for column in part.T], axis=1)
        for part in (np.where(defined, values, 0), defined.astype(float))
    )
    kept = n.min(axis=1) > 0
    means: FloatArray = sums[kept] / n[kept]
    return means
