"""Promises: against plain loops, by simulation with a known truth, and as rules and files carry them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.threshold import GlobalThreshold, choose_threshold, measure_risks, promise
from cordlesion.threshold.guarantees import p_value
from cordlesion.threshold.promise import promise_text, risk_text
from cordlesion.threshold.promises import keep_limits, kept_cell
from cordlesion.threshold.rules import load_rule
from oracles.promise_oracle import promised_threshold
from support.swept import GRID, drawn_from, scans_of

seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=25)
@given(seeds, st.sampled_from([{"missed": 0.3}, {"false_positives": 1.0}, {"missed": 0.4, "false_positives": 2.0}]))
def test_the_promised_threshold_is_that_of_plain_loops(seed, limits):
    rng = np.random.default_rng(seed)
    table = scans_of(rng, int(rng.integers(6, 45)), GRID[::2], quality=rng.uniform(0, 4)).sample(frac=1, random_state=0)
    balanced = choose_threshold(table, "mean_voxel_f1", n_resamples=1)
    found = promise(table, "mean_voxel_f1", limits, certainty=0.9, balanced=balanced)
    score = dict(zip(balanced.curve["threshold"], balanced.curve["score"], strict=True))
    expected = promised_threshold(table.to_dict("records"), limits, 0.9, score, balanced.value)
    assert (found.choice and found.choice.value) == expected
    assert (found.choice is None) == ("cannot be promised" in found.text)


@settings(deadline=None, max_examples=15)
@given(seeds)
def test_what_keeps_a_limit_keeps_a_higher_one(seed):
    table = scans_of(np.random.default_rng(seed), 40, GRID[::4])
    values = [promise(table, "mean_voxel_f1", {"missed": limit}).choice for limit in (0.2, 0.3, 0.4, 0.5)]
    made = [value is not None for value in values]
    assert made == sorted(made)
    scores = [value.score for value in values if value is not None]
    assert scores == sorted(scores)


def test_the_promise_is_kept_in_95_of_100_threshold_sets():
    """The whole way from tables, with the true risk from 4 000 subjects of the same kind."""
    thresholds = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7)
    many = scans_of(np.random.default_rng(0), 4000, thresholds)
    many["missed"] = 1 - many["n_detected_lesions"] / many["n_reference_lesions"].where(many["n_reference_lesions"] > 0)
    many["false"] = many["n_predicted_lesions"] - many["n_true_predicted_lesions"]
    truth = many.groupby(["subject", "threshold"])[["missed", "false"]].mean().groupby("threshold").mean()
    broken, made = 0, 0
    for number in range(100):
        table = scans_of(np.random.default_rng((1, number)), 40, thresholds)
        for limits, risk in (({"missed": 0.2}, "missed"), ({"false_positives": 1.0}, "false")):
            balanced = choose_threshold(table, "mean_voxel_f1", n_resamples=1)
            choice = promise(table, "mean_voxel_f1", limits, balanced=balanced).choice
            made += choice is not None
            broken += choice is not None and truth.loc[choice.value, risk] > next(iter(limits.values()))
    assert made > 100
    assert broken <= 0.05 * 200 + 5


def test_the_balanced_threshold_is_kept_where_it_keeps_the_promise():
    table = scans_of(np.random.default_rng(5), 60)
    balanced = choose_threshold(table, "mean_voxel_f1")
    assert promise(table, "mean_voxel_f1", {"missed": 0.9}).choice.value == balanced.value
    found = promise(table, "mean_voxel_f1", {"missed": 0.25})
    assert found.choice.value < balanced.value
    assert found.risks["missed"] < 0.25
    assert found.choice.interval is None
    assert found.text == (
        f"at t = {found.choice.value:g} at most 25 % of lesions are missed, with 95 % certainty; price on the "
        f"threshold set: {found.risks['false_positives']:.1f} false positives per scan"
    )


def made_of(risks, balanced, limits, n, draws=100):
    """How often a promise is made by n subjects who are drawn from those of a threshold set."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(draws):
        who = rng.integers(len(risks.losses["missed"]), size=n)
        found += kept_cell(drawn_from(risks, who), balanced, limits) is not None
    return found / draws


def test_too_few_subjects_get_the_number_that_is_enough():
    few = scans_of(np.random.default_rng(7), 8, quality=4)
    found = promise(few, "mean_voxel_f1", {"missed": 0.2})
    assert found.choice is None
    assert f"6 subjects with lesions are too few, about {found.needed} like these would be enough" in found.text
    assert found.needed < 200


@pytest.mark.parametrize("limits", [{"missed": 0.3}, {"false_positives": 1}, {"missed": 0.45, "false_positives": 1}])
def test_as_many_subjects_as_said_get_a_promise_in_4_of_5_studies(limits):
    """The whole procedure, with all limits together."""
    table = scans_of(np.random.default_rng(1), 20, GRID[::2], quality=0.5, free=0)
    balanced, risks = choose_threshold(table, "mean_voxel_f1", n_resamples=1), measure_risks(table)
    found = keep_limits(risks, balanced, limits)
    assert found.choice is None
    assert found.needed > 20
    assert 0.65 <= made_of(risks, balanced, limits, found.needed) <= 0.95
    assert made_of(risks, balanced, limits, round(found.needed / 1.5)) < 0.8


def binomial_scans(missed, false, n=60):
    """One scan of 10 lesions of each subject, with a share missed and a number of false positives by threshold."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(n):
        for t in missed:
            found = rng.binomial(10, 1 - missed[t])
            row = {"scan_id": subject, "subject": subject, "threshold": t, "voxel_f1": 0.5, "n_reference_lesions": 10}
            row |= {"n_detected_lesions": found, "n_true_predicted_lesions": found, "reference_volume_mm3": 50.0}
            rows.append(row | {"n_predicted_lesions": found + rng.poisson(false[t])})
    return pd.DataFrame(rows)


def test_a_good_threshold_that_is_tested_after_bad_ones_is_never_shown():
    missed = {0.05: 0.5, 0.15: 0.45, 0.3: 0.02, 0.5: 0.03}
    table = binomial_scans(missed, dict.fromkeys(missed, 1))
    found = promise(table, "mean_voxel_f1", {"missed": 0.3})
    assert (found.choice, found.needed, found.nearest) == (None, None, 0.3)
    assert found.text.endswith(
        f"t = 0.3, the nearest, has {risk_text('missed', found.risks['missed'])} on the threshold set, but is too "
        "close to the limit or tested after thresholds that break it; 2000 subjects like these would not be enough"
    )


def test_two_limits_that_no_threshold_keeps_together_are_never_shown():
    missed, false = {0.05: 0.1, 0.2: 0.2, 0.5: 0.5, 0.9: 0.5}, {0.05: 9, 0.2: 8, 0.5: 0.1, 0.9: 0}
    table = binomial_scans(missed, false)
    assert promise(table, "mean_voxel_f1", {"missed": 0.4}).choice is not None
    assert promise(table, "mean_voxel_f1", {"false_positives": 1.0}).choice is not None
    both = promise(table, "mean_voxel_f1", {"missed": 0.4, "false_positives": 1.0})
    assert (both.choice, both.needed) == (None, None)


def test_subjects_without_lesions_are_drawn_in_proportion():
    """Their false positives count, although the number is that of subjects with lesions."""
    t = (0.1, 0.5, 0.9)
    ill = binomial_scans(dict.fromkeys(t, 0.01), dict.fromkeys(t, 0), 12)
    needed = []
    for false in (0, 3):
        free = binomial_scans(dict.fromkeys(t, 0), dict.fromkeys(t, 0), 12).assign(n_predicted_lesions=false)
        free[["subject", "scan_id"]] += 100
        free[["n_reference_lesions", "n_detected_lesions", "n_true_predicted_lesions", "reference_volume_mm3"]] = 0
        both = pd.concat([ill, free], ignore_index=True)
        found = promise(both, "mean_voxel_f1", {"missed": 0.2, "false_positives": 2.0})
        assert found.n_subjects == 12
        needed.append(found.needed)
    assert 12 < needed[0] < needed[1] / 2


def test_the_error_rate_is_divided_by_limits_minimum_volumes_and_starts():
    """Where nothing is ever missed or false, the number of subjects tells the level of one test."""
    limits, level = {"missed": 0.2, "false_positives": 1.0}, 0.05 / (2 * 3 * 2)
    least = next(n for n in range(1, 99) if p_value(np.zeros((1, n)), 0.2, level) <= level)
    coarser = next(n for n in range(1, 99) if p_value(np.zeros((1, n)), 0.2, 1.5 * level) <= 1.5 * level)
    assert coarser < least

    def made(n):
        nothing = dict.fromkeys(GRID[::2], 0)
        tables = [binomial_scans(nothing, nothing, n).assign(minimum_volume_mm3=v) for v in (0.0, 3.0, 5.0)]
        return promise(pd.concat(tables, ignore_index=True), "mean_voxel_f1", limits).choice is not None

    assert [made(least - 1), made(least)] == [False, True]


def test_what_no_threshold_reaches_needs_no_subjects():
    found = promise(scans_of(np.random.default_rng(3), 30, quality=-3), "mean_voxel_f1", {"missed": 0.1})
    assert (found.choice, found.needed) == (None, None)
    assert "no number of subjects would be enough" in found.text


def test_a_threshold_that_finds_nothing_is_no_promise():
    """Nothing is marked at t = 1, which has no false positive, and is no answer."""
    table = scans_of(np.random.default_rng(4), 60, quality=1)
    low = table["threshold"] < 1
    table.loc[low, "n_predicted_lesions"] += 4
    found = promise(table, "mean_voxel_f1", {"false_positives": 1.0})
    assert found.choice is None
    assert found.risks["missed"] < 0.9


def test_more_minimum_volumes_divide_the_error_rate():
    table = scans_of(np.random.default_rng(9), 20, quality=5, free=0)
    limits = {"missed": 0.3}
    assert promise(table, "mean_voxel_f1", limits).choice is not None
    assert promise(table, "mean_voxel_f1", limits, n_volumes=10**6).choice is None


def test_minimum_volumes_are_chosen_together_with_the_threshold():
    table = scans_of(np.random.default_rng(9), 60, GRID[::4], quality=4)
    larger = table.assign(n_predicted_lesions=table["n_true_predicted_lesions"], minimum_volume_mm3=5.0)
    larger["voxel_f1"] += 0.01
    both = pd.concat([table.assign(minimum_volume_mm3=0.0), larger], ignore_index=True)
    found = promise(both, "mean_voxel_f1", {"false_positives": 0.5})
    assert found.choice.minimum_volume_mm3 == 5
    assert found.risks["false_positives"] == 0


def test_rules_carry_promises_and_say_them():
    found = promise(scans_of(np.random.default_rng(5), 60), "mean_voxel_f1", {"missed": 0.25, "false_positives": 6})
    rule = GlobalThreshold.chosen(found.choice)
    record = rule.model_dump(mode="json")
    assert [one["risk"] for one in record["promises"]] == ["missed", "false_positives"]
    common = {"certainty": 0.95, "unit": "subjects", "lesion_rule": "study"}
    assert all(one.items() >= common.items() for one in record["promises"])
    assert record["promises"][1]["counted_up_to"] == 30
    assert record["promises"][1]["n"] == 60
    assert record["promises"][0]["n"] <= 60
    assert load_rule(record) == rule
    assert "at most 25 % of lesions are missed and at most 6 false positives per scan, with 95 %" in rule.describe()
    plain = GlobalThreshold.given(rule.value)
    assert plain.decisive == rule.decisive
    assert "promises" not in plain.model_dump(mode="json")


def test_limits_are_checked():
    table = scans_of(np.random.default_rng(0), 6)
    with pytest.raises(CordlesionError, match=r"missed: the limit is 1\.5; a value above 0 and below 1 is needed"):
        promise(table, "mean_voxel_f1", {"missed": 1.5})
    with pytest.raises(
        CordlesionError, match="'sensitive' is no risk that can be limited; missed or false_positives is"
    ):
        promise(table, "mean_voxel_f1", {"sensitive": 0.2})
    with pytest.raises(CordlesionError, match="certainty is 1; a share"):
        promise(table, "mean_voxel_f1", {"missed": 0.5}, certainty=1)
    with pytest.raises(CordlesionError, match="No limit is given"):
        promise(table, "mean_voxel_f1", {})


def test_limits_are_printed_as_they_are():
    assert promise_text("missed", 0.125) == "at most 12.5 % of lesions are missed"
    assert promise_text("missed", 0.07) == "at most 7 % of lesions are missed"
    assert promise_text("false_positives", 1) == "at most 1 false positive per scan"
    assert promise_text("false_positives", 0.5) == "at most 0.5 false positives per scan"
