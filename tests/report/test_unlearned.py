"""A method whose best threshold is no better than marking every voxel: shown, said, and in no ranking."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.report.page import compute_findings, write_tables
from cordlesion.report.section import Findings
from cordlesion.report.sections.answers.questions import answer_questions, nothing_learned
from cordlesion.report.sections.limits import find_limits
from cordlesion.report.sections.recommendation.brief import write_brief
from cordlesion.report.sections.thresholds.stability import _changes_around
from cordlesion.study_folder.results import StudyResults, learned_methods, learned_runs, read_results
from cordlesion.study_folder.runs import Run
from support.fake_study import FakeStudy
from support.plain_report import write_without_pictures

BCE = Run("bce", 0)


def unlearn(folder: Path, losses: set[str], *, with_column: bool = True) -> StudyResults:
    """Let t = 0 be the threshold of some losses, as their runs in a study would have it."""
    tables = {name: pd.read_csv(folder / f"{name}.tsv", sep="\t") for name in ("thresholds", "sweep", "evaluation")}
    thresholds, sweep, evaluation = tables.values()
    blind = thresholds["loss"].isin(losses)
    thresholds.loc[blind, ["threshold", "interval_low", "interval_high", "plateau_low", "plateau_high"]] = 0.0
    thresholds.loc[blind, "score"] = 0.9  # the highest of all: a mask of everything, under a rule that likes it
    if with_column:
        thresholds["learned"] = ~blind
    kept = evaluation[~evaluation["loss"].isin(losses) | (evaluation["threshold"] == 0.5)]
    added = sweep[sweep["loss"].isin(losses) & (sweep["threshold"] == 0)]
    tables["evaluation"] = pd.concat([kept, added])
    for name, table in tables.items():
        table.astype({"seed": "Int64"}).to_csv(folder / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    return read_results(folder)


@pytest.fixture(scope="module")
def blind(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """A study whose BCE learned nothing, which tests only read."""
    folder = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("blind") / "study"))
    return unlearn(folder, {"bce"})


@pytest.fixture(scope="module")
def findings(blind: StudyResults) -> Findings:
    return compute_findings(blind)


@pytest.fixture
def blind_copy(study_copy: Path) -> Path:
    """The same, to be changed."""
    unlearn(study_copy, {"bce"})
    return study_copy


def test_it_is_in_no_ranking(blind: StudyResults) -> None:
    assert blind.unlearned == (BCE,)
    assert BCE not in blind.ranked
    assert blind.best != BCE
    assert BCE in blind.runs
    assert BCE in blind.tuned
    assert learned_runs(blind) == tuple(run for run in blind.runs if run != BCE)
    assert learned_methods(blind) == ["dice", "tversky", "sct"]


def test_in_a_study_from_before_the_column_t_0_says_it(study_copy: Path) -> None:
    assert unlearn(study_copy, {"bce"}, with_column=False).unlearned == (BCE,)


def test_no_number_compares_it(findings: Findings) -> None:
    for table in (findings.frames[name] for name in ("tuning", "stability", "seeds", "rules")):
        assert "bce" not in set(table["loss"])
        assert len(table)
    assert "bce" not in {*findings.frames["pairs"]["first"], *findings.frames["pairs"]["second"]}
    summary = findings.frames["runs"]
    assert summary.loc[summary["loss"] == "bce", "p_value"].isna().all()
    assert summary.loc[summary["loss"] == "dice", "p_value"].notna().any()


def test_no_table_marks_it_and_its_captions_name_it(findings: Findings) -> None:
    tables = write_tables(findings)
    for name in ("table1", "table2", "thresholds", "tuning", "stability", "rules"):
        rows = [row for group in tables[name].groups if group.name == "BCE" for row in group.rows]
        assert not any(cell.best or cell.bold or cell.mark for row in rows for cell in row)
        others = [row for group in tables[name].groups if group.name != "BCE" for row in group.rows]
        assert any(cell.best for row in others for cell in row) == bool(tables[name].best)
    for name in ("table1", "table2", "thresholds"):
        assert "Learned nothing (no threshold scores above t = 0)" in tables[name].note
        assert re.search(r"neither marked nor tested: BCE\.", tables[name].note)
        assert any(group.name == "BCE" for group in tables[name].groups)


def test_the_page_recommends_another_and_says_why(blind: StudyResults, findings: Findings) -> None:
    brief = write_brief(findings)
    assert brief.recommends
    assert "BCE" not in brief.model
    assert all("BCE" not in answer.text for answer in (*answer_questions(findings), *brief.reasons))
    grave = [limit.text for limit in find_limits(findings) if limit.grave]
    assert any(text.startswith("BCE learned nothing: no threshold scores above marking every voxel") for text in grave)
    assert "BCE learned nothing" in write_without_pictures(blind.folder.root)


def test_what_breaks_the_condition_of_the_objective_is_said_to_do_so(blind_copy: Path) -> None:
    path = blind_copy / "thresholds.tsv"
    table = pd.read_csv(path, sep="\t").astype({"seed": "Int64"}).assign(objective="lesion_sensitivity:1")
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    findings = compute_findings(read_results(blind_copy))
    condition = "lesion sensitivity with at most 1 false positives per scan"
    said = f"BCE has no threshold for the objective: none meets the condition ({condition}), or no threshold"
    assert any(limit.grave and limit.text.startswith(said) for limit in find_limits(findings))
    assert "No threshold meets the condition of the objective" in write_tables(findings)["table1"].note
    assert nothing_learned(findings.results).endswith("has a threshold for the objective")


def test_of_several_seeds_the_others_stay(blind_copy: Path) -> None:
    """One seed of Dice learned nothing: the loss is compared by its other seed, and that is said."""
    for name in ("thresholds", "sweep", "evaluation"):
        table = pd.read_csv(blind_copy / f"{name}.tsv", sep="\t")
        more = table[table["loss"] == "dice"].assign(seed=1)
        if name == "thresholds":
            more["learned"] = False
        both = pd.concat([table, more]).astype({"seed": "Int64"})
        both.to_csv(blind_copy / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    history = blind_copy / "runs/dice_seed-1/history.tsv"
    history.parent.mkdir()
    history.write_bytes((blind_copy / "runs/dice_seed-0/history.tsv").read_bytes())
    results = read_results(blind_copy)
    findings = compute_findings(results)
    assert set(findings.frames["pairs"].loc[findings.frames["pairs"]["first"] == "dice", "n_seeds_first"]) == {1}
    said = next(limit.text for limit in find_limits(findings) if "learned nothing" in limit.text)
    assert said.startswith("BCE and Dice, seed 1 learned nothing")
    assert said.endswith("Results of Dice rest on its other seeds alone.")


def test_of_folds_one_is_enough(blind: StudyResults) -> None:
    written = blind.written_thresholds
    folds = pd.concat([written.assign(fold=1, learned=True), written.assign(fold=2)], ignore_index=True)
    two = StudyResults(**{**vars_of(blind), "written_thresholds": folds})
    assert two.unlearned == (BCE,)


def vars_of(results: StudyResults) -> dict[str, object]:
    return {name: getattr(results, name) for name in StudyResults.__dataclass_fields__}


def test_where_none_learned_nothing_is_recommended(study_copy: Path) -> None:
    results = unlearn(study_copy, {"bce", "dice", "tversky", "sct"})
    assert results.ranked == ()
    page = write_without_pictures(study_copy)
    assert "No model can be recommended" in page
    assert "None of the methods whose threshold was tuned has learned anything" in page
    for word in ("It helps", " beats ", "To use the model", "What to expect", "is most stable"):
        assert word not in page


def test_a_table_with_other_words_is_refused(blind_copy: Path) -> None:
    path = blind_copy / "thresholds.tsv"
    path.write_text(path.read_text().replace("True", "yes"))
    with pytest.raises(CordlesionError, match=r"thresholds\.tsv: the column learned holds other words"):
        read_results(blind_copy)


def test_cut_maps_of_a_comparator_are_a_limit(study_copy: Path) -> None:
    path = study_copy / "thresholds.tsv"
    table = pd.read_csv(path, sep="\t").astype({"seed": "Int64"})
    cuts = np.where(table["loss"] == "sct", 0.5, np.nan)
    table.assign(maps_cut_at=cuts).to_csv(path, sep="\t", index=False, na_rep="n/a")
    results = read_results(study_copy)
    said = [limit.text for limit in find_limits(compute_findings(results)) if "own cut" in limit.text]
    assert [text.split(",")[0] for text in said] == ["The maps of SCT have no values below 0.5"]


def test_t_0_is_no_neighbour_of_the_first_threshold() -> None:
    """Six scans with F1 = 0.45 at every t > 0, and 0 at t = 0: moved by 0.05, nothing changes."""
    rows = pd.DataFrame(
        {"scan_id": f"scan-{n}", "subject": f"sub-{n}", "threshold": t, "voxel_f1": 0.45 * (t > 0)}
        for n in range(6)
        for t in np.round(np.arange(21) * 0.05, 2)
    )
    assert _changes_around(rows, 0.05)["change"].tolist() == [0.0] * 6
    first = rows["threshold"] == 0.05
    assert (
        _changes_around(rows.assign(voxel_f1=rows["voxel_f1"].where(~first, 0.4)), 0.05)["change"].round(9).tolist()
        == [0.05] * 6
    )
