import pytest

from cordlesion.report.sections.answers.changes import summarize_changes
from cordlesion.report.sections.answers.operating_point import summarize_operating_points
from cordlesion.study_folder.results import StudyResults


def test_changes_are_those_of_the_same_scans(results: StudyResults) -> None:
    table, operation = summarize_changes(results), summarize_operating_points(results)
    moved = [run for run, t in results.tuned.items() if t != 0.5]
    assert len(table) == 4 * len(moved)
    for (loss, _), rows in table.groupby(["loss", "seed"], dropna=False):
        half, tuned = (operation[(operation["loss"] == loss) & (operation["tuned"] == kind)].iloc[0] for kind in (0, 1))
        changes = rows.set_index("measure")
        for name in ("found", "false"):
            assert changes["difference"][name] == pytest.approx(tuned[name] - half[name])
        free = (tuned["n_clean"] - half["n_clean"]) / tuned["n_free"]
        assert changes["difference"]["subject_specificity"] == pytest.approx(free)
        assert (changes["low"] <= changes["difference"]).all()
        assert (changes["difference"] <= changes["high"]).all()
        assert changes["n_scans"]["false"] == tuned["n_scans"]
