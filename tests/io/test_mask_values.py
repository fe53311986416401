"""A mask of ones may be a cord: all masks of a folder need the same value of lesions, or it is given."""

import json
from pathlib import Path

import numpy as np
import pytest

from cordlesion.config import ComparatorConfig, FilePatterns
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import inspect_scan
from cordlesion.errors import CordlesionError
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.tables import read_table
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.maps.tune import tune_files
from cordlesion.study.comparators.content import FileContent, require_findings
from support.images import SHAPE, box, noise, write_image

CORD = box((8, 16), (8, 16), (2, 38))
LESION = box((9, 12), (9, 12), (10, 20))


def folder(path, masks, ending="label-lesion_seg"):
    for n, mask in enumerate(masks):
        write_image(path / f"sub-{n}_{ending}.nii.gz", mask)
    return path


LABELS = [CORD + LESION, CORD]  # cord 1, lesion 2; the second scan has no lesion
NUMBERED = [CORD + LESION * np.arange(1, SHAPE[2] + 1, dtype=np.uint8), CORD]  # cord 1, each lesion a number of its own
PLAIN = [LESION, 0 * LESION]


@pytest.mark.parametrize("masks", [LABELS, NUMBERED, [2 * LESION, CORD], [LESION, 2 * LESION], [255 * LESION, CORD]])
@pytest.mark.parametrize("which", ["reference", "prediction"])
def test_a_folder_with_several_values_is_rejected(tmp_path, masks, which):
    folders = {"reference": PLAIN, "prediction": PLAIN} | {which: masks}
    paths = [folder(tmp_path / name, drawn) for name, drawn in folders.items()]
    with pytest.raises(CordlesionError, match=r"--lesion-value"):
        evaluate_files(*paths, output=tmp_path / "metrics.tsv")
    assert not (tmp_path / "metrics.tsv").exists()


def test_the_given_value_is_lesion(tmp_path):
    reference, prediction = folder(tmp_path / "r", LABELS), folder(tmp_path / "p", LABELS)
    evaluate_files(reference, prediction, output=tmp_path / "metrics.tsv", lesion_value=2)
    table = read_table(tmp_path / "metrics.tsv")
    assert table["voxel_f1"].iloc[0] == 1
    assert table["n_reference_lesions"].tolist() == table["n_predicted_lesions"].tolist() == [1, 0]
    evaluate_files(
        reference, folder(tmp_path / "q", PLAIN), output=tmp_path / "m.tsv", lesion_value=2, predicted_value=1
    )
    assert read_table(tmp_path / "m.tsv")["n_predicted_lesions"].tolist() == [1, 0]


@pytest.mark.parametrize(("masks", "kind"), [((LABELS, PLAIN), "predictions"), ((PLAIN, LABELS), "references")])
def test_a_value_that_no_mask_has_is_rejected(tmp_path, masks, kind):
    reference, prediction = (folder(tmp_path / str(n), drawn) for n, drawn in enumerate(masks))
    with pytest.raises(CordlesionError, match=rf"none of the 2 {kind} holds the value 2.* holds 1\. Give the value"):
        evaluate_files(reference, prediction, output=tmp_path / "metrics.tsv", lesion_value=2)


def test_empty_masks_match_any_value(tmp_path):
    empty = folder(tmp_path / "p", [0 * LESION] * 2)
    assert (
        evaluate_files(folder(tmp_path / "r", LABELS), empty, output=tmp_path / "m.tsv", lesion_value=2).excluded == {}
    )


def test_masks_with_another_single_value_are_accepted(tmp_path):
    evaluate_files(
        folder(tmp_path / "r", [255 * m for m in PLAIN]), folder(tmp_path / "p", PLAIN), output=tmp_path / "m.tsv"
    )
    assert read_table(tmp_path / "m.tsv")["voxel_f1"].iloc[0] == 1


def test_tune_uses_the_value_and_records_excluded_scans(tmp_path):
    reference = folder(tmp_path / "r", [*LABELS, CORD + LESION])
    maps = folder(tmp_path / "maps", [np.where(LESION, 0.6, 0.1).astype(np.float32)] * 2, "probseg")
    (maps / "sub-2_probseg.nii.gz").write_text("no image")
    with pytest.raises(CordlesionError, match="--lesion-value"):
        tune_files(reference, maps, output=tmp_path / "t.json")
    faults = tune_files(reference, maps, output=tmp_path / "t.json", lesion_value=2).excluded
    record = json.loads((tmp_path / "t.json").read_text())
    assert 0.1 < record["threshold"] <= 0.6
    assert list(record["left_out"]) == list(faults) == ["sub-2"]
    assert record["left_out"]["sub-2"].startswith("sub-2_probseg.nii.gz: not a readable NIfTI")


def test_the_command_line_accepts_the_value(cli, tmp_path):
    reference, prediction = folder(tmp_path / "r", LABELS), folder(tmp_path / "p", LABELS)
    files = ("--reference", reference, "--prediction", prediction, "-o", tmp_path / "m.tsv", "-q")
    ended = cli("evaluate", *files)
    assert ended.status == 2
    assert "Until then none of the references is used" in ended.error
    assert cli("evaluate", *files, "--lesion-value", 2).status == 0


def test_rounding_is_clipped_before_a_threshold_is_chosen(tmp_path):
    reference = folder(tmp_path / "r", PLAIN[:1] * 2)
    p = np.where(LESION, np.float32(1 + 1e-7), np.float32(-1e-9)).astype(np.float32)
    p[0, 0] = np.linspace(0, 0.4, SHAPE[2])
    assert tune_files(reference, folder(tmp_path / "m", [p, p], "probseg"), output=tmp_path / "t.json").excluded == {}
    assert json.loads((tmp_path / "t.json").read_text())["n_scans"] == 2


def test_references_of_a_dataset_are_read_with_the_value_of_its_patterns(tmp_path):
    for n, mask in enumerate(LABELS):
        anat = tmp_path / f"sub-{n}" / "anat"
        write_image(anat / f"sub-{n}_T2w.nii.gz", noise(seed=n))
        write_image(anat / f"sub-{n}_T2w_label-lesion_seg.nii.gz", mask)
    scans, _ = find_scans(tmp_path, FilePatterns(lesion_value=2))
    contents = [inspect_scan(scan, "study") for scan in scans]
    assert [content.n_lesions for content in contents] == [1, 0]
    plain, _ = find_scans(tmp_path)
    references = MaskValues("references")
    with pytest.raises(CordlesionError, match="found 2 other values"):
        inspect_scan(plain[0], "study", references)
    assert inspect_scan(plain[1], "study", references).n_lesions == 1  # a cord, but for what the other mask shows
    with pytest.raises(CordlesionError, match="none of the references is used"):
        references.require_one()


def test_only_masks_have_a_lesion_value():
    assert ComparatorConfig(name="a", masks="masks", lesion_value=2).lesion_value == 2
    with pytest.raises(ValueError, match="means nothing to a comparator that is given as maps"):
        ComparatorConfig(name="a", maps="maps", lesion_value=2)


def test_masks_of_a_comparator_with_two_values_are_rejected():
    config = ComparatorConfig(name="a", masks="masks")
    contents = {Path(f"m{n}.nii.gz"): FileContent("mask", None, value) for n, value in enumerate((None, 1.0))}
    require_findings(config, contents)
    contents[Path("m2.nii.gz")] = FileContent("mask", None, 2.0)
    message = r"masks of the comparator 'a' have different values \(1 in m1.nii.gz, 2 in m2.nii.gz\)"
    with pytest.raises(CordlesionError, match=message):
        require_findings(config, contents)
