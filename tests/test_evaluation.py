import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.dataset.matching import MASK_NAMES, PROBABILITY_NAMES, MapPair, pair_files
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import evaluate_mask, metric_row, require_gradual, sweep_map
from cordlesion.metrics.columns import METRIC_COLUMNS
from support.images import AFFINE, SHAPE, box, noise, write_image

LESION = box((4, 10), (4, 10), (4, 10))


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(pairs):
    return [(pair.scan_id, pair.reference.name, pair.prediction.name) for pair in pairs]


def test_files_are_matched_by_their_entities(tmp_path):
    reference = touch(tmp_path / "r", "sub-02/sub-02_label-lesion_seg.nii.gz", "sub-01_ses-a_T2w_lesion-manual.nii")
    prediction = touch(
        tmp_path / "p", "sub-01_ses-a_label-lesion_desc-x_mask.nii.gz", "sub-02_T2w_label-lesion_desc-y_mask.nii.gz"
    )
    pairs, unmatched = pair_files(reference, prediction)
    assert unmatched == []
    assert names(pairs) == [
        ("sub-01_ses-a", "sub-01_ses-a_T2w_lesion-manual.nii", "sub-01_ses-a_label-lesion_desc-x_mask.nii.gz"),
        ("sub-02", "sub-02_label-lesion_seg.nii.gz", "sub-02_T2w_label-lesion_desc-y_mask.nii.gz"),
    ]
    assert [(pair.subject, pair.session) for pair in pairs] == [("sub-01", "a"), ("sub-02", "")]


def test_files_without_entities_are_matched_by_name(tmp_path):
    reference, prediction = touch(tmp_path / "r", "case7.nii.gz"), touch(tmp_path / "p", "case7.nii")
    pairs, _ = pair_files(reference, prediction)
    assert [(pair.scan_id, pair.subject, pair.session) for pair in pairs] == [("case7", "case7", "")]


def test_two_files_are_a_pair_whatever_their_names(tmp_path):
    touch(tmp_path, "a.nii.gz", "b.nii.gz")
    pairs, unmatched = pair_files(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    assert names(pairs) == [("a", "a.nii.gz", "b.nii.gz")]
    assert unmatched == []


def test_lesion_masks_are_told_from_other_files_of_the_scan(tmp_path):
    reference = touch(
        tmp_path / "r",
        *(f"sub-01_label-{label}_seg.nii.gz" for label in ("lesion", "cord", "centerline")),
        "sub-01_T2w.nii.gz",
    )
    prediction = touch(tmp_path / "p", "sub-01_label-lesion_mask.nii.gz", "sub-01_label-lesion_probseg.nii.gz")
    assert names(pair_files(reference, prediction)[0])[0][1:] == (
        "sub-01_label-lesion_seg.nii.gz",
        "sub-01_label-lesion_mask.nii.gz",
    )
    assert names(pair_files(reference, prediction, PROBABILITY_NAMES)[0])[0][1:] == (
        "sub-01_label-lesion_seg.nii.gz",
        "sub-01_label-lesion_probseg.nii.gz",
    )


def test_files_without_a_partner_are_listed(tmp_path):
    reference = touch(tmp_path / "r", "sub-01_seg.nii.gz", "sub-02_seg.nii.gz", "notes.txt", ".hidden.nii.gz")
    prediction = touch(tmp_path / "p", "sub-01_seg.nii.gz", "sub-03_seg.nii.gz")
    pairs, unmatched = pair_files(reference, prediction)
    assert [pair.scan_id for pair in pairs] == ["sub-01"]
    assert all(sentence.startswith(f"{name}: ") for name, sentence in unmatched)
    assert [name for name, _ in unmatched] == [
        str(reference / "sub-02_seg.nii.gz"),
        str(prediction / "sub-03_seg.nii.gz"),
    ]


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (["r/sub-01_seg.nii.gz", "p/sub-02_seg.nii.gz"], "none of its 1 files matches one of the 1"),
        (["r/sub-01_seg.nii.gz", "p/notes.txt"], "no NIfTI file found"),
        (["r/sub-01_seg.nii.gz", "p/sub-01.npz"], r"exports are probabilities: give them with --probability"),
        (["r/sub-01_seg.nii.gz"], "no such file or folder"),
        (["r/sub-01_seg.nii.gz", "p/sub-01_a.nii.gz", "p/sub-01_b.nii.gz"], "is of the same scan as"),
        (["r/a/case7.nii", "r/b/case7.nii", "p/case7.nii"], "is of the same scan as"),
    ],
)
def test_folders_that_cannot_be_matched_get_a_sentence(tmp_path, files, fault):
    touch(tmp_path, *files)
    with pytest.raises(CordlesionError, match=fault) as error:
        pair_files(tmp_path / "r", tmp_path / "p")
    assert str(error.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    "names",
    [
        ["patient01_2021-03-04", "patient02_2021-03-04"],
        ["case.001", "case.002"],
        ["patient-1_baseline", "patient-1_followup"],
        ["P01_T2-TSE", "P01_T2-STIR"],
        ["T2_1.3.12.2.1107", "T2_1.3.12.2.1108"],
        ["sub-01_T2w", "sub-01_PSIR"],
        ["sub-01_STIR_label-lesion_seg", "sub-01_T2w_label-lesion_seg"],
        ["sub-01_desc-a_label-lesion_seg", "sub-01_desc-b_label-lesion_seg"],
        ["sub-01_a", "sub-01_b"],
    ],
)
def test_files_of_equal_names_are_pairs_and_of_others_are_none(tmp_path, names):
    reference = touch(tmp_path / "r", *(f"{name}.nii.gz" for name in names))
    prediction = touch(tmp_path / "p", *(f"{name}.nii.gz" for name in names))
    pairs, unmatched = pair_files(reference, prediction)
    assert unmatched == []
    assert sorted((pair.reference.name, pair.prediction.name) for pair in pairs) == [
        (f"{name}.nii.gz", f"{name}.nii.gz") for name in sorted(names)
    ]
    assert len({pair.scan_id for pair in pairs}) == 2
    if "desc" not in names[0] and names[0] != "sub-01_a":
        (reference / f"{names[1]}.nii.gz").unlink()
        (prediction / f"{names[0]}.nii.gz").unlink()
        with pytest.raises(CordlesionError, match="none of its 1 files matches one of the 1"):
            pair_files(reference, prediction)


def test_what_segment_writes_of_a_scan_is_matched_with_its_reference(tmp_path):
    reference = touch(tmp_path / "r", "patient01_2021-03-04.nii.gz", "case_007.nii.gz")
    ends = ("label-lesion_mask", "label-lesion_probseg")
    names = ("patient01_2021-03-04", "case_007")
    prediction = touch(tmp_path / "p", *(f"{name}_{end}.nii.gz" for name in names for end in ends))
    for kinds, end in ((MASK_NAMES, ends[0]), (PROBABILITY_NAMES, ends[1])):
        pairs, unmatched = pair_files(reference, prediction, kinds)
        assert unmatched == []
        assert [(pair.scan_id, pair.prediction.name) for pair in pairs] == [
            (name, f"{name}_{end}.nii.gz") for name in sorted(names)
        ]


@pytest.mark.parametrize("theirs", ["consensus.nii.gz", "mine/pred.nii.gz"])
def test_a_folder_per_patient_with_one_file_name_is_paired_by_folder(tmp_path, theirs):
    reference = touch(tmp_path / "r", "p1/consensus.nii.gz", "p2/consensus.nii.gz", "p3/consensus.nii.gz")
    prediction = touch(tmp_path / "p", *(f"{patient}/{theirs}" for patient in ("p1", "p2", "p4")))
    if "/" in theirs:
        with pytest.raises(CordlesionError, match=r"is of the same scan as .*the same folders in both trees"):
            pair_files(reference, prediction)
        return
    pairs, unmatched = pair_files(reference, prediction)
    assert [(pair.scan_id, pair.subject, pair.prediction.parent.name) for pair in pairs] == [
        ("p1", "p1", "p1"),
        ("p2", "p2", "p2"),
    ]
    assert [name.removeprefix(str(tmp_path)) for name, _ in unmatched] == [
        "/r/p3/consensus.nii.gz",
        "/p/p4/consensus.nii.gz",
    ]


def test_folders_that_are_patients_may_hold_files_of_other_names(tmp_path):
    reference = touch(tmp_path / "r", "p1/consensus.nii.gz", "p2/consensus.nii.gz")
    prediction = touch(tmp_path / "p", "p1/pred.nii.gz", "p2/pred.nii.gz")
    assert [pair.scan_id for pair in pair_files(reference, prediction)[0]] == ["p1", "p2"]
    touch(tmp_path / "r", "p1/first.nii.gz", "p2/first.nii.gz")
    touch(tmp_path / "p", "p1/consensus.nii.gz", "p2/first.nii.gz")
    pairs, _ = pair_files(reference, prediction)
    assert [pair.scan_id for pair in pairs] == ["p1_consensus", "p2_first"]


def test_linked_folders_are_followed_and_names_that_are_not_utf8_are_listed(tmp_path):
    store = touch(tmp_path / "store", "case7.nii.gz")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "linked").symlink_to(store)
    touch(tmp_path / "p", "case7.nii.gz", os.fsdecode(b"H\xf4pital.nii.gz"))
    pairs, unmatched = pair_files(tmp_path / "r", tmp_path / "p")
    assert [pair.scan_id for pair in pairs] == ["case7"]
    assert [r"H\xf4pital.nii.gz: its name is not UTF-8" in reason for _, reason in unmatched] == [True]


@pytest.fixture
def pair(tmp_path):
    reference = write_image(tmp_path / "sub-01_seg.nii.gz", LESION)
    prediction = write_image(tmp_path / "sub-01_pred.nii.gz", box((4, 10), (4, 10), (7, 13)))
    return MapPair("sub-01", "sub-01", "", reference, prediction)


def test_a_mask_is_measured_by_hand(pair):
    metrics = evaluate_mask(pair)
    assert metrics.voxel_sensitivity == metrics.voxel_precision == metrics.voxel_f1 == 0.5
    assert (metrics.n_reference_lesions, metrics.n_detected_lesions) == (1, 1)
    assert metrics.reference_volume_mm3 == pytest.approx(216 * 0.216, rel=1e-6)
    row = metric_row(pair, metrics)
    assert tuple(row) == ("scan_id", "subject", "session", *METRIC_COLUMNS)


def test_a_map_is_measured_at_every_threshold(pair, tmp_path):
    probability = np.where(LESION, 0.8, 0.1 * (noise() / 100)).astype(np.float32)
    write_image(pair.prediction, probability)
    table = sweep_map(pair, (0.0, 0.1, 0.8, 0.9))
    assert list(table.columns[:4]) == ["scan_id", "subject", "session", "threshold"]
    assert table["threshold"].tolist() == [0.0, 0.1, 0.8, 0.9]
    assert table["voxel_f1"].tolist() == [pytest.approx(2 * 216 / (216 + math.prod(SHAPE))), 1.0, 1.0, 0.0]
    for threshold, row in zip((0.1, 0.8, 0.9), table.iloc[1:].itertuples(), strict=True):
        mask = write_image(tmp_path / "mask.nii.gz", (probability >= np.float32(threshold)).astype(np.uint8))
        expected = metric_row(pair, evaluate_mask(MapPair("sub-01", "sub-01", "", pair.reference, mask)))
        assert {name: getattr(row, name) for name in METRIC_COLUMNS} == {
            name: expected[name] for name in METRIC_COLUMNS
        }


def test_prediction_and_reference_must_share_one_grid(pair):
    shifted = AFFINE.copy()
    shifted[2, 3] = 0.6
    write_image(pair.prediction, LESION, shifted)
    for measure in (evaluate_mask, lambda p: sweep_map(p, (0.5,))):
        with pytest.raises(CordlesionError, match=r"sub-01_pred\.nii\.gz: lies up to 0\.60 mm away from .*sub-01_seg"):
            measure(pair)


def test_masks_are_told_from_maps_also_where_minimum_volumes_are_tried():
    rows = [
        {"scan_id": "sub-01", "minimum_volume_mm3": v, "threshold": t, "predicted_volume_mm3": 90.0 - v if t else 999.0}
        for v in (0, 40)
        for t in (0, 0.5, 1)
    ]
    with pytest.raises(CordlesionError, match="maps: every threshold above 0 gives the same masks"):
        require_gradual(Path("maps"), pd.DataFrame(rows))
    rows[2]["predicted_volume_mm3"] = 12.0
    require_gradual(Path("maps"), pd.DataFrame(rows))
