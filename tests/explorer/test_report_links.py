"""The report's links lead into the explorer."""

from pathlib import Path

from opened_page import Opened

from cordlesion.report.gallery import explorer_link
from cordlesion.study_folder.results import read_results


def test_the_link_of_a_scan_opens_it_by_the_recommended_model(opened: Opened, study: Path) -> None:
    results = read_results(study)
    best = results.best
    scan_id = results.evaluated(best, "test", results.tuned[best]).index[-1]
    opened.follow("a=soft&b=hard")  # something else
    assert opened.link()["scan"] != scan_id
    opened.follow(explorer_link(results, scan_id).removeprefix("#"))
    shown = opened.link()
    assert (shown["scan"], shown["set"], shown["a"]) == (scan_id, "test", best.name)
    assert float(shown["ta"]) == results.tuned[best]
