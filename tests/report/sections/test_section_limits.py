import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.dataset import origin
from cordlesion.report.section import Findings
from cordlesion.report.sections.limits import Limit, find_limits
from cordlesion.study_folder.results import StudyResults, read_results
from support.findings import with_frames


def limits_of(results: StudyResults, findings: Findings) -> tuple[Limit, ...]:
    return find_limits(replace(findings, results=results))


def said(results: StudyResults, findings: Findings) -> str:
    return "\n".join(limit.text for limit in limits_of(results, findings))


def test_scores_that_no_rule_moves_are_not_said_to_move(results: StudyResults, findings: Findings) -> None:
    assert "move with it: the median L-F1" in said(results, findings)
    alike = with_frames(findings, rules=findings.frames["rules"].assign(median=1.0))
    assert "is a convention (here the rule “study”, that of Hussein et al. 2023)." in said(results, alike)


def test_what_is_lacking_is_said(results: StudyResults, findings: Findings) -> None:
    text = said(results, findings)
    assert "7 subjects with lesions chose the thresholds and 9 subjects with lesions tested them" in text
    assert "trained with one seed" in text
    undefined = "The threshold was chosen by median overlap, which is undefined without lesions; "
    assert f"{undefined}false positives in lesion-free scans played no part." in text
    assert "One reference per scan" in text
    assert "(here the rule “study”, that of Hussein et al. 2023)" in text
    assert not set("`'") & set(text)
    grave = [limit.grave for limit in limits_of(results, findings)]
    assert grave == sorted(grave, reverse=True)
    grave_text = " ".join(limit.text for limit in limits_of(results, findings) if limit.grave)
    assert "Few people" in grave_text
    assert "trained with one seed" in grave_text
    assert "lesion-free scans played no part" in grave_text


def test_what_the_objective_used_counts_and_not_what_the_set_holds(results: StudyResults, findings: Findings) -> None:
    splits = results.splits.copy()
    first = splits.index[splits["set"] == "threshold"][0]
    splits.loc[first, ["n_reference_lesions", "reference_volume_mm3"]] = 0
    assert "lesion-free scans played no part" in said(replace(results, splits=splits), findings)
    used = results.thresholds.assign(n_lesion_free=2, objective="pooled_voxel_f1")
    assert "lesion-free scans played no part" not in said(replace(results, thresholds=used), findings)
    unused = results.thresholds.assign(objective="pooled_voxel_f1")
    text = said(replace(results, thresholds=unused), findings)
    assert "chosen by overlap of all scans pooled, on scans with lesions only; false positives" in text


def test_of_folds_the_smallest_counts(results: StudyResults, findings: Findings) -> None:
    written = results.written_thresholds
    folds = pd.concat([written.assign(fold=1, n_subjects=3), written.assign(fold=2, n_subjects=2)], ignore_index=True)
    text = said(replace(results, written_thresholds=folds), findings)
    assert "Few people: in each fold 2 to 3 subjects chose the threshold and 9 subjects with lesions tested all" in text


def test_lesions_too_small_to_count_are_told(results: StudyResults, findings: Findings) -> None:
    none = with_frames(findings, operation=findings.frames["operation"].assign(n_lesions=0))
    (limit,) = (limit for limit in limits_of(results, none) if "large enough to count" in limit.text)
    assert limit.grave


def test_what_is_not_lacking_is_not_said(results: StudyResults, findings: Findings) -> None:
    text = said(results, findings)
    for absent in (
        "simulated",
        "reduced",
        "left out",
        "No test scan is free",
        "come from one site",
        "not trained here",
        "large enough to count",
    ):
        assert absent not in text


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ({"site": "Rennes"}, "All test scans come from one site (Rennes)."),
        ({"site": ""}, "The site of the test scans is not recorded"),
        ({"orientation": "axial"}, "All test scans have axial slices."),
        ({"subject": "sub-1"}, "The 15 test scans are of 1 subject. Tests and"),
    ],
)
def test_limits_of_the_test_scans(
    results: StudyResults, findings: Findings, change: dict[str, str], limit: str
) -> None:
    assert limit not in said(results, findings)
    assert limit in said(replace(results, splits=results.splits.assign(**change)), findings)


def test_a_wide_interval_and_an_end_of_the_grid_are_said(results: StudyResults, findings: Findings) -> None:
    wide = results.written_thresholds.assign(interval_low=0.1, interval_high=0.8)
    assert "spans 0.70 of the scale" in said(replace(results, written_thresholds=wide), findings)
    at_end = results.thresholds.assign(threshold=0.05)
    assert "lies at the end of the grid" in said(replace(results, thresholds=at_end), findings)


def test_other_settings_at_an_end_are_said(results: StudyResults, findings: Findings) -> None:
    """A minimum volume that is tuned with the threshold, and the settings of a further rule."""
    assert "more may be gained" not in said(results, findings)
    threshold = results.config.threshold.model_copy(update={"minimum_volumes_mm3": (0.0, 3.0, 10.0)})
    written = results.written_thresholds.assign(minimum_volume_mm3=10.0)
    tuned = replace(results, written_thresholds=written)
    tuned.__dict__["config"] = results.config.model_copy(update={"threshold": threshold})
    names = ", ".join(results.label(run) for run in results.ranked[:-1])
    assert f"10 mm3 is the largest minimum volume that was tried ({names}" in said(tuned, findings)
    rows = [("peak", "minimum_volume_mm3", 24.0), ("peak", "peak", 1.0), ("my_rules:Own", "share", 1.0)]
    chosen = pd.DataFrame(rows, columns=["threshold_rule", "setting", "value"]).assign(loss="dice", seed=0)
    text = said(replace(results, rule_choices=chosen), findings)
    assert "By the threshold rule peak, 24 mm3 is the largest minimum volume that was tried (Dice): more may" in text
    assert text.count("more may be gained") == 1


def test_a_training_that_was_still_getting_better_is_said(results: StudyResults, findings: Findings) -> None:
    falling = pd.DataFrame({"epoch": [1, 2], "validation_loss": [0.5, 0.4]})
    histories = {run: falling for run in results.histories if run.loss == "dice"}
    assert "The validation loss of Dice was lowest in the last epoch" in said(
        replace(results, histories=histories), findings
    )


def test_sets_with_unlike_lesions_are_told(results: StudyResults, findings: Findings) -> None:
    splits = results.splits.copy()
    splits.loc[splits["set"] == "test", "reference_volume_mm3"] *= 50
    assert "differ in amount" in said(replace(results, splits=splits), findings)


def test_scans_in_which_the_cord_was_lost_are_told(study_copy: Path, findings: Findings) -> None:
    path = study_copy / "manifest.json"
    path.write_text(path.read_text().replace('"partial": {}', '"partial": {"sub-9": "lost at k = 3"}'))
    assert "The cord was lost inside 1 scan (see the cohort)" in said(read_results(study_copy), findings)
    assert "cord was lost" not in said(findings.results, findings)


def test_excluded_scans_and_reduced_runs_are_told(study_copy: Path, findings: Findings) -> None:
    path = study_copy / "manifest.json"
    path.write_text(path.read_text().replace('"excluded": {}', '"excluded": {"sub-9": "no cord"}'))
    with (study_copy / "study.yaml").open("a") as stream:
        stream.write("reduced: {scans: 20, epochs: 2}\ncomparators: [{name: other, maps: maps}]\n")
    text = said(read_results(study_copy), findings)
    assert "1 scan was left out" in text
    assert "This is a reduced run: at most 20 scans, 2 epochs" in text
    assert "other was not trained here" in text


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"GeneratedBy": [{"Name": "cordlesion simulate"}]}, True),
        ({"GeneratedBy": [{"Name": "dcm2bids"}]}, False),
        ({"Name": "cordlesion simulate"}, False),
        ({"GeneratedBy": "cordlesion simulate"}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_dataset_says_of_itself_that_it_is_simulated(tmp_path: Path, described: object, expected: bool) -> None:
    if described is not None:
        (tmp_path / "dataset_description.json").write_text(json.dumps(described))
    assert origin.is_simulated(tmp_path) is expected


def test_promises_that_were_set_afterwards_are_said(results: StudyResults, findings: Findings) -> None:
    late = "promises were set after the test set was opened"
    assert late not in said(results, findings)
    for limit, expected in ((0.3, True), (0.2, False)):
        opened = {"primary_sha256": None, "promises": {"missed": limit}}
        manifest = {**results.manifest, "test_set_opened": opened}
        assert (late in said(replace(results, manifest=manifest), findings)) == expected


def test_a_margin_that_was_set_afterwards_is_said(results: StudyResults, findings: Findings) -> None:
    late = "The margin of equivalence, 0.05, was set after the test set was opened"
    assert late not in said(results, findings)
    opened = {"primary_sha256": None, "equivalence_margin": 0.1}
    assert late in said(replace(results, manifest={**results.manifest, "test_set_opened": opened}), findings)
    opened = {"primary_sha256": None, "equivalence_margin": 0.05}
    assert late not in said(replace(results, manifest={**results.manifest, "test_set_opened": opened}), findings)
