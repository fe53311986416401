"""The summary of an evaluation, and the score of MS-Multi-Spine that maps get, against its parts."""

import json

import numpy as np
import pytest

import cordlesion
from cordlesion.io.volume import Volume, write_volume
from cordlesion.metrics import match_components, multi_spine_score


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    for number in range(6):
        lesion = np.zeros((12, 12, 12), bool)
        lesion[2:5, 2 : 4 + number % 3, 2:6] = lesion[8:10, 8:10, 7:11] = number < 5
        p = (0.6 * lesion * rng.uniform(0.5, 1) + rng.uniform(0, 0.35, lesion.shape)).astype(np.float32)
        for kind, data in (("labels", lesion.astype(np.uint8)), ("maps", p), ("masks", (p > 0.34).astype(np.uint8))):
            (tmp_path / kind).mkdir(exist_ok=True)
            write_volume(tmp_path / kind / f"sub-{number}.nii.gz", data, Volume(lesion, np.eye(4)))
    return tmp_path


def test_maps_get_the_score_of_their_components(folder, cli):
    ended = cli("evaluate", "--reference", "labels", "--probability", "maps", "--threshold", "0.34", "-o", "m.tsv",
                "--summary", "summary.json")  # fmt: skip
    assert ended.status == 0, ended.error
    images = []
    for number in range(6):
        reference = cordlesion.read_mask(folder / "labels" / f"sub-{number}.nii.gz").data > 0
        p = cordlesion.read_probability(folder / "maps" / f"sub-{number}.nii.gz").data
        images.append(match_components(reference, p >= np.float32(0.34), p))
    expected = multi_spine_score(images)
    summary = json.loads((folder / "summary.json").read_text())
    found = summary["multi_spine"]
    assert found["score"] == pytest.approx(expected.score)
    assert list(found["sensitivity_at_false_lesions_per_scan"].values()) == pytest.approx(expected.sensitivities)
    assert found["interval"][0] <= expected.score <= found["interval"][1]
    assert (found["n_scans"], found["n_lesion_bearing"]) == (6, 5)
    assert f"MS-Multi-Spine score {expected.score:.3f} (95 % interval" in ended.output + ended.error
    table = cordlesion.read_table("m.tsv")
    assert summary["metrics"]["voxel_f1"] == {
        "median": pytest.approx(table["voxel_f1"].median()), "mean": pytest.approx(table["voxel_f1"].mean()), "n": 5
    }  # fmt: skip
    assert (summary["n_scans"], summary["n_subjects"], summary["n_lesion_free"]) == (6, 6, 1)
    assert summary["masks_of_maps"] == "threshold 0.34"


def test_masks_have_no_probabilities_and_so_no_score(folder):
    measured = cordlesion.evaluate_files("labels", "masks", summary="summary.json")
    assert measured.multi_spine is None
    assert json.loads((folder / "summary.json").read_text())["multi_spine"] is None
    maps = cordlesion.evaluate_files("labels", probability="maps", threshold=0.34)
    columns = [name for name in maps.table if name != "rule"]
    np.testing.assert_allclose(maps.table[columns[3:]], measured.table[columns[3:]])


def test_a_summary_in_place_of_an_input_is_refused(folder):
    with pytest.raises(cordlesion.CordlesionError, match=r"labels"):
        cordlesion.evaluate_files(folder / "labels", "masks", summary=folder / "labels" / "sub-1.nii.gz")
