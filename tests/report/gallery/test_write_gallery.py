import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pandas as pd
import pytest

from cordlesion.report.gallery import Entry, shown_runs, write_gallery
from cordlesion.report.sections.scans import describe_outside
from cordlesion.study_folder.results import StudyResults, read_results
from support.fake_study import FakeStudy


@pytest.fixture(scope="module")
def copied(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    folder = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("gallery") / "study"))
    (folder / "gallery").mkdir()
    (folder / "gallery" / "sub-gone.svg").write_text("")
    return read_results(folder)


@pytest.fixture(scope="module")
def entries(copied: StudyResults) -> tuple[Entry, ...]:
    return write_gallery(copied)


def test_every_test_scan_has_an_entry_and_those_with_files_a_picture(
    copied: StudyResults, entries: tuple[Entry, ...]
) -> None:
    gallery = copied.folder.root / "gallery"
    best = copied.evaluated(copied.best, "test", copied.tuned[copied.best])
    assert {entry.scan_id for entry in entries} == set(best.index)
    for entry in entries:
        row = best.loc[entry.scan_id]
        assert (entry.n_lesions, entry.n_found) == (row["n_reference_lesions"], row["n_detected_lesions"])
        assert entry.n_false == row["n_predicted_lesions"] - row["n_true_predicted_lesions"]
        # Lesion-free scans of the fake study have no files.
        assert bool(entry.path) == bool(entry.n_lesions) != bool(entry.fault)
    assert {path.name for path in gallery.iterdir()} == {Path(entry.path).name for entry in entries if entry.path}


def test_least_overlap_comes_first_and_scans_without_lesions_last(entries: tuple[Entry, ...]) -> None:
    overlaps = [entry.voxel_f1 for entry in entries if not math.isnan(entry.voxel_f1)]
    assert overlaps == sorted(overlaps)
    rest = entries[len(overlaps) :]
    assert len(rest) == 6
    assert [entry.n_false for entry in rest] == sorted((entry.n_false for entry in rest), reverse=True)


def test_a_picture_shows_the_reference_the_best_at_both_thresholds_and_one_model_of_each_loss(
    copied: StudyResults, entries: tuple[Entry, ...]
) -> None:
    entry = next(entry for entry in entries if entry.path)
    text = (copied.folder.root / entry.path).read_text(encoding="utf-8")
    titles = re.findall(r'<text class="t"[^>]*>([^<]*)<', text)
    best, *others = shown_runs(copied)
    at = [f"{copied.label(best)}, t = {t:.2f}" for t in (copied.tuned[best], 0.5)]
    rest = [f"{copied.label(run)}, t = {copied.tuned[run]:.2f}" for run in others]
    assert titles[: 3 + len(rest)] == [at[0], "Reference", at[1], *rest]
    assert f"overlap {entry.overlap}, {entry.n_found} of {entry.n_lesions} found" in text
    assert f"{entry.n_false} false positive" in text


def test_every_scan_has_a_link_into_the_explorer(copied: StudyResults, entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        link = parse_qs(entry.link.removeprefix("#"))
        assert link == {
            "scan": [entry.scan_id],
            "set": ["test"],
            "a": [copied.best.name],
            "ta": [f"{copied.tuned[copied.best]:g}"],
        }


def test_marks_outside_the_cord_are_counted_on_the_page(results: StudyResults, entries: tuple[Entry, ...]) -> None:
    none = tuple(replace(entry, n_outside=0) for entry in entries)
    assert describe_outside(results, none) == ""
    some = (replace(none[0], n_outside=2), replace(none[1], n_outside=1), *none[2:])
    said = "3 marked lesions in 2 scans lie mostly outside the cord. `postprocess.cord_margin_mm` removes"
    assert describe_outside(results, some).startswith(said)
    one = (replace(none[0], n_outside=1), *none[1:])
    assert describe_outside(results, one).startswith("1 marked lesion in 1 scan lies mostly outside the cord.")


def test_of_several_seeds_the_best_one_is_shown(results: StudyResults) -> None:
    again = results.thresholds.assign(seed=1, score=results.thresholds["score"] + 0.01)
    both = replace(
        results,
        thresholds=pd.concat([results.thresholds, again[again["loss"] != "sct"]], ignore_index=True),
        evaluation=pd.concat(
            [results.evaluation, results.evaluation[results.evaluation["loss"] != "sct"].assign(seed=1)]
        ),
    )
    shown = shown_runs(both)
    assert shown[0] == both.best
    assert sorted(run.loss for run in shown) == sorted({run.loss for run in both.runs})
    assert all(run.seed == 1 for run in shown if run.loss != "sct")


def test_names_of_scans_become_safe_names_of_files(copied: StudyResults) -> None:
    scan_id = copied.evaluated(copied.best, "test", 0.5).index[0]
    hostile = {scan_id: "sub-<b>/../x", "sub-other": "sub-<b>_.._x"}
    files = {hostile.get(name, name): paths for name, paths in copied.manifest["scans"].items()}
    renamed = replace(
        copied,
        manifest={**copied.manifest, "scans": files},
        evaluation=copied.evaluation.replace({"scan_id": hostile}),
    )
    faults = {entry.scan_id: entry for entry in write_gallery(renamed)}
    assert "no such probability map" in faults["sub-<b>/../x"].fault
