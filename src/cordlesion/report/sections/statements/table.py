"""The table of the paper's statements, and what they come to in words."""

import pandas as pd

from cordlesion.io.formats import MISSING, format_fine, format_fine_interval, format_p, plural
from cordlesion.report.sections.statements.claims import STATEMENTS, WITHIN
from cordlesion.report.table import Cell, Group, Table
from cordlesion.report.words import enumerate_words
from cordlesion.statistics import MIN_PAIRS, MOST_SUBJECTS

_COLUMNS = (
    *("Statement of the paper", "Effect", "Claimed", "Printed (unseen set)", "Here", "95 % interval", "p"),
    *("p (Holm)", "Verdict", "Subjects", "Seeds", "Would decide"),
)
_THESE = " (these trainings)"


def statements_table(rows: pd.DataFrame) -> Table:
    """Lay out the statements, from :func:`judge_statements`."""
    texts = {one.number: f"{one.number}. {one.text}" for one in STATEMENTS}
    asked = int(rows["n_tested"].max()) if len(rows) else 0
    return Table(
        columns=_COLUMNS,
        groups=tuple(
            Group(texts[int(str(number))], tuple(_cells(row) for _, row in parts.iterrows()))
            for number, parts in rows.groupby("statement", sort=False)
        ),
        n_words=4,
        note=(
            "Statements of Hussein et al. (2023, section 3) and what this study says about them. Here: mean over "
            "subjects, each the mean over its scans and over the seeds of a loss, losses with equal weights; test set, "
            "for thresholds the threshold set. The paper compares medians of single trainings, so its numbers are not "
            "the same quantity. Interval and p: Student’s t over subjects and seeds (over subjects, for these "
            "trainings, where a loss has one seed); for thresholds subjects are drawn again. p is about the claimed "
            f"side; within: between −{WITHIN:g} and +{WITHIN:g}, which prints as 2 % or less. A statement with two "
            "parts is confirmed if both hold, and contradicted if one is refuted (Bonferroni). Holm’s correction over "
            f"the {plural(asked, 'statement')} that could be tested; fewer than {MIN_PAIRS} subjects are not tested. "
            "Would decide: subjects with which 80 % of studies would decide, with as many seeds and if the effect is "
            f"the one seen here, up to {MOST_SUBJECTS}."
        ),
    )


def describe_verdicts(rows: pd.DataFrame) -> list[str]:
    """Return a sentence per verdict: which statements it is about."""
    first = rows.drop_duplicates("statement")
    return [
        f"{words} {enumerate_words([_name(row) for _, row in found.iterrows()])}."
        for verdict, words in (
            ("confirmed", "Confirmed:"),
            ("contradicted", "Contradicted:"),
            ("undecided", "Undecided:"),
            ("not asked", "Not asked, because the study lacks losses, scans or subjects:"),
        )
        if len(found := first[first["verdict"] == verdict])
    ]


def would_decide(row: pd.Series) -> str:
    """Describe how many subjects would decide an undecided statement."""
    if row["verdict"] != "undecided":
        return MISSING
    return f"over {MOST_SUBJECTS}" if pd.isna(row["needed_subjects"]) else str(row["needed_subjects"])


def _name(row: pd.Series) -> str:
    if row["verdict"] == "undecided":
        return f"{row['statement']} ({would_decide(row)} subjects would decide)"
    return f"{row['statement']}{_THESE if row['over'] == 'subjects' and row['verdict'] != 'not asked' else ''}"


def _cells(row: pd.Series) -> tuple[Cell, ...]:
    limited = _THESE if row["verdict"] in ("confirmed", "contradicted") and row["over"] == "subjects" else ""
    return (
        Cell(str(row["effect"])),
        Cell(str(row["claim"])),
        Cell(str(row["printed"])),
        Cell(format_fine(row["value"], signed=True)),
        Cell(format_fine_interval(row["low"], row["high"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_holm"])),
        Cell(f"{row['verdict']}{limited}"),
        Cell(MISSING if pd.isna(row["n_subjects"]) else str(row["n_subjects"])),
        Cell(MISSING if pd.isna(row["n_seeds"]) else str(row["n_seeds"])),
        Cell(would_decide(row)),
    )
