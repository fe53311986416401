"""What a study reports of a method's maps when it chooses the threshold, and what it writes."""

import math
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.config import ComparatorConfig, ComparatorRun
from cordlesion.io.progress import shown
from cordlesion.study.tune import choose_for

GRID = (0.0, 0.05, 0.1, 0.15, 0.5, 0.9)


def sweep(f1, volumes):
    return pd.DataFrame(
        {
            "scan_id": f"scan-{n}",
            "subject": f"sub-{n}",
            "threshold": t,
            "voxel_f1": score,
            "predicted_volume_mm3": volume,
        }
        for n in range(3)
        for t, score, volume in zip(GRID, f1, volumes, strict=True)
    )


@pytest.fixture
def method():
    return ComparatorRun(comparator=ComparatorConfig(name="tool", maps=Path("maps")))


def test_what_learned_nothing_is_said_and_written(method, capsys):
    with shown():
        choice, row = choose_for(method, sweep((0.1, 0, 0, 0, 0, 0), (99, 0, 0, 0, 0, 0)), "median_voxel_f1")
    printed = " ".join(capsys.readouterr().out.split())
    assert "tool: has learned nothing: no threshold above 0 reaches a higher median voxel F1 than 0.1" in printed
    assert "no map has a value of 0.05 or more. It takes part in no ranking, test or recommendation." in printed
    assert (choice.learned, row["learned"], row["threshold"]) == (False, False, 0)
    assert list(row)[-2:] == ["learned", "maps_cut_at"]


def test_a_method_that_meets_no_condition_is_said_and_the_others_go_on(method, capsys):
    table = sweep((0.1, 0.2, 0.4, 0.3, 0.2, 0), (99, 29, 19, 9, 2, 1))
    twice = [table.assign(scan_id=table["scan_id"] + name, repeat="base", reference_volume_mm3=9.0) for name in "ab"]
    with shown():
        choice, row = choose_for(method, pd.concat(twice), "repeatability:0.5")
    printed = " ".join(capsys.readouterr().out.split())
    assert "tool: has no threshold for this objective: no threshold has a mean voxel F1 of at least 0.5" in printed
    assert "nearest is t = 0.1 with 0.400. It takes part in no ranking, test or recommendation." in printed
    assert (choice.learned, row["learned"], row["threshold"], row["score"]) == (False, False, 0.1, 0)


def test_cut_maps_are_said_and_written(method, capsys):
    with shown():
        choice, row = choose_for(method, sweep((0.1, 0.6, 0.6, 0.6, 0.6, 0.2), (99, 9, 9, 9, 9, 2)), "median_voxel_f1")
    printed = " ".join(capsys.readouterr().out.split())
    assert "tool: no map has a value from 0.05 to below 0.5" in printed
    assert "that was tried" not in printed
    assert (choice.learned, row["learned"], row["maps_cut_at"]) == (True, True, 0.5)


def test_of_gradual_maps_nothing_is_said(method, capsys):
    with shown():
        _, row = choose_for(method, sweep((0.1, 0.4, 0.5, 0.6, 0.6, 0.2), (99, 19, 14, 9, 8, 2)), "median_voxel_f1")
    assert capsys.readouterr().out == ""
    assert row["learned"]
    assert math.isnan(row["maps_cut_at"])


@pytest.mark.parametrize(
    ("f1", "words"),
    [
        (
            (0.1, 0.9, 0.6, 0.6, 0.6, 0.2),
            "tool: 0.05 is the lowest threshold above 0 that was tried; more may be gained",
        ),
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.9), "tool: 0.9 is the largest threshold that was tried; more may be gained"),
        ((0.1, 0.2, 0.3, 0.9, 0.5, 0.2), ""),
    ],
)
def test_a_threshold_at_an_end_of_the_grid_is_said(method, capsys, f1, words):
    with shown():
        choose_for(method, sweep(f1, (99, 9, 8, 7, 6, 5)), "median_voxel_f1")
    printed = " ".join(capsys.readouterr().out.split())
    assert words in printed
    assert ("that was tried" in printed) == bool(words)
