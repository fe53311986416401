"""The numbers behind the subgroup tables: the test set by where and how it was scanned."""

import math
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pandas as pd

from cordlesion.statistics import median_interval, summarize
from cordlesion.study_folder.results import StudyResults, lesion_bearing

SUBGROUPS = {
    "site": "Site",
    "manufacturer": "Manufacturer",
    "scanner": "Scanner",
    "orientation": "Orientation",
    "slice_spacing_mm": "Slice spacing",
}
"""Columns of ``splits.tsv`` by which scans are grouped, and how they are printed."""
COMPARED = ("voxel_f1", "lesion_f1")

_COLUMNS = (
    *("by", "value", "metric", "loss", "n_seeds"),
    *("median", "mean", "std", "n", "n_undefined", "n_subjects", "low", "high"),
)


def summarize_subgroups(results: StudyResults) -> pd.DataFrame:
    """Summarise voxel and lesion F1 of every loss at its tuned threshold, by subgroup of the test set.

    Where a loss has several seeds, a scan's value is their mean. Scans whose subgroup is not recorded are listed as
    such, and all scans last.

    Returns:
        A row per subgroup, metric and loss: ``by value metric loss n_seeds median mean std n n_undefined n_subjects low
        high``; the interval is of the median, with subjects as units.
    """
    scans = _scores(results)
    rows = [row for column in SUBGROUPS for row in _rows(scans, column)]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _scores(results: StudyResults) -> pd.DataFrame:
    """Return a row per loss and test scan with lesions: its scores and what it can be grouped by."""
    facts = results.splits.drop_duplicates("scan_id").set_index("scan_id")[["subject", *SUBGROUPS]]
    facts = facts.assign(slice_spacing_mm=facts["slice_spacing_mm"].map(_millimetre_class))
    tables = []
    for loss in dict.fromkeys(run.loss for run in results.runs):
        runs = [run for run in results.runs if run.loss == loss]
        scans = pd.concat(lesion_bearing(results.evaluated(run, "test", results.tuned.get(run))) for run in runs)
        scores = scans.groupby(level="scan_id")[list(COMPARED)].mean()
        tables.append(scores.assign(loss=loss, n_seeds=len(runs)).join(facts))
    return pd.concat(tables)


def _rows(scans: pd.DataFrame, column: str) -> Iterator[dict[str, Any]]:
    """Summarise the scans by one of :data:`SUBGROUPS`; nothing where it is recorded for no scan."""
    names = sorted(set(scans[column]) - {""}, key=_natural)
    if not names:
        return
    parts = {name: scans[scans[column] == name] for name in names}
    parts |= {"not recorded": scans[scans[column] == ""], "all": scans}
    for name, inside in parts.items():
        for metric, (loss, mine) in product(COMPARED, inside.groupby("loss", sort=False)):
            yield {"by": column, "value": name, "loss": loss, **_row(mine, metric)}


def _row(scans: pd.DataFrame, metric: str) -> dict[str, Any]:
    (summary,) = summarize(scans, ["n_seeds"], [metric]).to_dict("records")
    n_subjects = scans.loc[scans[metric].notna(), "subject"].nunique()
    low, high = median_interval(scans[metric], scans["subject"])
    return {**{str(key): value for key, value in summary.items()}, "n_subjects": n_subjects, "low": low, "high": high}


def _millimetre_class(spacing_mm: float) -> str:
    """Return ``2 to 3 mm`` for 2 <= spacing < 3."""
    # The grid holds 32-bit floats: 3 mm may come as 2.9999999.
    whole = math.floor(round(spacing_mm, 3)) if not math.isnan(spacing_mm) else None
    return "" if whole is None else f"{whole} to {whole + 1} mm"


def _natural(name: str) -> list[tuple[int, str]]:
    """Order ``Site 2`` before ``Site 10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
