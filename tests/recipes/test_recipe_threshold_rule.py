"""CONTRIBUTING's recipe for a threshold rule: one class and one row of THRESHOLD_RULES, and nothing else."""

from pathlib import Path

from support.package_copy import PackageCopy

CLASS = '''
class TopShare(ThresholdRule):
    """The share of a scan's voxels with the highest probabilities is lesion."""

    rule: Literal["top_share"] = "top_share"
    share: Annotated[float, Field(gt=0, le=1)]

    @classmethod
    def fit(cls, sweep: pd.DataFrame, objective: str) -> Self:
        """Take the mean share of the reference volume."""
        scans = sweep.drop_duplicates("scan_id")
        return cls(share=float((scans["reference_volume_mm3"] / scans["reference_volume_mm3"].max()).mean()))

    def threshold_in(self, probability: Probability, spacing_mm: Spacing) -> float:
        """Return a quantile of the map."""
        return float(np.quantile(probability, 1 - self.share))

    @property
    def summary(self) -> str:
        """The share."""
        return f"the top {100 * self.share:g} %"

    def describe(self) -> str:
        """Return where it comes from."""
        return "the model's own share of each scan"


'''
ROW = '"top_share": TopShare, '


def test_a_threshold_rule_is_one_class_and_one_row(tmp_path: Path) -> None:
    package = PackageCopy(tmp_path)
    package.replace("threshold/rules.py", (first := "import pandas as pd\n"), f"import numpy as np\n{first}")
    package.replace("threshold/rules.py", (row := "THRESHOLD_RULES: Mapping"), CLASS + row)
    package.replace("threshold/rules.py", (row := '"global": GlobalThreshold}'), ROW + row)
    found = package.test("-x", "tests/threshold/test_rule_contract.py")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "17 passed" in found.stdout
