import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.io.tables import read_table, write_table
from cordlesion.maps.compare import COMPARISON_NOTE, compare_files
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.maps.tune import tune_files
from cordlesion.metrics import RULES
from cordlesion.metrics.columns import METRIC_COLUMNS, SCORE_COLUMNS
from cordlesion.threshold import FINE_THRESHOLDS, GRIDS, OBJECTIVES
from support.images import SHAPE, box, noise, truncate, write_image

LESION = box((4, 10), (4, 10), (4, 10))


@pytest.fixture
def folders(tmp_path):
    """References and maps of four scans, the last without lesion; the best cut is anywhere above 0.3 and up to 0.6."""
    reference, maps = tmp_path / "reference", tmp_path / "maps"
    for n in range(4):
        lesion = LESION * (n < 3)
        write_image(reference / f"sub-{n}_label-lesion_seg.nii.gz", lesion.astype(np.uint8))
        probability = np.where(lesion, 0.6, 0.003 * noise(seed=n)).astype(np.float32)
        write_image(maps / f"sub-{n}_label-lesion_probseg.nii.gz", probability)
    return reference, maps


@pytest.fixture
def masks(tmp_path):
    for n in range(4):
        write_image(tmp_path / "masks" / f"sub-{n}_label-lesion_mask.nii.gz", box((4, 10), (4, 10), (4 + n, 10)))
    return tmp_path / "masks"


def test_masks_are_evaluated_into_one_tidy_table(folders, masks, tmp_path):
    assert evaluate_files(folders[0], masks, output=tmp_path / "out" / "metrics.tsv").excluded == {}
    table = read_table(tmp_path / "out" / "metrics.tsv")
    assert list(table.columns) == ["scan_id", "subject", "session", *METRIC_COLUMNS, "rule"]
    assert table["scan_id"].tolist() == [f"sub-{n}" for n in range(4)]
    assert table["voxel_sensitivity"].tolist()[:3] == pytest.approx([1, 5 / 6, 4 / 6])
    assert np.isnan(table["voxel_f1"].iloc[3])
    assert table["n_predicted_lesions"].tolist() == [1, 1, 1, 1]
    assert table["n_reference_lesions"].tolist() == [1, 1, 1, 0]


def test_one_unusable_scan_is_listed_and_the_others_go_on(folders, masks, tmp_path):
    truncate(masks / "sub-1_label-lesion_mask.nii.gz")
    write_image(masks / "sub-9_label-lesion_mask.nii.gz", LESION)
    faults = evaluate_files(folders[0], masks, output=tmp_path / "metrics.tsv").excluded
    assert sorted(faults) == sorted(["sub-1", str(masks / "sub-9_label-lesion_mask.nii.gz")])
    assert read_table(tmp_path / "metrics.tsv")["scan_id"].tolist() == ["sub-0", "sub-2", "sub-3"]


def test_nothing_is_written_where_nothing_could_be_evaluated(folders, masks, tmp_path):
    for path in masks.iterdir():
        truncate(path)
    for run in (
        lambda out: evaluate_files(folders[0], masks, output=out),
        lambda out: tune_files(folders[0], masks, output=out),
    ):
        with pytest.raises(CordlesionError, match="truncated or damaged"):
            run(tmp_path / "out.tsv")
    assert not (tmp_path / "out.tsv").exists()


def test_the_threshold_is_chosen_with_its_curve(folders, tmp_path):
    assert tune_files(*folders, output=tmp_path / "thresholds.json").excluded == {}
    chosen = json.loads((tmp_path / "thresholds.json").read_text())
    curve = {row["threshold"]: row["score"] for row in chosen["curve"]}
    assert [t for t, score in curve.items() if score == 1.0] == [0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6]
    assert (chosen["threshold"], chosen["score"]) == (0.45, 1.0)
    assert curve[0.0] == pytest.approx(2 * 216 / (216 + np.prod(SHAPE)))
    assert curve[0.65] == 0
    assert (chosen["objective"], chosen["rule"], chosen["grid"]) == ("median_voxel_f1", "study", "paper")
    assert chosen["plateau"] == [0.3, 0.6]
    assert chosen["score_lost_at_0.05_below_and_above"] == [0, 0]
    assert 0.3 < chosen["area_under_curve"] < 0.5
    scans = {name: chosen[name] for name in ("n_scans", "n_subjects", "n_lesion_free", "n_left_out")}
    assert scans == {"n_scans": 3, "n_subjects": 3, "n_lesion_free": 0, "n_left_out": 1}
    assert chosen["lesion_free_scans"] == "left out"


def test_what_is_returned_is_what_is_written(folders, masks, tmp_path):
    """And without an output nothing is written."""
    given = [evaluate_files(folders[0], masks).table, tune_files(*map(str, folders))]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps", "masks", "reference"]
    written = [tmp_path / "m.tsv", tmp_path / "t.json"]
    evaluate_files(folders[0], masks, output=written[0])
    assert tune_files(*folders, output=str(written[1])).value == given[1].value
    pd.testing.assert_frame_equal(read_table(written[0]), given[0])
    chosen = json.loads(written[1].read_text())
    assert (chosen["threshold"], chosen["n_scans"]) == (given[1].value, given[1].n_scans)
    compared = compare_files(written[0], str(written[0]), output=tmp_path / "c.tsv").table
    pd.testing.assert_frame_equal(read_table(tmp_path / "c.tsv"), compared, check_dtype=False)


def test_excluded_scans_are_returned(folders, masks):
    for path in (masks / "sub-1_label-lesion_mask.nii.gz", folders[1] / "sub-2_label-lesion_probseg.nii.gz"):
        truncate(path)
    metrics, choice = evaluate_files(folders[0], masks), tune_files(*folders)
    assert (list(metrics.excluded), list(choice.excluded)) == (["sub-1"], ["sub-2"])
    assert (len(metrics.table), choice.n_scans) == (3, 2)
    assert "Excluded: " in metrics._repr_html_()


def test_other_objectives_see_the_scan_without_lesion(folders, tmp_path):
    reference, maps = folders
    write_image(maps / "sub-3_label-lesion_probseg.nii.gz", np.where(LESION, 0.5, 0).astype(np.float32))
    tune_files(reference, maps, output=tmp_path / "t.json", objective="joint_f1_specificity")
    chosen = json.loads((tmp_path / "t.json").read_text())
    assert (chosen["threshold"], chosen["score"]) == (0.55, 1.0)
    assert (chosen["n_scans"], chosen["n_lesion_free"], chosen["lesion_free_scans"]) == (4, 1, "needed")
    tune_files(reference, maps, output=tmp_path / "t.json", objective="lesion_sensitivity:0.2")
    chosen = json.loads((tmp_path / "t.json").read_text())
    assert (chosen["threshold"], chosen["objective"]) == (0.55, "lesion_sensitivity:0.2")
    # JSON has no NaN: over the budget there is no score.
    assert {row["threshold"]: row["score"] for row in chosen["curve"]}[0.5] is None


def test_a_choice_at_the_edge_of_the_grid_is_told(folders, tmp_path, capsys):
    reference, maps = folders
    for path in maps.iterdir():
        probability = np.where(LESION, 0.06, 0.04).astype(np.float32)
        write_image(path, probability)
    with shown():
        tune_files(reference, maps, output=tmp_path / "t.json")
        assert "--grid fine tries lower ones" in capsys.readouterr().out.replace("\n", " ")
        tune_files(reference, maps, output=tmp_path / "t.json", grid="fine")
    assert "--grid fine" not in capsys.readouterr().out
    chosen = json.loads((tmp_path / "t.json").read_text())
    assert (chosen["threshold"], chosen["grid"]) == (0.05, "fine")
    assert [row["threshold"] for row in chosen["curve"]] == list(FINE_THRESHOLDS)
    assert chosen["score_lost_at_0.05_below_and_above"][1] == 1


def test_references_without_any_lesion_choose_no_threshold(folders, tmp_path):
    reference, maps = folders
    for n in range(3):
        (reference / f"sub-{n}_label-lesion_seg.nii.gz").unlink()
    with pytest.raises(CordlesionError, match="has a lesion"):
        tune_files(reference, maps, output=tmp_path / "thresholds.json")
    assert not (tmp_path / "thresholds.json").exists()


def test_masks_are_no_maps_to_tune(folders, masks, tmp_path):
    for n in range(4):
        (masks / f"sub-{n}_label-lesion_mask.nii.gz").rename(masks / f"sub-{n}_label-lesion_probseg.nii.gz")
    with pytest.raises(CordlesionError, match=r"masks: every threshold above 0 gives the same masks.*probability maps"):
        tune_files(folders[0], masks, output=tmp_path / "thresholds.json")
    assert not (tmp_path / "thresholds.json").exists()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"rule": "nope"}, "'nope' is no rule; one of study, anima"),
        ({"objective": "nope"}, "'nope' is no objective; one of median_voxel_f1"),
        ({"objective": "f_beta:0"}, "it needs a positive number"),
        ({"grid": "nope"}, "'nope' is no grid; one of paper, fine is needed"),
    ],
)
def test_unknown_rules_and_objectives_get_a_sentence(folders, tmp_path, arguments, fault):
    with pytest.raises(CordlesionError, match=fault):
        tune_files(*folders, output=tmp_path / "x.json", **arguments)


def test_the_help_names_every_objective_rule_and_grid(cli):
    shown_help = "".join(cli("tune", "--help").output.split())
    assert "neverthosethatresultsarereportedon" in shown_help
    for name in (*OBJECTIVES, *GRIDS, *RULES):
        assert name in shown_help
    assert all(rule in "".join(cli("evaluate", "--help").output.split()) for rule in RULES)


def test_what_is_printed_tells_what_became_of_scans_without_lesions(folders, masks, tmp_path, capsys):
    with shown():
        evaluate_files(folders[0], masks, output=tmp_path / "m.tsv")
        printed = " ".join(capsys.readouterr().out.split())
        assert "4 scans evaluated with the rule 'study' (1 without lesions: their scores are undefined" in printed
        tune_files(*folders, output=tmp_path / "t.json")
    assert "3 scans of 3 subjects; 1 left out, for which it is undefined" in " ".join(capsys.readouterr().out.split())


def test_what_is_printed_counts_the_scans_that_were_done(folders, masks, tmp_path, capsys):
    reference, one = folders[0], tmp_path / "one"
    write_image(one / "sub-0_label-lesion_mask.nii.gz", LESION)
    mask = reference / "sub-0_label-lesion_seg.nii.gz"
    with shown():
        evaluate_files(mask, one / "sub-0_label-lesion_mask.nii.gz", output=tmp_path / "m.tsv", figures=tmp_path / "f")
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 scan evaluated with the rule" in printed
    assert f"pictures of 1 scan: {tmp_path / 'f' / 'index.html'}" in printed
    assert f"{reference}: has no scan for 1 of 1 references" in printed
    images = tmp_path / "images"
    for n in range(4):
        write_image(images / f"sub-{n}_T2w.nii.gz", noise(seed=n).astype(np.float32))
    truncate(images / "sub-2_T2w.nii.gz")
    with shown():
        faults = evaluate_files(
            reference, masks, output=tmp_path / "m.tsv", figures=tmp_path / "f", images=images
        ).excluded
    assert list(faults) == ["sub-2"]
    printed = " ".join(capsys.readouterr().out.split())
    assert "4 scans evaluated" in printed
    assert "pictures of 3 scans" in printed


def metric_table(path, f1, scans=None):
    scans = scans or [f"sub-{k:02d}" for k in range(len(f1))]
    metrics = {name: np.linspace(0.1, 0.9, len(f1)) for name in SCORE_COLUMNS} | {"voxel_f1": f1}
    metrics |= dict.fromkeys(METRIC_COLUMNS[6:], 10)
    write_table(path, pd.DataFrame({"scan_id": scans, "subject": scans, "session": ""} | metrics))
    return path


def test_two_tables_are_compared_scan_by_scan(tmp_path):
    rng = np.random.default_rng(0)
    first = rng.uniform(0.2, 0.8, 20)
    second = first + rng.normal(0.05, 0.1, 20)
    first[3], second[7] = np.nan, np.nan
    order = rng.permutation(20)
    scans = [f"sub-{k:02d}" for k in order]
    a = metric_table(tmp_path / "a.tsv", first)
    b = metric_table(tmp_path / "b.tsv", second[order], scans)
    row = compare_files(a, b).table.set_index("metric").loc["voxel_f1"]
    both = ~(np.isnan(first) | np.isnan(second))
    assert row["n_pairs"] == both.sum() == 18
    assert row["n_undefined"] == 2
    assert row["median_first"] == pytest.approx(np.median(first[both]))
    assert row["median_second"] == pytest.approx(np.median(second[both]))
    assert row["median_difference"] == pytest.approx(np.median((second - first)[both]))
    assert row["interval_low"] <= row["median_difference"] <= row["interval_high"]
    assert row["p_value"] == pytest.approx(stats.wilcoxon(second[both] - first[both], method="exact").pvalue)
    assert row["p_holm"] >= row["p_value"]


def test_scans_of_one_table_only_are_counted(tmp_path):
    a = metric_table(tmp_path / "a.tsv", np.linspace(0.1, 0.9, 12), [f"sub-{k:02d}" for k in range(12)])
    b = metric_table(tmp_path / "b.tsv", np.linspace(0.2, 0.8, 9), [f"sub-{k:02d}" for k in range(4, 13)])
    row = compare_files(a, b).table.set_index("metric").loc["voxel_f1"]
    assert (row["n_pairs"], row["n_undefined"], row["n_unmatched"]) == (8, 0, 5)


def test_a_table_does_not_differ_from_itself(tmp_path):
    path = metric_table(tmp_path / "a.tsv", np.linspace(0, 1, 9))
    table = compare_files(path, path).table
    assert table["metric"].tolist() == list(SCORE_COLUMNS)
    assert (table["p_value"] == 1).all()
    assert (table[["median_difference", "interval_low", "interval_high", "rank_biserial"]] == 0).all().all()


def test_a_metric_that_is_never_defined_is_not_compared(tmp_path):
    path = metric_table(tmp_path / "a.tsv", [np.nan] * 5)
    row = compare_files(path, path).table.set_index("metric").loc["voxel_f1"]
    assert row["n_pairs"] == 0
    assert row[["median_first", "median_difference", "interval_low", "p_holm"]].isna().all()


def test_five_pairs_are_not_tested(tmp_path):
    table = compare_files(
        metric_table(tmp_path / "a.tsv", [0.1] * 5), metric_table(tmp_path / "b.tsv", [0.2] * 5)
    ).table
    row = table.set_index("metric").loc["voxel_f1"]
    assert row["median_difference"] == pytest.approx(0.1)
    assert row[["p_value", "p_holm"]].isna().all()


def evaluation_table(path):
    """As a study leaves it: two losses at two thresholds, and masks of another tool, in two sets."""
    rng = np.random.default_rng(0)
    runs = [("bce", 0, 0.5), ("bce", 0, 0.15), ("dice", 1, 0.5), ("dice", 1, 0.3), ("sct", None, None)]
    rows = [
        {"scan_id": f"sub-{k}", "subject": f"sub-{k}", "set": "test" if k < 8 else "threshold", "loss": loss}
        | {"seed": seed, "threshold": t}
        | dict.fromkeys(METRIC_COLUMNS, rng.random())
        | {"reference_volume_mm3": 30.0 + k, "n_reference_lesions": 2}
        for loss, seed, t in runs
        for k in range(10)
    ]
    table = pd.DataFrame(rows).astype({"seed": "Int64"})
    write_table(path, table)
    return path, table


def test_runs_of_one_study_are_compared(tmp_path):
    path, table = evaluation_table(tmp_path / "evaluation.tsv")
    got = compare_files(
        path, path, first_run="set=test,loss=bce,threshold=0.15", second_run="set=test,loss=dice,seed=1,threshold=0.5"
    ).table
    row = got.set_index("metric").loc["lesion_f1"]
    assert row["n_pairs"] == 8
    test = table[table["set"] == "test"]
    for side, loss, t in (("first", "bce", 0.15), ("second", "dice", 0.5)):
        run = test[(test["loss"] == loss) & (test["threshold"] == t)]
        assert row[f"median_{side}"] == pytest.approx(run["lesion_f1"].median())
    assert (
        compare_files(path, path, first_run="set=test,loss=sct", second_run="set=test,threshold=n/a")
        .table["median_difference"]
        .eq(0)
        .all()
    )


@pytest.mark.parametrize(
    ("run", "fault"),
    [
        (
            "",
            "(set: test, threshold; loss: bce, dice, sct; seed: 0, 1, n/a; threshold: 0.5, 0.15, 0.3, n/a); those of",
        ),
        ("", "Name it, for example: --first-run set=threshold,loss=sct,seed=n/a,threshold=n/a"),
        (
            "set=test,loss=bce",
            "(threshold: 0.5, 0.15); those of one are needed. Name it, for example: --first-run set=test,loss=bce,thre",
        ),
        ("loss=nope", "has no rows with loss=nope; loss is one of: bce, dice, sct. Mend --first-run."),
        ("loss", "--first-run has 'loss', but"),
        ("subject=sub-0", "column is one of: set, loss, seed, threshold."),
    ],
)
def test_several_runs_in_one_table_get_a_way_out(tmp_path, run, fault):
    path, _ = evaluation_table(tmp_path / "evaluation.tsv")
    with pytest.raises(CordlesionError, match=re.escape(fault)):
        compare_files(path, path, first_run=run, second_run="set=test,loss=sct")


def test_tables_that_cannot_be_compared_get_a_sentence(tmp_path):
    a = metric_table(tmp_path / "a.tsv", [0.1, 0.2])
    other = metric_table(tmp_path / "b.tsv", [0.1, 0.2], ["sub-x", "sub-y"])
    twice = metric_table(tmp_path / "c.tsv", [0.1, 0.2], ["sub-00", "sub-00"])
    with pytest.raises(CordlesionError, match="has no scan in common"):
        compare_files(a, other)
    with pytest.raises(CordlesionError, match=r"c\.tsv: has several rows for one scan"):
        compare_files(a, twice)
    (tmp_path / "d.tsv").write_text("scan_id\tsubject\nsub-00\tsub-00\n")
    with pytest.raises(CordlesionError, match=r"d\.tsv: lacks the columns voxel_sensitivity"):
        compare_files(a, tmp_path / "d.tsv")


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "monai", "matplotlib", "seaborn"):
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Blocker())
from cordlesion.cli.app import main
main()
"""


def test_evaluate_tune_and_compare_work_where_torch_does_not_exist(folders, masks, tmp_path):
    reference, maps = map(str, folders)
    commands = (
        ["evaluate", "--reference", reference, "--prediction", str(masks), "-o", str(tmp_path / "m.tsv"), "-q"],
        ["tune", "--reference", reference, "--probability", maps, "-o", str(tmp_path / "t.json"), "-q"],
        ["compare", str(tmp_path / "m.tsv"), str(tmp_path / "m.tsv"), "-o", str(tmp_path / "c.tsv")],
    )
    for command in commands:
        done = subprocess.run([sys.executable, "-c", BLOCKED, *command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert len(read_table(tmp_path / "m.tsv")) == 4
    assert json.loads((tmp_path / "t.json").read_text())["threshold"] == 0.45
    assert read_table(tmp_path / "c.tsv")["metric"].tolist() == list(SCORE_COLUMNS)
    assert "voxel_f1" in done.stdout
    assert COMPARISON_NOTE in done.stdout


def visits(path, column, value, n=8):
    """Eight visits of one person, or (n = 1) one each of eight people, with one column changed."""
    rows = {name: np.linspace(0.1, 0.8, 8) for name in SCORE_COLUMNS} | dict.fromkeys(METRIC_COLUMNS[6:], 2)
    scans = {"scan_id": [f"s{k}" for k in range(8)], "subject": [f"sub-{k // n}" for k in range(8)], "session": ""}
    write_table(path, pd.DataFrame(scans | rows | {column: value}))
    return path


def test_visits_of_one_person_are_not_tested(tmp_path):
    a = visits(tmp_path / "a.tsv", "voxel_f1", np.linspace(0.1, 0.8, 8))
    table = compare_files(a, visits(tmp_path / "b.tsv", "voxel_f1", np.linspace(0.2, 0.95, 8))).table.set_index(
        "metric"
    )
    row = table.loc["voxel_f1"]
    assert list(table)[-1] == "n_subjects"
    assert (row["n_pairs"], row["n_subjects"]) == (8, 1)
    assert row[["p_value", "p_holm", "interval_low", "interval_high"]].isna().all()
    assert row["median_difference"] > 0


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("rule", "iou50", r"b\.tsv: was evaluated with the lesion rule iou50, .*a\.tsv with study; one rule is needed"),
        (
            "reference_volume_mm3",
            [2] * 7 + [3],
            r"b\.tsv: rests on other references .* in 1 of 8 scans \(s7: 2 against 3",
        ),
        ("voxel_f1", 46.2, r"b\.tsv: the column voxel_f1 holds 46\.2 for s0; values between 0 and 1 .*divided by 100"),
        ("lesion_f1", np.inf, r"b\.tsv: the column lesion_f1 holds inf for s0"),
        ("predicted_volume_mm3", -1, r"b\.tsv: the column predicted_volume_mm3 holds -1 for s0; values of 0 or more"),
    ],
)
def test_tables_that_have_nothing_in_common_are_refused(tmp_path, column, value, fault):
    with pytest.raises(CordlesionError, match=fault):
        compare_files(visits(tmp_path / "a.tsv", "rule", "study", 1), visits(tmp_path / "b.tsv", column, value, 1))


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        ("n_reference_lesions", "the same references hold another number of lesions than in"),
        ("n_detected_lesions", "the same masks hold another number of lesions than in"),
    ],
)
def test_two_rules_show_where_none_is_recorded(tmp_path, column, fault, capsys):
    a, b = visits(tmp_path / "a.tsv", "session", "", 1), visits(tmp_path / "b.tsv", column, [2] * 7 + [1], 1)
    with pytest.raises(CordlesionError, match=fault):
        compare_files(a, b)
    with shown():
        compare_files(a, visits(tmp_path / "b.tsv", "voxel_f1", 0.5, 1))
    said = " ".join(capsys.readouterr().out.split())
    assert "the lesion rule is not recorded (no column rule)" in said
    # Another tool's masks may well hold other lesions.
    other = pd.read_csv(b, sep="\t").assign(voxel_precision=0.3, n_reference_lesions=2)
    write_table(b, other)
    assert len(compare_files(a, b).table) == 6


@pytest.mark.parametrize(("sign", "word"), [(",", "commas"), (";", "semicolons")])
def test_a_table_of_another_separator_is_named_as_such(tmp_path, sign, word):
    path = visits(tmp_path / "a.csv", "session", "")
    path.write_text(path.read_text().replace("\t", sign))
    with pytest.raises(CordlesionError, match=rf"a\.csv: is separated by {word}; tabs are needed\. Save it"):
        compare_files(path, path)


def test_the_cases_of_real_inputs_get_the_right_answers(shared):
    folder = shared("cases", "metrics", "compare")
    table = compare_files(folder / "one_person_a.tsv", folder / "one_person_b.tsv").table
    assert (table["n_subjects"] == 1).all()
    assert table["p_value"].isna().all()
    with pytest.raises(CordlesionError, match="the lesion rules differ"):
        compare_files(folder / "rule_study.tsv", folder / "rule_iou50.tsv")
    with pytest.raises(CordlesionError, match="is separated by commas"):
        compare_files(folder / "comma.csv", folder / "one_person_a.tsv")
