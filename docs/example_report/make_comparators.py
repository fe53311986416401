"""Make the two comparators of `studies/seven_losses.yaml`: `make example-report` runs this before the study.

SCT's lesion network becomes a model whose threshold the study tunes. The model in the package gives masks, which have
no threshold to tune: what `cordlesion segment` writes for the scans of the threshold and the test set.

Usage: python docs/example_report/make_comparators.py STUDY FOLDER T2_AX_LESION_H5

STUDY is a finished study on the same cohort with the same split.
"""

import sys
from pathlib import Path

import pandas as pd

from cordlesion.config import read_study
from cordlesion.dataset.bids import find_scans
from cordlesion.errors import CordlesionError
from cordlesion.scan.segment import segment_files
from cordlesion.sct.import_network import import_sct

SOURCE = "https://github.com/spinalcordtoolbox/deepseg_lesion_models"


def evaluated_scans(study: Path) -> list[Path]:
    """Return the scans of the threshold and the test set of a study."""
    table = pd.read_csv(study / "splits.tsv", sep="\t")
    evaluated = set(table.loc[table["set"].isin(["threshold", "test"]), "scan_id"])
    scans, _ = find_scans(read_study(study / "study.yaml").dataset)
    return [scan.image for scan in scans if scan.scan_id in evaluated]


def make_comparators(study: Path, folder: Path, network: Path) -> None:
    """Write the model of SCT's network to ``folder/sct_soft``, masks of the packaged model to ``folder/packaged``.

    Raises:
        CordlesionError: SCT's file is missing, or a scan cannot be segmented.
    """
    if not network.is_file():
        raise CordlesionError(
            f"{network}: this file is missing. SCT publishes t2_ax_lesion.h5 at {SOURCE}; download it and run "
            "`make example-report SCT_NETWORK=FILE`."
        )
    print(import_sct(network, folder / "sct_soft", variant="soft"))
    segment_files(evaluated_scans(study), None, folder / "packaged", pictures=False, overwrite=True, force=True)


if __name__ == "__main__":
    make_comparators(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
