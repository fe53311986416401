"""The simulations behind the choice on the threshold set, and the regret of a finished study."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.threshold import OBJECTIVES

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    """Import a module of the benchmarks."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module


def test_simulated_curves_are_like_those_of_real_maps(benchmark):
    curves = benchmark("calibration.curves")
    rng = np.random.default_rng(0)
    means, spreads, seeds, alike = [], [], [], []
    for _ in range(4):
        trainings = curves.draw_trainings(rng, curves.Design(3, 3, 0.0, 0.4))
        f1 = curves.draw_curves(rng, trainings, np.arange(1000))
        best = np.take_along_axis(f1, f1.mean(axis=2).argmax(axis=-1)[..., None, None], axis=3)[..., 0]
        means.append(best.mean())
        spreads.append(best.std(axis=-1).mean())
        seeds.append(best.mean(axis=-1).std(axis=1, ddof=1).mean())
        alike.append(np.corrcoef(best[0, 0], best[1, 0])[0, 1])
    assert np.mean(means) == pytest.approx(0.42, abs=0.03)
    assert np.mean(spreads) == pytest.approx(0.22, abs=0.03)
    assert np.mean(seeds) == pytest.approx(0.035, abs=0.015)
    assert np.mean(alike) == pytest.approx(0.78, abs=0.06)


def test_rules_choose_what_they_say(benchmark):
    choice, curves = benchmark("calibration.choice"), benchmark("calibration.curves")
    f1 = np.zeros((2, 2, 5, 21))
    # The first loss has the best run and the worst; at one threshold each.
    f1[0, 0, :, 8], f1[0, 1, :, 4], f1[1, 0, :, 6], f1[1, 1, :, 2] = 0.60, 0.10, 0.50, 0.45
    runs, losses = curves.as_scans(f1, np.arange(5)), np.array([0, 0, 1, 1])
    rules = {rule.weigh: rule for rule in choice.RULES if rule.objective == "mean_voxel_f1"}
    chosen = {weigh: choice.choose(runs, losses, rule) for weigh, rule in rules.items()}
    assert {weigh: (one.run, one.cell) for weigh, one in chosen.items()} == {
        "own": (0, 8),
        "loss": (2, 6),
        "middle": (2, 6),
    }
    assert chosen["own"].score == pytest.approx(0.6)


def test_every_design_gives_rows(benchmark):
    choice, rows = benchmark("calibration.choice"), benchmark("calibration.rows")
    *_, last = choice.designs()
    found = list(choice.measure_design(np.random.default_rng(0), *last, 3))
    assert {row.table for row in found} >= {choice.CHOICE}
    assert rows.print_rows(found).count("\n") > 8
    ranks = benchmark("calibration.ranks")
    for measure, *design in (next(ranks.designs()), list(ranks.designs())[-1]):
        assert len(list(measure(np.random.default_rng(0), *design, 10))) in (2, 4)


def test_the_regret_of_a_study_is_measured_on_its_test_set(benchmark, results):
    regret = benchmark("regret")
    tables = regret.read_tables(results)
    table = regret.measure(tables, 3)
    assert table["rule"].tolist() == ["former", "present"] * 3
    bearing = results.sweep[(results.sweep["set"] == "test") & results.sweep["voxel_f1"].notna()]
    for row in table.itertuples():
        run = next(run for run in results.ranked if run.name == row.method)
        mine = bearing[(bearing["loss"] == run.loss) & np.isclose(bearing["threshold"], row.threshold)]
        assert row.tested == pytest.approx(mine["voxel_f1"].mean())
        summary = mine["voxel_f1"].median() if row.rule == "former" else mine["voxel_f1"].mean()
        assert row.apparent - row.lost == pytest.approx(summary)
    # Halves of seven subjects are too few for a correction.
    assert table["stated"].isna().all()
    half = bearing[np.isclose(bearing["threshold"], 0.5)].groupby("loss")["voxel_f1"].mean().mean()
    rows = results.sweep[(results.sweep["set"] == "threshold") & np.isclose(results.sweep["threshold"], 0.5)]
    assert regret.harder(tables) == pytest.approx(rows.groupby("loss")["voxel_f1"].mean().mean() - half)
    assert "No optimism can be stated" in regret.summarize(table)
    said = regret.summarize(table.assign(stated=0.9, held=True))
    assert f"covers what is lost, {table.loc[1::2, 'lost'].mean():.3f}; the interval" in said
    regret.draw(table.assign(stated=0.9, held=True))


def test_a_half_holds_the_scans_of_its_subjects(benchmark):
    regret, curves = benchmark("regret"), benchmark("calibration.curves")
    subject = np.array([0, 0, 1, 2, 2, 3])
    f1 = np.random.default_rng(0).random((1, 1, 6, 21))
    half = regret.halve(curves.as_scans(f1, subject)[0], np.array([2, 0]))
    assert half.subjects.tolist() == [0, 0, 1, 1]
    goal = OBJECTIVES["mean_voxel_f1"]
    assert goal.summarize(half.measures) == pytest.approx(f1[0, 0, [0, 1, 3, 4]].mean(axis=0))


def test_simulated_studies_are_measured_too(benchmark):
    regret = benchmark("regret")
    tables = regret.simulate_tables(np.random.default_rng(0))
    table = regret.measure(tables, 1)
    assert isinstance(table, pd.DataFrame)
    assert table["stated"].gt(0).all()
    assert len(tables.runs) == 35
