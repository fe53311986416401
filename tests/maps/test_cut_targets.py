"""What `cut` may write over, and what tells `evaluate` which scans a rule was tuned on."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.io.volume import Volume, write_volume
from cordlesion.maps import cut as cut_module
from cordlesion.maps.cut import cut_files
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.threshold import GlobalThreshold
from cordlesion.threshold.mask_rule import MaskRule, read_tuning_scans, rule_beside

NAMES = [f"sub-{n}_T2w" for n in range(3)]
RULE = MaskRule(GlobalThreshold.given(0.4), scans={"sub-0": "sub-0", "sub-8": "sub-8"})
OTHER = replace(RULE, rule=GlobalThreshold.given(0.6), scans={"sub-9": "sub-9"})


@pytest.fixture
def maps(tmp_path, monkeypatch):
    """Three maps with references, and two rules."""
    monkeypatch.chdir(tmp_path)
    p = np.linspace(0, 1, 64, dtype=np.float32).reshape(4, 4, 4)
    for name in NAMES:
        write_volume(tmp_path / f"maps/{name}_label-lesion_probseg.nii.gz", p, Volume(p, np.eye(4)))
        write_volume(tmp_path / f"labels/{name}_label-lesion_seg.nii.gz", p > 0.5, Volume(p, np.eye(4)))
    for name, rule in (("rule", RULE), ("other", OTHER)):
        (tmp_path / f"{name}.json").write_text(json.dumps(rule.record()))
    return tmp_path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_rule_of_other_masks_is_not_replaced(maps):
    cut_files("maps", "rule.json", "masks")
    (maps / "more").mkdir()
    shutil.copy(maps / f"maps/{NAMES[0]}_label-lesion_probseg.nii.gz", maps / "more/sub-7_probseg.nii.gz")
    before = content(maps / "masks")
    with pytest.raises(CordlesionError, match=r"masks/threshold_rule\.json: is there already, with another rule or"):
        cut_files("more", "other.json", "masks")
    with pytest.raises(CordlesionError, match=r"masks/sub-0_T2w_label-lesion_mask\.json: its mask is of the rule in"):
        cut_files("more", "other.json", "masks", overwrite=True)
    assert content(maps / "masks") == before
    cut_files("more", "rule.json", "masks")  # the same rule adds masks
    assert read_tuning_scans(rule_beside(maps / "masks")) == RULE.scans
    (remark,) = evaluate_files("labels", "masks").remarks
    assert remark.startswith(
        "masks/threshold_rule.json: was tuned on the subjects of 1 of these 3 scans (first: sub-0)"
    )


def test_all_masks_of_a_rule_are_replaced_where_that_is_asked(maps, capsys):
    cut_files("maps", "rule.json", "masks")
    damaged = maps / f"maps/{NAMES[2]}_label-lesion_probseg.nii.gz"
    damaged.write_bytes(b"damaged")
    with shown():
        cut_files("maps", "other.json", "masks", overwrite=True)
    assert read_tuning_scans(rule_beside(maps / "masks")) == OTHER.scans
    said = " ".join(capsys.readouterr().out.split())
    assert f"masks/{NAMES[2]}_label-lesion_mask.nii.gz: was there before and stays, because its map is excluded" in said
    assert f"{NAMES[1]}_label-lesion_mask.nii.gz: was" not in said


def test_a_file_of_the_users_is_not_replaced(maps):
    own = maps / f"masks/{NAMES[1]}_label-lesion_mask.json"
    own.parent.mkdir()
    own.write_text('{"Rater": "JD"}')
    with pytest.raises(CordlesionError, match=r"sub-1_T2w_label-lesion_mask\.json: is there already"):
        cut_files("maps", 0.4, "masks")
    assert list(content(maps / "masks").values()) == [b'{"Rater": "JD"}']
    cut_files("maps", 0.4, "masks", overwrite=True)
    assert json.loads(own.read_text())["Threshold"] == 0.4


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{", "not a JSON file"), ("[]", "holds a list"), ('{"name": "mine"}', "holds no threshold rule"),
     ('{"threshold": 0.4, "scans": 3}', "scans: a section with keys is needed, found 3"),
     ('{"threshold": 0.4}', "does not name the scans that the rule was tuned on")],
)  # fmt: skip
def test_another_file_of_that_name_does_not_stop_an_evaluation(maps, text, fault):
    cut_files("maps", 0.4, "masks")
    expected = evaluate_files("labels", "masks")
    assert expected.remarks == []
    rule_beside(maps / "masks").write_text(text)
    found = evaluate_files("labels", "masks")
    assert found.table.equals(expected.table)
    (remark,) = found.remarks
    assert remark.startswith(f"masks/threshold_rule.json: {fault}")
    assert remark.endswith("it is unknown whether the threshold was tuned on these subjects.")


@pytest.mark.parametrize("scans", [["sub-0"], {"sub-0": 0}, "sub-0", None])
def test_damaged_scans_hide_no_subject_that_a_rule_was_tuned_on(maps, scans):
    """Neither in the file that is given nor in the one beside masks."""
    cut_files("maps", "rule.json", "masks")
    for path in (maps / "rule.json", rule_beside(maps / "masks")):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"scans": scans}))
    with pytest.raises(CordlesionError, match=r"rule\.json: scans"):
        evaluate_files("labels", probability="maps", threshold="rule.json")
    (remark,) = evaluate_files("labels", "masks").remarks
    assert remark.startswith("masks/threshold_rule.json: scans")
    assert remark.endswith("it is unknown whether the threshold was tuned on these subjects.")


@pytest.mark.usefixtures("maps")
def test_of_a_file_without_scans_that_is_said(maps):
    """As `tune` wrote it in its first version."""
    (maps / "old.json").write_text('{"threshold": 0.4, "n_scans": 3}')
    (remark,) = evaluate_files("labels", probability="maps", threshold="old.json").remarks
    assert remark.startswith("old.json: does not name the scans that the rule was tuned on")
    assert evaluate_files("labels", probability="maps", threshold=0.4).remarks == []


@pytest.mark.usefixtures("maps")
def test_every_map_is_read_once(monkeypatch):
    read, original = [], cut_module.read_map
    monkeypatch.setattr(cut_module, "read_map", lambda path, *rest: read.append(path.name) or original(path, *rest))
    assert len(cut_files("maps", 0.4, "masks").table) == 3
    assert sorted(read) == [f"{name}_label-lesion_probseg.nii.gz" for name in NAMES]


def test_a_map_in_the_folder_of_a_patient_keeps_it(tmp_path, monkeypatch):
    """Otherwise its mask is taken for that of another patient's scan of the same name."""
    monkeypatch.chdir(tmp_path)
    empty = Volume(np.zeros((6, 6, 6)), np.eye(4))
    for name in ("labels/P1/T2_M00_lesion", "labels/P2/T2_M12_lesion"):
        (tmp_path / name).parent.mkdir(parents=True)
        write_volume(tmp_path / f"{name}.nii.gz", np.ones((6, 6, 6), np.uint8), empty)
    (tmp_path / "maps/P2").mkdir(parents=True)
    write_volume(tmp_path / "maps/P2/T2_M00_prob.nii.gz", np.full((6, 6, 6), 0.7, np.float32), empty)
    cut_files("maps", 0.5, "masks")
    assert (tmp_path / "masks/P2/T2_M00_prob.nii.gz").is_file()
    with pytest.raises(CordlesionError, match="P2 and not in P1"):
        evaluate_files("labels", "masks")
