"""Pairwise comparisons of losses over subjects and seeds, with a verdict for each pair.

A loss may also be a method that is not trained here (a comparator): its seed is undefined, and it has no seed noise.
Or it is an ensemble: its seed is undefined as well, but its trainings are those of its losses, and so is its noise.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray
from cordlesion.statistics.comparison import SIGNIFICANT, Family, LossComparison
from cordlesion.statistics.crossed import CrossedTest, SeedNoise, crossed_test, estimate_seed_noise
from cordlesion.statistics.paired import MIN_PAIRS, holm, wilcoxon
from cordlesion.statistics.power import PlannedTest, plan_again

_NO_SEED = -1
_NO_ENSEMBLES: Mapping[str, Sequence[str]] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class _Pair:
    """The scores of two losses on the scans with a score of every run."""

    names: tuple[str, str]
    scores: tuple[pd.DataFrame, pd.DataFrame]
    """A row per scan (subject, scan_id), a column per seed."""
    n_seeds: tuple[int, int]
    """0 for a method without seeds; those of its members for an ensemble."""
    n_undefined: int

    @property
    def n_subjects(self) -> int:
        return int(self.scores[0].index.get_level_values("subject").nunique())


def compare_losses(
    table: pd.DataFrame,
    column: str,
    *,
    recommended: str | None = None,
    primary: tuple[str, str] | None = None,
    endpoint: bool = True,
    margin: float = math.nan,
    ensembles: Mapping[str, Sequence[str]] = _NO_ENSEMBLES,
) -> pd.DataFrame:
    """Compare every pair of losses over subjects and seeds.

    An ensemble is compared with other ensembles, with methods that are not trained here, and with the losses of its
    members; not with other losses, of which one training is another question. To first order, the score of a mean of
    S maps varies as the mean score of S maps does, so its seed noise is that of its loss (the largest of several).

    The test is :func:`cordlesion.statistics.crossed_test`, with subjects as units. P-values are corrected by Holm's
    method. Comparisons with the recommended loss (recommended on other scans) are one family. The other comparisons are
    corrected over all pairs, and their p-values are at least the smallest one of the recommended loss: if no loss
    differs from it, no other pair differs. This controls false positives over both families.

    Args:
        table: A row per scan and run at one threshold, with the columns ``scan_id``, ``subject``, ``loss``, ``seed``
            and ``column``; an undefined seed means a method that is not trained here.
        column: Score; scans for which it is undefined are left out and counted.
        recommended: The loss that was recommended by its score on other scans.
        primary: The two losses of a comparison that was declared before these scans were used. It is not corrected, and
            all others are exploratory.
        endpoint: Whether the score is the primary endpoint; comparisons of another score are exploratory.
        margin: Two methods are as good as each other if they are shown to differ by less than this; by default that is
            not asked.
        ensembles: The losses of the members of each ensemble, by its name in the table.

    Returns:
        A row per pair, in the order of the losses in the table: the fields of :class:`LossComparison`, ``verdict`` and
        ``sentence``.

    Raises:
        ValueError: A run has several rows of one scan.
    """
    losses = [str(name) for name in table["loss"].unique()]
    scores = {name: _scores_of(table[table["loss"] == name], column) for name in losses}
    of_losses = _noise_of(scores)
    noise = of_losses | {name: found for name, of in ensembles.items() if (found := _largest(of_losses, of))}
    n_seeds = {name: _n_seeds(name, scores, ensembles) for name in losses}
    compared = [pair for pair in itertools.combinations(losses, 2) if _is_compared(pair, n_seeds, ensembles)]
    tested = [_compare(_pair(scores, pair, n_seeds), noise, tuple(of_losses.values())) for pair in compared]
    equal = [one.equivalence(margin) for one in tested]
    families = [_family(one.pair.names, recommended, primary) for one in tested]
    # A declared comparison is about a difference: whether methods are as good is asked of all pairs in the same way.
    undeclared = [_family(one.pair.names, recommended, None) for one in tested]
    ours = _primary_family(recommended, primary) if endpoint else None
    as_good = _over_families(equal, undeclared)
    rows = [
        replace(row, family=family, role="primary" if family == ours else "exploratory", margin=margin, p_equivalent=p)
        for row, family, p in zip(_corrected(tested, families), families, as_good, strict=True)
    ]
    rows = [replace(row, needed_subjects=one.needed(row)) for one, row in zip(tested, rows, strict=True)]
    table = pd.DataFrame([{**asdict(row), "verdict": row.verdict, "sentence": row.sentence(column)} for row in rows])
    return table.astype({"needed_subjects": "Int64"}) if rows else table


def _is_compared(pair: tuple[str, str], n_seeds: Mapping[str, int], ensembles: Mapping[str, Sequence[str]]) -> bool:
    joined = [name for name in pair if name in ensembles]
    if len(joined) != 1:
        return True
    other = pair[0] if pair[1] == joined[0] else pair[1]
    return not n_seeds[other] or other in ensembles[joined[0]]


def _n_seeds(name: str, scores: Mapping[str, pd.DataFrame], ensembles: Mapping[str, Sequence[str]]) -> int:
    if name in ensembles:
        # Of a loss that learned nothing there is no score, so its noise is unknown.
        return min((scores[one].shape[1] if one in scores else 1 for one in ensembles[name]), default=1)
    return 0 if _NO_SEED in scores[name].columns else scores[name].shape[1]


def _largest(noise: Mapping[str, SeedNoise], losses: Sequence[str]) -> SeedNoise | None:
    known = [noise[loss] for loss in losses if loss in noise]
    return max(known, key=lambda one: float(one.variance)) if known else None


def _family(pair: tuple[str, str], recommended: str | None, primary: tuple[str, str] | None) -> Family:
    if primary and set(pair) == set(primary):
        return "primary"
    return "recommended" if recommended in pair else "all"


def _primary_family(recommended: str | None, primary: tuple[str, str] | None) -> Family:
    """Return the family of the comparisons that are not exploratory."""
    if primary:
        return "primary"
    return "recommended" if recommended else "all"


def _corrected(tested: Sequence["_Tested"], families: Sequence[Family]) -> list[LossComparison]:
    """Correct p-values over their families, and compute the detectable difference of each comparison."""
    p_values = np.array([[one.both.p_value, one.alone.p_value] if one.is_tested else [np.nan] * 2 for one in tested])
    p_values = p_values.reshape(-1, 2).astype(np.float64)
    corrected = np.stack([_over_families(column, families) for column in p_values.T], axis=1)
    counts = np.array([_n_compared(p_values[:, 0], families, family) for family in families], dtype=int)
    first = np.array([one == "recommended" for one in families], dtype=bool)
    if first.any() and counts[first].any():
        others = np.array([one == "all" for one in families], dtype=bool)
        corrected[others] = np.maximum(corrected[others], np.nanmin(corrected[first], axis=0))
    return [
        one.corrected(float(p[0]), float(p[1]), int(n)) for one, p, n in zip(tested, corrected, counts, strict=True)
    ]


def _over_families(p_values: Sequence[float] | FloatArray, families: Sequence[Family]) -> FloatArray:
    """Correct p-values by Holm's method, those with the recommended loss over these and others over all pairs."""
    given = np.asarray(p_values, dtype=np.float64)
    corrected = given.copy()
    for family in ("recommended", "all"):
        mine = np.array([one == family for one in families], dtype=bool)
        over = mine if family == "recommended" else np.ones_like(mine)
        corrected[mine] = holm(np.where(over, given, np.nan))[mine]
    return corrected


def _n_compared(p_values: FloatArray, families: Sequence[Family], family: Family) -> int:
    """Return over how many comparisons the p-values of a family are corrected."""
    if family == "primary":
        return 1
    over = np.array([family == "all" or one == family for one in families], dtype=bool)
    return int(np.count_nonzero(~np.isnan(p_values[over])))


def _scores_of(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a row per scan (subject, scan_id) and a column per seed."""
    # A pivot drops undefined keys, so methods without seeds get a number that is not a seed.
    keyed = rows.assign(seed=rows["seed"].astype("Int64").fillna(_NO_SEED).astype(int))
    wide: pd.DataFrame = keyed.pivot(index=["subject", "scan_id"], columns="seed", values=column)
    return wide


def _noise_of(scores: dict[str, pd.DataFrame]) -> dict[str, SeedNoise]:
    """Return the seed noise of the losses with several seeds."""
    means = {name: _by_subject(wide.dropna()) for name, wide in scores.items()}
    several = {name: one for name, one in means.items() if min(one.shape) > 1}
    return dict(zip(several, estimate_seed_noise(list(several.values())), strict=True))


def _by_subject(wide: pd.DataFrame) -> FloatArray:
    """Return means over the scans of each subject, shape (seeds, subjects)."""
    means: FloatArray = wide.groupby(level="subject").mean().to_numpy(dtype=np.float64).T
    return means


def _pair(scores: dict[str, pd.DataFrame], names: tuple[str, str], n_seeds: Mapping[str, int]) -> _Pair:
    first, second = names
    both = pd.concat({name: scores[name] for name in names}, axis=1)
    defined = both.dropna()
    return _Pair(
        names=names,
        scores=(pd.DataFrame(defined[first]), pd.DataFrame(defined[second])),
        n_seeds=(n_seeds[first], n_seeds[second]),
        n_undefined=len(both) - len(defined),
    )


@dataclass(frozen=True, eq=False)
class _Tested:
    """A pair and its uncorrected tests; with too few subjects, only the description is valid."""

    pair: _Pair
    alone: CrossedTest
    """Test over subjects."""
    both: CrossedTest
    """Test over subjects and seeds, if the seed noise is known; else over subjects."""
    noise: tuple[SeedNoise, ...]
    """Seed noise of all losses with several seeds; none if the test is over subjects."""
    weights: tuple[float, ...]
    """Of those of the two losses that have seed noise."""
    rank_biserial: float

    @property
    def plan(self) -> PlannedTest:
        """The plan of further studies with these variances."""
        return plan_again(self.both, self.pair.n_subjects, self.noise, self.weights)

    @property
    def is_tested(self) -> bool:
        return self.pair.n_subjects >= MIN_PAIRS

    def equivalence(self, margin: float) -> float:
        """Return the uncorrected p-value that the difference is below the margin; NaN where noise is unknown."""
        is_known = self.is_tested and 1 not in self.pair.n_seeds and not math.isnan(margin)
        return float(self.both.equivalence(margin)) if is_known else math.nan

    def corrected(self, p_holm: float, p_subjects: float, n_compared: int) -> LossComparison:
        """Return the comparison with the corrected p-values."""
        first, second = self.pair.scores
        unknown = math.nan, math.nan
        subjects = self.alone.interval if self.is_tested else unknown
        both = self.both.interval if self.is_tested and 1 not in self.pair.n_seeds else unknown
        return LossComparison(
            *self.pair.names,
            family="all",
            role="exploratory",
            n_compared=n_compared,
            n_scans=len(first),
            n_subjects=self.pair.n_subjects,
            n_undefined=self.pair.n_undefined,
            n_seeds_first=self.pair.n_seeds[0],
            n_seeds_second=self.pair.n_seeds[1],
            difference=float(self.both.difference),
            subjects_low=float(subjects[0]),
            subjects_high=float(subjects[1]),
            low=float(both[0]),
            high=float(both[1]),
            median_difference=float((second.mean(axis=1) - first.mean(axis=1)).median()),
            rank_biserial=self.rank_biserial,
            p_value=float(self.both.p_value) if self.is_tested else math.nan,
            p_holm=p_holm,
            p_subjects=p_subjects,
            margin=math.nan,
            p_equivalent=math.nan,
            detectable=float(self.both.detectable(SIGNIFICANT / n_compared)) if self.is_tested else math.nan,
        )

    def needed(self, row: LossComparison) -> int | None:
        """Return what :attr:`LossComparison.needed_subjects` describes."""
        if row.verdict not in ("undecided", "within seed noise") or row.family == "all":
            return None
        return self.plan.needed(abs(row.difference), level=SIGNIFICANT / row.n_compared)


def _compare(pair: _Pair, noise: Mapping[str, SeedNoise], of_losses: tuple[SeedNoise, ...]) -> _Tested:
    """Test one pair, without correction for multiple tests; ``of_losses`` is the noise without that of ensembles."""
    first, second = (_by_subject(one) for one in pair.scores)
    alone = crossed_test(first, second)
    several = [noise[name] for name, n in zip(pair.names, pair.n_seeds, strict=True) if n > 1 and name in noise]
    several = several if 1 not in pair.n_seeds else []
    both = crossed_test(first, second, several) if several else alone
    effect = wilcoxon(first.mean(axis=0), second.mean(axis=0)).rank_biserial
    return _Tested(pair, alone, both, of_losses if several else (), (1.0,) * len(several), effect)
