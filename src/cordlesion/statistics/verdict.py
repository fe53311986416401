"""Which loss beats which, over subjects and over seeds, and when seed noise explains a difference.

A loss may also be a method that is not trained here (a comparator): its seed is undefined, and it has no seed noise.
"""

import itertools
import math
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from cordlesion.statistics.hierarchical import bootstrap_difference
from cordlesion.statistics.intervals import FloatArray, percentile_interval
from cordlesion.statistics.paired import MIN_PAIRS, holm, wilcoxon

Verdict: TypeAlias = Literal[
    "better", "worse", "undecided", "within seed noise", "seed noise unknown", "too few subjects"
]
"""Of the second loss against the first. ``within seed noise``: these trainings differ by more than chance between
subjects, but not by more than chance between seeds; ``seed noise unknown``: they differ, and one has one seed only;
``too few subjects``: fewer than :data:`MIN_PAIRS`, which decide nothing."""

_CONFIDENCE = 0.95
_SIGNIFICANT = 0.05
_NO_SEED = -1
_UNKNOWN = (math.nan, math.nan, math.nan)

_SENTENCES: dict[Verdict, str] = {
    "better": "{second} beats {first} in {column}: {difference} in the median scan (95 % interval {both} over "
    "{drawn}).",
    "worse": "{second} is beaten by {first} in {column}: {difference} in the median scan (95 % interval {both} over "
    "{drawn}).",
    "undecided": "{second} and {first} cannot be told apart in {column}: {difference} in the median scan (95 % "
    "interval {subjects} over subjects, corrected p {p_subjects}).",
    "within seed noise": "Seed noise explains the difference between {second} and {first} in {column}: {difference} "
    "for these trainings (95 % interval {subjects} over subjects), but {both} with other seeds (corrected p {p_both}).",
    "seed noise unknown": "These trainings of {second} and {first} differ in {column} by {difference} (95 % interval "
    "{subjects} over subjects), but from one seed the noise between seeds is unknown; train several.",
    "too few subjects": f"{{second}} and {{first}} cannot be compared in {{column}}: at least {MIN_PAIRS} subjects are "
    "needed.",
}


@dataclass(frozen=True)
class LossComparison:
    """How the second of two losses differs from the first."""

    first: str
    second: str
    n_scans: int
    n_subjects: int
    n_undefined: int
    """Scans left out because a run has no score for them, as a rule those without lesions."""
    n_seeds_first: int
    """0 for a method without seeds."""
    n_seeds_second: int
    median_difference: float
    """Median over scans of second - first, each the mean over its seeds."""
    subjects_low: float
    """95 % bootstrap interval of the difference over subjects: of these trainings."""
    subjects_high: float
    low: float
    """95 % bootstrap interval over subjects and seeds; NaN where one seed leaves it unknown."""
    high: float
    rank_biserial: float
    p_value: float
    """Wilcoxon signed-rank test."""
    p_holm: float
    p_subjects: float
    """Of the bootstrap over subjects, Holm-corrected."""
    p_subjects_and_seeds: float
    """Of the bootstrap over subjects and seeds, Holm-corrected."""

    @property
    def verdict(self) -> Verdict:
        """What may be said."""
        if self.n_subjects < MIN_PAIRS:
            return "too few subjects"
        if self.p_subjects > _SIGNIFICANT:
            return "undecided"
        if 1 in (self.n_seeds_first, self.n_seeds_second):
            return "seed noise unknown"
        if not self.p_subjects_and_seeds <= _SIGNIFICANT:
            return "within seed noise"
        return "better" if self.median_difference > 0 else "worse"

    def sentence(self, column: str) -> str:
        """Say it plainly, with what it rests on; ``column`` names the score."""
        has_seeds = bool(self.n_seeds_first or self.n_seeds_second)
        text = _SENTENCES[self.verdict].format(
            first=self.first,
            second=self.second,
            column=column,
            difference=f"{self.median_difference:+.3f}",
            subjects=f"{self.subjects_low:+.3f} to {self.subjects_high:+.3f}",
            both=f"{self.low:+.3f} to {self.high:+.3f}",
            drawn="subjects and seeds" if has_seeds else "subjects; no seeds to draw",
            p_subjects=f"{self.p_subjects:.3f}",
            p_both=f"{self.p_subjects_and_seeds:.3f}",
        )
        return f"{text} Basis: {self._basis}."

    @property
    def _basis(self) -> str:
        seeds = [
            f"{loss} {n or 'no'} seed{'' if n == 1 else 's'}"
            for loss, n in ((self.first, self.n_seeds_first), (self.second, self.n_seeds_second))
        ]
        out = f"; {self.n_undefined} scans left out, for which it is undefined" if self.n_undefined else ""
        return f"{self.n_scans} scans of {self.n_subjects} subjects, {', '.join(seeds)}{out}"


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two losses on the scans for which every run has a score."""

    names: tuple[str, str]
    scores: tuple[FloatArray, FloatArray]
    """Shape (seeds, scans) each."""
    trained: tuple[bool, bool]
    subjects: pd.Index
    n_undefined: int


def compare_losses(table: pd.DataFrame, column: str, *, n_resamples: int = 10_000, seed: int = 0) -> pd.DataFrame:
    """Compare every pair of losses scan by scan, and say which beats which and when seed noise explains it.

    Each scan's score is the mean over seeds. The verdict rests on two bootstraps, Holm-corrected over the pairs: one of
    subjects alone (are these trainings different on other subjects?) and one of subjects and seeds (are the losses?).

    Args:
        table: A row per scan and run at the threshold to be compared, with the columns ``scan_id``, ``subject``,
            ``loss``, ``seed`` and ``column``; an undefined seed marks a method that is not trained here.
        column: Score; scans for which it is not defined are left out and counted.
        n_resamples: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        A row per pair, in the order in which the losses appear: the fields of :class:`LossComparison`, ``verdict`` and
        ``sentence``.

    Raises:
        ValueError: A run has several rows of one scan.
    """
    pairs = [_pair(table, column, a, b) for a, b in itertools.combinations(table["loss"].unique(), 2)]
    raw = [_compare(pair, n_resamples, seed) for pair in pairs]
    corrected = zip(
        raw,
        holm([one.p_value for one in raw]).tolist(),
        holm([one.p_subjects for one in raw]).tolist(),
        holm([one.p_subjects_and_seeds for one in raw]).tolist(),
        strict=True,
    )
    rows = [replace(one, p_holm=a, p_subjects=b, p_subjects_and_seeds=c) for one, a, b, c in corrected]
    return pd.DataFrame([{**asdict(row), "verdict": row.verdict, "sentence": row.sentence(column)} for row in rows])


def _pair(table: pd.DataFrame, column: str, first: str, second: str) -> _Pair:
    rows = table[table["loss"].isin([first, second])]
    # A pivot drops undefined keys, so methods without seeds get a number that is no seed.
    keyed = rows.assign(seed=rows["seed"].astype("Int64").fillna(_NO_SEED).astype(int))
    wide = keyed.pivot(index=["subject", "scan_id"], columns=["loss", "seed"], values=column)
    defined = wide.dropna()
    a, b = defined[first], defined[second]
    return _Pair(
        names=(first, second),
        scores=(a.to_numpy(dtype=np.float64).T, b.to_numpy(dtype=np.float64).T),
        trained=(_NO_SEED not in a.columns, _NO_SEED not in b.columns),
        subjects=defined.index.get_level_values("subject"),
        n_undefined=len(wide) - len(defined),
    )


def _compare(pair: _Pair, n_resamples: int, seed: int) -> LossComparison:
    """Compare one pair, without correction for the others."""
    test = wilcoxon(*(scores.mean(axis=0) for scores in pair.scores))
    n_seeds = [len(s) if trained else 0 for s, trained in zip(pair.scores, pair.trained, strict=True)]
    enough = pair.subjects.nunique() >= MIN_PAIRS
    over_subjects = _interval_and_p(pair, (False, False), n_resamples, seed) if enough else _UNKNOWN
    over_both = _interval_and_p(pair, pair.trained, n_resamples, seed) if enough and 1 not in n_seeds else _UNKNOWN
    return LossComparison(
        *pair.names,
        n_scans=len(pair.subjects),
        n_subjects=pair.subjects.nunique(),
        n_undefined=pair.n_undefined,
        n_seeds_first=n_seeds[0],
        n_seeds_second=n_seeds[1],
        median_difference=test.median_difference,
        subjects_low=over_subjects[0],
        subjects_high=over_subjects[1],
        low=over_both[0],
        high=over_both[1],
        rank_biserial=test.rank_biserial,
        p_value=test.p_value,
        p_holm=math.nan,
        p_subjects=over_subjects[2],
        p_subjects_and_seeds=over_both[2],
    )


def _interval_and_p(
    pair: _Pair, resample_seeds: tuple[bool, bool], n_resamples: int, seed: int
) -> tuple[float, float, float]:
    """Return the interval of the difference and its two-sided bootstrap p-value (never 0)."""
    drawn = bootstrap_difference(
        *pair.scores, pair.subjects, resample_seeds=resample_seeds, n_resamples=n_resamples, seed=seed
    )
    beyond = min(int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0)))
    return *percentile_interval(drawn, _CONFIDENCE), min(1.0, 2 * (beyond + 1) / (n_resamples + 1))
