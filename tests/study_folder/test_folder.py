"""Where the files of a study lie, and its done-markers."""

from pathlib import Path

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.study_folder.folder import StudyFolder


def test_a_stage_is_done_only_when_it_ended_and_only_for_its_inputs(tmp_path):
    folder = StudyFolder(tmp_path)
    with pytest.raises(RuntimeError), folder.stage("train/x", "inputs"):
        raise RuntimeError
    assert not folder.is_done("train/x", "inputs")
    with folder.stage("train/x", "inputs") as record:
        record["epochs"] = 3
    assert folder.is_done("train/x", "inputs")
    assert not folder.is_done("train/x", "other")
    assert folder.finished("train/x")["epochs"] == 3
    with pytest.raises(RuntimeError), folder.stage("train/x", "other"):
        raise RuntimeError
    assert folder.finished("train/x") == {}


@pytest.mark.parametrize(
    ("scan_id", "expected"),
    [
        ("sub-01", "sub-01/anat/sub-01_label-lesion_desc-diceseed0_probseg.nii.gz"),
        ("sub-01_ses-2_acq-ax", "sub-01/ses-2/anat/sub-01_ses-2_acq-ax_label-lesion_desc-diceseed0_probseg.nii.gz"),
    ],
)
def test_probability_maps_lie_where_bids_wants_them(tmp_path, scan_id, expected):
    folder = StudyFolder(tmp_path)
    assert folder.probability(scan_id, "dice_seed-0") == tmp_path / "derivatives" / "cordlesion" / expected


@pytest.mark.parametrize(
    ("find", "expected"),
    [
        (lambda folder: folder.configuration, "study.yaml"),
        (lambda folder: folder.manifest, "manifest.json"),
        (lambda folder: folder.splits, "splits.tsv"),
        (lambda folder: folder.sweep, "sweep.tsv"),
        (lambda folder: folder.thresholds, "thresholds.tsv"),
        (lambda folder: folder.evaluation, "evaluation.tsv"),
        (lambda folder: folder.stack("sub-01"), "stacks/sub-01.safetensors"),
        (lambda folder: folder.bundle("dice_seed-0"), "runs/dice_seed-0/bundle"),
    ],
)
def test_files_lie_where_others_look_for_them(find, expected):
    assert find(StudyFolder(Path("study"))) == Path("study") / expected


def test_the_times_of_all_units_in_the_order_of_their_names(tmp_path):
    folder = StudyFolder(tmp_path)
    for key in ("train/b", "predict/run/sub-2", "split", "predict/run/sub-10", "predict.x/sub-1"):
        with folder.stage(key, "inputs"):
            pass
    # What another process is just writing.
    (tmp_path / ".done" / "train" / ".part-1-b.json").write_text("")
    assert [name for name, _ in folder.seconds()] == [
        ("predict", "run", "sub-10"),
        ("predict", "run", "sub-2"),
        ("predict.x", "sub-1"),
        ("split",),
        ("train", "b"),
    ]
    assert all(seconds == folder.finished("/".join(name))["seconds"] for name, seconds in folder.seconds())


@pytest.mark.parametrize("seconds", ["1e999", "-1e999", "NaN", "-1", '"1"', "1" + "0" * 400])
def test_a_done_marker_without_usable_seconds_gets_a_sentence(tmp_path, seconds):
    marker = tmp_path / ".done" / "preprocess" / "sub-01.json"
    marker.parent.mkdir(parents=True)
    marker.write_text(f'{{"fingerprint": "a", "seconds": {seconds}}}')
    with pytest.raises(CordlesionError, match=r"sub-01.json: lacks the seconds that the unit took"):
        list(StudyFolder(tmp_path).seconds())
