"""Operating points with a guarantee: "at most a share of the lesions is missed", "at most so many false lesions".

Two kinds of guarantee, both over subjects, who are the exchangeable units (scans of one person, and lesions of one
scan, are not):

* **With 95 % certainty** (learn then test: Angelopoulos et al., Ann. Appl. Stat. 2025): the chance over threshold sets
  that the risk on new subjects exceeds the limit is at most 5 %. Each setting is a hypothesis "the risk is too high",
  with the p-value of a betting martingale (Waudby-Smith and Ramdas, J. R. Stat. Soc. B 2024); settings are tested in
  sequences, from the safest on, until the first that is not rejected. A sequence may start at several of its settings,
  among which the error rate is divided; what is rejected passes its share on to the next (the fallback procedure: Wiens
  and Dmitrienko, J. Biopharm. Stat. 2005).
* **On average** (conformal risk control: Angelopoulos et al., ICLR 2024): the risk of one more subject is at most the
  limit, on average over threshold sets.

Losses of a subject are the share of its lesions that are missed, or its false lesions per scan up to a largest number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, IndexArray, Mask

ERROR_RATE = 0.05
"""How often a guarantee with 95 % certainty may fail."""
_ORDERS = 20
"""Orders of the subjects over which the p-value is averaged: it depends on the order, which says nothing."""


@dataclass(frozen=True)
class Guarantee:
    """What can be guaranteed about a risk."""

    valid: tuple[int, ...]
    """Cells of the grid whose risk is shown to be at most the limit, in the order of their sequences; none where the
    subjects are too few, or where no cell is good enough."""
    n_subjects: int


def certify(
    losses: FloatArray,
    limit: float,
    sequences: Sequence[Sequence[int]],
    *,
    starts: Sequence[int] = (0,),
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
        starts: Places in each sequence, ascending, at which testing begins or begins again where a cell before was not
            shown to be good; the error rate of the sequence is divided between them. A second start is of use where
            the safest cells are not the best, as at thresholds so low that lesions merge.
        largest: What no loss exceeds.
        error_rate: Chance that a returned cell has a higher risk.
        seed: Of the orders of the subjects.

    Raises:
        CordlesionError: A loss is outside its range, the limit is not between 0 and ``largest``, the error rate not
            between 0 and 1, or there is no sequence, an empty one, or no start in it.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.threshold import certify
        >>> rng = np.random.default_rng(0)
        >>> missed = np.clip(rng.uniform(0, 0.1, (60, 1)) + [0, 0.1, 0.3], 0, 1)  # of 60 subjects at three thresholds
        >>> certify(missed, limit=0.2, sequences=[[0, 1, 2]]).valid
        (0, 1)
    """
    scaled = _checked(losses, limit, largest)
    begun = sorted({place for place in starts if place >= 0})
    if not (sequences and all(len(one) > max(begun, default=len(one)) for one in sequences) and 0 < error_rate < 1):
        raise CordlesionError(
            f"There are {len(sequences)} sequences, starts at {list(starts)} and an error rate of {error_rate:g}; one "
            "or more sequences of cells, starts in all of them, and an error rate between 0 and 1 are needed."
        )
    shown = shown_in_draws(
        scaled, limit / largest, sequences, begun, error_rate, _orders(len(scaled), seed)[np.newaxis]
    )
    cells = dict.fromkeys(int(cell) for sequence in sequences for cell in sequence if shown[0, cell])
    return Guarantee(tuple(cells), len(scaled))


def shown_in_draws(
    losses: FloatArray,
    limit: float,
    sequences: Sequence[Sequence[int]],
    starts: Sequence[int],
    error_rate: float,
    drawn: IndexArray,
) -> Mask:
    """Return which cells are shown to keep a limit, as :func:`certify` finds them, for several draws of the subjects.

    Args:
        losses: In [0, 1], of each subject at each cell, shape (subjects, cells).
        limit: In (0, 1).
        sequences: As there.
        starts: As there.
        error_rate: As there, of each draw.
        drawn: Rows of the subjects of each draw, in one or several orders, shape (draws, orders, n).

    Returns:
        Shape (draws, cells).
    """
    level = error_rate / (len(sequences) * len(starts))
    shown: Mask = np.zeros((len(drawn), losses.shape[1]), dtype=bool)
    for sequence in sequences:
        held = np.zeros(len(drawn))
        for place, cell in enumerate(sequence):
            held += level * (place in starts)
            tested = np.flatnonzero(held)
            # Bets aim at the level of one start: they must not depend on what was passed on.
            rejected = tested[p_value(losses[drawn[tested], cell], limit, level) <= held[tested]]
            held[np.setdiff1d(tested, rejected)] = 0
            shown[rejected, cell] = True
    return shown


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


def p_value(losses: FloatArray, limit: float, level: float) -> FloatArray:
    """Return the p-value of "the mean loss is at least the limit" (Waudby-Smith and Ramdas, predictable plug-in bets).

    The capital of a bettor who bets on losses below the limit grows beyond 1 / p with a probability of at most p if
    that hypothesis is true, whatever the distribution. The mean of the capital over orders has the same property at its
    end.

    Args:
        losses: In [0, 1], in one or several orders, shape (..., orders, subjects).
        limit: In (0, 1).
        level: At which the bets aim.

    Returns:
        Shape (...,).
    """
    p: FloatArray = 1 / np.maximum(1, _capital(losses, limit, level).mean(axis=-1))
    return p


def _capital(losses: FloatArray, limit: float, level: float) -> FloatArray:
    """Return the capital at the end of each order; subjects are the last axis."""
    n = losses.shape[-1]
    count = np.arange(1, n + 1)
    mean = (0.5 + losses.cumsum(axis=-1)) / (1 + count)
    variance = (0.25 + ((losses - mean) ** 2).cumsum(axis=-1)) / (1 + count)
    known = np.concatenate([np.full_like(losses[..., :1], 0.25), variance[..., :-1]], axis=-1)
    bet = np.minimum(1, np.sqrt(2 * math.log(1 / level) / (n * known)))
    capital: FloatArray = np.exp(np.log1p(-bet * (losses - limit)).sum(axis=-1))
    return capital


def _orders(n: int, seed: int) -> IndexArray:
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(n) for _ in range(_ORDERS)])


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
    counted, kept = ~np.isnan(values), who_counts(values, subjects)
    sums, n = (_sums(part, subjects) for part in (np.where(counted, values, 0), counted.astype(float)))
    means: FloatArray = sums[kept] / n[kept]
    return means


def who_counts(values: FloatArray, subjects: IndexArray) -> IndexArray:
    """Return the subjects with a loss at every cell, ascending: those of the rows of :func:`by_subject`.

    Args:
        values: As there.
        subjects: As there.
    """
    return np.flatnonzero(_sums((~np.isnan(values)).astype(float), subjects).min(axis=1) > 0)


def _sums(values: FloatArray, subjects: IndexArray) -> FloatArray:
    return np.stack([np.bincount(subjects, column, minlength=subjects.max() + 1) for column in values.T], axis=1)
