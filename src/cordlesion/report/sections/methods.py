"""The methods section of a paper about the study."""

from collections.abc import Mapping

from cordlesion.report.methods import write_methods
from cordlesion.report.section import Findings, Section


def _words(findings: Findings) -> Mapping[str, object]:
    return {"methods": write_methods(findings.results)}


SECTION = Section(key="methods", title="Methods", words=_words)
