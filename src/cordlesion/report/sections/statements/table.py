"""The table of the paper's statements, and what they come to in words."""

from dataclasses import dataclass

import pandas as pd

from cordlesion.io.formats import MISSING, format_fine, format_fine_interval, format_p, plural, with_interval
from cordlesion.report.sections.statements.claims import STATEMENTS, WITHIN, Statement
from cordlesion.report.table import Cell, Group, Table
from cordlesion.report.words import enumerate_words
from cordlesion.statistics import MIN_PAIRS, MOST_SUBJECTS

_COLUMNS = (
    *("Statement", "Effect", "Claimed", "Verdict", "Paper", "Here", "95 % interval", "p", "p (Holm)", "Subjects"),
    *("Seeds", "Would decide"),
)


def statements_table(rows: pd.DataFrame) -> Table:
    """Lay out the statements, from :func:`judge_statements`."""
    names = {one.number: f"{one.number} {one.name}" for one in STATEMENTS}
    asked = int(rows["n_tested"].max()) if len(rows) else 0
    return Table(
        columns=_COLUMNS,
        groups=tuple(
            Group(names[int(str(number))], tuple(_cells(row) for _, row in parts.iterrows()))
            for number, parts in rows.groupby("statement", sort=False)
        ),
        n_words=4,
        lead="The paper’s statements on these data.",
        note=(
            "Paper: medians of its unseen set. Here: mean over subjects, each the mean over its scans and the seeds "
            "of a loss, losses with equal weights (those with one seed are left out where others have several); test "
            "set, for thresholds the threshold set. The paper compares medians of single trainings, so its numbers are "
            "not the same quantity. Interval and p: Student’s t over subjects and seeds (over subjects, for these "
            "trainings, where a loss has one seed); for thresholds subjects are drawn again. p is about the claimed "
            f"side; within: between −{WITHIN:g} and +{WITHIN:g}, which prints as 2 % or less. A statement with two "
            "parts is confirmed if those hold that the study can ask, and contradicted if one is refuted (Bonferroni). "
            "Holm’s correction over "
            f"the {plural(asked, 'statement')} that could be tested; fewer than {MIN_PAIRS} subjects are not tested. "
            "Would decide: subjects with which 80 % of studies would decide, with as many seeds and if the effect is "
            f"the one seen here, up to {MOST_SUBJECTS}."
        ),
    )


@dataclass(frozen=True)
class Said:
    """A statement of the paper, and what a study says about it."""

    statement: Statement
    text: str


def count_verdicts(rows: pd.DataFrame) -> str:
    """Count the statements with each verdict in a sentence."""
    counts = rows.drop_duplicates("statement")["verdict"].value_counts()
    verdicts = ("confirmed", "contradicted", "undecided", "not asked")
    found = [f"{counts[name]} {'is' if counts[name] == 1 else 'are'} {name}" for name in verdicts if name in counts]
    return f"Of {plural(int(counts.sum()), 'statement')}, {enumerate_words(found)}."


def describe_statements(rows: pd.DataFrame) -> list[Said]:
    """Describe the verdict on each statement with its effects, from :func:`judge_statements`."""
    of_number = {int(str(number)): parts for number, parts in rows.groupby("statement")}
    return [Said(one, _describe(one, of_number[one.number])) for one in STATEMENTS]


def _describe(statement: Statement, parts: pd.DataFrame) -> str:
    verdict, paper = parts["verdict"].iloc[0], f"The paper: {statement.printed}."
    if verdict == "not asked":
        return f"Not asked: {statement.needs}, and {MIN_PAIRS} subjects are needed. {paper}"
    effects = [
        f"{row['effect']}: {with_interval(row['value'], row['low'], row['high'], digits=3, signed=True)}"
        for _, row in parts.dropna(subset="value").iterrows()
    ]
    effects += [f"not asked: {effect}" for effect in parts.loc[parts["value"].isna(), "effect"]]
    limited = " for these trainings" if _is_limited(parts.iloc[0]) else ""
    return (
        f"{verdict.capitalize()}{limited}. {'; '.join(effects)}.{_further(parts.iloc[0], statement.subjects)} {paper}"
    )


def _is_limited(row: pd.Series) -> bool:
    """Return whether a verdict is about these trainings only."""
    return row["verdict"] in ("confirmed", "contradicted") and row["over"] == "subjects"


def _further(row: pd.Series, subjects: str) -> str:
    if row["verdict"] != "undecided":
        return ""
    if pd.isna(row["needed_subjects"]):
        return f" An effect as small as this is not decided by {MOST_SUBJECTS} {subjects} and as many seeds."
    seeds = " and as many seeds" if row["over"] == "subjects and seeds" else ""
    return f" If the effect is the one seen here, {row['needed_subjects']} {subjects}{seeds} would decide."


def would_decide(row: pd.Series) -> str:
    """Describe how many subjects would decide an undecided statement."""
    if row["verdict"] != "undecided":
        return MISSING
    return f"over {MOST_SUBJECTS}" if pd.isna(row["needed_subjects"]) else str(row["needed_subjects"])


def _cells(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(str(row["effect"])),
        Cell(str(row["claim"])),
        Cell(str(row["verdict"]), "(these trainings)" if _is_limited(row) else ""),
        Cell(str(row["printed"]) or MISSING),
        Cell(format_fine(row["value"], signed=True)),
        Cell(format_fine_interval(row["low"], row["high"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_holm"])),
        Cell(MISSING if pd.isna(row["n_subjects"]) else str(row["n_subjects"])),
        Cell(MISSING if pd.isna(row["n_seeds"]) else str(row["n_seeds"])),
        Cell(would_decide(row)),
    )
