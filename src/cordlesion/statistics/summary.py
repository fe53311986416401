"""Summaries of scores over scans."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


def summarize(table: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Summarise columns by group, leaving out undefined values (NaN) and counting them.

    Args:
        table: One row per scan.
        by: Columns that form the groups; their order of appearance is kept.
        columns: Columns to summarise.

    Returns:
        A row per group and column, with the columns ``*by, metric, median, mean, std, n, n_undefined``; ``std`` is the
        sample standard deviation (n - 1), NaN for fewer than two values.
    """
    groups = table.groupby(list(by), sort=False, dropna=False)
    return pd.DataFrame(
        [
            {**dict(zip(by, key, strict=True)), "metric": column, **_summary(group[column])}
            for key, group in groups
            for column in columns
        ]
    )


def format_summary(median: float, mean: float, std: float) -> str:
    """Format a summary as in Hussein et al.: ``0.42 (0.40 ± 0.21)``; ``n/a`` if no value is defined."""
    if math.isnan(median):
        return "n/a"
    spread = "n/a" if math.isnan(std) else f"{std:.2f}"
    return f"{median:.2f} ({mean:.2f} ± {spread})"


def _summary(values: pd.Series) -> dict[str, float]:
    x = values.to_numpy(dtype=np.float64)
    x = x[~np.isnan(x)]
    return {
        "median": float(np.median(x)) if len(x) else math.nan,
        "mean": float(x.mean()) if len(x) else math.nan,
        "std": float(x.std(ddof=1)) if len(x) > 1 else math.nan,
        "n": len(x),
        "n_undefined": len(values) - len(x),
    }
