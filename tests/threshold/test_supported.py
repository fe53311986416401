"""The smallest limit that scans support: that of the promise itself, and kept although it is read from the scans."""

import numpy as np
import pytest

from cordlesion.threshold import promise
from cordlesion.threshold.guarantees import certify
from cordlesion.threshold.supported import CANDIDATES, supported_limit
from oracles.promise_oracle import p_value, risks_of
from support.swept import GRID, scans_of


def test_candidates_have_two_digits():
    assert list(CANDIDATES) == sorted(CANDIDATES)
    assert {0.01, 0.43, 0.99, 1.0, 4.3, 25.0} <= {*CANDIDATES}
    assert len(CANDIDATES) == len({*CANDIDATES}) == 6 * 90


@pytest.mark.parametrize("risk", ["missed", "false_positives"])
@pytest.mark.parametrize("n", [12, 45])
def test_nothing_smaller_is_promised_and_each_larger_one_is(risk, n):
    table = scans_of(np.random.default_rng(n), n, GRID[::2])
    found = supported_limit(table, risk)
    limits = [one for one in CANDIDATES if 0.05 < one < (1 if risk == "missed" else 50)][::7]
    made = {one for one in limits if promise(table, "mean_voxel_f1", {risk: one}).choice is not None}
    assert made == {one for one in limits if found and one >= found.limit}
    assert (found is None) == (risk == "false_positives" and n == 12)


def test_what_holds_after_a_look_is_shown_at_a_threshold_that_was_fixed_before():
    """By plain loops: at t = 0.1, where tests of missed lesions begin here, with half of the error rate."""
    table = scans_of(np.random.default_rng(1), 45, GRID[::2])
    found = supported_limit(table, "missed")
    assert found.is_shown
    assert found.text == f"at t = 0.1 at most {100 * found.limit:.3g} % of lesions are missed"
    losses = risks_of(table.to_dict("records"))["missed"][0.1]
    losses = [losses[subject] for subject in sorted(losses)]
    assert p_value(losses, found.limit, 0.025) <= 0.025 < p_value(losses, found.limit - 0.01, 0.025)


def test_a_limit_of_a_threshold_that_the_scans_chose_is_none_after_a_look():
    """Tests of false positives begin at t = 1, which finds nothing, and reach the others from there."""
    found = supported_limit(scans_of(np.random.default_rng(45), 45, GRID[::2]), "false_positives")
    assert not found.is_shown


def test_a_limit_that_follows_the_scans_is_kept_in_95_of_100():
    """The true mean loss at the one start is 0.3; the limit is the smallest that is shown."""
    broken, limits = 0, []
    candidates = [one for one in CANDIDATES if 0.2 < one < 0.6]
    for number in range(80):
        losses = np.random.default_rng(number).binomial(4, 0.3, (40, 1)) / 4
        shown = [one for one in candidates if certify(losses, one, [[0]]).valid]
        limits.append(min(shown))
        broken += limits[-1] < 0.3
    assert broken <= 0.05 * 80
    assert np.mean(limits) < 0.5
