"""The questions of a study and their answers; all runs at a glance, and what their thresholds change against 0.5."""

from collections.abc import Mapping

from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.sections.answers.changes import changes_table, summarize_changes
from cordlesion.report.sections.answers.operating_point import operating_point_table, summarize_operating_points
from cordlesion.report.sections.answers.questions import answer_questions
from cordlesion.report.table import EMPTY_REFERENCE


def _words(findings: Findings) -> Mapping[str, object]:
    return {"answers": answer_questions(findings), "empty_reference": EMPTY_REFERENCE}


SECTION = Section(
    key="answers",
    title="The study’s questions",
    summarize={"operation": summarize_operating_points, "changes": summarize_changes},
    tables=(
        ReportTable(
            "operation", lambda of: operating_point_table(of.results, of.frames["operation"]), title="At a glance"
        ),
        ReportTable("changes", lambda of: changes_table(of.results, of.frames["changes"]), title="Tuned against 0.5"),
    ),
    words=_words,
)
