from dataclasses import replace

import pandas as pd

from cordlesion.report.page import compute_findings
from cordlesion.report.sections.answers.questions import answer_questions
from cordlesion.report.sections.recommendation.brief import Brief, write_brief
from cordlesion.study_folder.results import StudyResults
from support.findings import with_frames


def brief_of(results: StudyResults) -> Brief:
    return write_brief(compute_findings(results))


def expected(brief: Brief, what: str) -> tuple[str, str]:
    (row,) = (row for row in brief.expectations if row.what.startswith(what))
    return row.tuned.main, row.default.main


def test_brief_tells_the_winner_why_and_what_to_expect_of_it(results: StudyResults) -> None:
    brief, best = brief_of(results), results.best
    assert (brief.model, brief.threshold) == (results.label(best), f"{results.tuned[best]:.2f}")
    assert f"this model gives it a probability of {results.tuned[best]:.2f} or more." in brief.meaning
    assert brief.trained_with == "Tversky loss"
    score = results.thresholds["score"].max()
    assert brief.why.startswith(
        "Chosen among 4 methods by the median overlap (voxel F1), as in Hussein et al., on the 7 scans kept for "
        f"choosing thresholds: {score:.2f}. Being chosen makes that too high; corrected: "
    )
    assert brief.bundle == f"runs/{best.name}/bundle"
    at = [results.evaluated(best, "test", t) for t in (results.tuned[best], 0.5)]
    assert brief.n_test == len(at[0]) == 15
    found = [f"{s['n_detected_lesions'].sum() / s['n_reference_lesions'].sum():.0%}".replace("%", " %") for s in at]
    assert expected(brief, "Lesions found") == tuple(found)
    false = [f"{(s['n_predicted_lesions'] - s['n_true_predicted_lesions']).mean():.1f}" for s in at]
    assert expected(brief, "False positives") == tuple(false)
    clean = [(s[s["n_reference_lesions"] == 0]["n_predicted_lesions"] == 0).mean() for s in at]
    assert expected(brief, "Lesion-free scans") == tuple(f"{share:.0%}".replace("%", " %") for share in clean)
    assert expected(brief, "Overlap") == tuple(f"{s['voxel_f1'].median():.2f}" for s in at)


def test_what_had_no_threshold_to_tune_was_not_compared_by_it(results: StudyResults) -> None:
    tuned = {name: getattr(results, name) for name in ("thresholds", "written_thresholds")}
    fewer = {name: table[table["loss"] != "sct"] for name, table in tuned.items()}
    assert brief_of(replace(results, **fewer)).why.startswith("Chosen among 3 loss functions by the")


def test_where_no_lesion_counts_nothing_is_said_of_those_found(results: StudyResults) -> None:
    findings = compute_findings(results)
    none = with_frames(
        findings, operation=findings.frames["operation"].assign(n_lesions=0, n_found=0, found=float("nan"))
    )
    brief = write_brief(none)
    assert not brief.has_lesions
    assert [row.what.split()[0] for row in brief.expectations] == ["False", "Lesion-free", "Overlap"]


def test_one_run_has_nothing_to_be_compared_with(results: StudyResults) -> None:
    tables = {name: getattr(results, name) for name in ("thresholds", "written_thresholds", "evaluation", "sweep")}
    tables |= {name: getattr(results, name) for name in ("rules", "strata", "froc", "calibration", "reliability")}
    alone = {name: table[table["loss"] == "tversky"] for name, table in tables.items()}
    findings = compute_findings(replace(results, **alone))
    brief = write_brief(findings)
    assert brief.why.startswith("Threshold chosen by the median overlap")
    assert brief.reasons[0].text == "Nothing else was compared."
    assert [answer.question for answer in answer_questions(findings)] == ["Does tuning the threshold help?"]


def test_where_half_is_the_tuned_threshold_it_is_said_once(results: StudyResults) -> None:
    best = results.best
    mine = (results.thresholds["loss"] == best.loss).to_numpy()

    def at_half(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(threshold=table["threshold"].where(~mine, 0.5))

    tables = {name: at_half(getattr(results, name)) for name in ("thresholds", "written_thresholds")}
    brief = brief_of(replace(results, **tables))
    assert not brief.has_default
    assert brief.reasons[-1].text == "0.5 is what tuning chose."
    assert "0.5 does" not in brief.reasons[1].text


def test_of_several_folds_each_has_its_threshold(results: StudyResults) -> None:
    written = results.written_thresholds
    folds = pd.concat([written.assign(fold=1), written.assign(fold=2, threshold=0.9)], ignore_index=True)
    brief = brief_of(replace(results, written_thresholds=folds, sweep=results.sweep.assign(fold=1)))
    assert brief.threshold == f"{results.tuned[results.best]:.2f}, 0.90"
    assert brief.meaning.startswith("Each of the 2 folds has a network of its own and chose a threshold of its own")
    assert brief.bundle == ""
    assert "7 scans kept in each fold for choosing its threshold" in brief.why
    same = folds.assign(threshold=0.9, n_scans=folds["fold"] + 4)
    alike = brief_of(replace(results, written_thresholds=same, sweep=results.sweep.assign(fold=1)))
    assert alike.threshold == "0.90"
    assert alike.meaning.startswith("Each of the 2 folds has a network of its own and chose a threshold, all the same;")
    assert "0.90 or more" in alike.meaning
    assert "5 to 6 scans kept in each fold" in alike.why
