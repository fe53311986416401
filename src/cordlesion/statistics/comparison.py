"""The verdict on the difference between two losses, and the sentence that reports it."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cordlesion.io.formats import plural
from cordlesion.statistics.paired import MIN_PAIRS

Verdict: TypeAlias = Literal[
    "better", "worse", "undecided", "within seed noise", "seed noise unknown", "too few subjects"
]
"""Verdict on the second loss relative to the first. ``within seed noise``: these trainings differ over subjects, but
the random seeds may explain the difference; ``seed noise unknown``: they differ, but one has only one seed;
``too few subjects``: fewer than :data:`MIN_PAIRS`, so that no test is possible."""

Family: TypeAlias = Literal["primary", "recommended", "all"]
"""The comparisons over which a p-value is corrected. ``primary``: the declared one alone; ``recommended``: those with
the recommended loss; ``all``: all pairs, tested only if a comparison with the recommended loss is significant."""

Role: TypeAlias = Literal["primary", "exploratory"]

SIGNIFICANT = 0.05
_LEAST_PRINTED = 0.001

_SENTENCES: dict[Verdict, str] = {
    "better": "{second} beats {first} in {column}: {difference} in the mean over subjects (95 % interval {both} over "
    "{drawn}, corrected p {p}).",
    "worse": "{second} is beaten by {first} in {column}: {difference} in the mean over subjects (95 % interval {both} "
    "over {drawn}, corrected p {p}).",
    "undecided": "{second} and {first} are not shown to differ in {column}: {difference} in the mean over subjects "
    "(95 % interval {tested} over {drawn}, corrected p {p}).",
    "within seed noise": "These trainings of {second} and {first} differ in {column}: {difference} in the mean over "
    "subjects (95 % interval {subjects} over subjects, corrected p {p_subjects}); but seed noise may explain it: "
    "{both} over subjects and seeds (corrected p {p}).",
    "seed noise unknown": "These trainings of {second} and {first} differ in {column}: {difference} in the mean over "
    "subjects (95 % interval {subjects} over subjects, corrected p {p_subjects}); but from one seed the noise between "
    "seeds is unknown, and nothing follows for other trainings. Train several seeds.",
    "too few subjects": f"{{second}} and {{first}} cannot be compared in {{column}}: at least {MIN_PAIRS} subjects are "
    "needed.",
}


@dataclass(frozen=True)
class LossComparison:
    """The difference between two losses (second - first)."""

    first: str
    second: str
    family: Family
    role: Role
    n_compared: int
    """Number of comparisons over which the p-values are corrected."""
    n_scans: int
    n_subjects: int
    n_undefined: int
    """Scans that are left out because a run has no score for them, usually scans without lesions."""
    n_seeds_first: int
    """0 for a method without seeds."""
    n_seeds_second: int
    difference: float
    """Mean over subjects of second - first; the value of a subject is the mean over its scans and seeds."""
    subjects_low: float
    """95 % interval of the difference over subjects, for these trainings."""
    subjects_high: float
    low: float
    """95 % interval over subjects and seeds; NaN if a loss has only one seed."""
    high: float
    median_difference: float
    """Median over scans; the test is about ``difference``."""
    rank_biserial: float
    """Effect size of the differences of subjects in [-1, 1], positive if the second is better."""
    p_value: float
    """P-value over subjects and seeds; over subjects if a loss has only one seed."""
    p_holm: float
    """``p_value``, corrected over the family."""
    p_subjects: float
    """P-value over subjects, corrected over the family."""
    margin: float
    """Two methods are as good as each other if they differ by less than this; NaN if that is not asked."""
    p_equivalent: float
    """P-value of two one-sided tests that the true difference is smaller than the margin, corrected over the family;
    NaN where a loss has only one seed, since its noise is unknown."""
    detectable: float
    """The smallest true difference that this design detects with a power of 80 % at the corrected level; infinite if
    there are too few subjects for any difference, NaN if the difference is equal in all subjects."""
    needed_subjects: int | None = None
    """Subjects with which 80 % of studies find a true difference as large as the one seen here, with as many seeds; of
    open primary comparisons and those with the recommended loss; None if :data:`MOST_SUBJECTS` are too few."""

    @property
    def verdict(self) -> Verdict:
        """The verdict of the comparison."""
        if self.n_subjects < MIN_PAIRS:
            return "too few subjects"
        unknown = 1 in (self.n_seeds_first, self.n_seeds_second)
        if self.p_holm <= SIGNIFICANT and not unknown:
            return "better" if self.difference > 0 else "worse"
        if self.p_subjects <= SIGNIFICANT:
            return "seed noise unknown" if unknown else "within seed noise"
        return "undecided"

    @property
    def is_equivalent(self) -> bool:
        """Whether the two are shown to be as good as each other, within the margin."""
        return self.n_subjects >= MIN_PAIRS and self.p_equivalent <= SIGNIFICANT

    def sentence(self, column: str) -> str:
        """Return the verdict as a sentence with the numbers behind it; ``column`` names the score."""
        statement = _SENTENCES[self.verdict].format(**self._values, column=column)
        is_open = self.verdict in ("undecided", "within seed noise")
        parts = [
            "Exploratory:" if self.role == "exploratory" else "",
            statement,
            self._equivalent_sentence if self.is_equivalent else "",
            self._detectable_sentence if is_open and not self.is_equivalent else "",
            f"Basis: {self._basis}.",
        ]
        return " ".join(part for part in parts if part)

    @property
    def _values(self) -> dict[str, str]:
        """Values for the sentences, formatted."""
        known = 1 not in (self.n_seeds_first, self.n_seeds_second)
        subjects, both = (f"{low:+.3f} to {high:+.3f}" for low, high in self._intervals)
        return {
            "first": self.first,
            "second": self.second,
            "difference": f"{self.difference:+.3f}",
            "subjects": subjects,
            "both": both,
            "tested": both if known else subjects,
            "drawn": "subjects and seeds" if known and (self.n_seeds_first or self.n_seeds_second) else "subjects",
            "p": _p(self.p_holm),
            "p_subjects": _p(self.p_subjects),
        }

    @property
    def _intervals(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return (self.subjects_low, self.subjects_high), (self.low, self.high)

    @property
    def _equivalent_sentence(self) -> str:
        return f"They are as good as each other within {self.margin:g} (corrected p {_p(self.p_equivalent)})."

    @property
    def _detectable_sentence(self) -> str:
        if math.isinf(self.detectable):
            return (
                f"{self.n_subjects} subjects are too few to find any difference in one of {self.n_compared} "
                "comparisons."
            )
        if math.isnan(self.detectable):
            return "It is the same in every subject here, which leaves open how small a difference would be found."
        # With one training per loss, the result is valid only for these trainings.
        of_these = " between these trainings" if 1 in (self.n_seeds_first, self.n_seeds_second) else ""
        return (
            f"A true difference of {self.detectable:.3f}{of_these} would be found in 80 % of such studies; a smaller "
            f"one may be there.{self._needed_sentence}"
        )

    @property
    def _needed_sentence(self) -> str:
        if self.needed_subjects is None:
            return ""
        return (
            f" With {self.needed_subjects} subjects and as many seeds, 80 % of studies would find a true difference as "
            "large as the one seen here."
        )

    @property
    def _basis(self) -> str:
        seeds = [
            f"{loss} {plural(n, 'seed') if n else 'no seeds'}"
            for loss, n in ((self.first, self.n_seeds_first), (self.second, self.n_seeds_second))
        ]
        out = f"; {self.n_undefined} scans left out, for which it is undefined" if self.n_undefined else ""
        return f"{self.n_scans} scans of {self.n_subjects} subjects, {', '.join(seeds)}{out}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= _LEAST_PRINTED else f"below {_LEAST_PRINTED}"
