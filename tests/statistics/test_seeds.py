import math
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import decompose_variance, spread_over_seeds


def runs_table(medians):
    """Return three scans per run with the given median; the score of a fourth is undefined."""
    rows = [
        {"loss": loss, "seed": seed, "f1": score}
        for loss, scores in medians.items()
        for seed, middle in enumerate(scores)
        for score in (middle - 0.1, middle, middle + 0.3, math.nan)
    ]
    return pd.DataFrame(rows)


def test_spread_over_seeds():
    table = runs_table({"tversky": [0.4, 0.6, 0.8], "bce": [0.5]})
    sct = pd.DataFrame({"loss": "sct", "seed": math.nan, "f1": [0.1, 0.2, 0.3]})
    spread = spread_over_seeds(pd.concat([table, sct]), "f1")
    assert spread["loss"].tolist() == ["tversky", "bce", "sct"]
    assert spread["n_seeds"].tolist() == [3, 1, 1]
    assert spread["mean"].tolist() == pytest.approx([0.6, 0.5, 0.2])
    assert spread["std"].tolist() == pytest.approx([statistics.stdev([0.4, 0.6, 0.8]), math.nan, math.nan], nan_ok=True)
    assert spread[["lowest", "highest"]].to_numpy().tolist() == [[0.4, 0.8], [0.5, 0.5], [0.2, 0.2]]


groups = st.lists(
    st.lists(st.integers(0, 100).map(lambda k: k / 100), min_size=1, max_size=4), min_size=2, max_size=5
).filter(lambda runs: max(map(len, runs)) > 1)


@settings(deadline=None)
@given(groups)
def test_components_against_scipy_s_f_statistic(runs):
    components = decompose_variance(runs_table({f"loss{k}": scores for k, scores in enumerate(runs)}), "f1")
    sizes = [len(scores) for scores in runs]
    within = sum((x - statistics.fmean(s)) ** 2 for s in runs for x in s) / (sum(sizes) - len(sizes))
    assert components.between_seeds == pytest.approx(within, abs=1e-12)
    assert (components.n_losses, components.n_runs) == (len(runs), sum(sizes))
    if within > 1e-9:
        n0 = (sum(sizes) - sum(n * n for n in sizes) / sum(sizes)) / (len(sizes) - 1)
        between = (stats.f_oneway(*runs).statistic - 1) * within / n0
        assert components.between_losses == pytest.approx(max(0, between), abs=1e-9)


def test_simulated_components_are_estimated():
    rng = np.random.default_rng(0)
    medians = {f"loss{k}": rng.normal(rng.normal(0.5, 0.06), 0.03, 3).tolist() for k in range(400)}
    components = decompose_variance(runs_table(medians), "f1")
    assert components.between_losses == pytest.approx(0.06**2, rel=0.15)
    assert components.between_seeds == pytest.approx(0.03**2, rel=0.15)


def test_components_are_undefined_for_one_seed_or_one_loss():
    one_seed = decompose_variance(runs_table({"bce": [0.4], "dice": [0.6]}), "f1")
    assert math.isnan(one_seed.between_losses)
    assert math.isnan(one_seed.between_seeds)
    one_loss = decompose_variance(runs_table({"bce": [0.4, 0.6]}), "f1")
    assert math.isnan(one_loss.between_losses)
    assert one_loss.between_seeds == pytest.approx(0.02)
    equal = decompose_variance(runs_table({"bce": [0.5, 0.5], "dice": [0.5, 0.5]}), "f1")
    assert (equal.between_losses, equal.between_seeds) == (0, 0)


def test_methods_without_seeds_have_no_seed_noise():
    table = runs_table({"bce": [0.4, 0.6], "dice": [0.7, 0.8]})
    sct = pd.DataFrame({"loss": "sct", "seed": math.nan, "f1": [0.1, 0.2, 0.3]})
    assert decompose_variance(pd.concat([table, sct]), "f1") == decompose_variance(table, "f1")
