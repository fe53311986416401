import json
from pathlib import Path

import pytest

from cordlesion.config import SplitConfig
from cordlesion.dataset.split import split_scans
from cordlesion.errors import CordlesionError
from cordlesion.nnunet.splits import read_nnunet_splits, split_by_nnunet, to_nnunet
from support.contents import cohort

FILE = Path("splits_final.json")


@pytest.fixture
def dataset():
    """Ten subjects with a lesion-bearing and a lesion-free scan, two without lesions."""
    return cohort({f"sub-{n}": [100.0, 0.0] for n in range(10)} | {"sub-10": [0.0], "sub-11": [0.0]})


def folds_by_subject(scans, n_folds):
    subjects = sorted({scan.subject for scan in scans})
    homes = {subject: place % n_folds for place, subject in enumerate(subjects)}
    return [
        {
            "train": [scan.scan_id for scan in scans if homes[scan.subject] != fold],
            "val": [scan.scan_id for scan in scans if homes[scan.subject] == fold],
        }
        for fold in range(n_folds)
    ]


def test_val_is_the_test_set_and_train_is_shared(dataset):
    scans, contents = dataset
    folds = folds_by_subject(scans, 3)
    table = split_by_nnunet(scans, contents, folds, SplitConfig(), FILE)
    assert sorted(set(table["fold"])) == [1, 2, 3]
    for number, fold in enumerate(folds, start=1):
        rows = table[table["fold"] == number]
        assert set(rows.loc[rows["set"] == "test", "scan_id"]) == set(fold["val"])
        assert set(rows.loc[rows["set"] != "test", "scan_id"]) == set(fold["train"])
        assert set(rows["set"]) == {"train", "validation", "threshold", "test"}
        assert rows.groupby("subject")["set"].nunique().max() == 1


def test_one_fold_needs_no_column(dataset):
    scans, contents = dataset
    table = split_by_nnunet(scans, contents, folds_by_subject(scans, 3)[:1], SplitConfig(), FILE)
    assert "fold" not in table


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda folds: folds[0]["val"].pop(0), "cases of fold 0 .*only one of the two: sub-0_ses-0"),
        (lambda folds: folds[1]["train"].append("case_01"), "cases of fold 1 .*only one of the two: case_01"),
        (lambda folds: folds[0]["train"].append(folds[0]["val"].pop(0)), "has scans of sub-0 in `train` and in `val`"),
        (lambda folds: folds.append(folds[0]), "in the test sets of two folds"),
    ],
)
def test_folds_that_do_not_fit_or_leak_are_refused(dataset, edit, fault):
    scans, contents = dataset
    folds = folds_by_subject(scans, 3)
    edit(folds)
    with pytest.raises(CordlesionError, match=fault):
        split_by_nnunet(scans, contents, folds, SplitConfig(), FILE)


@pytest.mark.parametrize("content", [[], {}, [1], [{"train": ["a"]}], [{"train": ["a"], "val": [1]}], [{"val": "a"}]])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(content))
    with pytest.raises(CordlesionError, match="no splits of nnU-Net; a list of folds is needed"):
        read_nnunet_splits(path)


def test_train_and_validation_go_out_and_test_and_threshold_stay(dataset):
    scans, contents = dataset
    for n_folds in (1, 3):
        config = SplitConfig(folds=n_folds, lesion_free="stratified")
        table = split_scans(scans, contents, config)
        folds = to_nnunet(table)
        assert len(folds) == config.folds
        for number, fold in enumerate(folds, start=1):
            rows = table[table["fold"] == number] if config.folds > 1 else table
            assert fold["train"] == sorted(rows.loc[rows["set"] == "train", "scan_id"])
            assert fold["val"] == sorted(rows.loc[rows["set"] == "validation", "scan_id"])
