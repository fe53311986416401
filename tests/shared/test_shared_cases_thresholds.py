"""Small inputs on which `tune` once gave a wrong answer, walked where the folder of shared data is there."""

import json

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.maps.tune import tune_files


@pytest.mark.parametrize("grid", ["paper", "fine"])
def test_maps_of_zeros_are_refused(shared, tmp_path, grid):
    case = shared("cases", "metrics", "maps_zeros")
    with pytest.raises(
        CordlesionError, match=r"nothing that a threshold could find.*0\.106, which marking every voxel"
    ):
        tune_files(case / "reference", case / "maps", output=tmp_path / "t.json", grid=grid)
    assert not (tmp_path / "t.json").exists()


def test_timid_maps_are_refused_and_the_fine_grid_is_named(shared, tmp_path):
    case = shared("cases", "metrics", "maps_timid")
    with pytest.raises(CordlesionError, match=r"0\.106, which marking every voxel.*--grid fine does better: t = 0\.02"):
        tune_files(case / "reference", case / "maps", output=tmp_path / "t.json")
    tune_files(case / "reference", case / "maps", output=tmp_path / "t.json", grid="fine")
    assert json.loads((tmp_path / "t.json").read_text())["score"] > 0.8


@pytest.mark.parametrize(
    ("parts", "reference"),
    [
        (("metrics", "maps_cut_at_half", "maps"), "reference"),
        (("io", "06_maps", "zero_where_background_wins"), "references"),
    ],
)
def test_maps_that_were_cut_are_said(shared, tmp_path, capsys, parts, reference):
    maps = shared("cases", *parts)
    with shown():
        tune_files(maps.parent / reference, maps, output=tmp_path / "t.json")
    assert "no map has a value from 0.05 to below 0.5" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "t.json").read_text())["maps_cut_at"] >= 0.5
