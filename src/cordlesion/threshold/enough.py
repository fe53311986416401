"""How many subjects would be enough for a promise (numpy only).

The whole procedure runs on subjects who are drawn from those of the threshold set: all limits together, the thresholds
in their order with its starts. A threshold that is good by itself is no answer if it is tested after ones that are not.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np

from cordlesion.io.arrays import IndexArray, Mask
from cordlesion.threshold.promise import MOST_SUBJECTS
from cordlesion.threshold.risks import TestedRisk

_POWER = 0.8
_DRAWS = (40, 100)
"""At least and at most."""
_ORDERS = 2
"""Fewer than for a promise, whose p-value is a mean over 20: the power changes little from here on."""
_STEPS = 1e7
"""Bets for one number of subjects, about, which takes some tenths of a second."""


def enough_subjects(tested: Sequence[TestedRisk], useful: Mask, level: float, *, seed: int = 0) -> int | None:
    """Return how many subjects like these would show that a useful cell keeps all limits, in 4 of 5 studies.

    Args:
        tested: The risks with their limits, at the same cells.
        useful: Which cells are an answer, shape (cells,).
        level: Chance of an error, of each limit.
        seed: Of the draws.

    Returns:
        More than there are; of those with the risk that the fewest subjects have, while the others grow in proportion.
        None if :data:`MOST_SUBJECTS` are too few.
    """
    below = [one.losses.mean(axis=0) < one.limit for one in tested]
    if not np.logical_and.reduce([useful, *below]).any():
        return None
    fewest = min((one.subjects for one in tested), key=len)
    # More subjects show more, so that the sizes can be halved again and again.
    sizes = list(_sizes(len(fewest)))
    place = bisect_left(sizes, True, key=lambda n: _share_made(tested, useful, level, n, seed) >= _POWER)
    return sizes[place] if place < len(sizes) else None


def _share_made(tested: Sequence[TestedRisk], useful: Mask, level: float, n: int, seed: int) -> float:
    """Return in which share of the draws of n subjects a useful cell is shown to keep all limits."""
    rng = np.random.default_rng(seed)
    every = np.unique(np.concatenate([one.subjects for one in tested]))
    fewest = min((one.subjects for one in tested), key=len)
    rest = np.setdiff1d(every, fewest)
    n_draws = int(np.clip(_STEPS / (n * _ORDERS * len(useful) * len(tested)), *_DRAWS))
    drawn = rng.choice(fewest, (n_draws, n))
    others = rng.choice(rest, (n_draws, round(n * len(rest) / len(fewest)))) if len(rest) else drawn[:, :0]
    kept = np.tile(useful, (n_draws, 1))
    for one in tested:
        # Who has lesions has both risks, so that who has a risk at all has the more frequent one.
        mine = drawn if len(one.subjects) == len(fewest) else np.concatenate([drawn, others], axis=1)
        left = kept.any(axis=1)
        kept[left] &= one.valid_in_draws(_ordered(np.searchsorted(one.subjects, mine[left]), rng), level)
    return float(kept.any(axis=1).mean())


def _ordered(rows: IndexArray, rng: np.random.Generator) -> IndexArray:
    """Return rows of each draw in several orders, shape (draws, orders, rows)."""
    return rng.permuted(np.repeat(rows[:, np.newaxis], _ORDERS, axis=1), axis=2)


def _sizes(n: int) -> Iterator[int]:
    """Yield numbers of subjects above n, each a tenth more than the last, up to the largest."""
    size = n
    while size < MOST_SUBJECTS:
        size = min(max(size + 1, round(1.1 * size)), MOST_SUBJECTS)
        yield size
