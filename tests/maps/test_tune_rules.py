"""`tune --threshold-rule`: every rule refuses maps that hold nothing, and its file and choice say what it is."""

import json
import math

import numpy as np
import pytest
from scipy import ndimage

import cordlesion
from cordlesion.errors import CordlesionError
from cordlesion.threshold import THRESHOLD_RULES
from cordlesion.threshold.maps import plain_rows
from support.images import write_image

SHAPE = (14, 15, 16)
every_rule = pytest.mark.parametrize("rule", THRESHOLD_RULES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """References, and maps of four kinds."""
    root, rng = tmp_path_factory.mktemp("rules"), np.random.default_rng(0)
    for number in range(6):
        lesion = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2) > 0.1
        good = 0.5 * lesion + 0.45 * rng.random(SHAPE)
        kinds = {
            "good": good,
            "zeros": np.zeros(SHAPE),
            "background": np.clip(0.8 + 0.1 * rng.random(SHAPE), 0, 1),
            "masks": good > 0.5,
        }
        write_image(root / "references" / f"sub-{number}.nii.gz", lesion.astype(np.uint8))
        for kind, values in kinds.items():
            write_image(root / kind / f"sub-{number}.nii.gz", values.astype(np.float32))
    return root


@every_rule
@pytest.mark.parametrize("kind", ["zeros", "background", "masks"])
def test_maps_that_hold_nothing_get_a_sentence(folder, rule, kind):
    with pytest.raises(CordlesionError) as error:
        cordlesion.tune_files(folder / "references", folder / kind, threshold_rule=rule, objective="mean_voxel_f1")
    assert str(error.value).startswith(str(folder / kind)) or "cannot be calibrated" in str(error.value)
    assert "\n" not in str(error.value)


@every_rule
def test_the_choice_holds_the_rule_and_its_file_says_no_more(folder, rule, tmp_path):
    written = tmp_path / "rule.json"
    choice = cordlesion.tune_files(
        folder / "references", folder / "good", threshold_rule=rule, objective="mean_voxel_f1", output=written
    )
    record = json.loads(written.read_text())
    assert choice.rule.rule == record["threshold_rule"]["rule"] == rule
    assert record["threshold"] == (choice.value if rule == "global" else None)
    assert record["grid"] == ("paper" if rule == "global" else None)
    assert math.isnan(choice.value) == (rule == "rank_dice")
    assert (record["interval"] is None) == (rule == "rank_dice")
    found = cordlesion.evaluate_files(folder / "references", probability=folder / "good", threshold=written).table
    assert found["voxel_f1"].mean() == pytest.approx(choice.score)


def test_options_of_the_grid_are_for_one_threshold_only(folder):
    with pytest.raises(CordlesionError, match="--grid fine is given with the threshold rule peak"):
        cordlesion.tune_files(folder / "references", folder / "good", threshold_rule="peak", grid="fine")
    with pytest.raises(CordlesionError, match="pea"):
        cordlesion.tune_files(folder / "references", folder / "good", threshold_rule="pea")


@every_rule
def test_every_rule_measures_plain_thresholds(folder, rule):
    from cordlesion.io.volume import read_mask, read_probability
    from cordlesion.metrics import RULES
    from cordlesion.threshold.rule import TuningScan

    volume = read_mask(folder / "references/sub-0.nii.gz")
    p = read_probability(folder / "good/sub-0.nii.gz").data.astype(np.float32)
    scan = TuningScan("a", "a", volume.data > 0, p, volume.spacing_mm)
    table = THRESHOLD_RULES[rule].measure(scan, RULES["study"])
    plain = plain_rows(table)
    assert plain["threshold"].is_unique
    marked = [np.sum(p >= np.float32(t)) * np.prod(volume.spacing_mm) for t in plain["threshold"]]
    np.testing.assert_allclose(plain["predicted_volume_mm3"], marked, rtol=1e-6)
    assert (table["threshold"] == 0).any()
