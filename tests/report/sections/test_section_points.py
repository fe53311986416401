"""The operating points on the first screen: a promise with its price, or what is lacking for one."""

import math
import re
from pathlib import Path

import pandas as pd

from cordlesion.report.sections.recommendation.points import write_points
from cordlesion.study_folder.results import read_results
from cordlesion.study_folder.tables import OPERATING_POINTS
from support.page import Page

COMMON = {"loss": "tversky", "seed": 0, "certainty": 0.95, "n_subjects": 31, "n_test_subjects": 65}
BALANCED = {"point": "balanced", "threshold": 0.45, "missed": 0.4, "false_positives": 2.0, "lesion_free": False}
BALANCED |= {"test_missed": 0.44, "test_missed_low": 0.32, "test_missed_high": 0.57}
BALANCED |= {"test_false_positives": 2.44, "test_false_positives_low": 2.0, "test_false_positives_high": 3.0}
SENSITIVE = BALANCED | {"point": "sensitive", "risk": "missed", "limit": 0.2, "threshold": 0.1, "test_missed": 0.17}
FEW = {"point": "specific", "risk": "false_positives", "limit": 1.0, "needed": 50, "nearest": 0.5, "lesion_free": False}
FEW |= {"missed": 0.7, "false_positives": 0.4}
NEVER = {"point": "sensitive", "risk": "missed", "limit": 0.2, "nearest": 0.15, "missed": 0.51, "lesion_free": False}


def write(folder: Path, *rows: dict) -> Path:
    table = pd.DataFrame([dict.fromkeys(OPERATING_POINTS.required_names, math.nan) | COMMON | row for row in rows])
    table.to_csv(folder / "operating_points.tsv", sep="\t", index=False, na_rep="n/a")
    return folder


def points_of(folder: Path, *rows: dict) -> dict:
    return {one.name: one for one in write_points(read_results(write(folder, *rows)))}


def test_each_point_says_its_promise_and_what_it_costs(study_copy: Path) -> None:
    points = points_of(study_copy, BALANCED, SENSITIVE, FEW)
    assert list(points) == ["balanced", "sensitive", "specific"]
    assert points["balanced"].threshold == "0.45"
    assert points["balanced"].text == (
        "Chosen for the median voxel F1; nothing is promised. In the mean over the 65 test subjects with lesions: 44 % "
        "of lesions missed [32, 57 %] and 2.4 false positives per scan [2.0, 3.0]."
    )
    assert points["sensitive"].threshold == "0.10"
    assert points["sensitive"].text == (
        "At most 20 % of lesions are missed, with 95 % certainty. In the mean over the 65 test subjects with lesions: "
        "17 % of lesions missed [32, 57 %], at the price of 2.4 false positives per scan [2.0, 3.0]."
    )
    assert points["specific"].threshold == ""
    assert points["specific"].text == (
        "At most 1 false positive per scan with lesions: this cannot be promised with 95 % certainty. The threshold "
        "set has 31 subjects; about 50 like these would be enough."
    )


def test_the_option_is_named_where_the_model_has_the_rule(study_copy: Path) -> None:
    assert points_of(study_copy, BALANCED, SENSITIVE)["sensitive"].option == ""
    bundle = study_copy / "runs" / "tversky_seed-0" / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "model.json").write_text('{"further_rules": {"sensitive": {}}}')
    points = points_of(study_copy, BALANCED, SENSITIVE, FEW)
    assert [one.option for one in points.values()] == ["", "--threshold-rule sensitive", ""]


def test_what_no_number_of_subjects_shows_is_said(study_copy: Path) -> None:
    text = points_of(study_copy, BALANCED, NEVER)["sensitive"].text
    assert text == (
        "At most 20 % of lesions are missed: this cannot be promised with 95 % certainty, whatever the number of "
        "subjects: even t = 0.15, the nearest, has 51 % of lesions missed on the threshold set."
    )


def test_a_good_threshold_that_is_never_shown_is_no_matter_of_a_worse_model(study_copy: Path) -> None:
    text = points_of(study_copy, BALANCED, NEVER | {"nearest": 0.3, "missed": 0.02})["sensitive"].text
    assert text == (
        "At most 20 % of lesions are missed: this cannot be promised with 95 % certainty. t = 0.30, the nearest, has "
        "2 % of lesions missed on the threshold set, but is too close to the limit or tested after thresholds that "
        "break it; 2000 subjects like these would not be enough."
    )


def test_lesion_free_scans_are_named_only_where_they_do_not_count(study_copy: Path) -> None:
    counted = {"lesion_free": True}
    points = points_of(study_copy, BALANCED | counted, FEW | counted)
    assert points["specific"].text.startswith("At most 1 false positive per scan: this")
    assert "the 65 test subjects: " in points["balanced"].text


def test_earlier_studies_and_folds_have_no_points(study_copy: Path) -> None:
    (study_copy / "operating_points.tsv").unlink()
    assert write_points(read_results(study_copy)) == ()
    folds = [BALANCED | {"fold": fold} for fold in (1, 2)]
    assert points_of(study_copy, *folds) == {}


def test_the_page_holds_every_point_as_text_and_a_radio_button_each(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    read = Page(text)
    radios = [attributes for tag, attributes in read.elements if tag == "input" and attributes.get("type") == "radio"]
    assert [one["id"] for one in radios] == ["point-balanced", "point-sensitive", "point-specific"]
    assert ["checked" in one for one in radios] == [True, False, False]
    assert {one["name"] for one in radios} == {"point"}
    labels = [attributes.get("for") for tag, attributes in read.elements if tag == "label"]
    assert labels[: len(radios)] == [one["id"] for one in radios]
    assert {"fieldset", "legend"} <= read.tags
    for words in ("Sensitive: t = 0.10.", "about 50 like these would be enough", "At most 20 % of lesions"):
        assert words in read.text
    assert re.search(r":has\(#point-specific:checked\) \.of-specific", text)


def test_a_point_is_chosen_by_keyboard_without_scripts(reported: Path, browser) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, java_script_enabled=False)
    view = context.new_page()
    view.goto((reported / "report.html").as_uri())
    box = view.locator("fieldset.points").bounding_box()
    assert box["y"] + box["height"] <= 720
    shown = view.locator(".points p:visible")
    assert shown.all_inner_texts()[0].startswith("Balanced")
    view.locator("#point-balanced").focus()
    view.keyboard.press("ArrowRight")
    assert [text[:9] for text in shown.all_inner_texts()] == ["Sensitive"]
    view.emulate_media(media="print")
    assert len(shown.all_inner_texts()) == 3
    view.emulate_media(media="screen")
    view.set_viewport_size({"width": 390, "height": 844})
    box = view.locator("fieldset.points").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    context.close()
