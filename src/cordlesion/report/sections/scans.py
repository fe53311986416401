"""Every scan of the test set with the masks of the recommended model."""

from collections.abc import Mapping

from cordlesion.io.formats import plural
from cordlesion.report.gallery import Entry, write_gallery
from cordlesion.report.section import Findings, Section
from cordlesion.study_folder.results import StudyResults

EXPLORER = "explorer/index.html"


def _words(findings: Findings) -> Mapping[str, object]:
    results = findings.results
    gallery = write_gallery(results)
    explorer = EXPLORER if (results.folder.root / EXPLORER).is_file() else ""
    outside = describe_outside(results, gallery)
    return {"model": results.label(results.best), "gallery": gallery, "explorer": explorer, "outside": outside}


def describe_outside(results: StudyResults, gallery: tuple[Entry, ...]) -> str:
    """State how many lesions of the recommended model lie mostly outside the cord, and what removes them."""
    n, scans = sum(one.n_outside for one in gallery), sum(one.n_outside > 0 for one in gallery)
    if not n:
        return ""
    lie = "lies" if n == 1 else "lie"
    margin = results.config.postprocess.cord_margin_mm
    cure = " `postprocess.cord_margin_mm` removes what is far from the cord." if margin is None else ""
    return f"{plural(n, 'marked lesion')} in {plural(scans, 'scan')} {lie} mostly outside the cord.{cure}"


SECTION = Section(key="scans", title="Scan by scan", words=_words)
