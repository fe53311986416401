"""Lesions with probabilities of any tool's maps: `tune` fits them, `cut --instances` writes them."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

import cordlesion
from cordlesion.io.tables import read_table
from cordlesion.maps.cut import cut_files
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.maps.tune import tune_files
from cordlesion.threshold import LesionCalibration
from cordlesion.threshold.mask_rule import read_mask_rule
from support.images import write_image

AFFINE = np.diag([-0.8, 0.8, 2.0, 1.0])
SHAPE = (40, 36, 14)
N = 12


def lesions(seed):
    """A reference of three lesions, and a map with two of them, blurred, and with two fainter false ones."""
    rng = np.random.default_rng(seed)
    centers = [(x, y, 7) for x, y in ((7, 7), (7, 26), (20, 16), (32, 8), (32, 28))]
    image = np.zeros(SHAPE)
    for center in centers:
        image[center] = rng.uniform(0.7, 1.2)
    spots = [ndimage.gaussian_filter(np.where(np.indices(SHAPE)[0] // 13 == k, image, 0), 1.3) for k in range(3)]
    reference = sum(spot > 0.01 for spot in spots[:2]) > 0
    sure = 0.2 + 0.6 * rng.uniform(0, 1, 3) * (np.arange(3) < 2) + 0.25 * rng.uniform(0, 1, 3)
    probability = np.clip(sum(30 * spot * level for spot, level in zip(spots, sure, strict=True)), 0, 1)
    return reference, np.minimum(probability, np.float32(0.99)).astype(np.float32)


@pytest.fixture(scope="module", params=["bids", "plain"])
def folders(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    ends = ("_label-lesion_seg", "_probseg") if request.param == "bids" else ("", "")
    stem = "sub-{:02d}" if request.param == "bids" else "case_{:03d}"
    for n in range(N):
        reference, probability = lesions(n)
        write_image(root / "references" / f"{stem.format(n)}{ends[0]}.nii.gz", reference.astype(np.uint8), AFFINE)
        write_image(root / "maps" / f"{stem.format(n)}{ends[1]}.nii.gz", probability, AFFINE)
    return root / "references", root / "maps"


@pytest.fixture(scope="module")
def tuned(folders, tmp_path_factory):
    path = tmp_path_factory.mktemp("tuned") / "thresholds.json"
    return path, tune_files(*folders, output=path, objective="mean_lesion_f1")


def said(ended):
    """What a command printed, in one line."""
    return " ".join((ended.output + ended.error).split())


def test_tune_fits_what_the_metrics_count(folders, tuned):
    path, choice = tuned
    stored = LesionCalibration.model_validate(json.loads(path.read_text())["lesion_calibration"])
    assert choice.lesion_calibration == stored == read_mask_rule(path).lesions
    assert stored.threshold_rule == choice.value
    metrics = evaluate_files(folders[0], probability=folders[1], threshold=str(path)).table
    assert stored.n_lesions == metrics["n_predicted_lesions"].sum()
    assert stored.n_real == metrics["n_true_predicted_lesions"].sum()
    assert stored.n_subjects == (metrics["n_predicted_lesions"] > 0).sum()


def test_cut_writes_the_chances_of_foreign_maps(folders, tuned, tmp_path, cli):
    path, choice = tuned
    ended = cli("cut", "--probability", folders[1], "--threshold", path, "-o", tmp_path, "--instances")
    assert (ended.status, "no probability" in said(ended)) == (0, False)
    again = cordlesion.cut_files(folders[1], path, tmp_path, overwrite=True, instances=True)
    assert again.table.columns[-1] == "instances"
    chances = []
    for row in again.table.itertuples():
        labels, mask = np.asarray(nib.load(row.instances).dataobj), np.asarray(nib.load(row.mask).dataobj)
        p = np.asarray(nib.load(row.map).dataobj)
        rows = read_table(row.instances.replace(".nii.gz", ".tsv"))
        assert ((labels > 0) <= (mask > 0)).all()  # single voxels are too small to count
        assert rows["index"].tolist() == list(range(1, labels.max() + 1))
        assert len(rows) == row.n_lesions
        for one in rows.itertuples():
            values, volume = p[labels == one.index], np.count_nonzero(labels == one.index) * 0.8 * 0.8 * 2
            expected = choice.lesion_calibration.chance(values.max(), values.mean(dtype=float), volume)
            assert one.probability == pytest.approx(float(expected), abs=6e-5)
        chances += rows["probability"].tolist()
    assert min(chances) < 0.5 < max(chances)
    beside = json.loads((tmp_path / "threshold_rule.json").read_text())
    assert beside["lesion_calibration"] == choice.lesion_calibration.model_dump(mode="json")
    measured = evaluate_files(folders[0], tmp_path)  # numbered images are no second masks
    assert (len(measured.table), measured.excluded) == (N, {})


def test_a_number_has_no_chances_and_that_is_said_once(folders, tmp_path, cli):
    ended = cli("cut", "--probability", folders[1], "--threshold", 0.3, "-o", tmp_path, "--instances")
    why = "no calibration of lesions is stored"
    assert (ended.status, said(ended).count(why)) == (0, 1)
    tables = sorted(tmp_path.glob("*_dseg.tsv"))
    assert len(tables) == N
    assert all(read_table(table)["probability"].isna().all() for table in tables)
    assert why in tables[0].with_suffix(".json").read_text()


def test_nothing_is_replaced_unasked_and_nothing_old_stays(folders, tuned, tmp_path, cli):
    command = ("cut", "--probability", folders[1], "--threshold", tuned[0], "-o", tmp_path)
    assert cli(*command, "--instances").status == 0
    masks = [path for path in tmp_path.glob("*.nii.gz") if "dseg" not in path.name]
    for path in masks:
        path.unlink()
    for path in [*tmp_path.glob("*.json")]:
        if "dseg" not in path.name and path.name != "threshold_rule.json":
            path.unlink()
    refused = cli(*command, "--instances")
    assert (refused.status, "dseg.nii.gz: is there already; nothing is replaced unasked" in said(refused)) == (2, True)
    foreign = tmp_path / masks[0].name.replace(".nii.gz", "").removesuffix("_label-lesion_mask")
    record = foreign.with_name(f"{foreign.name}_desc-lesions_dseg.json")
    record.write_text('{"Sources": ["another_mask.nii.gz"]}')
    assert cli(*command, "--overwrite").status == 0
    assert [path.name for path in tmp_path.glob("*dseg.nii.gz")] == [record.name.replace(".json", ".nii.gz")]


def test_too_few_lesions_are_no_fault_of_tune(folders, tmp_path):
    few = tmp_path / "maps"
    few.mkdir()
    for path in sorted(folders[1].iterdir())[:3]:
        (few / path.name).write_bytes(path.read_bytes())
    choice = tune_files(folders[0], few, output=tmp_path / "t.json", objective="mean_lesion_f1")
    assert choice.lesion_calibration is None
    assert "lesion_calibration" not in json.loads((tmp_path / "t.json").read_text())
    assert cut_files(few, tmp_path / "t.json", tmp_path / "cut", instances=True).table["instances"].notna().all()


@pytest.mark.parametrize(
    ("overwrite", "other"), [(False, "label-lesion"), (True, "label-lesion"), (False, "desc-lesions_dseg")]
)
def test_two_masks_with_one_name_of_instances_are_refused(tmp_path, cli, overwrite, other):
    """Each map has a mask of its own name, but the lesions of one would replace those or the mask of the other."""
    for name in ("s1", f"s1_{other}"):
        write_image(tmp_path / "maps" / f"{name}.nii.gz", lesions(1)[1], AFFINE)
    command = ("cut", "--probability", tmp_path / "maps", "--threshold", 0.3, "--names", "same", "-o", tmp_path / "out")
    more = ["--overwrite"] if overwrite else []
    ended = cli(*command, "--instances", *more)
    assert ended.status == 2
    assert "would give the same lesions as s1" in said(ended)
    assert not list(tmp_path.glob("out/*.*"))
    assert cli(*command, *more).status == 0
