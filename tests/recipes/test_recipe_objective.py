"""CONTRIBUTING's recipe for a threshold objective: a function, a row of the table, and an oracle for the tests."""

from pathlib import Path

import pytest

from support.package_copy import PackageCopy

FUNCTION = '''def least_of_scans(scores: FloatArray) -> FloatArray:
    """Return the lowest over the last axis but one, leaving out NaN."""
    least: FloatArray = np.nanmin(scores, axis=-2)
    return least


@dataclass(frozen=True)
class ScanScore('''
TABLE = "OBJECTIVES: dict[str, Objective] = {\n"
ROW = '    "least_voxel_f1": ScanScore("lowest voxel F1", "voxel_f1", least_of_scans),\n'
ORACLE = "SCORES = {\n"
ORACLE_ROW = '    "least_voxel_f1": lambda scans: min(map(voxel_f1, bearing(scans))),\n'


@pytest.mark.slow
def test_an_objective_is_a_function_a_row_and_an_oracle(tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    copy.copy_tests()
    copy.replace("threshold/objective.py", "@dataclass(frozen=True)\nclass ScanScore(", FUNCTION)
    copy.replace("threshold/objective.py", TABLE, TABLE + ROW)
    copy.replace_in_tests("oracles/objective_oracle.py", ORACLE, ORACLE + ORACLE_ROW)
    ran = copy.test("tests/threshold/test_objective.py", "tests/threshold/test_choice.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ran = copy.run("tune", "--help")
    assert "least_voxel_f1 (lowest voxel F1)" in " ".join(ran.stdout.split()), ran.stdout + ran.stderr
