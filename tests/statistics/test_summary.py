import itertools
import math
import statistics

import pandas as pd
import pytest

from cordlesion.statistics import format_summary, summarize


def test_summary_leaves_out_nan_and_counts_it():
    table = pd.DataFrame(
        {
            "loss": ["dice", "dice", "bce", "dice", "dice"],
            "seed": 1,
            "voxel_f1": [0.1, math.nan, math.nan, 0.2, 0.6],
            "lesion_f1": [1.0, 0.0, 0.5, 0.0, 0.0],
        }
    )
    summary = summarize(table, ["loss", "seed"], ["voxel_f1", "lesion_f1"])
    assert summary.columns.tolist() == ["loss", "seed", "metric", "median", "mean", "std", "n", "n_undefined"]
    rows = summary.set_index(["loss", "metric"])
    assert rows.index.tolist() == list(itertools.product(["dice", "bce"], ["voxel_f1", "lesion_f1"]))
    dice = rows.loc[("dice", "voxel_f1")]
    assert (dice["median"], dice["n"], dice["n_undefined"]) == (0.2, 3, 1)
    assert dice["mean"] == pytest.approx(0.3)
    assert dice["std"] == pytest.approx(statistics.stdev([0.1, 0.2, 0.6]))
    bce = rows.loc["bce"]
    assert bce["median"].isna().tolist() == [True, False]
    assert bce["std"].isna().all()
    assert bce["n"].tolist() == [0, 1]


def test_summary_is_printed_as_in_the_paper():
    assert format_summary(0.42, 0.3951, 0.2099) == "0.42 (0.40 ± 0.21)"
    assert format_summary(0.42, 0.42, math.nan) == "0.42 (0.42 ± n/a)"
    assert format_summary(math.nan, math.nan, math.nan) == "n/a"
