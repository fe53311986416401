"""Where the recommended loss stands against every other on the test set, and whether that settles anything."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import pandas as pd

from cordlesion.report.style import loss_name
from cordlesion.statistics import Verdict

Standing: TypeAlias = Literal["ahead", "ahead, one seed", "open", "seeds", "behind, one seed", "behind", "few"]

_UNDIRECTED: dict[Verdict, Standing] = {
    "undecided": "open",
    "within seed noise": "seeds",
    "too few subjects": "few",
}


def find_standings(pairs: pd.DataFrame, loss: str) -> dict[str, Standing]:
    """Return the printed name of every other loss, and where one of them stands against it in voxel F1.

    Args:
        pairs: What :func:`compare_pairs` makes of a study.
        loss: The one that is recommended.
    """
    if pairs.empty:
        return {}
    mine = pairs[(pairs["metric"] == "voxel_f1") & ((pairs["first"] == loss) | (pairs["second"] == loss))]
    return {
        loss_name(str(row["first"] if row["second"] == loss else row["second"])): _standing(row, loss)
        for _, row in mine.iterrows()
    }


def settled(standings: Mapping[str, Standing]) -> str:
    """Say in a few words whether the lead on the threshold set holds on the test set.

    Args:
        standings: What :func:`find_standings` returns, of one loss or more. A lead counts as settled only where it is
            known that other trainings would not turn it.
    """
    found = set(standings.values())
    if found & {"behind", "behind, one seed"}:
        return "Doubtful"
    if found == {"ahead"}:
        return "Settled on these scans"
    if found <= {"ahead", "ahead, one seed"}:
        return "Ahead on these scans, but trained once"
    return "Settled in part" if "ahead" in found else "Not settled"


def _standing(row: pd.Series, loss: str) -> Standing:
    lead = row["median_difference"] if row["second"] == loss else -row["median_difference"]
    if row["verdict"] in _UNDIRECTED:
        return _UNDIRECTED[row["verdict"]]
    if row["verdict"] == "seed noise unknown":
        return "ahead, one seed" if lead > 0 else "behind, one seed"
    return "ahead" if lead > 0 else "behind"
