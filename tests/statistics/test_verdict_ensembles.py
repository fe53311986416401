"""Ensembles among the losses that are compared: which pairs there are, and whose seed noise they have."""

import numpy as np
import pandas as pd
import pytest

from cordlesion.statistics import compare_losses, rank_methods

N_SUBJECTS, SEEDS = 12, (0, 1, 2)


def table(*, seeds: tuple[int, ...] = SEEDS, gap: float = 0.1, seed_sd: float = 0.04) -> pd.DataFrame:
    """Scores of two losses and of their ensembles, which are the means of the scores of the seeds, and a comparator."""
    rng = np.random.default_rng(4)
    subjects = rng.normal(0.5, 0.1, N_SUBJECTS)
    rows = []
    for loss, level in (("a", 0.0), ("b", gap)):
        scores = {seed: subjects + level + rng.normal(0, seed_sd) + rng.normal(0, 0.02, N_SUBJECTS) for seed in seeds}
        rows += [_rows(loss, seed, values) for seed, values in scores.items()]
        rows.append(_rows(f"{loss}_ensemble", None, np.mean(list(scores.values()), axis=0)))
    return pd.concat([*rows, _rows("other", None, subjects)], ignore_index=True).astype({"seed": "Int64"})


def _rows(loss: str, seed: int | None, values: np.ndarray) -> pd.DataFrame:
    scans = [f"sub-{k}" for k in range(len(values))]
    return pd.DataFrame({"scan_id": scans, "subject": scans, "loss": loss, "seed": seed, "score": values})


ENSEMBLES = {"a_ensemble": ("a",), "b_ensemble": ("b",)}


def pairs(compared: pd.DataFrame) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in zip(compared["first"], compared["second"], strict=True)}


def test_ensembles_meet_ensembles_comparators_and_their_own_losses():
    found = pairs(compare_losses(table(), "score", ensembles=ENSEMBLES))
    every = {frozenset((one, other)) for one in ENSEMBLES for other in ("a", "b", "other")}
    assert found >= {frozenset(ENSEMBLES), frozenset(("a", "b")), frozenset(("a", "other"))}
    assert every - found == {frozenset(("a_ensemble", "b")), frozenset(("b_ensemble", "a"))}


def test_means_of_scores_as_ensembles_are_tested_as_the_losses_are():
    compared = compare_losses(table(), "score", ensembles=ENSEMBLES).set_index(["first", "second"])
    losses, joined = compared.loc["a", "b"], compared.loc["a_ensemble", "b_ensemble"]
    assert (joined["n_seeds_first"], joined["n_seeds_second"]) == (3, 3)
    for name in ("difference", "low", "high", "p_value", "subjects_low", "subjects_high"):
        assert joined[name] == pytest.approx(losses[name]), name


def test_of_trainings_with_one_seed_the_noise_of_an_ensemble_is_unknown():
    both = {"a_ensemble": ("a", "b")}
    rows = table(seeds=(0,))
    rows = rows[rows["loss"] != "b_ensemble"]
    row = compare_losses(rows, "score", ensembles=both).set_index(["first", "second"]).loc["a_ensemble", "other"]
    assert row["n_seeds_first"] == 1
    assert np.isnan(row["low"])
    assert row["verdict"] in ("seed noise unknown", "undecided")


def test_without_ensembles_nothing_changes():
    rows = table()
    rows = rows[~rows["loss"].isin(ENSEMBLES)]
    pd.testing.assert_frame_equal(compare_losses(rows, "score"), compare_losses(rows, "score", ensembles={}))
    assert len(compare_losses(rows, "score")) == 3


def test_an_ensemble_ranks_with_the_seed_noise_of_its_loss():
    """Seeds differ a lot, subjects hardly: without that noise an ensemble just above its loss were surely the best."""
    ease = np.linspace(0.3, 0.7, N_SUBJECTS)
    wobble = 0.001 * np.cos(np.arange(N_SUBJECTS))
    seeds = ease + np.array([[-0.1], [0.0], [0.1]])
    ensemble = (ease + wobble + 0.02)[None]
    certain = rank_methods([seeds, ensemble])[1]
    known = rank_methods([seeds, ensemble], members={1: [0]})[1]
    assert known.rank == certain.rank == 1
    assert known.p_best < certain.p_best
    alone, loss = (one.p_best for one in rank_methods([ensemble, ensemble - 0.02], members={0: [1]}))
    assert (alone, loss) == (1, 0)  # a loss of one seed has no known noise


def test_ensembles_do_not_change_what_is_planned_for_their_losses():
    """Their noise is that of their losses: it is no further loss over which noise is pooled."""
    rows = table(gap=0.01, seed_sd=0.005, seeds=tuple(range(5)))
    # Declared, so that its level does not depend on how many other pairs there are.
    alone = compare_losses(rows[~rows["loss"].isin(ENSEMBLES)], "score", primary=("a", "b"))
    beside = compare_losses(rows, "score", primary=("a", "b"), ensembles=ENSEMBLES)
    one, other = (found.set_index(["first", "second"]).loc["a", "b"] for found in (alone, beside))
    assert one["needed_subjects"] > N_SUBJECTS
    assert one["needed_subjects"] == other["needed_subjects"]
