"""The paper's statements, and what the data of a study say about them."""

from collections.abc import Mapping

from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.sections.statements.table import describe_statements, statements_table
from cordlesion.report.sections.statements.verdicts import judge_statements


def _words(findings: Findings) -> Mapping[str, object]:
    return {"said": describe_statements(findings.frames["statements"])}


SECTION = Section(
    key="statements",
    link="Statements",
    title="What the paper says, and what these data say",
    summarize={"statements": judge_statements},
    tables=(
        ReportTable(
            "statements", lambda of: statements_table(of.frames["statements"]), title="Statements of the paper"
        ),
    ),
    words=_words,
)
