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


@pytest.fixture
def results(monkeypatch):
    """The module of results, and a function that makes some from rows."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import _results

    return _results, lambda rows, facts=(), label="bfloat16": _results.Results(label, tuple(facts), tuple(rows))


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


def test_the_table_tells_each_row_and_why_a_target_is_missed(bench, results):
    (targets, rows, page), (_, of) = bench, results
    figures = rows.Figure("mine", 0.0345), (rows.Figure("slow | er", 0.5), rows.Figure("quick", 0.3, is_stated=True))
    missed = page.page([of([rows.Row(stage(targets, "peer", 20), *figures)], ["2026", "two cores"])])
    assert table_row(missed)[1:] == ["0.0345 s", "0.300 s (stated)", "–", "8.70", "a target", "**no**"]
    assert "- **a stage**: Because it rained." in missed
    assert "| peer | slow / er | 0.500 s | 14.49 × |" in missed
    assert "- 2026\n- two cores" in missed
    met = page.page([of([rows.Row(stage(targets, "peer", 8), *figures)])])
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


def test_results_survive_a_file(bench, results, tmp_path):
    (targets, rows, _), (module, of) = bench, results
    found = of([rows.Row(targets.SLIDER, rows.Figure("one", 1.0))], ["2026", "a machine"])
    module.save(found, tmp_path / "bfloat16.json")
    assert module.load(tmp_path / "bfloat16.json") == found


def test_two_kinds_of_processors_stand_side_by_side(bench, results):
    (targets, rows, page), (_, of) = bench, results
    ours, peers = rows.Figure("mine", 2.0), (rows.Figure("other", 6.0),)
    new = [rows.Row(targets.TRAINING_STEP, ours, peers, note="Half."), rows.Row(targets.SLIDER, ours)]
    old = [rows.Row(targets.TRAINING_STEP_FLOAT32, rows.Figure("mine", 5.0), peers, note="Whole.")]
    text = page.page([of(new, ["a new machine"]), of(old, ["an old machine"], "float32")])
    header = next(line for line in text.splitlines() if line.startswith("| stage |"))
    assert header.count("bfloat16") == header.count("float32 ") == len(page.PER_PROCESSOR)
    step, slider = table_row(text, targets.TRAINING_STEP.name), table_row(text, targets.SLIDER.name)
    assert step[1:9] == ["2.00 s", "5.00 s", "6.00 s", "6.00 s", "3.00", "1.20", "**no**", "**no**"]
    assert step[9] == f"bfloat16: {targets.TRAINING_STEP.target}; float32: {targets.TRAINING_STEP_FLOAT32.target}"
    assert slider[1:] == ["2.00 ms", "", "–", "", "0.04", "", "yes", "", targets.SLIDER.target]
    assert "**float32**\n\n- an old machine" in text
    assert "bfloat16: Half." in text
    assert "float32: Whole." in text
    assert f"- **{targets.TRAINING_STEP.name}**, float32: {targets.TRAINING_STEP_FLOAT32.if_missed}" in text
    assert text.count(f"### {targets.TRAINING_STEP.name}\n") == 1


def test_the_page_has_every_stage_once_and_its_target(bench):
    targets, _, _ = bench
    text = (REPOSITORY / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    columns = next(line for line in text.splitlines() if line.startswith("| stage |")).strip("| ").split(" | ")
    targets_of = {stage.name: [stage.target] for stage in targets.STAGES}
    targets_of[targets.TRAINING_STEP.name].append(targets.TRAINING_STEP_FLOAT32.target)
    for name, allowed in targets_of.items():
        printed = table_row(text, name)[columns.index("target")]
        assert any(target in printed for target in allowed)
        assert f"### {name}" in text
