"""Numbered lesions on any grid: the labels, the rows and the numbers are of the same lesions, and who confirms them."""

import json
from dataclasses import asdict

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cordlesion.io.tables import read_table
from cordlesion.io.volume import Volume
from cordlesion.lesions.instances import InstanceFiles, instance_table, number_instances, write_instances
from cordlesion.lesions.judged import judge_predicted, judged_table
from cordlesion.lesions.measure import measure_lesions
from cordlesion.metrics import RULES, evaluate, match_instances
from cordlesion.threshold import LesionCalibration
from support.strategies import make_scan, scans

CALIBRATION = LesionCalibration(
    peak=0.8, mean=0.3, volume=0.4, shift=-1.5, threshold_rule=0.4, lesion_rule="study",
    n_lesions=50, n_real=20, n_subjects=12,
)  # fmt: skip


def blobs(scan: Volume, seed: int, share: float = 0.85) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(seed).uniform(0, 1, scan.data.shape)
    probability = ndimage.gaussian_filter(noise, 1.0).astype(np.float32)
    return probability, probability >= np.quantile(probability, share)


@settings(max_examples=20, deadline=None)
@given(scan=scans(), seed=st.integers(0, 1000))
def test_labels_rows_and_masks_are_of_the_same_lesions(scan: Volume, seed: int) -> None:
    probability, mask = blobs(scan, seed)
    labels = number_instances(mask, scan)
    found = measure_lesions(scan, mask, probability, calibration=CALIBRATION)
    assert labels.shape == mask.shape
    assert labels.dtype.kind == "u"
    assert sorted(set(np.unique(labels)) - {0}) == [one.lesion for one in found.lesions]
    voxel_mm3 = float(np.prod(scan.spacing_mm))
    components, n = ndimage.label(mask)
    for number in range(1, n + 1):  # every component is one lesion, or too small
        inside = labels[components == number]
        assert len(set(inside.tolist())) == 1
        assert (inside[0] == 0) == (len(inside) * voxel_mm3 <= 3 * (1 + 1e-6))
    assert not labels[~mask].any()
    for one in found.lesions:
        values = probability[labels == one.lesion]
        assert one.n_voxels == len(values)
        assert one.peak_probability == pytest.approx(values.max(), abs=5e-5)
        expected = CALIBRATION.chance(values.max(), values.mean(dtype=float), len(values) * voxel_mm3)
        assert one.probability == pytest.approx(float(expected), abs=6e-5)
    table = instance_table(found.lesions)
    assert table["index"].tolist() == [one.lesion for one in found.lesions]
    assert table["volume_mm3"].tolist() == [one.volume_mm3 for one in found.lesions]


@settings(max_examples=20, deadline=None)
@given(scan=scans(), seed=st.integers(0, 1000), rule=st.sampled_from(sorted(RULES)))
def test_as_many_are_real_as_the_metrics_count(scan: Volume, seed: int, rule: str) -> None:
    probability, mask = blobs(scan, seed)
    reference = np.roll(blobs(scan, seed)[1], 1, axis=0) & blobs(scan, seed + 1, 0.3)[1]
    counted = RULES[rule]
    judged = judge_predicted(Volume(reference, scan.affine), mask, probability, counted, counted)
    metrics = evaluate(reference, mask, scan.spacing_mm, rule)
    assert len(judged) == metrics.n_predicted_lesions
    assert sum(one.is_real for one in judged) == metrics.n_true_predicted_lesions
    assert [one.volume_mm3 for one in judged] == sorted((one.volume_mm3 for one in judged), reverse=True)


def test_a_lesion_is_judged_as_segment_lists_it_whatever_the_rule_counts_in_the_reference():
    """Two voxels that share an edge: one lesion for `iou50`, none for `segment`; its lesion is another one."""
    scan = make_scan("LAS", (1.0, 1.0, 1.0), (16, 16, 16), (0, 0, 0), 0)
    reference, mask = np.zeros((2, 16, 16, 16), bool)
    reference[2:5, 2:5, 2:5] = mask[2:5, 2:5, 2:5] = True
    mask[9, 9, 9] = mask[10, 10, 9] = True
    mask[12:14, 12:14, 12:14] = True
    probability = np.where(mask, 0.6, 0.0).astype(np.float32)
    judged = judge_predicted(Volume(reference, scan.affine), mask, probability, RULES["iou50"])
    assert [(one.lesion, one.volume_mm3, one.is_real) for one in judged] == [(1, 27.0, 1), (2, 8.0, 0)]
    assert judge_predicted(Volume(reference, scan.affine), np.zeros_like(mask), probability, RULES["study"]) == []
    assert judged_table([]).columns.tolist() == judged_table(judged).columns.tolist()


def test_the_files_agree_and_fit_the_scores_of_instances(tmp_path):
    scan = make_scan("PIR", (0.8, 0.7, 2.0), (20, 18, 16), (0.1, 0, 0.2), 3)
    probability, mask = blobs(scan, 5)
    found = measure_lesions(scan, mask, probability, calibration=CALIBRATION)
    files = InstanceFiles.of(tmp_path, "sub-01")
    write_instances(files, mask, scan, found.lesions, "sub-01_label-lesion_mask.nii.gz")
    image, table, about = nib.load(files.image), read_table(files.table), json.loads(files.record.read_text())
    np.testing.assert_array_equal(np.asarray(image.dataobj), number_instances(mask, scan))
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-5)
    assert [path.name for path in files.all] == [
        f"sub-01_desc-lesions_dseg{end}" for end in (".nii.gz", ".tsv", ".json")
    ]
    assert table.columns.tolist()[:2] == ["index", "name"]
    assert set(table.columns) <= set(about)
    lesions = [asdict(one) for one in found.lesions]
    for name in ("volume_mm3", "peak_probability", "mean_probability", "probability"):
        assert table[name].tolist() == [one[name] for one in lesions]
    matched = match_instances(image.dataobj, image.dataobj, table["probability"].tolist())
    assert matched.detected_at.tolist() == table["probability"].tolist()
    assert not len(matched.false)


def test_without_a_calibration_the_column_says_why(tmp_path):
    scan = make_scan("LAS", (1.0, 1.0, 1.0), (20, 18, 16), (0, 0, 0), 3)
    probability, mask = blobs(scan, 5)
    files = InstanceFiles.of(tmp_path, "scan_desc-denoised")
    found = measure_lesions(scan, mask, probability)
    write_instances(files, mask, scan, found.lesions, "mask.nii.gz", "it was tuned by an earlier version")
    assert files.image.name == "scan_desc-denoised_dseg.nii.gz"
    assert read_table(files.table)["probability"].isna().all()
    about = json.loads(files.record.read_text())
    assert about["probability"]["Description"] == "n/a: it was tuned by an earlier version"
    assert "Units" in about["volume_mm3"]


def test_a_mask_without_lesions_has_an_empty_image_and_table(tmp_path):
    scan = make_scan("LAS", (1.0, 1.0, 1.0), (6, 6, 6), (0, 0, 0), 0)
    files = InstanceFiles.of(tmp_path, "scan")
    write_instances(files, np.zeros((6, 6, 6), bool), scan, [], "mask.nii.gz")
    assert not np.asarray(nib.load(files.image).dataobj).any()
    assert len(read_table(files.table, ("index", "probability"))) == 0
