"""The paper's statements, and what the data of a study say about them."""

from collections.abc import Mapping

from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.sections.statements.table import count_verdicts, describe_statements, statements_table
from cordlesion.report.sections.statements.verdicts import judge_statements


def _words(findings: Findings) -> Mapping[str, object]:
    rows = findings.frames["statements"]
    return {"counted": count_verdicts(rows), "said": describe_statements(rows)}


SECTION = Section(
    key="statements",
    title="What the paper says, and what these data say",
    summarize={"statements": judge_statements},
    tables=(
        ReportTable(
            "statements", lambda of: statements_table(of.frames["statements"]), title="Statements of the paper"
        ),
    ),
    words=_words,
)
