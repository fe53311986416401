"""Which scan is in which set: the split of a dataset, and that of a study, written once and then read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from cordlesion.config import SETS, SplitConfig
from cordlesion.dataset.acquisition import read_acquisitions
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.columns import SPLITS
from cordlesion.dataset.recognition.recognize import recognize
from cordlesion.dataset.scan import Scan, ScanContent, inspect_scan
from cordlesion.dataset.split import check_split, split_scans
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.execution.outcome import Outcome
from cordlesion.io.fingerprints import digest, file_hash
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.outputs import check_output_file
from cordlesion.io.progress import show_message
from cordlesion.io.tables import read_table, write_table
from cordlesion.nnunet.splits import read_nnunet_splits, split_by_nnunet
from cordlesion.study_folder.folder import StudyFolder


def split_dataset(
    dataset: Path,
    output: Path,
    config: SplitConfig,
    nnunet: Path | None = None,
    lesion_value: float | None = None,
) -> Mapping[str, str]:
    """Write the split of a dataset without a study.

    Args:
        dataset: Folder of scans and references, named as ``study init`` recognises them.
        output: Path of the table.
        config: Proportions, folds and seed.
        nnunet: ``splits_final.json`` of nnU-Net, whose folds are used.
        lesion_value: The value that marks lesion, in references that hold other labels too.

    Returns:
        The excluded scans, each with the reason.
    """
    check_output_file(output, dataset, nnunet)
    if nnunet is not None and config.folds > 1:
        raise CordlesionError(
            f"{nnunet}: has its own folds, and {config.folds} were asked for; only one of the two is possible. "
            "Leave out --folds."
        )
    nnunet_folds = read_nnunet_splits(nnunet) if nnunet is not None else []
    found = recognize(dataset)
    for remark in found.remarks:
        show_message(remark)
    scans, unusable = find_scans(found.folder, found.patterns)
    references = MaskValues("references", found.patterns.lesion_value if lesion_value is None else lesion_value)
    outcomes = map_scans(lambda scan: inspect_scan(scan, "study", references), scans, "read scans")
    references.require_one()
    contents = {o.item.scan_id: o.result for o in outcomes if o.result}
    usable = [scan for scan in scans if scan.scan_id in contents]
    if nnunet is not None:
        table = split_by_nnunet(usable, contents, nnunet_folds, config, nnunet)
    else:
        table = split_scans(usable, contents, config)
    write_table(output, _with_acquisition(table, usable), SPLITS)
    show_message(f"{output}: {_summary(table)}")
    return faults_by_scan(outcomes, unusable)


def split_for_study(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    faults: Mapping[str, str],
    config: SplitConfig,
    folder: StudyFolder,
) -> pd.DataFrame:
    """Return the split of a study: written once, by this program or by hand, then read and checked.

    Args:
        scans: The usable scans.
        contents: Lesion load and image hash, by scan.
        faults: Why other scans cannot be used, by scan.
        config: Proportions and seed.
        folder: The study.

    Raises:
        CordlesionError: The split leaks, or was written for other scans or another configuration.
    """
    made_from = digest(config.decisive, {name: content.decisive for name, content in contents.items()})
    if not folder.splits.is_file():
        with folder.stage("split", made_from) as record:
            write_table(folder.splits, _with_acquisition(split_scans(scans, contents, config), scans), SPLITS)
            record["table"] = file_hash(folder.splits)
    table = read_table(folder.splits, SPLITS)
    written = folder.finished("split")
    # A table that was edited by hand is no longer tied to our configuration.
    outdated = written.get("table") == file_hash(folder.splits) and written["fingerprint"] != made_from
    unmatched = sorted(set(table["scan_id"]) ^ contents.keys())
    if unmatched or outdated:
        raise CordlesionError(_other_split(folder, unmatched, faults))
    hashes = {name: content.image_hash for name, content in contents.items()}
    _require_folds(folder, table, config.folds)
    check_split(table, hashes)
    complete = _with_acquisition(_with_facts(table, scans, contents), scans)
    check_split(complete, hashes)
    if not set(complete) <= set(table):
        # Written by hand or by an older version: the report needs scanners and slices too.
        write_table(folder.splits, complete)
    return complete


def faults_by_scan(outcomes: Sequence[Outcome[Scan, Any]], unusable: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return why scans and files cannot be used, by scan (or by file, if it belongs to no scan)."""
    by_scan = {outcome.item.scan_id: outcome.fault for outcome in outcomes if outcome.fault}
    return by_scan | dict(unusable)


def _summary(table: pd.DataFrame) -> str:
    """Return the number of scans and subjects of a split, and the sizes of its sets or its number of folds."""
    sizes = ", ".join(f"{name} {int((table['set'] == name).sum())}" for name in SETS)
    how = sizes if _n_folds(table) == 1 else f"{_n_folds(table)} folds"
    return f"{table['scan_id'].nunique()} scans of {table['subject'].nunique()} subjects ({how})"


def _n_folds(table: pd.DataFrame) -> int:
    return table["fold"].nunique() if "fold" in table else 1


def _require_folds(folder: StudyFolder, table: pd.DataFrame, wanted: int) -> None:
    found = _n_folds(table)
    if found != wanted or (found > 1 and set(table["fold"]) != set(range(1, found + 1))):
        raise CordlesionError(
            f"{folder.splits}: has {found} folds; the study asks for {wanted}, numbered from 1. "
            "Change `split.folds`, or delete the file to split again."
        )


def _other_split(folder: StudyFolder, unmatched: Sequence[str], faults: Mapping[str, str]) -> str:
    reason = f"{folder.splits}: was written for other scans or another `split` section"
    if unmatched:
        reason += f" (scans in only one of the two: {', '.join(unmatched)})"
    known = [faults[name] for name in unmatched if name in faults]
    remedy = "Choose another `output` folder to keep this study, or delete the file to split again."
    return f"{reason}. {known[0]} Mend that scan first." if known else f"{reason}. {remedy}"


def _with_facts(table: pd.DataFrame, scans: Sequence[Scan], contents: Mapping[str, ScanContent]) -> pd.DataFrame:
    """Replace subject and lesion load by those of the files: a table may be written by hand."""
    by_name = {scan.scan_id: scan for scan in scans}
    mine = [by_name[name] for name in table["scan_id"]]
    return table.assign(
        subject=[scan.subject for scan in mine],
        session=[scan.session for scan in mine],
        site=[scan.site for scan in mine],
        n_reference_lesions=[contents[scan.scan_id].n_lesions for scan in mine],
        reference_volume_mm3=[contents[scan.scan_id].lesion_volume_mm3 for scan in mine],
    )


def _with_acquisition(table: pd.DataFrame, scans: Sequence[Scan]) -> pd.DataFrame:
    """Add how each scan was acquired: scanner, orientation and spacing of the slices."""
    by_name = {name: asdict(acquired) for name, acquired in read_acquisitions(scans).items()}
    facts = pd.DataFrame([by_name[name] for name in table["scan_id"]], index=table.index)
    return table.assign(**{str(name): facts[name] for name in facts})
