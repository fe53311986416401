"""Counts of all scans at every threshold of the tables: what the page needs to move a whole set with one slider."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.explorer.catalog import Catalog, Model
from cordlesion.explorer.pack import pack_array
from cordlesion.io.arrays import FloatArray, IntArray

UNDEFINED = 2**16 - 1
"""Stands for a score that is not defined; larger counts are cut to the number below it."""
F1_STEPS = 10_000
"""Scores are sent as whole numbers of this share."""

_COUNTS = {
    "reference": "n_reference_lesions",
    "detected": "n_detected_lesions",
    "predicted": "n_predicted_lesions",
    "confirmed": "n_true_predicted_lesions",
}
_SCORES = ("voxel_f1", "lesion_f1")
_COLUMNS = (*_COUNTS.values(), *_SCORES)


@dataclass(frozen=True, eq=False)
class CohortCounts:
    """The scores of one model on all scans of a catalog, in the order of the catalog."""

    levels: IntArray
    """Indices of the tried thresholds on the slider, increasing, shape (T,). One for a model without a sweep."""
    own: IntArray
    """Index of the model's own threshold on the slider for each scan, shape (S,); folds have different ones."""
    counts: dict[str, IntArray]
    """``reference``: lesions of the reference, ``detected``: those found, ``predicted``: predicted lesions,
    ``confirmed``: those that the reference confirms; each of shape (T, S)."""
    scores: dict[str, FloatArray]
    """``voxel_f1`` and ``lesion_f1``; NaN where the reference has no lesion, each of shape (T, S)."""

    def describe(self) -> dict[str, Any]:
        """Return the counts for the page as 16-bit numbers."""
        counts = {name: np.minimum(values, UNDEFINED - 1) for name, values in self.counts.items()}
        scores = {name: np.where(np.isnan(v), UNDEFINED, np.rint(v * F1_STEPS)) for name, v in self.scores.items()}
        return {
            "levels": self.levels.tolist(),
            "own": self.own.tolist(),
            **{name: pack_array(values.astype(np.uint16)) for name, values in {**counts, **scores}.items()},
        }


def count_cohort(catalog: Catalog, model: Model) -> CohortCounts:
    """Read the counts of a model from the tables of the study; no map is opened."""
    own = np.array([catalog.own_level(model, scan) for scan in catalog.scans], np.int64)
    sets = dict.fromkeys(scan.set_name for scan in catalog.scans)
    tables = {name: _table(catalog, model, name) for name in sets}
    levels = np.unique(np.concatenate([table["level"].to_numpy(np.int64) for table in tables.values()]))
    values = np.full((len(_COLUMNS), len(levels), len(catalog.scans)), np.nan)
    for name, table in tables.items():
        places = {scan.scan_id: n for n, scan in enumerate(catalog.scans) if scan.set_name == name}
        table = table[table["scan_id"].isin(places)]
        where = np.searchsorted(levels, table["level"]), table["scan_id"].map(places).to_numpy(np.int64)
        values[:, *where] = table[list(_COLUMNS)].to_numpy(float).T
    counts = {name: values[n].astype(np.int64) for n, name in enumerate(_COUNTS)}
    return CohortCounts(levels, own, counts, dict(zip(_SCORES, values[len(_COUNTS) :], strict=True)))


def _table(catalog: Catalog, model: Model, set_name: str) -> pd.DataFrame:
    """Return the rows of one set, with the level of their threshold on the slider."""
    rows = catalog.rows(model, ("scan_id", "threshold", *_COLUMNS), set_name)
    if model.kind != "tuned":  # one row per scan, without a threshold
        return rows.assign(level=catalog.own_level(model, catalog.scans[0]))
    levels = {t: catalog.level(t) for t in rows["threshold"].unique()}
    return rows.assign(level=rows["threshold"].map(levels))
