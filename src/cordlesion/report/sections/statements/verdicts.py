"""The verdict of a study on each statement of the paper."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from cordlesion.report.sections.statements.claims import STATEMENTS, WITHIN, Claim, Part, Statement
from cordlesion.report.sections.statements.measures import Estimate
from cordlesion.report.summary_tables import STATEMENT_ROWS
from cordlesion.statistics import MIN_PAIRS, SIGNIFICANT, holm
from cordlesion.study_folder.results import StudyResults

Answer: TypeAlias = Literal["confirmed", "contradicted", "undecided", "not asked"]


@dataclass(frozen=True, eq=False)
class _Asked:
    """A part of a statement with its estimate."""

    part: Part
    estimate: Estimate

    @property
    def lead(self) -> float:
        """How far the effect lies on the side where the statement puts it; negative on the other side."""
        return lead(self.part.claim, float(self.estimate.test.difference))

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the lead."""
        test = self.estimate.test
        variance = float(test.variance)
        if self.lead == 0:
            return 1.0
        if variance == 0:
            return test.least_p
        t = np.asarray(abs(self.lead) / math.sqrt(variance))
        return max(float(test.reference.p_value(t)), test.least_p)


@dataclass(frozen=True)
class _Judged:
    """A statement before the correction for the number of statements."""

    statement: Statement
    asked: tuple[_Asked | None, ...]
    """One for each part; None where the study cannot answer it."""

    @property
    def tested(self) -> list[_Asked]:
        """The parts that can be tested; none if the first part cannot."""
        found = [one for one in self.asked if one is not None and one.estimate.n_subjects >= MIN_PAIRS]
        return found if self.asked[0] in found else []

    @property
    def against(self) -> list[_Asked]:
        """The parts whose effect lies on the other side."""
        return [one for one in self.tested if one.lead <= 0]

    @property
    def p_value(self) -> float:
        """For the statement, if every part is on its side: the largest p-value, because all must hold.

        Against it otherwise: the smallest p-value of the parts on the other side, times the number of parts.
        """
        if not self.tested:
            return math.nan
        if not self.against:
            return max(one.p_value for one in self.tested)
        return min(1.0, len(self.tested) * min(one.p_value for one in self.against))

    def answer(self, p_holm: float) -> Answer:
        """Return the verdict by the corrected p-value."""
        if not self.tested:
            return "not asked"
        if not p_holm <= SIGNIFICANT:
            return "undecided"
        return "contradicted" if self.against else "confirmed"

    def needed(self, level: float) -> int | None:
        """Return the subjects that decide in 80 % of studies if the effects are those seen; None if there are too many.

        Every part that is not significant must become so; on the other side one is enough.
        """
        level = level / len(self.tested) if self.against else level
        numbers = [one.estimate.plan.needed(abs(one.lead), level=level) for one in self.against or self.tested]
        known = [n for n in numbers if n is not None]
        if self.against:
            return min(known, default=None)
        return max(known) if len(known) == len(numbers) else None


def lead(claim: Claim, effect: float) -> float:
    """Return how far an effect lies on the side of a claim."""
    if claim == "within":
        return WITHIN - abs(effect)
    return effect if claim == "above 0" else -effect


def judge_statements(results: StudyResults, statements: Sequence[Statement] = STATEMENTS) -> pd.DataFrame:
    """Test every statement of the paper in a study.

    A statement holds if all its parts do (the largest p-value), and fails if one part does (Bonferroni over its parts).
    P-values are corrected by Holm's method over the statements that can be tested.

    Returns:
        A row per statement and part, as declared in :data:`STATEMENT_ROWS`.
    """
    judged = [_judge(results, one) for one in statements]
    p_values = np.array([one.p_value for one in judged])
    n_tested = int(np.count_nonzero(~np.isnan(p_values)))
    rows = []
    for one, p_value, p_holm in zip(judged, p_values.tolist(), holm(p_values).tolist(), strict=True):
        answer = one.answer(p_holm)
        of_all = {
            "p_statement": p_value,
            "p_holm": p_holm,
            "n_tested": n_tested,
            "verdict": answer,
            "needed_subjects": one.needed(SIGNIFICANT / n_tested) if answer == "undecided" else None,
        }
        rows += [
            _row(one.statement, part, asked, of_all) for part, asked in zip(one.statement.parts, one.asked, strict=True)
        ]
    integers = dict.fromkeys(("n_subjects", "n_scans", "n_seeds", "needed_subjects"), "Int64")
    return pd.DataFrame(rows, columns=list(STATEMENT_ROWS.names)).astype(integers)


def _judge(results: StudyResults, statement: Statement) -> _Judged:
    estimates = [part.estimate(results) if results.ranked else None for part in statement.parts]
    asked = (_Asked(part, one) if one else None for part, one in zip(statement.parts, estimates, strict=True))
    return _Judged(statement, tuple(asked))


def _row(statement: Statement, part: Part, asked: _Asked | None, of_all: dict[str, object]) -> dict[str, object]:
    named = {"statement": statement.number, "effect": part.effect, "claim": part.claim, "printed": part.printed}
    if asked is None:
        return {**named, **of_all}
    low, high = asked.estimate.test.interval
    measured = {
        "value": float(asked.estimate.test.difference),
        "low": float(low),
        "high": float(high),
        "over": "subjects and seeds" if asked.estimate.over_seeds else "subjects",
        "p_value": asked.p_value,
        "n_subjects": asked.estimate.n_subjects,
        "n_scans": asked.estimate.n_scans,
        "n_seeds": asked.estimate.n_seeds,
    }
    return {**named, **measured, **of_all}
