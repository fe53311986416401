"""CONTRIBUTING's recipe for a lesion rule: a row of the table."""

from pathlib import Path

import pytest

from support.package_copy import PackageCopy

FIRST = '        "any_overlap": LesionRule('
ROW = '        "half": LesionRule(min_overlap=0.5, owner="that of this test", references=("kirillov2019",)),\n'
CONTRACT = (
    "tests/metrics/test_rules.py",
    "tests/metrics/test_scan.py",
    "tests/report/test_pipeline.py",
    "tests/maps/test_agreement.py",
)


@pytest.mark.slow
def test_a_rule_is_a_row(tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    copy.replace("metrics/rules.py", FIRST, ROW + FIRST)
    # Pictures of masks do not know of rules.
    ran = copy.test("-k", "not test_agreement or add_up", *CONTRACT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ran = copy.run("evaluate", "--help")
    assert "multi_spine, half, any_overlap" in " ".join(ran.stdout.split()), ran.stdout + ran.stderr
