"""The repeatability of every method at every threshold, from rescans in both measured sets (stage ``analyze``).

Which scans repeat each other is read from the dataset (:mod:`cordlesion.dataset.repeats`). Sets are divided by subject,
so that the scans of a group are in one set.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.config import Method, SetName
from cordlesion.dataset.scan import Scan
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.tables import write_table
from cordlesion.io.volume import Volume, read_mask
from cordlesion.lesions.found_again import count_found_again
from cordlesion.lesions.repeatability import MEASURES, repeatability_rows
from cordlesion.metrics import resolve_rule
from cordlesion.study.collected import collect_table
from cordlesion.study.evaluate import measured_sets
from cordlesion.study.predict import mask_file
from cordlesion.study.sets import Study
from cordlesion.study_folder.repeat_tables import REFERENCE_MASKS, REPEATABILITY

_SETS: tuple[SetName, ...] = ("threshold", "test")


def measure_repeatability(study: Study) -> None:
    """Write ``repeatability.tsv``: of every method and of the references; none where no scans repeat each other.

    Raises:
        CordlesionError: A file is missing or damaged.
    """
    folder, path = study.folder, study.folder.root / REPEATABILITY.file
    groups = _groups(study)
    if not groups:
        folder.remove([path, *(folder.run(method.name) / path.name for method in study.config.methods)])
        return
    for method in study.config.methods:
        _measure_method(study, method, groups)
    references = [_of_references(study, fold, groups) for fold in study.folds]
    collect_table(folder, REPEATABILITY, study.config.methods, references)


def _groups(study: Study) -> dict[str, str]:
    """Return the group of each scan that is repeated within a set; nothing where no set has two groups."""
    found: dict[str, str] = {}
    for fold in study.folds:
        for name in _SETS:
            names = [scan.scan_id for scan in study.in_set(name, fold)]
            of_set = {scan: study.repeats[scan] for scan in names if scan in study.repeats}
            several = {group for group, n in Counter(of_set.values()).items() if n > 1}
            if len(several) > 1:
                found |= {scan: group for scan, group in of_set.items() if group in several}
    return found


def _measure_method(study: Study, method: Method, groups: Mapping[str, str]) -> None:
    """Write the rows of a method into its folder, unless that is done."""
    folder, path = study.folder, study.folder.run(method.name) / REPEATABILITY.file
    masks = folder.finished(f"masks/{method.name}").get("fingerprint")
    made_from = fingerprint("analysis", "repeatability", masks, study.config.evaluation.rule, dict(groups))
    if folder.is_done(key := f"repeatability/{method.name}", made_from, path):
        return
    with folder.stage(key, made_from, path):
        opened = study.open_test(method.fold)
        tuned = opened.thresholds[method.name].value if method.is_tuned else math.nan
        rows: list[dict[str, object]] = []
        for name, table in zip(_SETS, measured_sets(study, method, opened), strict=True):
            scans = [scan for scan in study.in_set(name, method.fold) if scan.scan_id in groups]
            found = _found(scans, [mask_file(scan.scan_id, folder, method) for scan in scans], groups, study)
            rows += _rows(table, groups, tuned, found, name)
        table = pd.DataFrame(rows, columns=list(REPEATABILITY.names)) if not rows else pd.DataFrame(rows)
        write_table(path, table.assign(**method.columns), REPEATABILITY)


def _rows(
    table: pd.DataFrame, groups: Mapping[str, str], tuned: float, found: Mapping[str, tuple[int, int]], set_name: str
) -> list[dict[str, object]]:
    """Return the rows of a set: at every threshold above 0, with the lesions found twice at the tuned one."""
    table = table.assign(group=table["scan_id"].map(groups)).dropna(subset="group")
    if table["group"].nunique() < 2:
        return []
    rows: list[dict[str, object]] = []
    masks = table["threshold"].isna()
    for t in [math.nan] if masks.all() else sorted(set(table["threshold"]) - {0.0}):
        at = masks if math.isnan(t) else table["threshold"] == t
        is_tuned = math.isnan(t) or t == tuned
        columns = ["scan_id", "subject", "group", *MEASURES]
        estimated = repeatability_rows(table.loc[at, columns], found if is_tuned else None)
        rows += [{"set": set_name, "threshold": t, "tuned": is_tuned, **row} for row in estimated]
    return rows


def _of_references(study: Study, fold: int | None, groups: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of the references: what differs between the masks of the reader."""
    rows: list[dict[str, object]] = []
    first = next(method for method in study.config.methods if method.fold == fold)
    for name, table in zip(_SETS, measured_sets(study, first, study.open_test(fold)), strict=True):
        scans = [scan for scan in study.in_set(name, fold) if scan.scan_id in groups]
        found = _found(scans, [scan.reference for scan in scans if scan.reference], groups, study)
        once = table.drop_duplicates("scan_id").assign(
            threshold=math.nan,
            predicted_volume_mm3=lambda of: of["reference_volume_mm3"],
            n_predicted_lesions=lambda of: of["n_reference_lesions"],
        )
        rows += _rows(once, groups, math.nan, found, name)
    columns = {"loss": REFERENCE_MASKS, "seed": None} | ({} if fold is None else {"fold": fold})
    return pd.DataFrame(rows).assign(**columns)


def _found(
    scans: Sequence[Scan], masks: Sequence[Path], groups: Mapping[str, str], study: Study
) -> dict[str, tuple[int, int]]:
    """Return by group the lesions that are found in another scan of it, and those in view."""
    by_group: dict[str, list[Volume]] = {}
    for scan, path in zip(scans, masks, strict=True):
        value = scan.lesion_value if path == scan.reference else None
        by_group.setdefault(groups[scan.scan_id], []).append(read_mask(path, value=value))
    rule = resolve_rule(study.config.evaluation.rule)
    return {
        group: count_found_again(
            [np.asarray(one.data).astype(np.bool_) for one in volumes],
            [one.affine for one in volumes],
            [one.spacing_mm for one in volumes],
            rule,
        )
        for group, volumes in by_group.items()
    }
