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
from support.images import box, write_image

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


@pytest.fixture(scope="module")
def with_small_ones(tmp_path_factory):
    """In each map something of 18 mm3 is false, with the p of the lesion."""
    root = tmp_path_factory.mktemp("small")
    for number in range(6):
        lesion = box((2, 8), (2, 8), (2, 8), shape=SHAPE) > 0
        marked = lesion | (box((11, 13), (10, 13), (10, 13), shape=SHAPE) > 0)
        write_image(root / "references" / f"sub-{number}.nii.gz", lesion.astype(np.uint8), np.eye(4))
        for p in (0.015, 0.06, 0.9):
            write_image(root / f"maps{p}" / f"sub-{number}.nii.gz", (p * marked).astype(np.float32), np.eye(4))
    return root


@pytest.mark.parametrize(
    ("p", "options", "words"),
    [
        (
            0.9,
            {"threshold_rule": "peak"},
            "24 mm3 is the largest minimum volume that was tried; more may be gained beyond",
        ),
        (
            0.9,
            {"minimum_volumes_mm3": (0, 24)},
            "24 mm3 is the largest minimum volume that was tried; --minimum-volume",
        ),
        (0.9, {"minimum_volumes_mm3": (0, 24, 30)}, ""),
        (0.9, {"minimum_volumes_mm3": (24,)}, ""),
        (0.9, {}, ""),
        (0.06, {}, "0.05 is the lowest threshold above 0 that was tried; --grid fine tries lower ones."),
        (0.06, {"grid": "fine"}, ""),
        (0.015, {"grid": "fine"}, "0.01 is the lowest threshold above 0 that was tried; more may be gained beyond it."),
    ],
)
def test_what_lies_at_an_end_of_what_was_tried_is_said(with_small_ones, capsys, p, options, words):
    """A minimum volume above 18 mm3 is the best; of equal thresholds the middle is taken, which is no end."""
    from cordlesion.io.progress import shown

    with shown():
        cordlesion.tune_files(
            with_small_ones / "references", with_small_ones / f"maps{p}", **{"objective": "mean_lesion_f1"} | options
        )
    said = " ".join(capsys.readouterr().out.split())
    assert words in said
    assert said.count("that was tried") == bool(words)


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
