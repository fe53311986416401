from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.config import SETS, SplitConfig
from cordlesion.dataset.columns import SPLITS
from cordlesion.dataset.split import check_split, split_scans
from cordlesion.errors import CordlesionError
from support.contents import cohort

EVEN = SplitConfig(proportions=dict.fromkeys(SETS, 1.0))


def hashes(contents):
    return {name: content.image_hash for name, content in contents.items()}


cohorts = st.dictionaries(
    st.integers(0, 99).map("sub-{:02d}".format),
    st.lists(st.sampled_from([0.0, 4.0, 250.0]), min_size=1, max_size=3),
    min_size=6,
    max_size=20,
).filter(lambda subjects: sum(all(volumes) for volumes in subjects.values()) >= len(SETS))


@settings(max_examples=15, deadline=None)
@given(cohorts, st.sampled_from(["test", "stratified"]), st.integers(0, 5))
def test_every_scan_once_no_subject_twice_no_set_without_lesion(subjects, lesion_free, seed):
    scans, contents = cohort(subjects)
    table = split_scans(scans, contents, SplitConfig(lesion_free=lesion_free, seed=seed))
    assert list(table.columns) == list(SPLITS.required_names)
    assert sorted(table["scan_id"]) == sorted(contents)
    assert table.groupby("subject")["set"].nunique().max() == 1
    assert set(table.loc[table["reference_volume_mm3"] > 0, "set"]) == set(SETS)
    assert (table["reason"].str.len() > 0).all()
    if lesion_free == "test":
        assert set(table.loc[table["reference_volume_mm3"] == 0, "set"]) <= {"test"}
    check_split(table, hashes(contents))


@settings(max_examples=8, deadline=None)
@given(cohorts, st.sampled_from(["test", "stratified"]), st.integers(2, 4))
def test_every_subject_is_tested_in_one_fold_and_no_fold_leaks(subjects, lesion_free, folds):
    subjects = subjects | {f"sub-1{n:02d}": [250.0] for n in range(6)}  # enough for four folds
    scans, contents = cohort(subjects)
    table = split_scans(scans, contents, SplitConfig(lesion_free=lesion_free, folds=folds))
    tested = table[table["set"] == "test"]
    assert sorted(tested["scan_id"]) == sorted(contents)
    assert tested.groupby("subject")["fold"].nunique().max() == 1
    assert set(table["fold"]) == set(range(1, folds + 1))
    assert table.groupby(["fold", "subject"])["set"].nunique().max() == 1
    bearing = table[table["reference_volume_mm3"] > 0]
    assert (bearing.groupby("fold")["set"].nunique() == len(SETS)).all()
    free = {subject for subject, volumes in subjects.items() if not all(volumes)}
    learning = table[table["subject"].isin(free) & (table["set"] != "test")]
    assert learning.empty or lesion_free == "stratified"
    check_split(table, hashes(contents))


def test_test_sets_of_the_folds_are_balanced_and_the_rest_has_the_proportions():
    rng = np.random.default_rng(0)
    scans, contents = cohort({f"sub-{n:03d}": [float(v)] for n, v in enumerate(rng.lognormal(5, 1, 100))})
    table = split_scans(scans, contents, SplitConfig(folds=4))
    log_volume = np.log(table["reference_volume_mm3"])
    for _, rows in table.groupby("fold"):
        sizes = rows.groupby("set").size()
        assert sizes["test"] == 25
        rest = 75 * np.array([62, 13, 14]) / 89
        np.testing.assert_allclose(sizes[["train", "validation", "threshold"]], rest, atol=1.5)
        tested = log_volume[rows.index[rows["set"] == "test"]]
        assert abs(tested.median() - log_volume.median()) < 0.35 * log_volume.std()


def test_folds_that_leave_too_few_subjects_raise_a_clear_error():
    scans, contents = cohort({f"sub-{n}": [100.0] for n in range(4)})
    with pytest.raises(CordlesionError, match="without the test set of fold 1 has 2 subjects with lesions"):
        split_scans(scans, contents, SplitConfig(folds=2))
    with pytest.raises(CordlesionError, match="at least 5 are needed, one for the test set of each fold"):
        split_scans(scans, contents, SplitConfig(folds=5))


def test_proportions_and_balance_of_the_paper():
    rng = np.random.default_rng(0)
    subjects = {f"sub-{n:03d}": [float(v)] for n, v in enumerate(rng.lognormal(5, 1, 115))}
    subjects |= {f"sub-{n:03d}": [0.0] for n in range(115, 161)}
    scans, contents = cohort(subjects)
    table = split_scans(scans, contents, SplitConfig())
    bearing = table[table["reference_volume_mm3"] > 0]
    assert [int((bearing["set"] == name).sum()) for name in SETS] == [62, 13, 14, 26]
    assert set(table.loc[table["reference_volume_mm3"] == 0, "set"]) == {"test"}
    log_volume = np.log(bearing["reference_volume_mm3"])
    for _, values in log_volume.groupby(bearing["set"]):
        assert abs(values.mean() - log_volume.mean()) < 0.25 * log_volume.std()
    shares = bearing.groupby("set")["site"].apply(lambda sites: (sites == "site0").mean())
    assert (shares - 0.5).abs().max() < 0.2


def test_subjects_with_a_lesion_free_scan_are_in_the_test_set_with_all_scans():
    """Both rules of the paper are kept: lesion-free scans are in the test set, and a subject is in one set."""
    mixed = {f"sub-{n:02d}": [100.0, 0.0] for n in range(3)}
    scans, contents = cohort(mixed | {f"sub-{n:02d}": [100.0] for n in range(3, 43)} | {"sub-43": [0.0]})
    table = split_scans(scans, contents, SplitConfig()).set_index("scan_id")
    assert set(table.loc[table["reference_volume_mm3"] == 0, "set"]) == {"test"}
    reason = "subject with a lesion-free scan, which goes to test: so do all scans of the subject"
    for n in range(3):
        assert (table.loc[[f"sub-{n:02d}_ses-0", f"sub-{n:02d}_ses-1"], "set"] == "test").all()
        assert (table.loc[[f"sub-{n:02d}_ses-0", f"sub-{n:02d}_ses-1"], "reason"] == reason).all()
    assert table.loc["sub-43_ses-0", ["set", "reason"]].tolist() == ["test", "subject without lesions (test)"]
    bearing = table[table["reference_volume_mm3"] > 0]
    # The proportions count the lesion-bearing scans that had to go to test.
    wanted = 43 * np.array([62, 13, 14, 26]) / 115
    np.testing.assert_allclose(bearing.groupby("set").size()[list(SETS)], wanted, atol=1)
    assert set(bearing.loc[bearing["subject"] >= "sub-03", "reason"]) == {"balanced for lesion load and site"}


def test_three_other_subjects_are_enough_in_addition_to_the_test_set():
    scans, contents = cohort({f"sub-{n}": [100.0] for n in range(3)} | {"sub-3": [100.0, 0.0], "sub-4": [0.0]})
    table = split_scans(scans, contents, SplitConfig())
    assert set(table.loc[table["subject"].isin(["sub-3", "sub-4"]), "set"]) == {"test"}
    assert set(table.loc[~table["subject"].isin(["sub-3", "sub-4"]), "set"]) == set(SETS) - {"test"}


def test_without_subjects_for_training_the_message_names_a_remedy():
    scans, contents = cohort({f"sub-{n}": [100.0, 0.0] for n in range(8)} | {"sub-8": [0.0]})
    with pytest.raises(CordlesionError) as refusal:
        split_scans(scans, contents, SplitConfig())
    assert str(refusal.value) == (
        "the dataset has 0 subjects with lesions in all their scans; 8 others also have a lesion-free scan and "
        "therefore go to test. At least 3 are needed, one for each of the sets train, validation, threshold. Add "
        "references (files named *_label-lesion_seg.nii.gz), or distribute those subjects over the sets "
        "(`split.lesion_free: stratified`)."
    )


def test_stratified_scans_of_a_patient_stay_with_the_patient():
    scans, contents = cohort({f"sub-{n}": [100.0, 0.0] for n in range(8)} | {"sub-8": [0.0]})
    table = split_scans(scans, contents, replace_option(EVEN, "stratified")).set_index("scan_id")
    for n in range(8):
        assert table.loc[f"sub-{n}_ses-0", "set"] == table.loc[f"sub-{n}_ses-1", "set"]
    together = "lesion-free scan of a subject with lesions: a subject's scans stay together"
    assert table.loc["sub-0_ses-1", "reason"] == together
    assert table.loc["sub-8_ses-0", "reason"] == "subject without lesions (stratified)"


def test_lesion_free_subjects_can_be_stratified():
    scans, contents = cohort({f"sub-{n:02d}": [100.0 * (n < 8)] for n in range(48)})
    table = split_scans(scans, contents, replace_option(EVEN, "stratified"))
    assert table.loc[table["reference_volume_mm3"] == 0, "set"].value_counts().to_dict() == dict.fromkeys(SETS, 10)


def replace_option(config, lesion_free):
    return config.model_copy(update={"lesion_free": lesion_free})


def test_the_split_depends_on_the_seed_only():
    scans, contents = cohort({f"sub-{n}": [50.0 * n + 10] for n in range(16)})
    first, again, shuffled = (split_scans(order, contents, SplitConfig()) for order in (scans, scans, scans[::-1]))
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(first, shuffled[::-1].reset_index(drop=True))
    assert not first.equals(split_scans(scans, contents, SplitConfig(seed=1)))


def test_too_few_subjects_with_lesions_raise_a_clear_error():
    scans, contents = cohort({"sub-1": [100.0, 100.0], "sub-2": [100.0], "sub-3": [10.0], "sub-4": [0.0]})
    with pytest.raises(CordlesionError, match="has 3 subjects with lesions; at least 4 are needed"):
        split_scans(scans, contents, SplitConfig())


def test_a_scan_that_was_copied_to_another_subject_is_rejected():
    scans, contents = cohort({f"sub-{n}": [100.0] for n in range(4)})
    contents["sub-3_ses-0"] = replace(contents["sub-3_ses-0"], image_hash=contents["sub-1_ses-0"].image_hash)
    with pytest.raises(CordlesionError, match=r"one image content in two sets: sub-1_ses-0 \(.*sub-3_ses-0 \("):
        split_scans(scans, contents, EVEN)


def move(table, scan, **values):
    edited = table.copy()
    edited.loc[edited["scan_id"] == scan, list(values)] = list(values.values())
    return edited


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda t: move(t, "sub-0_ses-0", set="test"), r"one subject in two sets: .*sub-0_ses-0 \(test\)"),
        (lambda t: move(t, "sub-0_ses-0", set="Train"), "unknown set 'Train'; one of train, validation"),
        (lambda t: move(t, "sub-0_ses-0", set=""), "unknown set ''"),
        (lambda t: pd.concat([t, t[:1]]), "sub-0_ses-0 listed twice"),
        (lambda t: t.assign(set="train"), "the set 'validation' contains no scan with a lesion"),
        (lambda t: t.assign(reference_volume_mm3=0.0), "the set 'train' contains no scan with a lesion"),
    ],
)
def test_an_edited_split_with_leakage_is_rejected(edit, fault):
    scans, contents = cohort({f"sub-{n}": [100.0, 50.0] for n in range(4)})
    table = split_scans(scans, contents, EVEN)
    home = table.loc[table["subject"] == "sub-0", "set"].iloc[0]
    if home == "test":
        table["set"] = table["set"].replace({"test": "train", "train": "test"})
    check_split(table, hashes(contents))
    with pytest.raises(CordlesionError, match=fault) as error:
        check_split(edit(table), hashes(contents))
    assert str(error.value).startswith("splits.tsv: ")
