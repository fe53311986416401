"""What a study starts from: its scans, checked and assigned to sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from cordlesion.artifacts import StudyFolder, file_hash, fingerprint
from cordlesion.config import SplitConfig, StudyConfig, builtin_study
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import Scan, ScanContent, inspect_scan
from cordlesion.dataset.split import COLUMNS, check_split, split_scans
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import read_table, write_table
from cordlesion.execution.local import Outcome, map_scans


def split_dataset(dataset: Path, output: Path, config: SplitConfig) -> Mapping[str, str]:
    """Write the split of a BIDS dataset without a study; returns the scans that were left out, with the reason."""
    scans, orphans = find_scans(dataset)
    outcomes = map_scans(lambda scan: inspect_scan(scan, "study"), scans, "read scans")
    contents = {o.item.scan_id: o.result for o in outcomes if o.result}
    write_table(output, split_scans([s for s in scans if s.scan_id in contents], contents, config))
    return faults_by_scan(outcomes, orphans)


def initial_study(dataset: Path) -> str:
    """Return the paper's study for a BIDS dataset, as YAML to start from."""
    scans, _ = find_scans(dataset)
    with_reference = sum(scan.reference is not None for scan in scans)
    source = "file" if any(scan.centerline for scan in scans) else "cord_mask"
    text = builtin_study("isbi2023").read_text(encoding="utf-8")
    text = text.replace("dataset: ../cohort", f"dataset: {json.dumps(str(dataset.resolve()))}").replace(
        "../isbi2023", "study"
    )
    found = f"# {len(scans)} scans of {len({s.subject for s in scans})} subjects, {with_reference} with a reference.\n"
    return found + text.replace("centerline: file", f"centerline: {source}")


def inspect_for_study(scan: Scan, config: StudyConfig, folder: StudyFolder) -> tuple[ScanContent, dict[str, str]]:
    """Read a scan's content, or take it from the last time if no file has changed."""
    files = {
        "image": scan.image,
        "reference": scan.reference,
        "cord_mask": scan.cord_mask,
        "centerline": scan.centerline,
    }
    hashes = {kind: file_hash(path) for kind, path in files.items() if path is not None}
    key, mark = f"inspect/{scan.scan_id}", fingerprint(hashes, config.evaluation.rule)
    if not folder.is_done(key, mark):
        with folder.stage(key, mark) as record:
            record["content"] = asdict(inspect_scan(scan, config.evaluation.rule))
    return ScanContent(**folder.finished(key)["content"]), hashes


def split_for_study(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: StudyConfig, folder: StudyFolder
) -> pd.DataFrame:
    """Return the split of a study: written once, then read and checked.

    Raises:
        CordlesionError: The split leaks, or was written for other scans or another configuration.
    """
    mark = fingerprint(config.split.model_dump(mode="json"), {name: vars(c) for name, c in contents.items()})
    if folder.splits.is_file():
        return _existing_split(folder, mark, contents)
    with folder.stage("split", mark):
        write_table(folder.splits, split_scans(scans, contents, config.split))
    return read_table(folder.splits, COLUMNS)


def _existing_split(folder: StudyFolder, mark: str, contents: Mapping[str, ScanContent]) -> pd.DataFrame:
    """Read the split that was written (by us, or by the user), and refuse one that leaks or fits other scans."""
    table = read_table(folder.splits, COLUMNS)
    written_by_us = folder.finished("split")
    if set(table["scan_id"]) != contents.keys() or (written_by_us and written_by_us["fingerprint"] != mark):
        raise CordlesionError(
            f"{folder.splits}: was written for other scans or another `split` section. "
            "Choose another `output` folder to keep this study, or delete the file to split anew."
        )
    check_split(table, {name: content.image_hash for name, content in contents.items()})
    return table


def faults_by_scan(outcomes: Sequence[Outcome[Scan, Any]], orphans: Sequence[str]) -> dict[str, str]:
    """Return why scans and files cannot be used, by scan (or by the file that belongs to none)."""
    by_scan = {outcome.item.scan_id: outcome.fault for outcome in outcomes if outcome.fault}
    return by_scan | {sentence.split(":")[0]: sentence for sentence in orphans}
