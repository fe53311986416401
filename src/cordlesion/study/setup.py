"""What a study starts from: its scans, checked and assigned to sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from cordlesion.config import (
    DRAWN,
    NETWORK,
    SETS,
    PreprocessConfig,
    ReducedConfig,
    SplitConfig,
    StudyConfig,
    builtin_study,
    read_study,
    study_yaml,
)
from cordlesion.dataset.acquisition import read_acquisitions
from cordlesion.dataset.bids import Dataset, find_scans, read_dataset
from cordlesion.dataset.columns import SPLITS
from cordlesion.dataset.scan import Scan, ScanContent, inspect_scan
from cordlesion.dataset.split import check_split, split_scans
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import Outcome, map_scans
from cordlesion.io.fingerprints import digest, file_hash, fingerprint
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.outputs import check_output_file, new_folder
from cordlesion.io.progress import say
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.writing import write_json
from cordlesion.io.yaml import parse_yaml, plain
from cordlesion.nnunet.raw_dataset import check_dataset_folder, nnunet_cases, write_nnunet_description
from cordlesion.nnunet.splits import read_nnunet_splits, split_by_nnunet, to_nnunet
from cordlesion.study_folder.folder import StudyFolder


def split_dataset(
    dataset: Path,
    output: Path,
    config: SplitConfig,
    nnunet: Path | None = None,
    lesion_value: float | None = None,
) -> Mapping[str, str]:
    """Write the split of a BIDS dataset without a study.

    Args:
        dataset: BIDS folder.
        output: Path of the table.
        config: Proportions, folds and seed.
        nnunet: ``splits_final.json`` of nnU-Net, whose folds are taken over.
        lesion_value: The value that is lesion, in references that hold others too.

    Returns:
        The scans that were left out, with the reason.
    """
    check_output_file(output, dataset, nnunet)
    if nnunet and config.folds > 1:
        raise CordlesionError(
            f"{nnunet}: brings its own folds, and {config.folds} were asked for; one of the two is needed. "
            "Leave out --folds."
        )
    nnunet_folds = read_nnunet_splits(nnunet) if nnunet else []
    scans, unusable = find_scans(dataset)
    references = MaskValues("references", lesion_value)
    outcomes = map_scans(lambda scan: inspect_scan(scan, "study", references), scans, "read scans")
    references.require_one()
    contents = {o.item.scan_id: o.result for o in outcomes if o.result}
    usable = [scan for scan in scans if scan.scan_id in contents]
    if nnunet:
        table = split_by_nnunet(usable, contents, nnunet_folds, config, nnunet)
    else:
        table = split_scans(usable, contents, config)
    write_table(output, _with_acquisition(table, usable), SPLITS)
    n_folds = table["fold"].nunique() if "fold" in table else 1
    sizes = ", ".join(f"{name} {int((table['set'] == name).sum())}" for name in SETS)
    how = sizes if n_folds == 1 else f"{n_folds} folds"
    say(f"{output}: {table['scan_id'].nunique()} scans of {table['subject'].nunique()} subjects ({how})")
    return faults_by_scan(outcomes, unusable)


def export_split(splits: Path, output: Path) -> int:
    """Write the folds of a ``splits.tsv`` for nnU-Net: our train and validation as its ``train`` and ``val``.

    Returns:
        The number of folds.

    Raises:
        CordlesionError: The table is missing or is no split.
    """
    check_output_file(output, splits)
    folds = to_nnunet(read_table(splits, SPLITS))
    write_json(output, folds)
    return len(folds)


def export_nnunet(study_dir: Path, output: Path) -> Mapping[str, str]:
    """Write the scans of a study as a raw dataset of nnU-Net v2, with the study's split.

    Args:
        study_dir: Folder of the study.
        output: A new folder, named as nnU-Net names datasets.

    Returns:
        The scans that were left out, with the reason.

    Raises:
        CordlesionError: The study has no split yet, scans of the split are missing, or the folder cannot be used.
    """
    folder = StudyFolder(study_dir)
    if not folder.configuration.is_file():
        raise CordlesionError(f"{study_dir}: no study here; a folder with study.yaml is needed. Check the path.")
    check_dataset_folder(output)
    config, table = read_study(folder.configuration), read_table(folder.splits, SPLITS)
    scans = {scan.scan_id: scan for scan in find_scans(config.dataset, config.patterns)[0]}
    if missing := sorted(set(table["scan_id"]) - scans.keys()):
        raise CordlesionError(
            f"{config.dataset}: has no image of {', '.join(missing)}, which the study's split names; every scan is "
            "needed. Bring them back."
        )
    with new_folder(output):
        outcomes = map_scans(lambda case: case.write(output), nnunet_cases(table, scans), "export scans")
        faults = {outcome.item.scan.scan_id: outcome.fault for outcome in outcomes if outcome.fault}
        write_nnunet_description(output, table[~table["scan_id"].isin(faults)])
    return faults


def reduce_study(study: StudyConfig, n_scans: int | None, epochs: int | None) -> StudyConfig:
    """Return the study that runs a part only, to see that all of it works; the study itself where neither is given."""
    given = {name: value for name, value in (("scans", n_scans), ("epochs", epochs)) if value is not None}
    if not given:
        return study
    return study.model_copy(update={"reduced": ReducedConfig(**given)})


def require_same_extent(config: StudyConfig, folder: StudyFolder) -> None:
    """Refuse to mix a reduced run with the study, or with another reduced run, in one folder.

    Raises:
        CordlesionError: The folder holds the other one.
    """
    if not folder.configuration.is_file():
        return
    # Not read_study: whatever else an older version wrote, this key says enough.
    held = plain(parse_yaml(folder.configuration)).get("reduced")
    try:
        reduced = ReducedConfig.model_validate(held) if held else None
    except ValidationError:
        raise CordlesionError(
            f"{folder.configuration}: its section `reduced` is none of this program's; the configuration of this study "
            "is needed. Choose another `output` folder."
        ) from None
    wanted = config.reduced.model_dump(mode="json") if config.reduced else None
    if held != wanted:
        extent, ours = (f"a {one.description}" if one else "the full study" for one in (reduced, config.reduced))
        raise CordlesionError(
            f"{folder.root}: holds {extent}; this is {ours}, and nothing is overwritten. "
            "Choose another `output` folder."
        )


def read_study_to_run(path: Path) -> StudyConfig:
    """Read a study's YAML file.

    Raises:
        CordlesionError: As :func:`cordlesion.config.read_study`, or running it would overwrite the file with its
            complete form, which has no comments.
    """
    study = read_study(path)
    overwritten = StudyFolder(study.output).configuration
    if overwritten.resolve() == path.resolve() and path.read_text(encoding="utf-8") != study_yaml(study):
        raise CordlesionError(
            f"{path}: `output` is this file's folder, so it would be overwritten. Choose a folder below."
        )
    return study


def initial_study(dataset: Path) -> str:
    """Return the paper's study for a BIDS dataset, as YAML to start from."""
    return study_to_start_from(dataset)[0]


def study_to_start_from(dataset: Path) -> tuple[str, list[str]]:
    """Return what :func:`initial_study` does, and what is to be done before it can run, a sentence each."""
    found = read_dataset(dataset)
    scans = found.scans
    with_reference = sum(scan.reference is not None for scan in scans)
    # What people have drawn or checked is better than what we find, if no scan lacks it.
    source = next((s for s, kind in DRAWN.items() if scans and all(getattr(scan, kind) for scan in scans)), "auto")
    text = builtin_study("isbi2023").read_text(encoding="utf-8")
    place = json.dumps(str(dataset.resolve()), ensure_ascii=False)
    text = text.replace("dataset: ../cohort", f"dataset: {place}").replace("../isbi2023", "study")
    counts = f"{len(scans)} scans of {len({s.subject for s in scans})} subjects, {with_reference} with a reference."
    remarks = _to_do(dataset, found, with_reference)
    head = "".join(f"# {line}\n" for line in [counts, *remarks])
    return head + text.replace("centerline: auto", f"centerline: {source}"), remarks


def _to_do(dataset: Path, found: Dataset, with_reference: int) -> list[str]:
    """Say what keeps a study from being made of a dataset, or should be known before."""
    remarks = found.refusals_to_show
    if not with_reference and not found.refusals:
        remarks.append(
            f"{dataset}: has no reference; masks named *_label-lesion_seg.nii.gz or *_lesion-manual.nii.gz are needed. "
            "Add them, all zeros where a scan has no lesion, or add `patterns` to the study."
        )
    return [*remarks, *found.remarks]


def network_hash(config: PreprocessConfig) -> dict[str, str]:
    """Return the SHA-256 of the network that finds centerlines, where that is a file.

    Raises:
        CordlesionError: There is no such file.
    """
    if config.guide != NETWORK:
        return {}
    path = Path(config.centerline)
    if not path.is_file():
        raise CordlesionError(
            f"{path}: no such file; SCT's centerline network is needed, as `preprocess.centerline` names it. "
            "Check the path, which is relative to the study's file, or choose the source `auto`."
        )
    return {NETWORK: file_hash(path)}


def inspect_for_study(
    scan: Scan, config: StudyConfig, folder: StudyFolder, references: MaskValues
) -> tuple[ScanContent, dict[str, str]]:
    """Read a scan's content, or take it from the last time if no file has changed.

    Args:
        scan: The scan.
        config: The study.
        folder: Where what was read lies.
        references: Remembers by which value the reference marks.
    """
    hashes = {kind: file_hash(path) for kind, path in scan.files().items()}
    value = [] if scan.lesion_value is None else [scan.lesion_value]
    key, mark = f"inspect/{scan.scan_id}", fingerprint("inspection", hashes, config.evaluation.rule, *value)
    if not folder.is_done(key, mark):
        with folder.stage(key, mark) as record:
            record["content"] = asdict(inspect_scan(scan, config.evaluation.rule, references))
    content = folder.kept(key, "content", ScanContent)
    if scan.reference is not None:
        references.add(scan.reference, content.reference_value)
    return content, hashes


def split_for_study(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    faults: Mapping[str, str],
    config: SplitConfig,
    folder: StudyFolder,
) -> pd.DataFrame:
    """Return the split of a study: written once, by us or by hand, then read and checked.

    Args:
        scans: The usable scans.
        contents: Lesion load and image hash, by scan.
        faults: Why other scans cannot be used, by scan.
        config: Proportions and seed.
        folder: The study.

    Raises:
        CordlesionError: The split leaks, or was written for other scans or another configuration.
    """
    mark = digest(config.decisive, {name: content.decisive for name, content in contents.items()})
    if not folder.splits.is_file():
        with folder.stage("split", mark) as record:
            write_table(folder.splits, _with_acquisition(split_scans(scans, contents, config), scans), SPLITS)
            record["table"] = file_hash(folder.splits)
    table = read_table(folder.splits, SPLITS)
    written = folder.finished("split")
    # Changed by hand since, it is the hand's, and no longer bound to our configuration.
    outdated = written.get("table") == file_hash(folder.splits) and written["fingerprint"] != mark
    strangers = sorted(set(table["scan_id"]) ^ contents.keys())
    if strangers or outdated:
        raise CordlesionError(_other_split(folder, strangers, faults))
    hashes = {name: content.image_hash for name, content in contents.items()}
    n_folds = table["fold"].nunique() if "fold" in table else 1
    if n_folds != config.folds or (n_folds > 1 and set(table["fold"]) != set(range(1, n_folds + 1))):
        raise CordlesionError(
            f"{folder.splits}: has {n_folds} folds; the study asks for {config.folds}, numbered from 1. "
            "Change `split.folds`, or delete the file to split anew."
        )
    check_split(table, hashes)
    complete = _with_acquisition(_with_facts(table, scans, contents), scans)
    check_split(complete, hashes)
    if not set(complete) <= set(table):
        # Written by hand or by an older version: the report wants to know scanners and slices too.
        write_table(folder.splits, complete)
    return complete


def _other_split(folder: StudyFolder, strangers: Sequence[str], faults: Mapping[str, str]) -> str:
    reason = f"{folder.splits}: was written for other scans or another `split` section"
    if strangers:
        reason += f" (scans in only one of the two: {', '.join(strangers)})"
    known = [faults[name] for name in strangers if name in faults]
    remedy = "Choose another `output` folder to keep this study, or delete the file to split anew."
    return f"{reason}. {known[0]} Mend that scan first." if known else f"{reason}. {remedy}"


def _with_facts(table: pd.DataFrame, scans: Sequence[Scan], contents: Mapping[str, ScanContent]) -> pd.DataFrame:
    """Take from the files, not from a table that may be written by hand, whose a scan is and what it holds."""
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


def faults_by_scan(outcomes: Sequence[Outcome[Scan, Any]], unusable: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return why scans and files cannot be used, by scan (or by the file that belongs to none)."""
    by_scan = {outcome.item.scan_id: outcome.fault for outcome in outcomes if outcome.fault}
    return by_scan | dict(unusable)
