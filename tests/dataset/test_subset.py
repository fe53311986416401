import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.config import SplitConfig
from cordlesion.dataset.split import split_scans
from cordlesion.dataset.subset import choose_subset
from cordlesion.errors import CordlesionError
from support.contents import cohort

SUBJECTS = {f"sub-{n:02d}": [10.0 * (n + 1)] for n in range(30)} | {f"sub-{n}": [0.0] for n in range(30, 42)}


@settings(max_examples=8, deadline=None)
@given(st.integers(12, 42), st.sampled_from([1, 3]), st.sampled_from(["test", "stratified"]))
def test_every_set_gets_scans_with_lesions_and_if_allowed_without(n_scans, folds, lesion_free):
    scans, contents = cohort(SUBJECTS)
    config = SplitConfig(folds=folds, lesion_free=lesion_free)
    chosen = choose_subset(scans, contents, n_scans, config)
    assert len(chosen) == n_scans
    table = split_scans(chosen, contents, config)
    table = table if folds > 1 else table.assign(fold=1)
    kinds = table.groupby(["fold", "set"])["reference_volume_mm3"]
    assert (kinds.max() > 0).all()
    without = kinds.min() == 0
    assert without.xs("test", level="set").all()
    assert without.all() == (lesion_free == "stratified")


def test_the_subset_has_the_range_of_lesion_loads():
    scans, contents = cohort(SUBJECTS)
    volumes = sorted(contents[s.scan_id].lesion_volume_mm3 for s in choose_subset(scans, contents, 14, SplitConfig()))
    assert volumes[:4] == [0] * 4
    assert (volumes[4], volumes[-1]) == (10, 300)


def test_all_scans_of_a_subject_are_chosen_and_never_too_many():
    scans, contents = cohort({f"sub-{n}": [10.0 * n + 1, 5.0, 0.0] for n in range(10)})
    chosen = choose_subset(scans, contents, 14, SplitConfig(lesion_free="stratified"))
    assert len(chosen) == 12
    assert {s.subject for s in scans if s not in chosen}.isdisjoint(s.subject for s in chosen)


def test_too_few_scans_raise_a_clear_error():
    scans, contents = cohort(SUBJECTS)
    with pytest.raises(CordlesionError, match=r"--limit-scans 4: leaves a set without scans; .* fills every set has 5"):
        choose_subset(scans, contents, 4, SplitConfig())


@pytest.mark.parametrize("n_scans", [5, 9, 15])
def test_enough_subjects_for_training_are_chosen(n_scans):
    """Subjects with a lesion-free scan go to the test set, so 3 others are always needed."""
    scans, contents = cohort(
        {f"sub-{n}": [10.0 * n + 5, 0.0] for n in range(6)} | {f"sub-1{n}": [50.0] for n in range(3)}
    )
    table = split_scans(choose_subset(scans, contents, n_scans, SplitConfig()), contents, SplitConfig())
    assert set(table.loc[table["subject"].str.len() > 5, "set"]) == {"train", "validation", "threshold"}
