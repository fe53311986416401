"""The page of the benchmarks: its table follows from the rows, and the page in the repository has every stage."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch):
    """The modules that hold stages, rows and the page."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import _page
    import _rows
    import _targets

    return _targets, _rows, _page


def stage(targets, against, bound):
    return targets.Stage("a stage", against, bound, "a target", "Because it rained.")


def table_row(page, name="a stage"):
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ratio_and_verdict_by_what_the_target_is_about(bench):
    targets, rows, _ = bench
    ours, floor = rows.Figure("ours", 2.0), rows.Figure("floor", 1.6)
    peers = (rows.Figure("slow", 40.0), rows.Figure("fast", 8.0))
    for against, bound, ratio, met in [
        ("peer", 4, 4, True),
        ("peer", 4.1, 4, False),
        ("floor", 1.25, 1.25, True),
        ("floor", 1.2, 1.25, False),
        ("limit", 2, 1, True),
        ("limit", 1, 2, False),
    ]:
        row = rows.Row(stage(targets, against, bound), ours, peers, floor)
        assert row.ratio == pytest.approx(ratio)
        assert row.is_met is met
    assert rows.Row(stage(targets, "peer", 4), ours).is_met is None


def test_the_table_tells_each_row_and_why_a_target_is_missed(bench):
    targets, rows, page = bench
    figures = rows.Figure("mine", 0.0345), (rows.Figure("slow | er", 0.5), rows.Figure("quick", 0.3, is_stated=True))
    missed = page.page([rows.Row(stage(targets, "peer", 20), *figures)], ["2026", "two cores"])
    assert table_row(missed)[1:] == ["0.0345 s", "0.300 s (stated)", "–", "8.70", "a target", "**no**"]
    assert "- **a stage**: Because it rained." in missed
    assert "| peer | slow / er | 0.500 s | 14.49 × |" in missed
    assert "- 2026\n- two cores" in missed
    met = page.page([rows.Row(stage(targets, "peer", 8), *figures)], [])
    assert table_row(met)[-1] == "yes"
    assert "rained" not in met


def test_rows_survive_the_way_between_processes(bench, tmp_path):
    targets, rows, _ = bench
    figure = rows.Figure("one", 1.0)
    written = [
        rows.Row(targets.SLIDER, figure, (), None, (figure,), "a note"),
        rows.Row(targets.STACK, figure, (figure, rows.Figure("two", 2.0, is_stated=True)), figure),
    ]
    (tmp_path / "rows.json").write_text(json.dumps([asdict(row) for row in written]))
    assert rows.read(tmp_path / "rows.json") == written


def test_the_page_has_every_stage_once_and_its_target(bench):
    targets, _, page = bench
    text = (REPOSITORY / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"| {' | '.join(page.COLUMNS)} |" in text
    bounds = {stage.name: {stage.target} for stage in targets.STAGES}
    bounds[targets.TRAINING_STEP.name].add(targets.TRAINING_STEP_FLOAT32.target)
    for name, allowed in bounds.items():
        assert table_row(text, name)[5] in allowed
        assert f"### {name}" in text
