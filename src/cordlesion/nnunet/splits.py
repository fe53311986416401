"""The splits of nnU-Net (``splits_final.json``), in and out: a list of folds with ``train`` and ``val`` case names.

nnU-Net only chooses its weights on ``val`` and reports scores on it; here such a set is called ``test``. nnU-Net's own
folds are drawn over cases, so a subject may have scans in both sets: this is refused.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from cordlesion.config import SplitConfig
from cordlesion.dataset.scan import Scan, ScanContent
from cordlesion.dataset.split import LEARNING_SETS, share_subjects, split_table
from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json

NnunetFold: TypeAlias = dict[str, list[str]]


def read_nnunet_splits(path: Path) -> list[NnunetFold]:
    """Read ``splits_final.json``.

    Raises:
        CordlesionError: The file is missing, or is no list of folds with ``train`` and ``val``.
    """
    content = read_json(path)
    if not isinstance(content, list) or not content or not all(map(_is_fold, content)):
        raise CordlesionError(
            f"{path}: no splits of nnU-Net; a list of folds is needed, each with the case names of `train` and `val`. "
            "Give its splits_final.json."
        )
    return [{name: list(fold[name]) for name in ("train", "val")} for fold in content]


def split_by_nnunet(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    folds: Sequence[NnunetFold],
    config: SplitConfig,
    path: Path,
) -> pd.DataFrame:
    """Use the folds of nnU-Net: ``val`` becomes test, ``train`` is divided into train, validation and threshold.

    Args:
        scans: The usable scans of the dataset; case names are scan names.
        contents: Lesion load and image hash, by scan name.
        folds: As :func:`read_nnunet_splits` returned them.
        config: Proportions of the three sets, and seed.
        path: Where the folds come from, for messages.

    Returns:
        ``splits.tsv`` as :func:`split_scans` makes it.

    Raises:
        CordlesionError: The cases of a fold are not the scans, a subject is in both sets, or too few subjects of
            ``train`` have lesions.
    """
    by_name = {scan.scan_id: scan for scan in scans}
    sets = [_sets(number, fold, by_name, contents, config, path) for number, fold in enumerate(folds, start=1)]
    return split_table(scans, contents, sets, "nnU-Net's fold", "nnU-Net's fold (subject without lesions)")


def to_nnunet(table: pd.DataFrame) -> list[NnunetFold]:
    """Return the folds of a split for nnU-Net: our train as its ``train``, our validation as its ``val``.

    The sets threshold and test are left out, so that nnU-Net sees no scan on which it is evaluated.

    Args:
        table: ``splits.tsv``.
    """
    folds = [rows for _, rows in table.groupby("fold")] if "fold" in table else [table]
    sides = {"train": "train", "val": "validation"}
    return [{side: sorted(rows.loc[rows["set"] == name, "scan_id"]) for side, name in sides.items()} for rows in folds]


def _is_fold(fold: object) -> bool:
    if not isinstance(fold, dict):
        return False
    sides = [fold.get("train"), fold.get("val")]
    return all(isinstance(side, list) and all(isinstance(case, str) for case in side) for side in sides)


def _sets(
    number: int,
    fold: NnunetFold,
    scans: Mapping[str, Scan],
    contents: Mapping[str, ScanContent],
    config: SplitConfig,
    path: Path,
) -> dict[str, str]:
    if unmatched := sorted({*fold["train"], *fold["val"]} ^ scans.keys()):
        raise CordlesionError(
            f"{path}: the cases of fold {number - 1} are not the usable scans of the dataset (in only one of the two: "
            f"{', '.join(unmatched)}). Name cases as scans are named (sub-, ses-, acq- ...), and list them all."
        )
    tested, learning = ([scans[case] for case in fold[side]] for side in ("val", "train"))
    if both := sorted({scan.subject for scan in tested} & {scan.subject for scan in learning}):
        raise CordlesionError(
            f"{path}: fold {number - 1} has scans of {', '.join(both)} in `train` and in `val`, so it would be tested "
            "on subjects it was trained on. Give nnU-Net a split by subject, and train again."
        )
    whole = f"`train` of fold {number - 1} in {path}"
    shared = share_subjects(learning, contents, LEARNING_SETS, config, (4, number), whole)
    return dict.fromkeys((scan.subject for scan in tested), "test") | shared
