"""CONTRIBUTING's recipe for a metric: a function, a row of the table, a field, and an oracle for the tests."""

from pathlib import Path

import pytest

from support.package_copy import PackageCopy

FUNCTION = '''def jaccard(scan: ScanFacts) -> float:
    """Return the Jaccard index of the voxels; NaN where the reference has no lesion."""
    either = scan.n_reference + scan.n_predicted - scan.n_common
    return scan.n_common / either if scan.n_reference else math.nan


_ROWS = ('''
ROW = """    _score("voxel_jaccard", "voxel", jaccard, "Jaccard index of the voxels"),
)

METRICS: """
LAST_FIELD = "    predicted_volume_mm3: float\n"
LAST_OF_ORACLE = '        "predicted_volume_mm3": voxels[1] * math.prod(spacing_mm),\n'
ORACLE = '        "voxel_jaccard": voxels[2] / sum(r or p for r, p in pairs) if voxels[0] else math.nan,\n'
CONTRACT = ("tests/metrics/test_scan.py", "tests/metrics/test_sweep.py", "tests/test_evaluation.py")
EVALUATE = """
import nibabel as nib
import numpy as np
from pathlib import Path
from cordlesion.io.tables import read_table
from cordlesion.maps.compare import compare_files
from cordlesion.maps.evaluate import evaluate_files

mask, table = np.zeros((8, 8, 8), np.uint8), Path("metrics.tsv")
mask[2:6, 2:6, 2:6] = 1
nib.save(nib.Nifti1Image(mask, np.eye(4)), "mask.nii.gz")
evaluate_files(Path("mask.nii.gz"), Path("mask.nii.gz"), output=table)
print(read_table(table)["voxel_jaccard"].tolist(), "voxel_jaccard" in set(compare_files(table, table).table["metric"]))
"""


@pytest.mark.slow
def test_a_metric_is_a_function_a_row_a_field_and_an_oracle(tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    copy.copy_tests()
    copy.replace("metrics/table.py", "_ROWS = (", FUNCTION)
    copy.replace("metrics/table.py", ")\n\nMETRICS: ", ROW)
    copy.replace("metrics/table.py", '"""\n\nfrom collections', '"""\n\nimport math\nfrom collections')
    copy.replace("metrics/scan.py", LAST_FIELD, f"{LAST_FIELD}    voxel_jaccard: float\n")
    copy.replace_in_tests("oracles/lesion_oracle.py", LAST_OF_ORACLE, LAST_OF_ORACLE + ORACLE)
    ran = copy.test(*CONTRACT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ran = copy.python("-c", EVALUATE)
    assert ran.stdout.endswith("[1.0] True\n"), ran.stdout + ran.stderr
