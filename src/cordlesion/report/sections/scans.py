"""Every scan of the test set with the masks of the recommended model."""

from collections.abc import Mapping

from cordlesion.report.gallery import write_gallery
from cordlesion.report.section import Findings, Section


def _words(findings: Findings) -> Mapping[str, object]:
    results = findings.results
    return {"model": results.label(results.best), "gallery": write_gallery(results)}


SECTION = Section(key="scans", link="Scans", title="Scan by scan", words=_words)
