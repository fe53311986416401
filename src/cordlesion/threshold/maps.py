"""What a sweep over thresholds shows about the probability maps themselves."""

import numpy as np
import pandas as pd

from cordlesion.threshold.grid import SETTINGS

# Of a few maps the two lowest thresholds may give the same masks by chance.
_STEPS = 3


def find_cut(sweep: pd.DataFrame) -> float | None:
    """Return the value below which no map has any other value than (about) 0, as in maps that were cut before.

    Args:
        sweep: A row per scan and threshold (and minimum volume), with ``predicted_volume_mm3``.

    Returns:
        The highest threshold t such that the lowest threshold above 0 gives every scan the masks that t gives: no map
        has a value between the two. None where fewer than three thresholds do so, and where no map reaches any.
    """
    marked = _marked(sweep)
    # Masks of one map are nested, so equal volumes are equal masks.
    same = (marked.to_numpy() == marked.to_numpy()[:, :1]).all(axis=0)
    n_same = len(same) if same.all() else int(same.argmin())
    return float(marked.columns[n_same - 1]) if n_same >= _STEPS and marked.iloc[:, 0].any() else None


def describe_cut(sweep: pd.DataFrame, cut: float) -> str:
    """Return, in words, what it means that maps have no values below a cut (see :func:`find_cut`)."""
    lowest = _marked(sweep).columns[0]
    return (
        f"no map has a value from {lowest:g} to below {cut:g}, as where a tool sets what lies below its own cut to 0: "
        f"every threshold up to {cut:g} gives the same masks, and lower ones could not be tried"
    )


def describe_maps(sweep: pd.DataFrame) -> str:
    """Return why a threshold may find nothing in maps, half a sentence; empty where that is not apparent."""
    marked = _marked(sweep)
    lowest, volumes = float(marked.columns[0]), marked.iloc[:, 0].to_numpy()
    if not volumes.any():
        return f"no map has a value of {lowest:g} or more"
    whole = sweep[sweep["threshold"] == 0].groupby("scan_id")["predicted_volume_mm3"].max().to_numpy()
    if len(whole) and (volumes > whole / 2).all():
        share = 100 * (volumes / whole).min()
        return f"t = {lowest:g} marks {share:.0f} % of the voxels of every map or more: the background's probability?"
    return ""


def _marked(sweep: pd.DataFrame) -> pd.DataFrame:
    """Return the volume that each threshold above 0 marks, a row per scan."""
    return plain_rows(sweep).pivot(index="scan_id", columns="threshold", values="predicted_volume_mm3")


def plain_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows at thresholds above 0 whose settings change least: those of ``p >= t`` and nothing else."""
    rows = table[(table["threshold"] > 0) & (table["threshold"] <= 1)]
    for name, preference in SETTINGS.items():
        if name in rows:
            changed = preference(rows[name].to_numpy(dtype=np.float64))
            rows = rows[changed == changed.min(initial=np.inf)]
    return rows
