"""Instance maps: each number is a lesion, a table ranks them, and both are checked; from files."""

import json
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

import cordlesion
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table, write_table
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.metrics import RULES
from cordlesion.metrics.columns import METRIC_COLUMNS
from oracles import lesion_oracle, multi_spine_oracle
from support.images import noise, write_image

AFFINE = np.diag([-0.8, 0.8, 2.0, 1.0])
SPACING = (0.8, 0.8, 2.0)
SHAPE = (14, 13, 12)
N = 7


def numbered(rng, most):
    """Blocks that touch each other, with numbers that do not follow one another."""
    labels = np.zeros(SHAPE, np.int16)
    for number in rng.permutation([1, 2, 4, 9, 300])[: rng.integers(0, most + 1)]:
        low = rng.integers(0, 9, 3)
        high = low + rng.integers(1, 6, 3)
        labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = number
    return labels


def table_of(labels, rng):
    """A row per lesion in any order, with a row for what is outside."""
    numbers = rng.permutation(np.unique(labels))
    return pd.DataFrame({"index": numbers, "note": "n", "probability": rng.choice([0.1, 0.4, 0.7, 1.0], len(numbers))})


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Instance maps of both kinds in folders, and what they hold."""
    monkeypatch.chdir(tmp_path)
    rng, found = np.random.default_rng(11), {}
    for n in range(N):
        reference, prediction = numbered(rng, 4), numbered(rng, 5)
        table = table_of(prediction, rng)
        write_image(tmp_path / "labels" / f"sub-{n}_dseg.nii.gz", reference, AFFINE)
        write_image(tmp_path / "found" / f"sub-{n}_desc-lesions_dseg.nii.gz", prediction.astype(np.float32), AFFINE)
        write_table(tmp_path / "found" / f"sub-{n}_desc-lesions_dseg.tsv", table)
        p = {row.index: row.probability for row in table.itertuples(index=False) if row.index}
        found[f"sub-{n}"] = (reference, prediction, p)
    return found


def said(ended):
    return " ".join((ended.output + ended.error).split())


def holding_several(holders, held):
    return sum(sum(len(one & other) > len(other) / 2 for other in held) >= 2 for one in holders)


@pytest.mark.parametrize("rule", ["study", "multi_spine"])
def test_instance_maps_are_scored_as_by_plain_loops(scans, tmp_path, cli, rule):
    counts = ("--metric", "split_lesions", "--metric", "merged_lesions")
    ended = cli("evaluate", "--reference", "labels", "--prediction", "found", "--instances", "both", "--rule", rule,
                "-o", "metrics.tsv", "--summary", "summary.json", *counts)  # fmt: skip
    assert (ended.status, ended.error) == (0, "")
    table = read_table("metrics.tsv").set_index("scan_id")
    assert sorted(table.index) == sorted(scans)
    for name, (reference, prediction, _) in scans.items():
        expected = lesion_oracle.evaluate(reference, prediction, SPACING, RULES[rule])
        assert table.loc[name, list(METRIC_COLUMNS)].to_dict() == pytest.approx(expected, nan_ok=True)
        lesions = [lesion_oracle.lesions_of(one, RULES["study"], 1.28) for one in (reference, prediction)]
        split, merged = holding_several(*lesions), holding_several(*lesions[::-1])
        assert table.loc[name, ["split_lesions", "merged_lesions"]].tolist() == [split, merged]
    summary = json.loads((tmp_path / "summary.json").read_text())
    expected = multi_spine_oracle.sensitivities(list(scans.values()))
    found = summary["multi_spine"]
    assert list(found["sensitivity_at_false_lesions_per_scan"].values()) == pytest.approx(expected)
    assert found["score"] == pytest.approx(np.mean(expected))
    assert f"MS-Multi-Spine score {np.mean(expected):.3f}" in said(ended)
    assert (summary["instance_maps"], summary["ranked_by"], summary["masks_of_maps"]) == ("both", "probability", None)
    assert 0 < table["n_predicted_lesions"].sum() > (table["n_predicted_lesions"] > 0).sum()


def test_the_lesions_of_the_other_side_are_components_of_its_masks(scans, tmp_path):
    for name, (reference, prediction, _) in scans.items():
        write_image(tmp_path / "masks" / f"{name}_label-lesion_seg.nii.gz", (reference > 0).astype(np.uint8), AFFINE)
        write_image(tmp_path / "cut" / f"{name}_mask.nii.gz", (prediction > 0).astype(np.uint8), AFFINE)
    by_side = {
        "prediction": evaluate_files("masks", "found", instances="prediction", rule="multi_spine"),
        "reference": evaluate_files("labels", "cut", instances="reference", rule="multi_spine"),
    }
    for name, (reference, prediction, _) in scans.items():
        for side, pair in (("prediction", (reference > 0, prediction)), ("reference", (reference, prediction > 0))):
            expected = lesion_oracle.evaluate(*pair, SPACING, RULES["multi_spine"])
            row = by_side[side].table.set_index("scan_id").loc[name]
            assert row[list(METRIC_COLUMNS)].to_dict() == pytest.approx(expected, nan_ok=True)
    every = np.ones((3, 3, 3))
    images = [(ndimage.label(reference > 0, every)[0], prediction, p) for reference, prediction, p in scans.values()]
    expected = np.mean(multi_spine_oracle.sensitivities(images))
    assert by_side["prediction"].multi_spine.score == pytest.approx(expected)
    assert (by_side["reference"].multi_spine, by_side["reference"].remarks) == (None, [])  # as of masks


def test_maps_are_ranked_against_instance_maps(scans, tmp_path):
    rng, images = np.random.default_rng(2), []
    for name, (reference, prediction, _) in scans.items():
        p = (rng.choice([0.4, 0.6, 0.8, 0.9], SHAPE) * (prediction > 0)).astype(np.float32)
        write_image(tmp_path / "maps" / f"{name}_probseg.nii.gz", p, AFFINE)
        candidates, n = ndimage.label(p >= np.float32(0.5), np.ones((3, 3, 3)))
        images.append((reference, candidates, {k: float(p[candidates == k].max()) for k in range(1, n + 1)}))
    measured = evaluate_files("labels", probability="maps", threshold=0.5, instances="reference")
    assert measured.multi_spine.score == pytest.approx(np.mean(multi_spine_oracle.sensitivities(images)))


def spots(seed):
    """A reference of one lesion, and a map with three spots, of which one is it; all far apart and large."""
    rng = np.random.default_rng(seed)
    image = np.zeros((40, 36, 14))
    for x, y in ((7, 7), (7, 26), (24, 16)):
        image[x, y, 7] = rng.uniform(0.6, 1)
    blurred = 30 * ndimage.gaussian_filter(image, 1.3)
    reference = np.zeros(image.shape, np.uint8)
    reference[:14, :14] = blurred[:14, :14] > 0.2
    return reference, np.minimum(blurred, 0.99).astype(np.float32)


@pytest.mark.parametrize("stem", ["sub-{:02d}", "case_{:03d}"])
def test_what_cut_writes_has_the_scores_of_its_maps(tmp_path, stem):
    ends = ("_label-lesion_seg", "_probseg") if stem.startswith("sub") else ("", "")
    for n in range(6):
        reference, p = spots(n)
        write_image(tmp_path / "labels" / f"{stem.format(n)}{ends[0]}.nii.gz", reference * (n < 5), AFFINE)
        write_image(tmp_path / "maps" / f"{stem.format(n)}{ends[1]}.nii.gz", p, AFFINE)
    cordlesion.cut_files(tmp_path / "maps", 0.3, tmp_path / "cut", instances=True)
    labels = tmp_path / "labels"
    maps = evaluate_files(labels, probability=tmp_path / "maps", threshold=0.3)
    cut = evaluate_files(labels, tmp_path / "cut", instances="prediction", ranked_by="peak_probability")
    pd.testing.assert_frame_equal(cut.table, maps.table)
    assert cut.multi_spine == maps.multi_spine
    assert 0 < cut.multi_spine.score < 1
    plain = evaluate_files(labels, tmp_path / "cut")  # without the option, the masks beside them
    pd.testing.assert_frame_equal(plain.table, maps.table)
    without = evaluate_files(labels, tmp_path / "cut", instances="prediction")
    assert without.multi_spine is None  # a number as threshold has no calibration
    (remark,) = without.remarks if stem.startswith("sub") else without.remarks[:1]
    assert re.search(r"n/a\): the lesions of 6 of 6 scans .* has n/a in the column probability", remark)


@pytest.mark.usefixtures("scans")
def test_without_the_table_of_one_scan_there_is_no_score_and_that_is_said(tmp_path, cli):
    table = next(path for path in sorted((tmp_path / "found").glob("*.tsv")) if len(read_table(path)) > 1)
    table.unlink()
    ended = cli("evaluate", "--reference", "labels", "--prediction", "found", "--instances", "both",
                "-o", "metrics.tsv", "--summary", "summary.json")  # fmt: skip
    assert ended.status == 0
    assert f"No MS-Multi-Spine score (n/a): the lesions of 1 of {N} scans have no probability" in said(ended)
    assert table.name in said(ended)
    assert "MS-Multi-Spine score 0" not in said(ended)
    assert json.loads((tmp_path / "summary.json").read_text())["multi_spine"] is None
    assert len(read_table("metrics.tsv")) == N


def test_an_image_without_lesions_needs_no_table(tmp_path):
    for n in range(2):
        write_image(tmp_path / "labels" / f"sub-{n}_dseg.nii.gz", np.eye(9)[..., np.newaxis].astype(np.uint8), AFFINE)
        write_image(tmp_path / "found" / f"sub-{n}_dseg.nii.gz", np.zeros((9, 9, 1), np.uint8), AFFINE)
    measured = evaluate_files(tmp_path / "labels", tmp_path / "found", instances="both")
    assert measured.multi_spine.score == 0


def labels_of(*values):
    labels = np.zeros(SHAPE, np.float32)
    for place, value in enumerate(values):
        labels[2 * place : 2 * place + 2] = value
    return labels


def rows(*numbers, p=0.5, name="probability"):
    return pd.DataFrame({"index": list(numbers), name: p})


GOOD = labels_of(1, 2)
DAMAGED = {
    "part of a number": (labels_of(1, 0.25), rows(1, 2), r"dseg\.nii\.gz: holds the value 0\.25; an instance map with"),
    "below 0": (labels_of(1, -3), rows(1, 2), r"dseg\.nii\.gz: holds the value -3; an instance map with"),
    "too large": (labels_of(1, 1e30), rows(1, 2), r"dseg\.nii\.gz: holds the value 1\.\d+e\+30; an instance map"),
    "no number": (labels_of(1, np.nan), rows(1, 2), r"dseg\.nii\.gz: holds NaN"),
    "no row": (GOOD, rows(1), r"dseg\.tsv: has no row for the lesion 2 of sub-0_dseg\.nii\.gz; a row for each"),
    "no label": (GOOD, rows(1, 2, 3), r"dseg\.tsv: has a row for the lesion 3, which is not in sub-0_dseg\.nii\.gz;"),
    "truths": (GOOD, rows(1, 2, p=True), "the column probability holds text; numbers are needed"),
    "two rows": (GOOD, rows(1, 2, 2), r"dseg\.tsv: has two rows for the lesion 2; one row for each lesion is needed"),
    "above 1": (GOOD, rows(1, 2, p=1.5), r"dseg\.tsv: the column probability holds 1\.5; probabilities from 0 to 1"),
    "negative": (GOOD, rows(1, 2, p=-0.1), r"dseg\.tsv: the column probability holds -0\.1; probabilities from 0"),
    "text": (GOOD, rows(1, 2, p="high"), r"dseg\.tsv: the column probability holds text; numbers are needed"),
    "some n/a": (GOOD, rows(1, 2, p=[0.5, np.nan]), r"dseg\.tsv: the column probability is n/a for 1 of 2 lesions"),
    "no column": (GOOD, rows(1, 2, name="p"), r"dseg\.tsv: has no column probability \(it has index, p\); the columns"),
    "no index": (GOOD, rows(1, 2).rename(columns={"index": "label"}), r"has no column index \(it has label, prob"),
    "number in parts": (GOOD, rows(1, 1.5), r"dseg\.tsv: the column index holds 1\.5; the whole number of a lesion"),
    "row without number": (GOOD, rows(1, np.nan), r"dseg\.tsv: the column index holds n/a; the whole number of a"),
    "endless number": (GOOD, rows(1, 1e300), r"dseg\.tsv: the column index holds 1e\+300; the whole number of a"),
    "rows of other lengths": (
        GOOD,
        "index\tprobability\n1\t0.5\n2\t0.5\t1\t3\n",
        r"dseg\.tsv: not a table \(Error tok",
    ),
    "two columns": (
        GOOD,
        "index\tprobability\tprobability\n1\t0.5\t0.1\n2\t0.5\t0.2\n",
        r"dseg\.tsv: has two columns probability; one is needed",
    ),
    "line end in a name": (GOOD, 'index\t"p\x85q"\n1\t0.5\n', r"has no column probability \(it has index, p\\x85q\);"),
    "named rows": (GOOD, rows("a", "b"), r"dseg\.tsv: the column index holds text; numbers are needed"),
}


def write_rows(path, listed):
    if isinstance(listed, str):
        path.write_text(listed, encoding="utf-8")
    else:
        write_table(path, listed)


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_one_sentence_and_the_other_scans_go_on(tmp_path, cli, kind):
    labels, table, sentence = DAMAGED[kind]
    for n, (image, listed) in enumerate([(labels, table), (GOOD, rows(1, 2))]):
        write_image(tmp_path / "labels" / f"sub-{n}_dseg.nii.gz", GOOD, AFFINE)
        write_image(tmp_path / "found" / f"sub-{n}_dseg.nii.gz", image, AFFINE)
        write_rows(tmp_path / "found" / f"sub-{n}_dseg.tsv", listed)
    ended = cli("evaluate", "--reference", tmp_path / "labels", "--prediction", tmp_path / "found",
                "--instances", "both", "-o", tmp_path / "metrics.tsv")  # fmt: skip
    assert ended.status == 2
    assert len(ended.error.splitlines()) == 1
    assert re.search(sentence, ended.error), ended.error
    assert read_table(tmp_path / "metrics.tsv")["scan_id"].tolist() == ["sub-1"]
    assert "MS-Multi-Spine score 1.000" in said(ended)


MASKS, MAPS = {"prediction": "found"}, {"probability": "found", "threshold": 0.5}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (MAPS | {"instances": "prediction"}, "found: probability maps are given, and --instances prediction says"),
        (MAPS | {"instances": "both"}, "Give instance maps with --prediction, or --instances reference"),
        (MASKS | {"instances": "both", "lesion_value": 2}, "references are instance maps, .* Leave out --lesion-value"),
        (MASKS | {"instances": "prediction", "predicted_value": 2}, "predictions are instance maps, .* Leave out"),
        (MASKS | {"instances": "yes"}, "'yes' does not say which files .* one of prediction, reference, both"),
        (MASKS | {"ranked_by": "p"}, "Leave out --ranked-by, or add --instances"),
        (MASKS | {"instances": "reference", "ranked_by": "p"}, "predictions have no tables of lesions"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("scans")
def test_options_that_do_not_fit_get_a_sentence(options, sentence):
    with pytest.raises(CordlesionError, match=sentence) as caught:
        evaluate_files("labels", **options)
    assert len(str(caught.value).splitlines()) == 1


def test_the_value_of_lesions_is_that_of_the_masks_on_the_other_side(tmp_path):
    cord = np.ones(SHAPE, np.uint8)
    cord[2:5, 2:5, 2:5] = 2
    write_image(tmp_path / "labels" / "sub-0_seg.nii.gz", cord, AFFINE)
    write_image(tmp_path / "found" / "sub-0_dseg.nii.gz", np.where(cord == 2, 7, 0).astype(np.uint8), AFFINE)
    masks = evaluate_files(tmp_path / "labels", tmp_path / "found", instances="prediction", lesion_value=2)
    swapped = evaluate_files(tmp_path / "found", tmp_path / "labels", instances="reference", predicted_value=2)
    assert masks.table["voxel_f1"].tolist() == swapped.table["voxel_f1"].tolist() == [1.0]


def test_masks_in_place_of_instance_maps_are_noticed(tmp_path):
    pieces = labels_of(1, 0, 1)
    for n in range(2):
        write_image(tmp_path / "labels" / f"sub-{n}.nii.gz", pieces, AFFINE)
        write_image(tmp_path / "found" / f"sub-{n}.nii.gz", pieces if n else GOOD, AFFINE)
    remarks = evaluate_files(tmp_path / "labels", tmp_path / "found", instances="both").remarks
    (remark,) = [one for one in remarks if "pieces" in one]
    assert remark.startswith(f"{tmp_path / 'labels/sub-0.nii.gz'}: its only lesion is in 2 pieces, and none of the ref")


@pytest.mark.usefixtures("scans")
def test_numbered_lesions_without_the_option_get_its_name():
    with pytest.raises(CordlesionError, match="If each value is a lesion, `evaluate` takes it with --instances"):
        evaluate_files("labels", "found")


def test_pictures_and_their_table_have_the_numbers_of_the_maps(tmp_path):
    reference, prediction = np.zeros((2, 24, 24, 40), np.uint8)
    reference[4:8, 4:10, 4:10], reference[8:12, 4:10, 4:10] = 5, 3  # they touch each other
    prediction[4:8, 4:10, 4:10], prediction[15:18, 15:18, 20:24] = 2, 11
    prediction[20, 20, 20] = 1  # too small to count
    write_image(tmp_path / "labels" / "sub-a_dseg.nii.gz", reference)
    write_image(tmp_path / "found" / "sub-a_dseg.nii.gz", prediction)
    write_image(tmp_path / "images" / "sub-a_T2w.nii.gz", noise())
    folder = tmp_path / "figures"
    measured = evaluate_files(tmp_path / "labels", tmp_path / "found", instances="both", figures=folder,
                              images=tmp_path / "images", figure_format="svg")  # fmt: skip
    table = read_table(folder / "lesion_agreement.tsv")
    rows_found = {(row.name, row.lesion): (row.agrees, row.n_voxels) for row in table.itertuples(index=False)}
    assert rows_found == {
        ("R3", 3): (0, 144), ("R5", 5): (1, 144), ("P2", 2): (1, 144), ("P11", 11): (0, 36)
    }  # fmt: skip
    drawn = set(re.findall(r">([RP]\d+)</text>", (folder / "sub-a.svg").read_text(encoding="utf-8")))
    assert drawn == {"R3", "R5", "P11"}
    assert "1 of 2 lesions detected, 1 false positive among 2 predicted" in (folder / "index.html").read_text()
    assert measured.table["n_detected_lesions"].tolist() == [1]


def test_the_grids_must_be_equal(tmp_path):
    for folder, affine in (("labels", AFFINE), ("found", np.diag([-0.8, 0.8, 2.5, 1]))):
        write_image(tmp_path / folder / "sub-0_dseg.nii.gz", GOOD, affine)
    with pytest.raises(CordlesionError, match="both must share one grid"):
        evaluate_files(tmp_path / "labels", tmp_path / "found", instances="both")


def test_what_is_read_is_what_is_stored(tmp_path):
    """Numbers above a byte, in any index order and with a slope."""
    labels = labels_of(400, 70_000).astype(np.int32)
    image = nib.Nifti1Image(labels, AFFINE)
    (tmp_path / "labels").mkdir()
    (tmp_path / "found").mkdir()
    nib.save(image, tmp_path / "labels/sub-0_dseg.nii.gz")
    nib.save(image, tmp_path / "found/sub-0_dseg.nii.gz")
    write_table(tmp_path / "found/sub-0_dseg.tsv", rows(70_000, 400, p=[0.2, 0.9]))
    measured = evaluate_files(tmp_path / "labels", tmp_path / "found", instances="both")
    assert measured.multi_spine.score == 1
    assert measured.table["n_detected_lesions"].tolist() == [2]
