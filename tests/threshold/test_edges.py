"""What lies at an end of what was tried is said where more may be gained beyond it, for every rule."""

import numpy as np
import pandas as pd
import pytest

from cordlesion.threshold import SETTINGS, THRESHOLD_RULES, choose_threshold
from cordlesion.threshold.edges import describe_edge, describe_edges
from support.swept import GRID, scans_of


@pytest.mark.parametrize(
    ("name", "chosen", "tried", "words"),
    [
        ("threshold", 0.05, (0, 0.05, 1), "0.05 is the lowest threshold above 0 that was tried"),
        ("threshold", 1, (0, 0.05, 1), ""),
        ("threshold", 0.9, (0, 0.5, 0.9), "0.9 is the largest threshold that was tried"),
        ("threshold", 0.5, (0, 0.05, 0.5, 1), ""),
        ("threshold", np.nan, (0, 1), ""),
        ("minimum_volume_mm3", 24, (0, 24), "24 mm3 is the largest minimum volume that was tried"),
        ("minimum_volume_mm3", 5, (5, 10), "5 mm3 is the lowest minimum volume that was tried"),
        ("minimum_volume_mm3", 0, (0, 24), ""),
        ("minimum_volume_mm3", 3, (3,), ""),  # the only one: the user's decision
        ("peak", 0.05, (0.05, 0.5, 1), ""),
        ("peak", 1, (0.05, 0.5, 1), ""),
        ("most_components", 1, (1, 2, np.inf), ""),
        ("most_components", np.inf, (1, 2, np.inf), ""),
        ("volume_slope", -1, (-1, 0, 1), "-1 is the lowest slope that was tried"),
        ("volume_slope", 1, (-1, 0, 1), "1 is the largest slope that was tried"),
        ("least_expected_dice", 0.4, (0, 0.4), "0.4 is the largest least expected Dice that was tried"),
        ("another_setting", 7, (1, 7), "7 is the largest another setting that was tried"),
    ],
)
def test_an_end_is_said_where_something_lies_beyond(name, chosen, tried, words):
    assert describe_edge(name, chosen, tried) == words


def test_rules_state_what_they_try():
    """As the curves of their choices show it: the report knows only the chosen values."""
    for rule, kind in THRESHOLD_RULES.items():
        assert {*kind.tried} <= {"threshold", *SETTINGS}, rule
        assert all(list(values) == sorted(values) for values in kind.tried.values())


def test_a_choice_at_an_end_is_described():
    table = scans_of(np.random.default_rng(0), 8, GRID[:4])
    volumes = [
        table.assign(minimum_volume_mm3=v, voxel_f1=table["voxel_f1"] * (0.5 + v / 20)) for v in (0.0, 3.0, 10.0)
    ]
    choice = choose_threshold(pd.concat(volumes), "mean_voxel_f1", n_resamples=1)
    found = describe_edges(choice)
    assert found["minimum_volume_mm3"] == "10 mm3 is the largest minimum volume that was tried"
    assert ("threshold" in found) == (choice.value in (GRID[1], GRID[3]))
