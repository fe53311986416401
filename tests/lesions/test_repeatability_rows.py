"""Lesions found again against loops over pairs of voxels, and rows of repeatability against their parts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from cordlesion.errors import CordlesionError
from cordlesion.lesions.found_again import count_found_again
from cordlesion.lesions.repeatability import ESTIMATES, repeatability_rows
from cordlesion.metrics import RULES, LesionRule
from cordlesion.statistics import limits_of_agreement, repeatability, repeatability_intervals

ANY = LesionRule(min_volume_mm3=0)


def scene(seed):
    """Two masks of blocks on grids of other spacing and place."""
    rng = np.random.default_rng(seed)
    spacings = [tuple(rng.choice([0.5, 1.0, 2.0], 3)) for _ in range(2)]
    masks, affines = [], []
    for spacing in spacings:
        mask = np.zeros((9, 10, 8), bool)
        for _ in range(rng.integers(0, 4)):
            low = rng.integers(0, 7, 3)
            mask[tuple(slice(a, a + n) for a, n in zip(low, rng.integers(1, 4, 3), strict=True))] = True
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = rng.integers(-2, 3, 3)
        masks.append(mask)
        affines.append(affine)
    return masks, affines, spacings


def found_by_loop(masks, affines, spacings, tolerance):
    found = seen = 0
    for here, there in ((0, 1), (1, 0)):
        labels, n = ndimage.label(masks[here])
        others = np.argwhere(masks[there])
        for k in range(1, n + 1):
            places = np.argwhere(labels == k) * spacings[here] + affines[here][:3, 3]
            index = np.rint((places - affines[there][:3, 3]) / spacings[there])
            inside = ((index >= 0) & (index < masks[there].shape)).all(axis=1)
            if inside.mean() <= 0.5:
                continue
            seen += 1
            gaps = (index[:, None] - others) * spacings[there]
            found += bool(len(others)) and (np.linalg.norm(gaps[inside], axis=2) <= tolerance + 1e-9).any()
    return found, seen


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 2.0, 3.5]))
def test_lesions_found_again_are_those_near_a_lesion_of_the_other_scan(seed, tolerance):
    masks, affines, spacings = scene(seed)
    assert count_found_again(masks, affines, spacings, ANY, tolerance) == found_by_loop(
        masks, affines, spacings, tolerance
    )


def test_three_scans_are_three_pairs_and_small_lesions_do_not_count():
    mask = np.zeros((6, 6, 6), bool)
    mask[1:4, 1:4, 1:4] = mask[5, 5, 5] = True
    three = [mask] * 3, [np.eye(4)] * 3, [(1, 1, 1)] * 3
    assert count_found_again(*three, RULES["study"]) == (6, 6)
    assert count_found_again(*three, ANY) == (12, 12)
    assert count_found_again([mask, mask & False], *([one[0]] * 2 for one in three[1:]), ANY) == (0, 2)


def table(n, rng, groups_of=1):
    person = np.repeat(np.arange(n), 2)
    volume = np.maximum(0, rng.normal(200, 80, n)[person] + rng.normal(0, 15, 2 * n))
    names = {"scan_id": [f"scan-{k:03d}" for k in range(2 * n)], "group": [f"group-{k:02d}" for k in person]}
    owner = [f"sub-{k // groups_of:02d}" for k in person]
    return pd.DataFrame(
        names | {"subject": owner, "predicted_volume_mm3": volume, "n_predicted_lesions": rng.poisson(4, 2 * n)}
    )


def test_rows_hold_the_estimates_of_their_values():
    scans = table(12, np.random.default_rng(0))
    alone = scans.iloc[[0]].assign(group="alone", scan_id="alone")
    found = {f"group-{k:02d}": (k % 4, 4) for k in range(12)}
    rows = repeatability_rows(pd.concat([alone, scans.sample(frac=1, random_state=1)]), found)
    for row in rows:
        values = scans[row["measure"]].to_numpy(float)
        expected = repeatability(values, scans["group"])
        assert [row[name] for name in ESTIMATES] == [getattr(expected, name) for name in ESTIMATES]
        limits = limits_of_agreement(values[::2], values[1::2])
        assert (row["bias"], row["limit_low"], row["limit_high"]) == pytest.approx(tuple(vars(limits).values()))
        assert (row["n_subjects"], row["n_scans"]) == (12, 24)
        assert row["found_twice"] == pytest.approx(sum(k % 4 for k in range(12)) / 48)
        assert row["found_twice_low"] < row["found_twice"] < row["found_twice_high"]
        for name in ESTIMATES:
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert np.isnan([row["found_twice"] for row in repeatability_rows(scans)]).all()


def test_of_more_than_two_scans_there_is_no_second_minus_first():
    scans = table(12, np.random.default_rng(4))
    third = scans.iloc[[0]].assign(scan_id="scan-third", predicted_volume_mm3=180.0)
    for pairs, row in zip(repeatability_rows(scans), repeatability_rows(pd.concat([scans, third])), strict=True):
        assert np.isfinite([pairs[name] for name in ("bias", "limit_low", "limit_high")]).all()
        assert np.isnan([row[name] for name in ("bias", "limit_low", "limit_high")]).all()
        assert row["n_scans"] == 25
        assert row["within_sd"] > 0


def test_intervals_are_those_of_a_loop_over_samples_of_subjects():
    rng = np.random.default_rng(2)
    scans = table(9, rng, groups_of=2)  # five people, four of them with two groups
    values, people = scans["predicted_volume_mm3"].to_numpy(), scans["subject"].to_numpy()
    got = repeatability_intervals(values, scans["group"], people, n_resamples=60, seed=5)
    names = np.unique(people)
    counts = np.random.default_rng(5).multinomial(5, np.full(5, 1 / 5), size=60)
    drawn = {name: [] for name in ESTIMATES}
    for sample in counts:
        parts = [scans[people == name].assign(group=lambda t, c=copy: t["group"] + f"-{c}")
                 for name, n in zip(names, sample, strict=True) for copy in range(n)]  # fmt: skip
        together = pd.concat(parts)
        if together["group"].nunique() < 2:
            continue
        found = repeatability(together["predicted_volume_mm3"], together["group"])
        for name in ESTIMATES:
            drawn[name].append(getattr(found, name))
    for name in ESTIMATES:
        tail = stats.norm.sf(np.sqrt(5 / 4) * stats.t.ppf(0.975, 4))
        np.testing.assert_allclose(got[name], np.quantile(drawn[name], [tail, 1 - tail]), rtol=1e-9)


def test_intervals_cover_and_the_smallest_detectable_change_holds_95_percent():
    """True within-person standard deviation 12, between 60: 40 people, 150 studies."""
    rng = np.random.default_rng(0)
    covered, share = [], []
    person = np.repeat(np.arange(40), 2)
    for _ in range(150):
        values = 300 + rng.normal(0, 60, 40)[person] + rng.normal(0, 12, 80)
        low, high = repeatability_intervals(values, person, person, n_resamples=400)["smallest_detectable_change"]
        covered.append(low <= 1.96 * np.sqrt(2) * 12 <= high)
        change = repeatability(values, person).smallest_detectable_change
        share.append((np.abs(rng.normal(0, 12 * np.sqrt(2), 200)) < change).mean())
    assert np.mean(covered) >= 0.87  # intervals of a spread are somewhat narrow
    assert np.mean(share) == pytest.approx(0.95, abs=0.01)


def test_few_people_have_no_interval_and_one_group_no_estimate():
    scans = table(4, np.random.default_rng(3))
    assert np.isnan(repeatability_rows(scans)[0]["icc_low"])
    with pytest.raises(CordlesionError, match="1 groups of scans repeat each other; at least 2"):
        repeatability_rows(scans[scans["group"] == "group-00"])
