from pathlib import Path

import pandas as pd
import pytest

from cordlesion.report.sections.lesion_free import lesion_free_table, summarize_lesion_free
from cordlesion.study_folder.results import StudyResults, read_results
from cordlesion.study_folder.runs import of_run


def test_lesion_free_scans(results: StudyResults) -> None:
    table = summarize_lesion_free(results)
    for run in results.runs:
        table_of = results.evaluation
        seed = table_of["seed"].isna() if run.seed is None else table_of["seed"] == run.seed
        scans = table_of[(table_of["loss"] == run.loss) & seed & (table_of["set"] == "test")]
        scans = scans[scans["threshold"] == 0.5]
        free = scans[scans["n_reference_lesions"] == 0]
        (row,) = of_run(table, run, tuned=False).to_dict("records")
        assert row["n"] == 6
        assert row["n_clean"] == (free["n_predicted_lesions"] == 0).sum()
        assert row["lesions_mean"] == pytest.approx(free["n_predicted_lesions"].mean())
        assert row["volume_max"] == free["predicted_volume_mm3"].max()


def test_no_rows_about_lesion_free_scans_where_there_are_none(study_copy: Path) -> None:
    evaluation = pd.read_csv(study_copy / "evaluation.tsv", sep="\t", na_values="n/a")
    bearing = evaluation[evaluation["reference_volume_mm3"] > 0]
    bearing.to_csv(study_copy / "evaluation.tsv", sep="\t", index=False, na_rep="n/a")
    assert lesion_free_table(read_results(study_copy)).groups == ()
