"""Coverage of intervals of ranks, calibration of the probability of being best, false and missed equivalence."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from calibration.generators import Array, Design, draw_luck, f1_scores, owners, subject_means
from calibration.rows import Row, measured
from cordlesion.statistics import crossed_test, estimate_seed_noise, holm, rank_methods

Measure = Callable[[np.random.Generator, str, Design, float, int], Iterator[Row]]

RANKS = "Ranks: coverage of the 95 % interval, and the probability of being best"
EQUIVALENCE = "Equivalence within a margin: share of studies that find one, and of comparisons"
SIGNIFICANT, COVERED = 0.05, 0.93
_DRAWS = 500
_AT_ONCE = 10
"""Studies with the same true gaps."""


def rows(rng: np.random.Generator, n_studies: int = 1000) -> list[Row]:
    """Measure ranks and equivalence in every design."""
    every = list(designs())
    parts = zip(rng.spawn(len(every)), every, strict=True)
    return [row for own, (measure, *design) in parts for row in measure(own, *design, n_studies)]


def designs() -> Iterator[tuple[Measure, str, Design, float]]:
    """Return how each design is measured, its title, the design, and the spread of gaps or the margin."""
    for design in _ranked():
        yield (_rank_rows, *design)
    for design in _equal():
        yield (_equal_rows, *design)


def _ranked() -> Iterator[tuple[str, Design, float]]:
    for n_losses, n_seeds, sd, spread, scans in (
        (7, 3, 0.05, 0.04, (26, 20)),
        (7, 3, 0.05, 0.10, (26, 20)),
        (7, 5, 0.05, 0.04, (80, 60)),
        (7, 5, 0.05, 0.10, (80, 60)),
        (3, 3, 0.05, 0.05, (26, 20)),
        (7, 1, 0.0, 0.04, (26, 20)),
        (7, 3, 0.05, 0.0, (26, 20)),
    ):
        design = Design(owners(*scans), (sd,) * n_losses, (0.0,) * n_losses, n_seeds)
        seeds = f"{n_seeds} seeds of SD {sd:g}" if sd else "no seed noise"
        gaps = f"gaps of SD {spread:g}" if spread else "equal losses"
        yield f"{n_losses} losses, {seeds}, {gaps}, {scans[0]} scans of {scans[1]} subjects", design, spread


def _rank_rows(rng: np.random.Generator, name: str, design: Design, spread: float, n_studies: int) -> Iterator[Row]:
    found = []
    for _ in range(n_studies // _AT_ONCE):
        gaps = np.abs(rng.normal(0, spread, design.n_losses)).round(3) if spread else np.zeros(design.n_losses)
        here = replace(design, gaps=tuple((gaps - gaps.min()).tolist()))
        scores = f1_scores(rng, here, draw_luck(rng, _AT_ONCE, here))
        found += [_rank_study(one, np.array(here.gaps)) for one in subject_means(scores, here.owners)]
    held, best, leader, is_best = np.array(found).T
    yield measured(RANKS, name, "interval covers", held, least=COVERED)
    yield measured(RANKS, name, "probability that is stated for the leader", leader)
    # Of equal losses none is the best: the leader is one of all.
    yield measured(RANKS, name, "leader is the best", is_best if spread else np.full(len(is_best), 1 / design.n_losses))
    yield measured(RANKS, name, "probability that is stated for the best", best)


def _rank_study(scores: Array, gaps: Array) -> tuple[float, float, float, float]:
    """Return the share of covered ranks, the probabilities of the true best and of the leader, and if they are one."""
    ranks = rank_methods(list(scores), n_draws=_DRAWS)
    # Equal losses share a range of true ranks, of which one in the interval is enough.
    first, last = ((gaps[:, None] < gaps).sum(axis=1) + 1, len(gaps) - (gaps[:, None] > gaps).sum(axis=1))
    held = [one.low <= b and one.high >= a for one, a, b in zip(ranks, first, last, strict=True)]
    stated = np.array([one.p_best for one in ranks])
    leader, best = int(np.argmin([one.rank for one in ranks])), int(gaps.argmax())
    return float(np.mean(held)), float(stated[best]), float(stated[leader]), float(leader == best)


def _equal() -> Iterator[tuple[str, Design, float]]:
    for margin in (0.02, 0.05, 0.1):
        for n_losses, n_seeds, sd, scans in (
            (7, 3, 0.05, (26, 20)),
            (7, 5, 0.02, (80, 60)),
            (7, 1, 0.0, (80, 60)),
            (7, 1, 0.0, (400, 300)),
            (2, 5, 0.02, (80, 60)),
        ):
            seeds = f"{n_seeds} seeds of SD {sd:g}" if n_seeds > 1 else "without seeds"
            title = f"margin {margin:g}, {n_losses} methods, {seeds}, {scans[0]} scans of {scans[1]} subjects"
            yield title, Design(owners(*scans), (sd,) * n_losses, (0.0,) * n_losses, n_seeds), margin


def _equal_rows(rng: np.random.Generator, name: str, design: Design, margin: float, n_studies: int) -> Iterator[Row]:
    """The first method is compared with the others: it is better by the margin, or equal."""
    at_margin = replace(design, gaps=(margin, *(0.0,) * (design.n_losses - 1)))
    for figure, here, most in (
        ("at the margin: any false", at_margin, SIGNIFICANT),
        ("equal: share of comparisons", design, None),
    ):
        found = np.concatenate([_equivalent(rng, here, margin, n) for n in _batches(n_studies)])
        outcome = found.any(axis=1) if most else found.mean(axis=1)
        yield measured(EQUIVALENCE, name, figure, outcome, most=most)


def _equivalent(rng: np.random.Generator, design: Design, margin: float, n_studies: int) -> Array:
    """Return which methods are found as good as the first, shape (studies, methods - 1), corrected by Holm's method."""
    scores = subject_means(f1_scores(rng, design, draw_luck(rng, n_studies, design)), design.owners)
    methods = list(np.moveaxis(scores, 1, 0))
    noise = estimate_seed_noise(methods) if design.n_seeds > 1 else []
    tests = [
        crossed_test(methods[0], other, [noise[0], noise[k]] if noise else []).equivalence(margin)
        for k, other in enumerate(methods[1:], start=1)
    ]
    corrected: Array = np.apply_along_axis(holm, 1, np.stack(tests, axis=1))
    return (corrected <= SIGNIFICANT).astype(np.float64)


def _batches(n_studies: int) -> list[int]:
    return [100] * (n_studies // 100) + ([n_studies % 100] if n_studies % 100 else [])
