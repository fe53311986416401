"""The recommendation: one model and threshold, why, how sure that is, and what to expect of it."""

from collections.abc import Mapping

from cordlesion.report.section import Findings, ReportFigure, Section
from cordlesion.report.sections.recommendation.brief import write_brief
from cordlesion.report.sections.recommendation.budget import summarize_budget
from cordlesion.report.sections.recommendation.choice import summarize_choice
from cordlesion.report.sections.recommendation.tradeoff import tradeoff_figure


def _words(findings: Findings) -> Mapping[str, object]:
    return {"brief": write_brief(findings)}


SECTION = Section(
    key="brief",
    summarize={"choice": summarize_choice, "budget": summarize_budget},
    figures=(ReportFigure("recommendation", tradeoff_figure, is_numbered=False),),
    words=_words,
)
