"""CONTRIBUTING's recipe for a threshold rule: one class and one row of THRESHOLD_RULES, and nothing else."""

from pathlib import Path

from support.package_copy import PackageCopy

CLASS = '''
class TopShare(TunedRule):
    """The share of a scan's voxels with the highest probabilities is lesion."""

    rule: Literal["top_share"] = "top_share"
    share: Annotated[float, Field(gt=0, le=1)]

    @classmethod
    def choose(cls, table: pd.DataFrame, objective: AnyObjective, lesion_rule: LesionRule = RULES["study"]):
        """Take the mean share of the reference volume."""
        volumes = table.drop_duplicates("scan_id")["reference_volume_mm3"]
        choice = choose_threshold(table, objective)
        return cls(**cls.facts(choice), share=float((volumes / volumes.max()).mean())), choice

    def threshold_in(self, probability: Probability, spacing_mm: Spacing) -> float:
        """Return a quantile of the map, above 0: an empty map has no lesion."""
        return max(float(np.quantile(probability, 1 - self.share)), 0.001)

    @property
    def summary(self) -> str:
        """The share."""
        return f"the top {100 * self.share:g} %"


'''
IMPORTS = """import numpy as np
import pandas as pd
from pydantic import Field

from cordlesion.metrics import RULES, LesionRule
from cordlesion.threshold.choice import choose_threshold
from cordlesion.threshold.objective_names import AnyObjective
from cordlesion.threshold.rule import Probability, Spacing

"""
ROW = '"top_share": TopShare, '


def test_a_threshold_rule_is_one_class_and_one_row(tmp_path: Path) -> None:
    package = PackageCopy(tmp_path)
    package.replace("threshold/rules.py", (first := "from pydantic import BeforeValidator, "), IMPORTS + first)
    package.replace("threshold/rules.py", (row := "THRESHOLD_RULES: Mapping"), CLASS + row)
    package.replace("threshold/rules.py", (row := '"global": GlobalThreshold,'), ROW + row)
    found = package.test("-x", "tests/threshold/test_rule_contract.py")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "55 passed" in found.stdout
