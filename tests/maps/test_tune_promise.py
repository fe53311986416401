"""`tune --at-most-missed`, `--at-most-false-positives`: the promise with its price, in words, files and masks."""

import json
import re

import numpy as np
import pytest
import yaml

import cordlesion
from cordlesion.config import PromisesConfig
from cordlesion.errors import CordlesionError
from support.guide import Python, Shell, run_blocks
from support.images import box, write_image

SHAPE = (14, 15, 16)
LESIONS = [box((2, 5), (2, 5), (2, 6), shape=SHAPE) > 0, box((8, 11), (8, 11), (8, 12), shape=SHAPE) > 0]
FALSE = box((2, 5), (10, 13), (11, 15), shape=SHAPE)


def write(folder, n_subjects):
    """Both lesions have p = 0.6, in each third subject one of them 0.3; something false has 0.4."""
    for number in range(n_subjects):
        p = np.where(LESIONS[0] | LESIONS[1], 0.6, 0.02) + 0.38 * FALSE
        p[LESIONS[1]] -= 0.3 * (number % 3 == 0)
        name = f"sub-{number:02}"
        write_image(folder / "references" / f"{name}.nii.gz", (LESIONS[0] | LESIONS[1]).astype(np.uint8))
        write_image(folder / "maps" / f"{name}.nii.gz", p.astype(np.float32))
    return ["--reference", folder / "references", "--probability", folder / "maps"]


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """36 subjects are enough for a promise, 8 are not."""
    return {n: write(tmp_path_factory.mktemp(f"of-{n}"), n) for n in (8, 36)}


def test_the_promise_is_printed_with_its_price_and_kept_by_the_masks(maps, tmp_path, cli):
    written, objective = tmp_path / "thresholds.json", ["--objective", "mean_lesion_f1"]
    balanced = cli("tune", *maps[36], *objective, "-o", tmp_path / "balanced.json")
    assert "threshold 0.5" in balanced.output
    assert "promises" not in (tmp_path / "balanced.json").read_text()
    done = cli("tune", *maps[36], *objective, "--at-most-missed", 0.15, "-o", written)
    assert done.status == 0
    said = " ".join(done.output.split())
    assert "at most 15 % of lesions are missed, with 95 % certainty; price on the threshold set: 1.0 false pos" in said
    assert "that was tried" not in said  # the maps were cut at 0.3: lower thresholds give the same masks
    record = json.loads(written.read_text())
    assert record["threshold"] <= 0.3
    assert record["threshold_rule"]["promises"] == [
        {"risk": "missed", "limit": 0.15, "certainty": 0.95, "unit": "subjects", "n": 36, "lesion_rule": "study"}
        | {"lesion_free": False, "counted_up_to": None}
    ]
    assert record["interval"] is None
    cli("cut", "--probability", maps[36][3], "--threshold", written, "-o", tmp_path / "masks", "--names", "same")
    beside = json.loads((tmp_path / "masks/threshold_rule.json").read_text())
    assert beside["threshold_rule"] == record["threshold_rule"]
    found = cordlesion.evaluate_files(maps[36][1], tmp_path / "masks").table
    assert (found["n_detected_lesions"] == 2).all()


def test_few_false_positives_cost_lesions(maps):
    choice = cordlesion.tune_files(
        maps[36][1], maps[36][3], objective="median_voxel_f1", at_most_false_positives=0.5, certainty=0.9
    )
    assert 0.4 < choice.value <= 0.6
    assert choice.rule.promises == tuple(choice.promises)
    assert [(one.risk, one.certainty, one.lesion_free) for one in choice.promises] == [("false_positives", 0.9, False)]


def test_a_promise_that_breaks_the_condition_of_the_objective_says_so(maps, tmp_path, cli):
    done = cli(
        *("tune", *maps[36], "--objective", "lesion_sensitivity:0.5", "--at-most-missed", 0.15),
        *("-o", tmp_path / "thresholds.json"),
    )
    assert done.status == 0  # one false positive per scan where no more than 15 % are missed
    assert "(lesion_sensitivity:0.5 has no score here: its condition is not met; 36 scans" in said(done)
    assert json.loads((tmp_path / "thresholds.json").read_text())["score"] is None


def test_too_few_subjects_get_their_number_and_no_file(maps, tmp_path, cli):
    output = tmp_path / "thresholds.json"
    done = cli("tune", *maps[8], "--at-most-missed", 0.2, "-o", output)
    assert done.status == 2
    said = " ".join(done.error.split())
    assert "maps: at most 20 % of lesions are missed: cannot be promised with 95 % certainty: 8 subjects with" in said
    assert "like these would be enough. What they show with 95 % certainty: at t = 0.05 at most " in said
    assert said.endswith("Add subjects to the threshold set, or allow more with --at-most-missed.")
    assert not output.exists()


def test_what_they_show_instead_is_the_smallest_limit_that_is_promised(maps):
    """The sentence of the refusal: this limit is promised, and one per cent less is not."""
    with pytest.raises(CordlesionError) as refusal:
        cordlesion.tune_files(maps[8][1], maps[8][3], at_most_missed=0.2)
    (limit,) = re.findall(r"at t = 0.05 at most (\d+) % of lesions are missed. This holds although", str(refusal.value))
    made = cordlesion.tune_files(maps[8][1], maps[8][3], at_most_missed=int(limit) / 100)
    assert made.promises[0].limit == int(limit) / 100
    with pytest.raises(CordlesionError, match="cannot be promised"):
        cordlesion.tune_files(maps[8][1], maps[8][3], at_most_missed=int(limit) / 100 - 0.01)


def test_of_two_limits_that_are_too_low_nothing_is_said_instead(maps):
    with pytest.raises(CordlesionError, match=r"cannot be promised .* enough\. Allow more with"):
        cordlesion.tune_files(maps[8][1], maps[8][3], at_most_missed=0.2, at_most_false_positives=0.1)


def test_where_no_limit_is_supported_none_is_named_and_no_higher_one_is_advised(tmp_path):
    """Five subjects show nothing at 95 %, even if no lesion is missed in any of them; six do."""
    few, more = write(tmp_path / "few", 5), write(tmp_path / "more", 6)
    with pytest.raises(CordlesionError) as refusal:
        cordlesion.tune_files(few[1], few[3], at_most_missed=0.9)
    assert str(refusal.value).endswith(
        " would be enough. These scans support no limit of this kind, however high. Add subjects to the threshold set, "
        "or leave out --at-most-missed."
    )
    assert cordlesion.tune_files(more[1], more[3], at_most_missed=0.9).promises


def test_a_refusal_says_that_files_count_as_people(tmp_path):
    folders = write(tmp_path, 8)
    for path in tmp_path.glob("*/sub-*"):
        path.rename(path.with_name(path.name.replace("sub-", "case")))
    with pytest.raises(CordlesionError, match=r"at-most-missed\. 8 files count as 8 people, because their names"):
        cordlesion.tune_files(folders[1], folders[3], at_most_missed=0.2)


def test_cut_and_evaluate_recall_the_promise_beside_what_they_measure(maps, tmp_path, cli):
    """In each third subject one of two lesions has p = 0.3, which t <= 0.3 finds, and t = 0.5 does not."""
    written, masks = tmp_path / "thresholds.json", tmp_path / "masks"
    cli("tune", *maps[36], "--objective", "mean_lesion_f1", "--at-most-missed", 0.15, "-o", written)
    recalled = "promised: at most 15 % of lesions are missed, with 95 % certainty, for people like the 36 subjects of"
    done = cli("cut", "--probability", maps[36][3], "--threshold", written, "-o", masks)
    assert f"36 masks at threshold {json.loads(written.read_text())['threshold']:g} ({recalled}" in said(done)
    table = ("-o", tmp_path / "metrics.tsv")
    measured = f"{recalled} the threshold set; measured: 0 % of lesions missed [0, "
    of_maps = cli("evaluate", *maps[8][:2], *maps[8][2:], "--threshold", written, *table)
    assert measured in said(of_maps)
    assert "in the mean over 8 subjects" in said(of_maps)
    assert measured in said(cli("evaluate", *maps[36][:2], "--prediction", masks, *table))
    other = cli("evaluate", *maps[8], "--threshold", written, *table, "--rule", "anima")
    assert "by the lesion rule study; these scans were measured by anima, so that this shows nothing of" in said(other)
    assert "promised" not in said(cli("evaluate", *maps[8], "--threshold", 0.5, *table))
    assert "promised" not in said(cli("cut", "--probability", maps[36][3], "--threshold", 0.5, "-o", tmp_path / "m"))


def test_false_positives_that_were_promised_with_lesions_are_measured_there(maps, tmp_path, cli):
    """One false positive in each scan below t = 0.4; a lesion-free scan with another takes no part."""
    written, table = tmp_path / "thresholds.json", ("-o", tmp_path / "metrics.tsv")
    assert cli("tune", *maps[36], "--at-most-false-positives", 1.5, "-o", written).status == 0
    folders = write(tmp_path, 6)
    write_image(tmp_path / "references/sub-90.nii.gz", np.zeros(SHAPE, np.uint8))
    write_image(tmp_path / "maps/sub-90.nii.gz", (0.9 * (LESIONS[0] | LESIONS[1] | (FALSE > 0))).astype(np.float32))
    found = said(cli("evaluate", *folders, "--threshold", written, *table))
    assert "at most 1.5 false positives per scan with lesions, with 95 % certainty, for people like" in found
    chosen = json.loads(written.read_text())["threshold"]
    assert f"measured: {float(chosen <= 0.4):.1f} false positives per scan" in found
    assert "in the mean over 6 subjects" in found


def said(done):
    return " ".join((done.output + done.error).split())


def test_lesion_free_scans_that_are_not_there_are_promised_nothing(maps, tmp_path, cli):
    done = cli("tune", *maps[36], "--at-most-false-positives", 1.5, "-o", tmp_path / "a.json")
    assert "nothing is promised for lesion-free scans, of which the threshold set has none." in " ".join(
        done.output.split()
    )


def test_the_page_on_promises_does_what_it_says(tmp_path, monkeypatch, cli):
    write(tmp_path, 36)
    (tmp_path / "references").rename(tmp_path / "labels")
    (tmp_path / "maps").rename(tmp_path / "predictions")
    monkeypatch.chdir(tmp_path)
    read = []
    run_blocks("promises", {"bash": Shell(cli).run, "python": Python().run, "yaml": read.append, "text": str})
    record = json.loads((tmp_path / "thresholds.json").read_text())
    assert [one["limit"] for one in record["threshold_rule"]["promises"]] == [0.7]
    (asked,) = (yaml.safe_load(code)["threshold"]["promises"] for code in read)
    assert PromisesConfig(**asked).missed == 0.3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"at_most_missed": 1}, "--at-most-missed: missed: the limit is 1; a value above 0 and below 1 is needed"),
        ({"at_most_false_positives": 0}, "--at-most-false-positives: false positives: the limit is 0"),
        ({"at_most_missed": 0.2, "certainty": 0.2}, "^--certainty: The certainty is 0.2; a share from"),
        ({"certainty": 0.9}, "--certainty is given without a promise"),
        ({"at_most_missed": 0.2, "threshold_rule": "peak"}, "with the threshold rule peak; a promise needs the rule"),
    ],
)
def test_what_cannot_be_promised_gets_a_sentence(maps, options, sentence):
    with pytest.raises(CordlesionError, match=sentence):
        cordlesion.tune_files(maps[8][1], maps[8][3], **options)
