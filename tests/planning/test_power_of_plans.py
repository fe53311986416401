"""The benchmark that validates plans runs, and marks what misses."""

from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import power_of_plans

    return power_of_plans


def test_a_prediction_that_misses_by_more_than_the_limit_and_chance_is_marked(benchmark, capsys):
    rows = [
        benchmark.Row("far", 0.5, 0.6, 0.01),
        benchmark.Row("near", 0.5, 0.54, 0.01),
        benchmark.Row("few", 0.5, 0.7, 0.2),
    ]
    assert [row.misses for row in rows] == [True, False, False]
    benchmark.print_rows("Title", rows, "more")
    assert "| far | 50 | 60 (1.0) * |" in capsys.readouterr().out


def test_few_studies_of_each_kind_give_rows(benchmark):
    rng = np.random.default_rng(0)
    first = next(benchmark.beats(rng, 60))
    assert first.predicted == pytest.approx(first.simulated, abs=0.15)
    assert 0 <= next(benchmark.tuning(rng, 3)).simulated <= 1
    assert next(benchmark.widths(rng, 2)).predicted > 0
