"""Guarantees: against loops over their definitions, and by simulation with known risks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.threshold.guarantees import by_subject, certify, control_on_average, p_value

seeds = st.integers(0, 2**32 - 1)


def p_by_plain_loop(losses, limit, level):
    """The capital after each bet, one subject after the other."""
    capital, total, squares, n = 1.0, 0.5, 0.25, len(losses)
    variance = 0.25
    for count, loss in enumerate(losses, start=1):
        bet = min(1, math.sqrt(2 * math.log(1 / level) / (n * variance)))
        capital *= 1 - bet * (loss - limit)
        total += loss
        squares += (loss - total / (1 + count)) ** 2
        variance = squares / (1 + count)
    return min(1, 1 / capital) if capital else 1


@settings(deadline=None, max_examples=60)
@given(seeds, st.sampled_from([0.1, 0.2, 0.5]), st.sampled_from([0.05, 0.01]))
def test_the_p_value_is_that_of_the_bets(seed, limit, level):
    losses = np.random.default_rng(seed).beta(0.3, 2, 25)
    assert p_value(losses[np.newaxis], limit, level) == pytest.approx(p_by_plain_loop(losses, limit, level))


def shares_missed(rng, n_subjects, n_cells=8):
    """Shares of 1 to 6 lesions per subject that are missed; subjects differ, and the risk rises with the cell."""
    n_lesions = rng.integers(1, 7, (n_subjects, 1))
    ease = rng.normal(0, 1, (n_subjects, 1))
    chance = 1 / (1 + np.exp(-(np.linspace(-5, 1, n_cells) - ease)))
    # The same uniform numbers at all cells: what is missed at one threshold is missed at the next.
    uniform = rng.random((n_subjects, 1, 6))
    missed = (uniform < chance[..., np.newaxis]) & (np.arange(6) < n_lesions[..., np.newaxis])
    return missed.sum(axis=2) / n_lesions


@pytest.mark.parametrize(("limit", "starts"), [(0.1, [0]), (0.2, [0]), (0.2, [0, 3, 4])])
def test_the_risk_is_kept_in_95_of_100_threshold_sets(limit, starts):
    risk = shares_missed(np.random.default_rng(0), 100_000).mean(axis=0)
    rng = np.random.default_rng(1)
    broken, empty = 0, 0
    for number in range(1000):
        valid = certify(shares_missed(rng, 60), limit, [range(8)], starts=starts, seed=number).valid
        broken += any(risk[cell] > limit for cell in valid)
        empty += not valid
    assert broken <= 60  # 5 % of 1 000 and 1.4 standard errors
    assert empty < 200


@pytest.mark.parametrize("limit", [0.1, 0.2])
def test_the_risk_is_kept_on_average(limit):
    risk = shares_missed(np.random.default_rng(0), 100_000).mean(axis=0)
    rng = np.random.default_rng(2)
    risks = [
        0.0 if (cell := control_on_average(shares_missed(rng, 30), limit)) is None else risk[cell] for _ in range(1000)
    ]
    assert np.mean(risks) <= limit + 0.005
    assert np.mean(risks) > limit / 3


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_control_on_average_is_its_definition(seed):
    losses = np.random.default_rng(seed).random((9, 5)) ** 3
    found = None
    for cell in range(5):
        bound = (sum(max(row[: cell + 1]) for row in losses) + 1) / 10
        if bound <= 0.4:
            found = cell
    assert control_on_average(losses, 0.4) == found


def test_a_sequence_ends_at_the_first_cell_that_fails():
    losses = np.zeros((80, 3))
    losses[:, 1] = 0.5
    assert certify(losses, 0.2, [[0, 1, 2]]).valid == (0,)
    assert certify(losses, 0.2, [[0], [2]]).valid == (0, 2)


def test_a_sequence_begins_again_at_its_starts():
    losses = np.zeros((80, 4))
    losses[:, 1] = 0.5
    assert certify(losses, 0.2, [[0, 1, 2, 3]], starts=[0, 2]).valid == (0, 2, 3)
    assert certify(losses, 0.2, [[1, 0]], starts=[0]).valid == ()


def test_what_is_rejected_passes_its_error_rate_on():
    """Half of the error rate is not enough for the last cell; both halves are, once the cells before are good."""
    n = next(n for n in range(5, 60) if p_value(np.zeros((1, n)), 0.2, 0.025) <= 0.05)
    losses = np.zeros((n, 3))
    assert p_value(losses[np.newaxis, :, 0], 0.2, 0.025) > 0.025
    assert certify(losses, 0.2, [[0, 1, 2]], starts=[0, 1]).valid == ()
    more = np.zeros((n + 20, 3))
    for loss in np.linspace(0, 0.2, 200):
        more[:, 2] = loss
        if 0.025 < certify_p(more, 2) <= 0.05:
            break
    assert 0.025 < certify_p(more, 2) <= 0.05
    assert certify(more, 0.2, [[0, 1, 2]], starts=[0, 1]).valid == (0, 1, 2)
    more[:, 0] = 1
    assert certify(more, 0.2, [[0, 1, 2]], starts=[0, 1]).valid == (1,)


def certify_p(losses, cell):
    """The p-value that certify has with two starts."""
    rng = np.random.default_rng(0)
    orders = np.array([rng.permutation(len(losses)) for _ in range(20)])
    return p_value(losses[orders, cell], 0.2, 0.025)


def test_losses_of_other_sizes_are_scaled():
    losses = np.random.default_rng(0).random((50, 2)) * [1, 4]
    assert certify(losses, 1.0, [[0, 1]], largest=10).valid == certify(losses / 10, 0.1, [[0, 1]]).valid


def test_scans_are_averaged_by_subject():
    values = np.array([[0.0, 1.0], [0.5, 1.0], [np.nan, np.nan], [1.0, 0.0]])
    np.testing.assert_array_equal(by_subject(values, np.array([0, 0, 1, 2])), [[0.25, 1], [1, 0]])


def test_mistakes_get_a_sentence():
    with pytest.raises(CordlesionError, match="values from 0 to 1"):
        certify(np.full((3, 1), 1.2), 0.1, [[0]])
    with pytest.raises(CordlesionError, match="limit is 0; a value between 0 and 1"):
        control_on_average(np.zeros((3, 1)), 0)
    with pytest.raises(CordlesionError, match="0 sequences"):
        certify(np.zeros((3, 1)), 0.1, [])
    with pytest.raises(CordlesionError, match="an error rate of 2"):
        certify(np.zeros((3, 1)), 0.1, [[0]], error_rate=2)
    with pytest.raises(CordlesionError, match=r"1 sequences, starts at \[0, 1\]"):
        certify(np.zeros((3, 2)), 0.1, [[0]], starts=[0, 1])
    with pytest.raises(CordlesionError, match=r"starts at \[\]"):
        certify(np.zeros((3, 2)), 0.1, [[0]], starts=[])


def test_cells_of_several_sequences_are_listed_once():
    assert certify(np.zeros((80, 3)), 0.2, [[0, 1], [0, 2]]).valid == (0, 1, 2)
