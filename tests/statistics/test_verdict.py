import math

import numpy as np
import pandas as pd
import pytest

from cordlesion.statistics import compare_losses, holm
from oracles import crossed_oracle

RNG = np.random.default_rng(4)
EASE = RNG.normal(0.5, 0.15, 20)


def scores(spread=0.02, **runs):
    """Return a row per scan and run; each run is a list of gains relative to the ease of a scan, one per seed."""
    rows = []
    for loss, gains in runs.items():
        for seed, gain in enumerate(gains):
            noise = np.random.default_rng([seed, *map(ord, loss)]).normal(0, spread, 20)
            rows += [
                {"scan_id": f"scan-{k:02d}", "subject": f"sub-{k:02d}", "loss": loss, "seed": seed, "f1": score}
                for k, score in enumerate(EASE + gain + noise)
            ]
    return pd.DataFrame(rows)


def only(table, **options):
    (row,) = compare_losses(table, "f1", **options).to_dict("records")
    return row


def expected(table, first, second):
    """Return difference, variance, degrees of freedom and p-value of two losses, from the oracle."""
    wide = table.pivot(index=["scan_id", "subject"], columns=["loss", "seed"], values="f1")
    subjects = wide.index.get_level_values("subject").tolist()
    tables = {
        loss: crossed_oracle.subject_table(wide[loss].T.to_numpy().tolist(), subjects)
        for loss in table["loss"].unique()
    }
    several = [loss for loss in tables if len(tables[loss]) > 1]
    noise = dict(zip(several, crossed_oracle.seed_noise([tables[loss] for loss in several]), strict=True))
    return crossed_oracle.test(
        tables[first], tables[second], [noise[loss] for loss in (first, second) if loss in noise]
    )


def test_a_clear_difference():
    row = only(scores(bce=[0.0, 0.01, 0.02], dice=[0.2, 0.21, 0.19]))
    assert (row["first"], row["second"], row["verdict"]) == ("bce", "dice", "better")
    assert row["difference"] == pytest.approx(0.19, abs=0.02)
    assert row["median_difference"] == pytest.approx(0.19, abs=0.02)
    assert 0.1 < row["low"] < row["subjects_low"] < row["difference"] < row["subjects_high"] < row["high"]
    assert row["sentence"].startswith("dice beats bce in f1: +0.1")
    assert row["sentence"].endswith("Basis: 20 scans of 20 subjects, bce 3 seeds, dice 3 seeds.")


def test_swapped_losses_invert_the_verdict():
    table = scores(bce=[0.0, 0.01, 0.02], dice=[0.2, 0.21, 0.19])
    forth, back = only(table), only(table.sort_values("loss", ascending=False, kind="stable"))
    assert (back["first"], back["verdict"]) == ("dice", "worse")
    assert back["difference"] == -forth["difference"]
    assert back["p_value"] == pytest.approx(forth["p_value"])
    assert back["sentence"].startswith("bce is beaten by dice in f1: -0.1")


def test_the_order_of_the_rows_has_no_effect():
    table = scores(bce=[0.0, 0.01, 0.02], dice=[0.1, 0.11, 0.09])
    first = table["loss"] == "bce"
    mixed = pd.concat([part.sample(frac=1, random_state=3) for part in (table[first], table[~first])])
    assert only(mixed) == pytest.approx(only(table), nan_ok=True)


def test_seed_noise_that_may_explain_a_difference():
    row = only(scores(bce=[-0.2, 0.0, 0.2], dice=[-0.05, 0.1, 0.25]))
    assert row["verdict"] == "within seed noise"
    assert row["subjects_low"] > 0 > row["low"]
    assert row["p_subjects"] <= 0.05 < row["p_holm"]
    assert row["sentence"].startswith("These trainings of dice and bce differ in f1: +0.")
    assert "but seed noise may explain it" in row["sentence"]
    assert f"A true difference of {row['detectable']:.3f} would be found in 80 % of such studies" in row["sentence"]


def test_with_one_seed_the_detectable_difference_is_for_these_trainings_only():
    row = only(scores(bce=[0.0], dice=[0.001, 0.002]))
    assert row["verdict"] == "undecided"
    assert f"of {row['detectable']:.3f} between these trainings would be found" in row["sentence"]


def test_one_seed_leaves_seed_noise_unknown():
    row = only(scores(bce=[0.0], dice=[0.2, 0.21]))
    assert row["verdict"] == "seed noise unknown"
    assert math.isnan(row["low"])
    assert row["p_holm"] == row["p_subjects"]
    assert "from one seed the noise between seeds is unknown" in row["sentence"]
    assert row["sentence"].endswith("bce 1 seed, dice 2 seeds.")


def test_equal_losses_are_not_shown_to_differ():
    row = only(scores(bce=[0.0, 0.01], dice=[0.0, 0.01]))
    assert row["verdict"] == "undecided"
    assert row["low"] < 0 < row["high"]
    assert "are not shown to differ in f1" in row["sentence"]
    assert f"A true difference of {row['detectable']:.3f} would be found" in row["sentence"]


def test_equal_scores_have_no_detectable_difference():
    row = only(scores(bce=[0.0, 0.0], dice=[0.0, 0.0], spread=0.0))
    assert row["verdict"] == "undecided"
    assert math.isnan(row["detectable"])
    assert "leaves open how small a difference would be found" in row["sentence"]


def test_a_method_without_seeds_has_no_seed_noise():
    table = scores(sct=[0.0], dice=[0.2, 0.21, 0.2]).astype({"seed": "Int64"})
    table.loc[table["loss"] == "sct", "seed"] = pd.NA
    row = only(table)
    assert (row["verdict"], row["n_seeds_first"], row["n_seeds_second"]) == ("better", 0, 3)
    assert "sct no seeds" in row["sentence"]
    both = pd.concat([table[table["loss"] == "sct"], table[table["loss"] == "sct"].assign(loss="nnunet")])
    assert only(both)["verdict"] == "undecided"
    assert "over subjects and seeds" in row["sentence"]


def test_two_methods_without_seeds_are_compared_over_subjects_only():
    table = scores(sct=[0.0], nnunet=[0.3]).astype({"seed": "Int64"}).assign(seed=pd.NA)
    row = only(table)
    assert row["verdict"] == "better"
    assert "over subjects, corrected p below 0.001)" in row["sentence"]
    assert (row["low"], row["high"]) == (row["subjects_low"], row["subjects_high"])


def test_seven_methods_on_six_subjects_decide_nothing():
    table = scores(**{name: [gain / 10] for gain, name in enumerate("abcdefg")}).astype({"seed": "Int64"})
    few = table.assign(seed=pd.NA)[table["scan_id"] < "scan-06"]
    result = compare_losses(few, "f1", recommended="g")
    assert set(result["verdict"]) == {"undecided"}
    assert np.isinf(result["detectable"]).all()
    assert "6 subjects are too few to find any difference in one of 6 comparisons" in result["sentence"].iloc[5]
    assert (result["p_value"] >= 2 / 64).all()


def test_too_few_subjects_decide_nothing():
    table = scores(bce=[0.0, 0.01], dice=[0.2, 0.21])
    row = only(table.assign(subject="sub-" + table["scan_id"].str[-1].astype(int).mod(5).astype(str)))
    assert (row["verdict"], row["n_subjects"]) == ("too few subjects", 5)
    assert all(math.isnan(row[name]) for name in ("subjects_low", "p_value", "detectable"))
    assert row["difference"] == pytest.approx(0.2, abs=0.02)
    assert "cannot be compared in f1: at least 6 subjects are needed" in row["sentence"]


def test_scans_without_a_score_are_left_out_and_counted():
    table = scores(bce=[0.0, 0.01], dice=[0.2, 0.21])
    free = table.assign(scan_id="free-" + table["scan_id"], f1=math.nan)
    one_gap = table["scan_id"].eq("scan-03") & table["loss"].eq("dice") & table["seed"].eq(1)
    row = only(pd.concat([table[~one_gap], free]))
    assert (row["n_scans"], row["n_undefined"]) == (19, 21)
    assert row["sentence"].endswith("; 21 scans left out, for which it is undefined.")
    nothing = only(free)
    assert (nothing["n_scans"], nothing["verdict"]) == (0, "too few subjects")


def test_scans_of_one_subject_count_once():
    table = scores(bce=[0.0, 0.03], dice=[0.05, 0.02])
    twice = pd.concat([table, table.assign(scan_id="again-" + table["scan_id"])])
    once, again = only(table), only(twice)
    assert (again["n_scans"], again["n_subjects"]) == (40, 20)
    assert again["p_value"] == pytest.approx(once["p_value"])


def test_every_pair_is_corrected_by_holm_over_its_family():
    table = scores(bce=[0.0, 0.01], dice=[0.005, 0.015], tversky=[0.1, 0.11], focal=[0.12, 0.09, 0.1])
    for recommended in (None, "tversky"):
        result = compare_losses(table, "f1", recommended=recommended)
        assert len(result) == 6
        raw = [expected(table, a, b)[3] for a, b in zip(result["first"], result["second"], strict=True)]
        assert result["p_value"].tolist() == pytest.approx(raw)
        mine = ((result["first"] == recommended) | (result["second"] == recommended)).to_numpy()
        assert result["family"].tolist() == ["recommended" if one else "all" for one in mine]
        assert result["n_compared"].tolist() == [3 if one else 6 for one in mine]
        corrected = holm(raw)
        if mine.any():
            ours = holm(np.array(raw)[mine])
            corrected = np.maximum(corrected, ours.min())
            corrected[mine] = ours
        assert result["p_holm"].tolist() == pytest.approx(corrected.tolist())
        roles = ["primary" if one or recommended is None else "exploratory" for one in mine]
        assert result["role"].tolist() == roles
        assert result["sentence"].str.startswith("Exploratory: ").tolist() == [role == "exploratory" for role in roles]


def test_other_pairs_are_tested_only_if_the_recommended_loss_differs_from_one():
    table = scores(bce=[0.0, 0.0], dice=[0.3, 0.3], tversky=[0.15, 0.15])
    spread = np.random.default_rng(0).normal(0, 0.6, 20)
    spread -= spread.mean()
    noisy = table["f1"] + np.where(table["loss"] == "tversky", np.resize(spread, len(table)), 0)
    result = compare_losses(table.assign(f1=noisy), "f1", recommended="tversky").set_index(["first", "second"])
    assert compare_losses(table, "f1")["p_holm"].iloc[0] < 0.001
    least = result.loc[result["family"] == "recommended", "p_holm"].min()
    assert result.loc[("bce", "dice"), "p_holm"] == least > 0.05


def test_a_declared_comparison_is_not_corrected_and_the_others_are_exploratory():
    table = scores(bce=[0.0, 0.01], dice=[0.005, 0.015], tversky=[0.1, 0.11])
    result = compare_losses(table, "f1", recommended="tversky", primary=("dice", "bce"))
    assert result["family"].tolist() == ["primary", "recommended", "recommended"]
    assert result["role"].tolist() == ["primary", "exploratory", "exploratory"]
    assert result["n_compared"].tolist() == [1, 2, 2]
    assert result["p_holm"].iloc[0] == result["p_value"].iloc[0]
    other = compare_losses(table, "f1", recommended="tversky", endpoint=False)
    assert set(other["role"]) == {"exploratory"}


def test_invalid_input_is_rejected():
    table = scores(bce=[0.0], dice=[0.1])
    assert compare_losses(table[table["loss"] == "bce"], "f1").empty
    assert compare_losses(table.iloc[:0], "f1").empty
    with pytest.raises(ValueError, match="duplicate"):
        compare_losses(pd.concat([table, table]), "f1")
