"""Where the recommended loss stands against every other on the test set, and whether that settles anything."""

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import pandas as pd

from cordlesion.io.formats import format_number
from cordlesion.pictures.style import loss_name
from cordlesion.statistics import SIGNIFICANT, Verdict

Standing: TypeAlias = Literal[
    "equal", "ahead", "ahead, untrained", "ahead, one seed", "open", "seeds", "behind, one seed", "behind", "few"
]
"""``equal``: shown to be as good within the margin, whatever the direction; ``ahead, untrained``: one of the two has no
seeds, so noise between its trainings is not known."""

_UNDIRECTED: dict[Verdict, Standing] = {
    "undecided": "open",
    "within seed noise": "seeds",
    "too few subjects": "few",
}


def find_standings(pairs: pd.DataFrame, loss: str) -> dict[str, Standing]:
    """Return the printed name of every other loss, and where the given one stands against it in voxel F1.

    Args:
        pairs: What :func:`compare_pairs` makes of a study.
        loss: The one that was chosen on the threshold set.
    """
    return {
        loss_name(str(row["first"] if row["second"] == loss else row["second"])): _standing(row, loss)
        for _, row in _mine(pairs, loss).iterrows()
    }


def find_reach(pairs: pd.DataFrame, loss: str, standing: Standing = "open") -> str:
    """Describe which difference the comparisons of one standing could have found; empty where there is none.

    Args:
        pairs: What :func:`compare_pairs` makes of a study.
        loss: The one that was chosen on the threshold set.
        standing: Of which comparisons.
    """
    mine = _mine(pairs, loss)
    return name_reach(mine[[_standing(row, loss) == standing for _, row in mine.iterrows()]])


def name_reach(rows: pd.DataFrame) -> str:
    """Describe which true difference comparisons would find, each a row of :func:`compare_pairs`."""
    found = sorted(float(value) for value in rows["detectable"].dropna()) if len(rows) else []
    if not found:
        return ""
    if math.isinf(found[-1]):
        return "with so few subjects no difference could be found"
    least, most = (format_number(end) for end in (found[0], found[-1]))
    gap = least if least == most else f"{least} to {most}"
    # Of losses that are trained once nothing is known beyond these trainings.
    of_these = " between these trainings" if (rows[["n_seeds_first", "n_seeds_second"]] == 1).any(axis=None) else ""
    return f"a true difference of {gap}{of_these} would be found in 80 % of such studies"


def name_needed(rows: pd.DataFrame) -> str:
    """Describe how many subjects would find differences as large as those seen; empty where it is not computed.

    Args:
        rows: Of :func:`compare_pairs`, open comparisons.
    """
    needed = sorted(int(n) for n in rows["needed_subjects"].dropna())
    if not needed:
        return ""
    more = " or more" if len(needed) < len(rows) else "" if needed[0] == needed[-1] else f" to {needed[-1]}"
    return f"; one as large as here, with {needed[0]}{more} subjects"


def settled(standings: Mapping[str, Standing]) -> str:
    """Summarise in a few words whether the lead on the threshold set holds on the test set.

    Args:
        standings: What :func:`find_standings` returns, of one loss or more. A lead counts as settled only where it is
            known that other trainings would not turn it. What is as good leaves nothing to settle.
    """
    found = set(standings.values()) - {"equal"}
    if found & {"behind", "behind, one seed"}:
        return "Doubtful"
    if found <= {"ahead"}:
        return "Settled on these scans"
    if found <= {"ahead", "ahead, untrained"}:
        return "Ahead on these scans, but noise between trainings is not known for all"
    if found <= {"ahead", "ahead, untrained", "ahead, one seed"}:
        return "Ahead on these scans, but trained once"
    return "Settled in part" if {"ahead", "equal"} & set(standings.values()) else "Not settled"


def _mine(pairs: pd.DataFrame, loss: str) -> pd.DataFrame:
    if pairs.empty:
        return pairs
    return pairs[(pairs["metric"] == "voxel_f1") & ((pairs["first"] == loss) | (pairs["second"] == loss))]


def _standing(row: pd.Series, loss: str) -> Standing:
    if row["p_equivalent"] <= SIGNIFICANT:
        return "equal"
    lead = row["difference"] if row["second"] == loss else -row["difference"]
    if row["verdict"] in _UNDIRECTED:
        return _UNDIRECTED[row["verdict"]]
    if row["verdict"] == "seed noise unknown":
        return "ahead, one seed" if lead > 0 else "behind, one seed"
    if lead > 0:
        return "ahead, untrained" if 0 in (row["n_seeds_first"], row["n_seeds_second"]) else "ahead"
    return "behind"
