import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cordlesion.errors import CordlesionError
from cordlesion.evaluation import METRIC_COLUMNS, read_table, write_table
from cordlesion.standalone import compare_files, evaluate_files, tune_files
from images import SHAPE, box, noise, truncate, write_image

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
    assert evaluate_files(folders[0], masks, tmp_path / "out" / "metrics.tsv") == {}
    table = read_table(tmp_path / "out" / "metrics.tsv")
    assert list(table.columns) == ["scan_id", "subject", "session", *METRIC_COLUMNS]
    assert table["scan_id"].tolist() == [f"sub-{n}" for n in range(4)]
    assert table["voxel_sensitivity"].tolist()[:3] == pytest.approx([1, 5 / 6, 4 / 6])
    assert np.isnan(table["voxel_f1"].iloc[3])
    assert table["n_predicted_lesions"].tolist() == [1, 1, 1, 1]
    assert table["n_reference_lesions"].tolist() == [1, 1, 1, 0]


def test_one_unusable_scan_is_listed_and_the_others_go_on(folders, masks, tmp_path):
    truncate(masks / "sub-1_label-lesion_mask.nii.gz")
    write_image(masks / "sub-9_label-lesion_mask.nii.gz", LESION)
    faults = evaluate_files(folders[0], masks, tmp_path / "metrics.tsv")
    assert sorted(faults) == sorted(["sub-1", str(masks / "sub-9_label-lesion_mask.nii.gz")])
    assert read_table(tmp_path / "metrics.tsv")["scan_id"].tolist() == ["sub-0", "sub-2", "sub-3"]


def test_nothing_is_written_where_nothing_could_be_evaluated(folders, masks, tmp_path):
    for path in masks.iterdir():
        truncate(path)
    for run in (lambda out: evaluate_files(folders[0], masks, out), lambda out: tune_files(folders[0], masks, out)):
        with pytest.raises(CordlesionError, match="truncated or damaged"):
            run(tmp_path / "out.tsv")
    assert not (tmp_path / "out.tsv").exists()


def test_the_threshold_is_chosen_with_its_curve(folders, tmp_path):
    assert tune_files(*folders, tmp_path / "thresholds.json") == {}
    chosen = json.loads((tmp_path / "thresholds.json").read_text())
    curve = {row["threshold"]: row["score"] for row in chosen["curve"]}
    assert [t for t, score in curve.items() if score == 1.0] == [0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6]
    assert (chosen["threshold"], chosen["score"]) == (0.45, 1.0)
    assert curve[0.0] == pytest.approx(2 * 216 / (216 + np.prod(SHAPE)))
    assert curve[0.65] == 0
    assert (chosen["objective"], chosen["rule"], chosen["n_scans"]) == ("median_voxel_f1", "study", 4)
    assert chosen["plateau"] == [0.3, 0.6]


def test_references_without_any_lesion_choose_no_threshold(folders, tmp_path):
    reference, maps = folders
    for n in range(3):
        (reference / f"sub-{n}_label-lesion_seg.nii.gz").unlink()
    with pytest.raises(CordlesionError, match="has a lesion"):
        tune_files(reference, maps, tmp_path / "thresholds.json")
    assert not (tmp_path / "thresholds.json").exists()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"rule": "nope"}, "'nope' is no rule; one of study, anima is needed"),
        ({"objective": "nope"}, "'nope' is no objective; one of median_voxel_f1"),
    ],
)
def test_unknown_rules_and_objectives_get_a_sentence(folders, tmp_path, arguments, fault):
    with pytest.raises(CordlesionError, match=fault):
        tune_files(*folders, tmp_path / "x.json", **arguments)


def metric_table(path, f1, scans=None):
    scans = scans or [f"sub-{k:02d}" for k in range(len(f1))]
    metrics = {name: np.linspace(0.1, 0.9, len(f1)) for name in METRIC_COLUMNS} | {"voxel_f1": f1}
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
    row = compare_files(a, b).set_index("metric").loc["voxel_f1"]
    both = ~(np.isnan(first) | np.isnan(second))
    assert row["n_pairs"] == both.sum() == 18
    assert row["median_first"] == pytest.approx(np.median(first[both]))
    assert row["median_second"] == pytest.approx(np.median(second[both]))
    assert row["median_difference"] == pytest.approx(np.median((second - first)[both]))
    assert row["interval_low"] <= row["median_difference"] <= row["interval_high"]
    assert row["p_value"] == pytest.approx(stats.wilcoxon(second[both] - first[both], method="exact").pvalue)
    assert row["p_holm"] >= row["p_value"]


def test_a_table_does_not_differ_from_itself(tmp_path):
    path = metric_table(tmp_path / "a.tsv", np.linspace(0, 1, 9))
    table = compare_files(path, path)
    assert table["metric"].tolist() == list(METRIC_COLUMNS[:6])
    assert (table["p_value"] == 1).all()
    assert (table[["median_difference", "interval_low", "interval_high", "rank_biserial"]] == 0).all().all()


def test_a_metric_that_is_never_defined_is_not_compared(tmp_path):
    path = metric_table(tmp_path / "a.tsv", [np.nan] * 5)
    row = compare_files(path, path).set_index("metric").loc["voxel_f1"]
    assert row["n_pairs"] == 0
    assert row[["median_first", "median_difference", "interval_low", "p_holm"]].isna().all()


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
from cordlesion.cli import main
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
    assert read_table(tmp_path / "c.tsv")["metric"].tolist() == list(METRIC_COLUMNS[:6])
    assert "voxel_f1" in done.stdout
