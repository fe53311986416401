"""Folds pooled: each scan counts once, as its own fold tested it. The rest of the report needs runs only."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

_DEFAULT = 0.5
_RUN = ["loss", "seed"]
_BINS = [*_RUN, "set", "map", "bin_low", "bin_high"]
_SUMS = ["n_scans", "n_voxels", "n_lesion_voxels", "sum_probability"]


def pool_folds(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Pool the tables of a study over its folds.

    Thresholds become one row per run: means over the folds, except ``threshold``, which is that of one fold and
    represents all: rows of the evaluation at each fold's own threshold get this value. See :func:`pool_rows`, too.

    Args:
        tables: By name (``thresholds``, ``evaluation`` ...), as a study wrote them; those of a study with one split
            are returned as they are.
    """
    written = tables["thresholds"]
    if "fold" not in written:
        return dict(tables)
    reliability = _pool_reliability(tables["reliability"])
    return {
        **{name: pool_rows(name, table, written) for name, table in tables.items()},
        "splits": tables["splits"].drop_duplicates(["scan_id", "set"]),
        "thresholds": pd.concat([_pool_thresholds(folds) for _, folds in _by_run(written)], ignore_index=True),
        "froc": _pool_froc(tables["froc"]),
        "reliability": reliability,
        "calibration": _pool_calibration(tables["calibration"], reliability),
        **{name: _pool_retention(tables[name]) for name in tables if name == "retention"},
    }


def pool_rows(name: str, rows: pd.DataFrame, written: pd.DataFrame) -> pd.DataFrame:
    """Pool rows about scans over the folds: all rows of a table, or all those of some runs.

    A scan in the threshold sets of several folds counts once, in the first of them.

    Args:
        name: ``sweep`` or ``evaluation``; rows of other tables are returned as they are.
        rows: As a study wrote them.
        written: The thresholds as they were written.
    """
    if "fold" not in written or name not in ("sweep", "evaluation"):
        return rows
    return _once(rows if name == "sweep" else _relabel(rows, written))


def representative_threshold(thresholds: pd.Series) -> float:
    """Return the threshold nearest to the folds' median, but 0.5 only where all are 0.5.

    The rows at the tuned threshold and those at 0.5 must stay two kinds of rows.
    """
    others = thresholds[thresholds != _DEFAULT]
    candidates = np.sort((others if len(others) else thresholds).to_numpy(float))
    return float(candidates[np.abs(candidates - thresholds.median()).argmin()])


def _by_run(table: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    yield from table.groupby(_RUN, sort=False, dropna=False)


def _pool_thresholds(folds: pd.DataFrame) -> pd.DataFrame:
    numbers = folds.select_dtypes("number").drop(columns=["seed", "fold"])
    means, sums = numbers.mean(), numbers.filter(regex="^n_").sum()
    pooled = {**means, **sums, "threshold": representative_threshold(folds["threshold"])}
    chosen = ", ".join(f"{t:g}" for t in folds["threshold"])
    basis = f"folds with t = {chosen} (means are shown): {'; '.join(dict.fromkeys(folds['basis']))}"
    row = {str(name): value for name, value in pooled.items()}
    return folds.iloc[[0]].drop(columns="fold").assign(**row, basis=basis)


def _relabel(evaluation: pd.DataFrame, written: pd.DataFrame) -> pd.DataFrame:
    has_threshold = evaluation["threshold"].notna()
    masks, evaluation = evaluation[~has_threshold], evaluation[has_threshold]
    own = evaluation[[*_RUN, "fold"]].merge(written[[*_RUN, "fold", "threshold"]], how="left")["threshold"].to_numpy()
    labels = {_name(*run): representative_threshold(folds["threshold"]) for run, folds in _by_run(written)}
    label = np.array([labels[_name(*run)] for run in evaluation[_RUN].itertuples(index=False, name=None)])
    default = np.isclose(evaluation["threshold"], _DEFAULT)
    tuned = np.isclose(evaluation["threshold"], own) & (label != _DEFAULT)
    relabelled = evaluation.assign(threshold=label)
    kept: pd.DataFrame = pd.concat([evaluation[default], relabelled[tuned], masks])
    return kept


def _name(loss: str, seed: Any) -> tuple[str, int | None]:  # noqa: ANN401 - a number, or what pandas has for none
    """Return a key that equals itself for comparators, too: their seed is undefined."""
    return loss, None if pd.isna(seed) else int(seed)


def _once(table: pd.DataFrame) -> pd.DataFrame:
    first = table.groupby(["set", *_RUN, "scan_id"], dropna=False)["fold"].transform("min")
    kept: pd.DataFrame = table[table["fold"] == first]
    return kept


def _pool_froc(folds: pd.DataFrame) -> pd.DataFrame:
    """Pool shares over lesions, and numbers per scan over scans, so that they hold for all folds together."""
    found = (folds["sensitivity"] * folds["n_reference_lesions"]).fillna(0)
    counts = folds.assign(found=found, false=folds["false_per_scan"] * folds["n_scans"])
    sums = ["found", "false", "n_scans", "n_reference_lesions"]
    pooled = counts.groupby(["set", *_RUN, "threshold"], sort=False, dropna=False)[sums].sum().reset_index()
    lesions = pooled["n_reference_lesions"].where(pooled["n_reference_lesions"] > 0)
    return pooled.assign(sensitivity=pooled["found"] / lesions, false_per_scan=pooled["false"] / pooled["n_scans"])


def _pool_reliability(bins: pd.DataFrame) -> pd.DataFrame:
    weighted = bins.assign(sum_probability=(bins["mean_probability"] * bins["n_voxels"]).fillna(0))
    sums = ["n_voxels", "n_lesion_voxels", "sum_probability"]
    pooled = weighted.groupby(_BINS, sort=False, dropna=False)[sums].sum().reset_index()
    filled = pooled["n_voxels"].where(pooled["n_voxels"] > 0)
    return pooled.assign(
        mean_probability=pooled["sum_probability"] / filled, lesion_share=pooled["n_lesion_voxels"] / filled
    )


def _pool_retention(folds: pd.DataFrame) -> pd.DataFrame:
    """Pool means over scans; each scan is tested in one fold."""
    by = ["set", *_RUN, "level", "uncertainty", "retained"]
    if folds.empty:
        return folds
    sums = folds.assign(score=folds["score"] * folds["n_scans"])
    pooled = sums.groupby(by, sort=False, dropna=False)[["score", "n_scans"]].sum().reset_index()
    return pooled.assign(score=pooled["score"] / pooled["n_scans"])


def _pool_calibration(folds: pd.DataFrame, reliability: pd.DataFrame) -> pd.DataFrame:
    """Compute the scores of all voxels from sums over the folds; the temperature is the mean of the folds."""
    by = ["set", *_RUN, "map"]
    squares = folds.assign(squares=folds["brier_score"] * folds["n_voxels"])
    pooled = squares.groupby(by, sort=False, dropna=False)[[*_SUMS, "squares"]].sum()
    pooled["temperature"] = folds.groupby(by, sort=False, dropna=False)["temperature"].mean()
    pooled["brier_score"] = pooled.pop("squares") / pooled["n_voxels"]
    gaps = (reliability["sum_probability"] - reliability["n_lesion_voxels"]).abs()
    gap = gaps.groupby([reliability[name] for name in by], dropna=False).sum()
    pooled["expected_calibration_error"] = gap / pooled["n_voxels"]
    return pooled.reset_index()
