"""A study for nnU-Net: its split, and its scans."""

from collections.abc import Mapping
from pathlib import Path

from cordlesion.config import read_study
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.columns import SPLITS
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.io.outputs import check_output_file, new_folder
from cordlesion.io.tables import read_table
from cordlesion.io.writing import write_json
from cordlesion.nnunet.raw_dataset import check_dataset_folder, nnunet_cases, write_nnunet_description
from cordlesion.nnunet.splits import to_nnunet
from cordlesion.study_folder.folder import StudyFolder


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
        The excluded scans, each with the reason.

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
            "needed. Restore the files."
        )
    with new_folder(output):
        outcomes = map_scans(lambda case: case.write(output), nnunet_cases(table, scans), "export scans")
        faults = {outcome.item.scan.scan_id: outcome.fault for outcome in outcomes if outcome.fault}
        write_nnunet_description(output, table[~table["scan_id"].isin(faults)])
    return faults
