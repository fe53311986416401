"""The objective `repeatability`: samples against tables made by hand, a simulation with known truth, sentences."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.statistics import repeatability
from cordlesion.threshold import arrange_scans, choose_threshold, nearest_threshold, parse_objective, scans
from cordlesion.threshold.repeatable import group_rows

GRID = (0.0, 0.2, 0.5, 0.8)
GROUPS = {"a": (2, 3), "b": (2,), "c": (3,), "d": (1,), "e": ()}
"""Sizes of the groups of each subject; that of one scan repeats nothing."""


def random_table(rng):
    """Scans of five subjects at each threshold, each subject with another scan that repeats none."""
    rows = []
    for subject, sizes in GROUPS.items():
        names = [name for name, size in zip("xy", sizes, strict=False) for _ in range(size)]
        for number, name in enumerate([*names, None]):
            scan = {"scan_id": f"{subject}{number}", "subject": subject, "repeat": name, "reference_volume_mm3": 9.0}
            values = [(t, rng.uniform(), 5.0 * rng.integers(0, 20)) for t in GRID]
            rows += [scan | {"threshold": t, "voxel_f1": f1, "predicted_volume_mm3": v} for t, f1, v in values]
    return pd.DataFrame(rows).sample(frac=1, random_state=int(rng.integers(99)))


def drawn_by_hand(table, subjects):
    """The rows of drawn subjects; one that is drawn twice is two subjects with the same scans."""
    parts = [table[table["subject"] == name].assign(copy=str(copy)) for copy, name in enumerate(subjects)]
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(subject=rows["subject"] + rows["copy"], scan_id=rows["scan_id"] + "-" + rows["copy"])


def expected_score(rows, least_f1):
    f1 = rows["voxel_f1"].mean()
    if f1 < least_f1:
        return f1 - least_f1
    named = rows.dropna(subset="repeat")
    names = named["subject"] + "/" + named["repeat"]
    if names.duplicated().sum() == 0 or names[names.duplicated(keep=False)].nunique() < 2:
        return 0
    return max(np.nan_to_num(repeatability(named["predicted_volume_mm3"], names).icc), 0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([4_000_000, 100]))
def test_samples_of_subjects_are_tables_with_renamed_copies(seed, block):
    rng = np.random.default_rng(seed)
    table, goal = random_table(rng), parse_objective("repeatability:0.45")
    arranged, names = arrange_scans(table, goal), sorted(GROUPS)
    drawn = rng.integers(len(names), size=(6, len(names)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scans, "_BLOCK", block)
        curves = arranged.curves_of(goal, drawn)
    for subjects, curve in zip(drawn, curves, strict=True):
        rows = drawn_by_hand(table, [names[k] for k in subjects])
        expected = [expected_score(rows[rows["threshold"] == t], 0.45) for t in GRID]
        np.testing.assert_allclose(curve, expected, atol=1e-12)


def test_every_sample_has_the_subjects_with_repeats_in_their_number():
    goal = parse_objective("repeatability")
    arranged = arrange_scans(random_table(np.random.default_rng(0)), goal)
    assert (arranged.n_groups, arranged.n_deciding) == (4, 3)
    assert len(arranged.resampled_thresholds(goal, 20, np.random.default_rng(0), n_subjects=30)) == 20
    drawn = arranged.draw_subjects(200, np.random.default_rng(1))
    assert (np.isin(drawn, [0, 1, 2]).sum(axis=1) == 3).all()


def test_names_of_groups_are_those_of_their_subject():
    table = pd.DataFrame(
        {
            "scan_id": list("ABCDEFG"),
            "subject": list("aabbccd"),
            "repeat": ["x", "x", "x", "x", "n/a", "", None],
        }
    )
    twice = pd.concat([table, table])
    groups = group_rows(twice).tolist()
    assert groups[:4] == [0, 0, 1, 1]
    assert np.isnan(groups[4:7]).all()
    assert groups[7:11] == groups[:4]


def known_table(rng, n_subjects, spread, f1):
    """Two scans of each subject, whose volume differs by noise of known size at each threshold."""
    load = rng.normal(300, 60, n_subjects)
    rows = []
    for subject in range(n_subjects):
        for again in "ab":
            for t, sd, score in zip(GRID, spread, f1, strict=True):
                rows.append(
                    {"scan_id": f"{subject}{again}", "subject": subject, "repeat": "base", "threshold": t}
                    | {"voxel_f1": score + rng.normal(0, 0.01), "reference_volume_mm3": 100.0}
                    | {"predicted_volume_mm3": (1 - t) * load[subject] + rng.normal(0, sd)}
                )
    return pd.DataFrame(rows)


def test_the_truly_most_repeatable_threshold_above_the_floor_is_chosen():
    """True ICC: 0.99, 0.28, 0.80, 0.97; the first is below every floor, the last below that of 0.5."""
    spread, f1 = (6.0, 77.0, 15.0, 2.0), (0.05, 0.6, 0.55, 0.4)
    truth = [((1 - t) * 60) ** 2 / (((1 - t) * 60) ** 2 + sd**2) for t, sd in zip(GRID, spread, strict=True)]
    table = known_table(np.random.default_rng(0), 400, spread, f1)
    chosen = choose_threshold(table, "repeatability:0.5", n_resamples=200)
    assert (chosen.value, chosen.interval) == (0.5, (0.5, 0.5))
    assert chosen.score == pytest.approx(truth[2], abs=0.03)
    assert chosen.curve["score"].isna().tolist() == [True, False, False, True]
    assert choose_threshold(table, "repeatability:0.3", n_resamples=200).value == 0.8
    assert choose_threshold(table, "mean_voxel_f1", n_resamples=200).value == 0.2
    assert choose_threshold(table, "repeatability:0.58", n_resamples=200).value == 0.2
    found = choose_threshold(table, "repeatability:0.01", n_resamples=1).curve["score"].to_numpy()
    errors = (1 - np.square(truth)) / np.sqrt(400)  # of an ICC of pairs
    assert (np.abs(found - truth) < 3 * errors).all()


def test_where_the_icc_is_flat_the_middle_of_the_flat_part_is_chosen():
    """Within 0.02 of the highest, 0.8 at t = 0.8, are those from 0.2 on; above a floor of 0.5 those up to 0.5."""
    table = known_table(np.random.default_rng(0), 200, (1, 1, 1, 1), (0.6, 0.6, 0.55, 0.4))
    first = table["scan_id"].str.endswith("a")
    # Two volumes per person give any ICC exactly: (between - within) / (between + within).
    icc = table["threshold"].map(dict(zip(GRID, (0.5, 0.79, 0.785, 0.8), strict=True)))
    load = np.where(table["subject"] % 2, 1.0, -1.0) * np.sqrt((1 + icc) / 4 * 199 / 200)
    table["predicted_volume_mm3"] = 100 + load + np.where(first, 1, -1) * np.sqrt((1 - icc) / 4)
    choice = choose_threshold(table, "repeatability:0.3", n_resamples=50)
    np.testing.assert_allclose(choice.curve["score"], (0.5, 0.79, 0.785, 0.8))
    assert choice.value == 0.5
    assert choose_threshold(table, "repeatability:0.5", n_resamples=50).value == 0.2


def test_the_basis_names_the_groups_and_few_subjects_with_repeats_have_no_interval():
    table = known_table(np.random.default_rng(0), 12, (6, 70, 15, 2), (0.05, 0.6, 0.55, 0.4))
    chosen = choose_threshold(table, "repeatability:0.3", n_resamples=50)
    assert chosen.basis == "24 scans of 12 subjects; 12 groups of scans that repeat each other"
    assert chosen.interval is not None
    few = table.assign(repeat=table["repeat"].where(table["subject"] < 4))
    chosen = choose_threshold(few, "repeatability:0.3", n_resamples=50)
    assert (chosen.n_groups, chosen.n_subjects, chosen.interval) == (4, 12, None)


def test_lesion_free_scans_that_repeat_each_other_take_part_and_others_do_not():
    table = known_table(np.random.default_rng(0), 6, (6, 70, 15, 2), (0.05, 0.6, 0.55, 0.4))
    free = table.assign(
        scan_id="free-" + table["scan_id"], subject=table["subject"] + 10, voxel_f1=np.nan, reference_volume_mm3=0.0
    )
    both = pd.concat([table, free, free.assign(scan_id="alone-" + free["scan_id"], repeat=None)])
    chosen = choose_threshold(both, "repeatability:0.3", n_resamples=50)
    assert (chosen.n_scans, chosen.n_lesion_free, chosen.n_left_out, chosen.n_groups) == (24, 12, 12, 12)


def test_a_floor_that_no_threshold_reaches_names_the_nearest():
    table = known_table(np.random.default_rng(0), 8, (6, 70, 15, 2), (0.05, 0.6, 0.55, 0.4))
    sentence = r"No threshold has a mean voxel F1 of at least 0.7; nearest is t = 0.2 with 0.\d{3}. Give the objective"
    with pytest.raises(CordlesionError, match=sentence):
        choose_threshold(table, "repeatability:0.7")
    nearest = nearest_threshold(table, "repeatability:0.7", n_resamples=50)
    assert (nearest.value, nearest.score, nearest.learned, nearest.breaks_condition) == (0.2, 0, False, True)


def test_volumes_that_do_not_repeat_are_nothing_learned():
    table = known_table(np.random.default_rng(0), 8, (6, 70, 15, 2), (0.05, 0.6, 0.55, 0.4))
    opposed = np.where(table["scan_id"].str.endswith("a"), 100.0, 200.0)
    chosen = choose_threshold(table.assign(predicted_volume_mm3=opposed), "repeatability", n_resamples=50)
    assert (chosen.score, chosen.learned) == (0, False)
    assert "at no threshold with a mean voxel F1 of at least 0.3 are the lesion volumes" in chosen.shortfall
    same = choose_threshold(table.assign(predicted_volume_mm3=7.0), "repeatability", n_resamples=50)
    assert (same.score, same.learned) == (0, False)


@pytest.mark.parametrize("change", [lambda t: t.drop(columns="repeat"), lambda t: t.assign(repeat=None),
                                    lambda t: t.assign(repeat=t["scan_id"]),
                                    lambda t: t.assign(repeat=t["repeat"].where(t["subject"] == 0))])  # fmt: skip
def test_fewer_than_two_groups_get_a_sentence(change):
    table = known_table(np.random.default_rng(0), 4, (6, 70, 15, 2), (0.05, 0.6, 0.55, 0.4))
    with pytest.raises(CordlesionError, match=r"[01] groups? of scans repeat each other; the objective .* at least 2"):
        choose_threshold(change(table), "repeatability")
