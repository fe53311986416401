import math

import numpy as np
import pandas as pd
import pytest

from cordlesion.statistics import bootstrap_difference, bootstrap_median, compare_losses, holm, wilcoxon

RNG = np.random.default_rng(4)
EASE = RNG.normal(0.5, 0.15, 20)


def scores(**runs):
    """A row per scan and run; each run is a list of gains over the scans' ease, one per seed."""
    rows = []
    for loss, gains in runs.items():
        for seed, gain in enumerate(gains):
            noise = np.random.default_rng([seed, *map(ord, loss)]).normal(0, 0.02, 20)
            rows += [
                {"scan_id": f"scan-{k:02d}", "subject": f"sub-{k:02d}", "loss": loss, "seed": seed, "f1": score}
                for k, score in enumerate(EASE + gain + noise)
            ]
    return pd.DataFrame(rows)


def only(table, **options):
    (row,) = compare_losses(table, "f1", n_resamples=2000, **options).to_dict("records")
    return row


def test_a_clear_difference():
    row = only(scores(bce=[0.0, 0.01, 0.02], dice=[0.2, 0.21, 0.19]))
    assert (row["first"], row["second"], row["verdict"]) == ("bce", "dice", "better")
    assert row["median_difference"] == pytest.approx(0.19, abs=0.02)
    assert 0.1 < row["low"] < row["subjects_low"] < row["median_difference"] < row["subjects_high"] < row["high"]
    assert row["sentence"].startswith("dice beats bce in f1: +0.1")
    assert row["sentence"].endswith("Basis: 20 scans of 20 subjects, bce 3 seeds, dice 3 seeds.")


def test_the_order_of_the_losses_turns_the_verdict_round():
    table = scores(bce=[0.0, 0.01, 0.02], dice=[0.2, 0.21, 0.19])
    forth, back = only(table), only(table.sort_values("loss", ascending=False, kind="stable"))
    assert (back["first"], back["verdict"]) == ("dice", "worse")
    assert back["median_difference"] == -forth["median_difference"]
    assert back["sentence"].startswith("bce is beaten by dice in f1: -0.1")


def test_seed_noise_that_explains_a_difference():
    row = only(scores(bce=[-0.2, 0.0, 0.2], dice=[-0.05, 0.1, 0.25]))
    assert row["verdict"] == "within seed noise"
    assert row["subjects_low"] > 0 > row["low"]
    assert row["p_subjects"] <= 0.05 < row["p_subjects_and_seeds"]
    assert row["sentence"].startswith("Seed noise explains the difference between dice and bce in f1: +0.")


def test_one_seed_leaves_seed_noise_unknown():
    row = only(scores(bce=[0.0], dice=[0.2, 0.21]))
    assert row["verdict"] == "seed noise unknown"
    assert math.isnan(row["low"])
    assert math.isnan(row["p_subjects_and_seeds"])
    assert "from one seed the noise between seeds is unknown; train several" in row["sentence"]
    assert row["sentence"].endswith("bce 1 seed, dice 2 seeds.")


def test_equal_losses_cannot_be_told_apart():
    row = only(scores(bce=[0.0], dice=[0.0]))
    assert row["verdict"] == "undecided"
    assert row["subjects_low"] < 0 < row["subjects_high"]
    assert "cannot be told apart in f1" in row["sentence"]


def test_a_method_without_seeds_has_no_seed_noise():
    table = scores(sct=[0.0], dice=[0.2, 0.21]).astype({"seed": "Int64"})
    table.loc[table["loss"] == "sct", "seed"] = pd.NA
    row = only(table)
    assert (row["verdict"], row["n_seeds_first"], row["n_seeds_second"]) == ("better", 0, 2)
    assert "sct no seeds" in row["sentence"]
    both = pd.concat([table[table["loss"] == "sct"], table[table["loss"] == "sct"].assign(loss="nnunet")])
    assert only(both)["verdict"] == "undecided"
    assert "over subjects and seeds" in row["sentence"]


def test_two_methods_without_seeds_are_set_against_noise_between_subjects_alone():
    table = scores(sct=[0.0], nnunet=[0.3]).astype({"seed": "Int64"}).assign(seed=pd.NA)
    row = only(table)
    assert row["verdict"] == "better"
    assert "over subjects; no seeds to draw)" in row["sentence"]
    assert (row["low"], row["high"]) == (row["subjects_low"], row["subjects_high"])


def test_too_few_subjects_decide_nothing():
    table = scores(bce=[0.0, 0.01], dice=[0.2, 0.21])
    row = only(table.assign(subject="sub-" + table["scan_id"].str[-1].astype(int).mod(5).astype(str)))
    assert (row["verdict"], row["n_subjects"]) == ("too few subjects", 5)
    assert math.isnan(row["subjects_low"])
    assert "cannot be compared in f1: at least 6 subjects are needed" in row["sentence"]
    assert row["p_value"] < 0.001


def test_scans_without_a_score_are_left_out_and_counted():
    table = scores(bce=[0.0, 0.01], dice=[0.2, 0.21])
    free = table.assign(scan_id="free-" + table["scan_id"], f1=math.nan)
    one_gap = table["scan_id"].eq("scan-03") & table["loss"].eq("dice") & table["seed"].eq(1)
    row = only(pd.concat([table[~one_gap], free]))
    assert (row["n_scans"], row["n_undefined"]) == (19, 21)
    assert row["sentence"].endswith("; 21 scans left out, for which it is undefined.")
    nothing = only(free)
    assert (nothing["n_scans"], nothing["verdict"]) == (0, "too few subjects")


def test_every_pair_is_corrected_by_holm():
    table = scores(bce=[0.0, 0.01], dice=[0.005, 0.015], tversky=[0.1, 0.11])
    result = compare_losses(table, "f1", n_resamples=500, seed=3)
    assert list(zip(result["first"], result["second"], strict=True)) == [
        ("bce", "dice"),
        ("bce", "tversky"),
        ("dice", "tversky"),
    ]
    means = table.groupby(["loss", "scan_id"])["f1"].mean().unstack("loss")
    raw = [wilcoxon(means[a], means[b]) for a, b in zip(result["first"], result["second"], strict=True)]
    assert result["p_value"].tolist() == pytest.approx([test.p_value for test in raw])
    assert result["rank_biserial"].tolist() == pytest.approx([test.rank_biserial for test in raw])
    assert result["p_holm"].tolist() == pytest.approx(holm([test.p_value for test in raw]).tolist())
    seeded = table.pivot(index="scan_id", columns=["loss", "seed"], values="f1")
    p = []
    for a, b in zip(result["first"], result["second"], strict=True):
        drawn = bootstrap_difference(seeded[a].T, seeded[b].T, seeded.index, n_resamples=500, seed=3)
        p.append(min(1, 2 * (min(sum(drawn <= 0), sum(drawn >= 0)) + 1) / 501))
    assert result["p_subjects_and_seeds"].tolist() == pytest.approx(holm(p).tolist())


def test_interval_over_subjects_is_that_of_the_median_difference():
    table = scores(bce=[0.0], dice=[0.02])
    row = only(table, seed=1)
    difference = np.subtract(*(table.loc[table["loss"] == loss, "f1"].to_numpy() for loss in ("dice", "bce")))
    expected = bootstrap_median(difference, range(20), n_resamples=2000, seed=1)
    assert (row["subjects_low"], row["subjects_high"]) == pytest.approx(expected)


def test_input_that_cannot_be_compared():
    table = scores(bce=[0.0], dice=[0.1])
    assert compare_losses(table[table["loss"] == "bce"], "f1").empty
    with pytest.raises(ValueError, match="duplicate"):
        compare_losses(pd.concat([table, table]), "f1")
