"""`tune`: maps that hold nothing a threshold could find are refused, maps that were cut are taken with a word."""

import json

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.maps.tune import tune_files
from support.images import SHAPE, box, write_image
from support.images import noise as percent


def noise(seed):
    """Values between 0 and 1."""
    return percent(seed=seed) / 100


LESION = box((4, 10), (4, 10), (4, 10))
MARKING_ALL = 2 * LESION.sum() / (LESION.sum() + np.prod(SHAPE))


@pytest.fixture
def write(tmp_path):
    """Write six references and the maps that a function of the scan's number gives."""

    def folders(probability):
        for n in range(6):
            write_image(tmp_path / "reference" / f"sub-{n}_label-lesion_seg.nii.gz", LESION.astype(np.uint8))
            write_image(tmp_path / "maps" / f"sub-{n}_probseg.nii.gz", probability(n).astype(np.float32))
        return tmp_path / "reference", tmp_path / "maps"

    return folders


def refused(folders, tmp_path, **options):
    output = tmp_path / "thresholds.json"
    with pytest.raises(CordlesionError) as refusal:
        tune_files(*folders, output=output, **options)
    assert not output.exists()
    return str(refusal.value)


NOTHING = {
    "zeros": (lambda _: np.zeros(SHAPE), "no map has a value of 0.05 or more"),
    "constant": (lambda _: np.full(SHAPE, 0.3), "t = 0.05 marks 100 % of the voxels of every map"),
    "background": (lambda _: 1 - np.where(LESION, 0.9, 0.02), "the background's probability?"),
}


@pytest.mark.parametrize("name", NOTHING)
@pytest.mark.parametrize("grid", ["paper", "fine"])
def test_maps_no_better_than_marking_everything_are_refused(write, tmp_path, name, grid):
    probability, apparent = NOTHING[name]
    said = refused(write(probability), tmp_path, grid=grid)
    assert "these maps hold nothing that a threshold could find" in said
    assert f"a higher median voxel F1 than {MARKING_ALL:.3g}, which marking every voxel as lesion (t = 0) does" in said
    assert apparent.replace("0.05", "0.01" if grid == "fine" else "0.05") in said
    assert "--grid fine" not in said


def test_where_lower_thresholds_help_that_is_said(write, tmp_path):
    """A timid network: the lesion's probability is below the first step of the paper's grid."""
    folders = write(lambda _: np.where(LESION, 0.04, 0.001))
    assert refused(folders, tmp_path).endswith("--grid fine does better: t = 0.02 reaches 1.")
    tune_files(*folders, output=tmp_path / "thresholds.json", grid="fine")
    assert json.loads((tmp_path / "thresholds.json").read_text())["threshold"] == 0.02


def test_a_budget_that_no_threshold_keeps_with_a_lesion_found_is_refused(write, tmp_path):
    """At t = 0 the whole image is one component, which is one false positive: within the budget, and of no use."""
    spots = sum(box((x, x + 3), (0, 3), (0, 3)) for x in (0, 12)) > 0
    folders = write(lambda _: np.where(LESION, 0.5, 0.8 * spots))
    said = refused(folders, tmp_path, objective="lesion_sensitivity:1")
    assert "no threshold finds a lesion with at most 1 false positives per scan; nearest is t = 0.05" in said
    assert "which finds 6 of 6 lesions with 2 false positives per scan" in said
    tune_files(*folders, output=tmp_path / "thresholds.json", objective="lesion_sensitivity:2")


def test_the_command_ends_with_status_2(write, tmp_path, cli):
    reference, maps = write(NOTHING["zeros"][0])
    result = cli("tune", "--reference", reference, "--probability", maps, "-o", tmp_path / "t.json")
    assert result.status == 2
    assert "hold nothing that a threshold could find" in " ".join(result.error.split())


@pytest.mark.parametrize("cut", [0.3, 0.5])
def test_maps_that_were_cut_are_said(write, tmp_path, capsys, cut):
    def probability(n):
        p = np.where(LESION, 0.4 + 0.6 * noise(seed=n), 0.6 * noise(seed=n + 9))
        return np.where(p < cut, 0, p)

    with shown():
        tune_files(*write(probability), output=tmp_path / "thresholds.json")
    said = " ".join(capsys.readouterr().out.split())
    assert f"no map has a value from 0.05 to below {cut}" in said
    assert "lower ones could not be tried" in said
    chosen = json.loads((tmp_path / "thresholds.json").read_text())
    assert (chosen["maps_cut_at"], list(chosen)[-1]) == (cut, "curve")


def test_of_gradual_maps_nothing_is_said(write, tmp_path, capsys):
    with shown():
        tune_files(*write(lambda n: np.where(LESION, 0.7, 0.6 * noise(seed=n))), output=tmp_path / "thresholds.json")
    assert "no map has a value" not in capsys.readouterr().out
    assert json.loads((tmp_path / "thresholds.json").read_text())["maps_cut_at"] is None
