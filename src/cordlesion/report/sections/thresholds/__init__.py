"""The tuned thresholds: how sure they are, what tuning changes, and how much a small error of t costs."""

from collections.abc import Mapping

from cordlesion.config import SetName
from cordlesion.report.losses import has_one_seed
from cordlesion.report.section import Findings, ReportFigure, ReportTable, Section
from cordlesion.report.sections.thresholds.figure import shows_points, threshold_figure
from cordlesion.report.sections.thresholds.stability import stability_table, summarize_stability
from cordlesion.report.sections.thresholds.table import thresholds_table
from cordlesion.report.sections.thresholds.tuning import summarize_tuning, tuning_table
from cordlesion.study_folder.results import REPORTED_SETS, StudyResults
from cordlesion.study_folder.runs import lesion_bearing


def _words(findings: Findings) -> Mapping[str, object]:
    results = findings.results
    return {
        "with_points": {name: shows_points(_n_with_lesions(results, name)) for name in REPORTED_SETS},
        "one_seed": has_one_seed(results),
        "ensembles": any(len(one.losses) == 1 for one in results.ensembles.values()),
        "choice": results.goal.choice,
    }


def _n_with_lesions(results: StudyResults, set_name: SetName) -> int:
    columns = ["scan_id", "reference_volume_mm3"]
    return int(lesion_bearing(results.rows("sweep", results.best, columns, set=set_name))["scan_id"].nunique())


SECTION = Section(
    key="thresholds",
    title="Thresholds",
    summarize={"tuning": summarize_tuning, "stability": summarize_stability},
    tables=(
        ReportTable("thresholds", lambda of: thresholds_table(of.results)),
        ReportTable("tuning", lambda of: tuning_table(of.results, of.frames["tuning"]), group="tuning"),
        ReportTable("stability", lambda of: stability_table(of.results, of.frames["stability"]), group="tuning"),
    ),
    figures=(
        ReportFigure("figure2_thresholds", threshold_figure),
        ReportFigure("figure2_thresholds_test", lambda of: threshold_figure(of, "test"), variant="test set"),
    ),
    words=_words,
)
