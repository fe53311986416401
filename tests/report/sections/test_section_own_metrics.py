"""Metrics of the user in the report: each cell derived once more from the study's table, and their code never run."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cordlesion.errors import CordlesionError
from cordlesion.pictures.html_page import page_environment
from cordlesion.report.page import SECTION_TEMPLATES, compute_findings, write_tables
from cordlesion.report.sections import SECTIONS
from cordlesion.study_folder.results import read_results

OWN = next(section for section in SECTIONS if section.key == "own_metrics")
METRICS = """
evaluation:
  metrics:
    - own_absent:surface_dice
    - {name: own_absent:error, label: error_mm3, higher_is_better: false}
"""


@pytest.fixture
def folder(study_copy):
    """A fake study with two metrics, the first one undefined without lesions; there is no module of them."""
    configuration = study_copy / "study.yaml"
    assert "\nevaluation:" not in configuration.read_text()
    configuration.write_text(configuration.read_text() + METRICS)
    evaluation = pd.read_csv(study_copy / "evaluation.tsv", sep="\t")
    rng = np.random.default_rng(5)
    surface = np.where(evaluation["reference_volume_mm3"] > 0, rng.uniform(0, 1, len(evaluation)), np.nan)
    evaluation = evaluation.assign(surface_dice=surface, error_mm3=rng.gamma(2, 40, len(evaluation)))
    evaluation.to_csv(study_copy / "evaluation.tsv", sep="\t", index=False, na_rep="n/a")
    return study_copy


def test_every_number_from_the_table(folder):
    write_tables(compute_findings(read_results(folder), (OWN,)), (OWN,))
    summary = pd.read_csv(folder / "tables" / "summary_own_metrics.tsv", sep="\t").set_index(["metric", "loss"])
    evaluation = pd.read_csv(folder / "evaluation.tsv", sep="\t", na_values="n/a")
    chosen = pd.read_csv(folder / "thresholds.tsv", sep="\t").set_index("loss")["threshold"]
    assert {metric for metric, _ in summary.index} == {"surface_dice", "error_mm3"}
    for (metric, loss), row in summary.iterrows():
        rows = evaluation[(evaluation["set"] == "test") & (evaluation["loss"] == loss)]
        half, tuned = (rows[np.isclose(rows["threshold"], t)].set_index("scan_id")[metric] for t in (0.5, chosen[loss]))
        both = pd.DataFrame({"half": half, "tuned": tuned}).dropna()
        assert (row["n"], row["n_undefined"]) == (len(both), len(half) - len(both))
        assert row["default"] == pytest.approx(both["half"].median())
        assert row["tuned"] == pytest.approx(both["tuned"].median())
        change = both["tuned"] - both["half"]
        assert row["difference"] == pytest.approx(change.median())
        subjects = rows.drop_duplicates("scan_id").set_index("scan_id")["subject"]
        by_subject = change.groupby(subjects.loc[change.index]).mean()
        assert row["n_subjects"] == len(by_subject)
        if by_subject.any():
            assert row["p_value"] == pytest.approx(stats.wilcoxon(by_subject).pvalue)
        else:
            assert np.isnan(row["p_value"])


def test_the_best_is_the_lowest_where_lower_is_better(folder):
    findings = compute_findings(read_results(folder), (OWN,))
    table, summary = OWN.tables[0].build(findings), findings.frames["own_metrics"]
    for (metric, rows), group in zip(summary.groupby("metric", sort=False), table.groups, strict=True):
        best = [cells[3].best for cells in group.rows]
        wanted = rows["tuned"].min() if metric == "error_mm3" else rows["tuned"].max()
        assert best == (rows["tuned"] == wanted).tolist()
    assert "A lower value is better: error mm3." in table.note


def test_the_section_names_the_functions_and_studies_without_them_have_none(folder, results):
    findings = compute_findings(read_results(folder), (OWN,))
    template = page_environment(SECTION_TEMPLATES).get_template("own_metrics.html.j2")
    page = template.render(OWN.words(findings), table=lambda name: f"<{name}>")
    assert "<code>own_absent:surface_dice</code>, <code>own_absent:error</code>." in page
    for study, shown in ((findings, True), (compute_findings(results, (OWN,)), False)):
        assert OWN.is_shown({"own_metrics": OWN.tables[0].build(study)}) is shown


def test_a_table_without_the_metric_is_made_again(folder):
    evaluation = pd.read_csv(folder / "evaluation.tsv", sep="\t").drop(columns="error_mm3")
    evaluation.to_csv(folder / "evaluation.tsv", sep="\t", index=False, na_rep="n/a")
    with pytest.raises(CordlesionError, match=r"evaluation.tsv: lacks the metric error_mm3 of the study. Run "):
        compute_findings(read_results(folder), (OWN,))
