"""False verdicts between losses, power for a true gap, and coverage of the interval."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration.generators import (
    EXAMPLE_SDS,
    Array,
    Design,
    draw_luck,
    f1_scores,
    owners,
    plain_scores,
    subject_means,
)
from calibration.rows import Row, measured
from cordlesion.statistics import crossed_test, estimate_seed_noise

SIGNIFICANT, COVERED, POWERFUL = 0.05, 0.93, 0.8
"""Targets: maximum of false verdicts, minimum of coverage and power."""
N_LOSSES = 7
NULL = "Equal methods: share of studies with a false verdict"
POWER = "One loss is better: share of the comparisons with it in which it is found better"
ONE_SEED = "One seed: verdicts on these trainings"
_LARGE, _SMALL = (26, 20), (14, 10)
"""Scans and subjects of the test set."""
_THRESHOLD_SET = (14, 10)
_BATCH = 1000


@dataclass(frozen=True, eq=False)
class Judged:
    """The pairs of methods in many studies; shape (studies, pairs) unless stated otherwise."""

    first: npt.NDArray[np.int64]
    """Shape (pairs,)."""
    second: npt.NDArray[np.int64]
    difference: Array
    low: Array
    high: Array
    p_value: Array

    def with_picked(self, picked: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return whether a pair contains the recommended loss of each study."""
        holds: npt.NDArray[np.bool_] = (self.first == picked[:, None]) | (self.second == picked[:, None])
        return holds


def judge(scores: Sequence[Array], *, trained: Sequence[bool]) -> Judged:
    """Test every pair in many studies at once, with the functions of the package.

    Args:
        scores: Of each method, shape (studies, seeds, subjects).
        trained: Whether a method has seeds; with one seed or none only subjects are drawn.
    """
    several = [k for k, one in enumerate(scores) if trained[k] and one.shape[1] > 1]
    noise = dict(zip(several, estimate_seed_noise([scores[k] for k in several]), strict=True))
    first, second = np.triu_indices(len(scores), 1)
    tests = [
        crossed_test(scores[a], scores[b], [noise[k] for k in (a, b) if k in noise])
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    low, high = (np.stack([test.interval[end] for test in tests], axis=1) for end in (0, 1))
    parts = [(test.difference, test.p_value) for test in tests]
    differences, p_values = (np.stack(values, axis=1) for values in zip(*parts, strict=True))
    return Judged(first, second, differences, low, high, p_values)


def holm(p_values: Array, over: npt.NDArray[np.bool_]) -> Array:
    """Correct the p-values of each study (row) over some of its pairs by Holm's method; the others become NaN."""
    kept = np.where(over, p_values, np.inf)
    order = np.argsort(kept, axis=1, kind="stable")
    left = np.maximum(over.sum(axis=1, keepdims=True) - np.arange(p_values.shape[1]), 1)
    stepped = np.maximum.accumulate(np.take_along_axis(kept, order, axis=1) * left, axis=1)
    corrected = np.empty_like(stepped)
    np.put_along_axis(corrected, order, np.minimum(stepped, 1), axis=1)
    return np.where(over, corrected, np.nan)


def rows(rng: np.random.Generator, n_studies: int = 4000) -> list[Row]:
    """Measure verdicts in every design."""
    return [
        *(row for name, design, plain in _null_designs() for row in _null(rng, name, design, n_studies, plain=plain)),
        *_comparators(rng, n_studies),
        *_one_seed(rng, n_studies),
        *(row for name, design, stay in _true_gaps() for row in _power(rng, name, design, n_studies, zeros_stay=stay)),
    ]


def _null_designs() -> Iterator[tuple[str, Design, bool]]:
    for n_seeds in (2, 3, 4, 5):
        for sizes in (_LARGE, _SMALL):
            where = f"{n_seeds} seeds, {sizes[0]} scans of {sizes[1]} subjects"
            equal = Design(owners(*sizes), (0.0,) * N_LOSSES, (0.0,) * N_LOSSES, n_seeds)
            for sd in (0.0, 0.02, 0.05, 0.1, 0.15):
                yield f"7 losses, {where}, seed SD {sd:g}", replace(equal, seed_sds=(sd,) * N_LOSSES), False
            yield f"7 losses, {where}, unequal seed SDs", replace(equal, seed_sds=EXAMPLE_SDS), False
            yield f"7 losses, {where}, seeds dominate", replace(equal, seed_sds=(0.03,) * N_LOSSES), True
            yield f"7 losses, {where}, seeds dominate, unequal SDs", replace(equal, seed_sds=EXAMPLE_SDS), True
        some_better = (0.3, 0.3, 0.3, 0.0, 0.0, 0.0, 0.0)
        for kind, sds in (("seed SD 0.05", (0.05,) * N_LOSSES), ("unequal seed SDs", EXAMPLE_SDS)):
            better = Design(owners(*_LARGE), sds, some_better, n_seeds)
            yield f"7 losses, 3 of them better by 0.3, {n_seeds} seeds, 26 scans of 20 subjects, {kind}", better, False
        for sds in ((0.116, 0.013), (0.116, 0.013, 0.05)):
            unequal = Design(owners(*_LARGE), sds, (0.0,) * len(sds), n_seeds)
            same = replace(unequal, seed_sds=(0.05,) * len(sds))
            yield f"{len(sds)} losses, {n_seeds} seeds, 26 scans of 20 subjects, seed SD 0.05", same, False
            yield f"{len(sds)} losses, {n_seeds} seeds, 26 scans of 20 subjects, unequal seed SDs", unequal, False


def _true_gaps() -> Iterator[tuple[str, Design, bool]]:
    for n_losses, n_seeds, gap in ((7, 3, 0.2), (7, 5, 0.2), (7, 3, 0.1), (7, 5, 0.1), (7, 10, 0.1), (2, 3, 0.2)):
        design = Design(owners(*_LARGE), (0.05,) * n_losses, (gap, *(0.0,) * (n_losses - 1)), n_seeds)
        for stay in (False, True):
            how = "its zeros stay" if stay else "fewer zeros too"
            yield f"gap {gap:g} ({how}), {n_losses} losses, {n_seeds} seeds, 26 scans of 20 subjects", design, stay


def _null(rng: np.random.Generator, name: str, design: Design, n_studies: int, *, plain: bool) -> list[Row]:
    """Equal losses (some may be better): any false verdict in a study, with the recommended loss and of all pairs."""
    found = []
    for n in _batches(n_studies):
        luck = draw_luck(rng, n, design)
        chosen_on = replace(design, owners=owners(*_THRESHOLD_SET))
        draw = plain_scores if plain else f1_scores
        picked = _pick(draw(rng, chosen_on, luck))
        judged = _judge_losses(draw(rng, design, luck), design)
        gaps = np.array(design.gaps)
        true = gaps[judged.second] - gaps[judged.first]
        found.append([*_any_false(judged, picked, true == 0), _covers(judged, true)])
    return list(_null_rows(name, *(np.concatenate(parts) for parts in zip(*found, strict=True))))


def _null_rows(name: str, primary: Array, any_pair: Array, covered: Array) -> Iterator[Row]:
    yield measured(NULL, name, "with the recommended loss", primary, most=SIGNIFICANT)
    yield measured(NULL, name, "any pair", any_pair, most=SIGNIFICANT)
    yield measured(NULL, name, "interval covers", covered, least=COVERED)


def _comparators(rng: np.random.Generator, n_studies: int) -> Iterator[Row]:
    """Equal methods without seeds on few subjects; the first is the recommended one."""
    for n_methods in (2, N_LOSSES):
        for n_subjects in (6, 8, 11, 14, 19, 26):
            design = Design(owners(n_subjects, n_subjects), (0.0,) * n_methods, (0.0,) * n_methods, 1)
            scores = f1_scores(rng, design, draw_luck(rng, n_studies, design))
            judged = _judge_losses(scores, design, trained=False)
            false = _any_false(judged, np.zeros(n_studies, dtype=np.int64))
            name = f"{n_methods} methods without seeds, {n_subjects} subjects"
            yield from _null_rows(name, *false, _covers(judged, 0.0))


def _one_seed(rng: np.random.Generator, n_studies: int) -> Iterator[Row]:
    """Losses with one training: no loss may win; a difference of trainings is false only without seed noise."""
    for sizes in (_LARGE, _SMALL):
        for sd in (0.0, 0.05):
            design = Design(owners(*sizes), (sd,) * N_LOSSES, (0.0,) * N_LOSSES, 1)
            luck = draw_luck(rng, n_studies, design)
            picked = _pick(f1_scores(rng, replace(design, owners=owners(*_THRESHOLD_SET)), luck))
            judged = _judge_losses(f1_scores(rng, design, luck), design)
            _, any_pair = _any_false(judged, picked)
            name = f"7 losses, {sizes[0]} scans of {sizes[1]} subjects, seed SD {sd:g}"
            most = None if sd else SIGNIFICANT
            yield measured(ONE_SEED, name, "these trainings differ (any pair)", any_pair, most=most)


def _power(rng: np.random.Generator, name: str, design: Design, n_studies: int, *, zeros_stay: bool) -> list[Row]:
    """The first loss is better and recommended."""
    found = []
    for n in _batches(n_studies):
        judged = _judge_losses(f1_scores(rng, design, draw_luck(rng, n, design), zeros_stay=zeros_stay), design)
        mine = judged.with_picked(np.zeros(n, dtype=np.int64))
        right = judged.difference < 0
        primary = (holm(judged.p_value, mine) <= SIGNIFICANT) & right
        over_all = (holm(judged.p_value, np.ones_like(mine)) <= SIGNIFICANT) & right
        found.append([one[mine].reshape(n, -1).mean(axis=1) for one in (primary, over_all)])
    primary, over_all = (np.concatenate(parts) for parts in zip(*found, strict=True))
    wanted = POWERFUL if (design.gaps[0], design.n_losses, design.n_seeds) == (0.2, N_LOSSES, 3) else None
    return [
        measured(POWER, name, "corrected over these", primary, least=wanted),
        measured(POWER, name, "corrected over all pairs", over_all),
    ]


def _batches(n_studies: int) -> list[int]:
    return [_BATCH] * (n_studies // _BATCH) + ([n_studies % _BATCH] if n_studies % _BATCH else [])


def _pick(scores: Array) -> npt.NDArray[np.int64]:
    """Return the loss of the run with the highest median over scans of each study."""
    medians = np.median(scores, axis=-1).reshape(len(scores), -1)
    return medians.argmax(axis=1) // scores.shape[2]


def _judge_losses(scores: Array, design: Design, *, trained: bool = True) -> Judged:
    means = subject_means(scores, design.owners)
    return judge(list(np.moveaxis(means, 1, 0)), trained=[trained] * design.n_losses)


def _any_false(
    judged: Judged, picked: npt.NDArray[np.int64], equal: npt.NDArray[np.bool_] | bool = True
) -> tuple[Array, Array]:
    """Return whether a study has a false verdict: with the recommended loss, and of all pairs."""
    mine = judged.with_picked(picked)
    primary = holm(judged.p_value, mine)
    # Other pairs are tested only if a loss differs from the recommended one, as in the package.
    gate = np.nanmin(primary, axis=1, keepdims=True)
    others = np.maximum(holm(judged.p_value, np.ones_like(mine)), gate)
    significant = (np.where(mine, primary, others) <= SIGNIFICANT) & equal
    return (significant & mine).any(axis=1).astype(np.float64), significant.any(axis=1).astype(np.float64)


def _covers(judged: Judged, truth: Array | float) -> Array:
    """Return the share of intervals of a study that contain the true difference."""
    shares: Array = ((judged.low <= truth) & (truth <= judged.high)).mean(axis=1)
    return shares
