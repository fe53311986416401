"""The coverage benchmark runs; even with few studies no coverage is far from the confidence level."""

from pathlib import Path

import numpy as np

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_coverage_of_intervals(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from calibration import intervals
    from calibration.rows import print_rows

    rows = intervals.rows(np.random.default_rng(0), n_studies=30)
    again = intervals.rows(np.random.default_rng(0), n_studies=30)
    assert rows == again
    assert len({(row.table, row.design, row.figure) for row in rows}) == len(rows)
    for row in rows:
        approximate = "approximate" in row.table
        assert (row.least is None) == approximate
        assert row.share >= 0.6, row
    assert "| 14 scans of 10 |" in print_rows(rows)
