"""The study's tables, one module each: what is printed, cell by cell, and the files in ``tables/``."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pandas as pd

from cordlesion.io.tables import write_table
from cordlesion.io.writing import write_text
from cordlesion.report.numbers import Numbers
from cordlesion.report.pipeline import describe_pipeline
from cordlesion.report.subgroups import summarize_subgroups
from cordlesion.report.tables.calibration import calibration_table
from cordlesion.report.tables.changes import changes_table
from cordlesion.report.tables.cohort import cohort_table
from cordlesion.report.tables.latex import latex
from cordlesion.report.tables.layout import Table
from cordlesion.report.tables.lesion_free import lesion_free_table
from cordlesion.report.tables.lesions import rules_table, strata_table
from cordlesion.report.tables.operation import operation_table
from cordlesion.report.tables.pairs import pairs_table, seeds_table
from cordlesion.report.tables.paper import paper_table
from cordlesion.report.tables.scores import scores_table
from cordlesion.report.tables.subgroups import subgroup_tables
from cordlesion.report.tables.thresholds import thresholds_table
from cordlesion.report.tables.tuning import stability_table, tuning_table
from cordlesion.study_folder.results import StudyResults

TABLES: dict[str, Callable[[StudyResults, pd.DataFrame], Table]] = {
    "cohort": cohort_table,
    "table1": partial(scores_table, tuned=False),
    "table2": partial(scores_table, tuned=True),
    "thresholds": thresholds_table,
    "lesion_free": lesion_free_table,
    "paper_untuned": partial(paper_table, tuned=False),
    "paper": paper_table,
}
"""Tables of cohort, scores and thresholds, by the name of their files."""

ANSWERS: dict[str, Callable[[StudyResults, Numbers], Table]] = {
    "operation": operation_table,
    "changes": changes_table,
    "tuning": tuning_table,
    "stability": stability_table,
    "calibration": calibration_table,
    "pairs": pairs_table,
    "seeds": seeds_table,
    "strata": strata_table,
    "rules": rules_table,
}
"""Tables that answer one question each, by the name of their files."""


def write_tables(results: StudyResults, summary: pd.DataFrame, numbers: Numbers) -> dict[str, Table]:
    """Build every table and write it to ``tables/`` as TSV, CSV and LaTeX, with all captions in ``captions.md``.

    The unrounded numbers go to ``summary.tsv`` and, by question, to ``summary_<question>.tsv``.

    Args:
        results: The study.
        summary: What :func:`summarize_runs` makes of it.
        numbers: What :func:`compute_numbers` makes of it.

    Returns:
        The tables by name.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    folder = results.folder.root / "tables"
    by_subgroup = summarize_subgroups(results)
    tables = {name: build(results, summary) for name, build in TABLES.items()}
    tables |= {name: build(results, numbers) for name, build in ANSWERS.items()}
    tables |= subgroup_tables(results, by_subgroup)
    how = describe_pipeline(results.config)
    tables = {name: t if name == "cohort" else replace(t, how=how) for name, t in tables.items()}
    for name, table in tables.items():
        write_text(folder / f"{name}.tsv", table.tsv())
        write_text(folder / f"{name}.csv", table.csv())
        write_text(folder / f"{name}.tex", latex(table, name))
    write_text(folder / "captions.md", _captions(tables))
    write_table(folder / "summary.tsv", summary)
    for name, table in {"subgroups": by_subgroup, **vars(numbers)}.items():
        write_table(folder / f"summary_{name}.tsv", table)
    return tables


def _captions(tables: dict[str, Table]) -> str:
    """Say how each file is to be read, in words that fit TSV and CSV."""
    captions = (f"## {name}\n\n{table.caption(bold='Asterisk')}\n" for name, table in tables.items())
    return "# Captions\n\n" + "\n".join(captions)
