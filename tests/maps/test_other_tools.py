"""Maps of other tools without Python: nnU-Net's folders, names of any habit, a tuned rule, subjects."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cordlesion.config import ComparatorConfig
from cordlesion.dataset.matching import MapPair, images_behind, pair_files
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_mask
from cordlesion.maps.cut import cut_files
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.maps.tune import tune_files
from cordlesion.nnunet.predictions import list_maps, list_masks
from cordlesion.study.comparators.match import match_comparator
from support.nnunet_files import (
    lesion_of,
    probability_of,
    write_images,
    write_labels,
    write_predictions,
    write_trained_model,
)

TUNED = [f"MS_00{n}_M0" for n in range(6)]
TESTED = [f"MS_01{n}_M0" for n in range(6)]
VOXEL_MM3 = 0.6 * 0.5 * 0.7


@pytest.fixture
def nnunet(tmp_path, monkeypatch):
    """A folder with predictions of two sets of scans, and their references."""
    write_labels(tmp_path / "labelsTr", TUNED)
    write_labels(tmp_path / "labelsTs", TESTED)
    write_predictions(tmp_path / "predictions", TUNED)
    write_predictions(tmp_path / "predictions_test", TESTED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept(case, t, larger_than_mm3=0.0):
    """The mask of a case, by plain scipy."""
    mask = probability_of(case).astype(np.float16).astype(np.float32) >= t
    labels, n = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, labels, range(1, n + 1)) * VOXEL_MM3
    return np.isin(labels, 1 + np.flatnonzero(sizes > larger_than_mm3))


def f1(case, mask):
    lesion = lesion_of(case).astype(bool)
    return 2 * np.sum(lesion & mask) / (lesion.sum() + mask.sum())


def test_three_commands_lead_from_nnunets_predictions_to_a_tuned_cut_and_evaluated_result(nnunet, cli):
    patterns = ["--subjects", "MS_{subject}_*"]
    tune = ["tune", "--reference", "labelsTr", "--probability", "predictions", "-o", "thresholds.json"]
    cut = ["cut", "--probability", "predictions_test", "--threshold", "thresholds.json", "-o", "masks"]
    judge = ["evaluate", "--reference", "labelsTs", "--prediction", "masks", "-o", "metrics.tsv"]
    for command in ([*tune, *patterns], cut, [*judge, *patterns]):
        done = cli(*command)
        assert (done.status, done.error) == (0, "")
    chosen = json.loads((nnunet / "thresholds.json").read_text())
    curve = [np.median([f1(case, kept(case, t)) for case in TUNED]) for t in np.linspace(0, 1, 21).round(2)]
    assert chosen["score"] == pytest.approx(max(curve))
    t = chosen["threshold"]
    assert curve[round(t * 20)] == pytest.approx(max(curve))
    table = read_table("metrics.tsv").set_index("scan_id")
    assert sorted(table.index) == TESTED
    assert table["subject"].tolist() == [f"01{n}" for n in range(6)]
    for case in TESTED:
        assert table.loc[case, "voxel_f1"] == pytest.approx(f1(case, kept(case, t)))
        np.testing.assert_array_equal(read_mask(nnunet / "masks" / f"{case}.nii.gz").data, kept(case, t))


def test_maps_are_evaluated_at_a_tuned_rule_as_the_masks_that_cut_writes(nnunet):
    choice = tune_files("labelsTr", "predictions", output="t.json", minimum_volumes_mm3=(0, 2, 50))
    assert choice.minimum_volume_mm3 == 2  # the false spot has 8 voxels, 1.7 mm3; the lesions have 42 mm3
    cut_files("predictions_test", "t.json", "masks")
    by_masks = evaluate_files("labelsTs", "masks").table
    at_once = evaluate_files("labelsTs", probability="predictions_test", threshold="t.json").table
    assert at_once.equals(by_masks)
    reference, mask, export = (f"{kind}/{TESTED[0]}" for kind in ("labelsTs", "masks", "predictions_test"))
    evaluate_files(f"{reference}.nii.gz", f"{mask}.nii.gz", figures="one")
    evaluate_files(f"{reference}.nii.gz", probability=f"{export}.npz", threshold="t.json", figures="two")
    assert by_masks["voxel_f1"].tolist() == pytest.approx([f1(case, kept(case, choice.value, 2)) for case in TESTED])
    assert (nnunet / "one/lesion_agreement.tsv").read_text() == (nnunet / "two/lesion_agreement.tsv").read_text()
    sidecar = json.loads((nnunet / "masks" / f"{TESTED[0]}.json").read_text())
    assert sidecar["Sources"] == [f"{TESTED[0]}.npz"]
    assert sidecar["ThresholdRule"]["value"] == choice.value
    assert sidecar["Postprocessing"]["minimum_volume_mm3"] == 2


@pytest.mark.usefixtures("nnunet")
@pytest.mark.parametrize("threshold", ["0.3", 0.3])
def test_a_number_is_a_threshold_too(threshold):
    table = evaluate_files("labelsTs", probability="predictions_test", threshold=threshold).table
    assert table["voxel_f1"].tolist() == pytest.approx([f1(case, kept(case, 0.3)) for case in TESTED])
    cut = cut_files("predictions_test", threshold, "masks").table
    assert cut["threshold"].tolist() == [0.3] * 6
    assert cut["volume_mm3"].tolist() == pytest.approx([kept(case, 0.3).sum() * VOXEL_MM3 for case in TESTED])


def test_a_file_of_an_older_version_holds_a_threshold_only(nnunet):
    (nnunet / "old.json").write_text('{"threshold": 0.3, "objective": "median_voxel_f1", "interval": [0.2, 0.4]}')
    older = evaluate_files("labelsTs", probability="predictions_test", threshold="old.json").table
    assert older.equals(evaluate_files("labelsTs", probability="predictions_test", threshold=0.3).table)


def test_the_validation_of_every_fold_of_a_trained_model_is_used_once(nnunet):
    folds = [TUNED[:2], TUNED[2:4], TUNED[4:]]
    model = write_trained_model(nnunet / "nnUNetTrainer__nnUNetPlans__3d_fullres", folds, with_all=True)
    expected = [(f"fold_{k}", f"{case}.npz") for k, cases in enumerate(folds) for case in cases]
    assert [(path.parts[-3], path.name) for path in list_maps(model)] == expected
    assert [path.name for path in list_masks(model)] == [f"{case}.nii.gz" for case in TUNED]
    by_folds = tune_files("labelsTr", model)
    assert by_folds.n_scans == 6
    assert by_folds.curve.equals(tune_files("labelsTr", "predictions").curve)
    assert len(evaluate_files("labelsTr", model).table) == 6


@pytest.mark.parametrize("kind", ["npz", "masks"])
def test_a_comparator_of_a_study_is_the_folder_of_a_trained_model(nnunet, kind):
    model = write_trained_model(nnunet / "model", [TUNED[:3], TUNED[3:]], with_all=True)
    images = {case: Path(f"{case}_0000.nii.gz") for case in TUNED}
    matched = match_comparator(ComparatorConfig(name="theirs", **{kind: model}), TUNED, images)
    assert {case: path.parts[-3] for case, path in matched.files.items()} == {
        case: f"fold_{int(number > 2)}" for number, case in enumerate(TUNED)
    }
    assert matched.of_no_scan == {}


def test_predictions_of_scans_that_were_learned_from_are_refused(nnunet):
    model = write_trained_model(nnunet / "model", [], with_all=False)
    write_predictions(model / "fold_all" / "validation", TUNED)
    with pytest.raises(CordlesionError, match="fold_all, which was trained on the very scans"):
        tune_files("labelsTr", model)


def test_exports_in_folds_are_turned_by_the_reader_that_the_model_names(nnunet):
    """plans.json lies two levels above; without it, the mask of the case would be asked, which is removed here."""
    model = write_trained_model(nnunet / "model", [TUNED])
    for path in (model / "fold_0/validation").glob("*.nii.gz"):
        path.unlink()
    before = tune_files("labelsTr", model)
    (model / "plans.json").write_text('{"image_reader_writer": "NibabelIOWithReorient"}')
    turned = tune_files("labelsTr", model)
    assert before.score > 0.8 > turned.score


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{}", "holds no threshold rule; the file that `tune` or `cut` wrote"),
        ('{"threshold": "high"}', "threshold: a number is needed, found 'high'"),
        ('{"threshold": 2}', "threshold: a number of at most 1 is needed, found 2"),
        ('{"threshold_rule": {"rule": "x"}}', "threshold_rule.rule: 'global', 'peak', .* is needed, found 'x'"),
    ],
)
def test_a_file_without_a_rule_gets_a_sentence(nnunet, content, fault):
    (nnunet / "t.json").write_text(content)
    with pytest.raises(CordlesionError, match=rf"t\.json: {fault}"):
        cut_files("predictions", "t.json", "masks")
    assert not (nnunet / "masks").exists()


@pytest.mark.usefixtures("nnunet")
@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "neither masks nor probability maps are given; one of them is needed. Give --prediction, or"),
        ({"prediction": "predictions", "probability": "predictions"}, "masks and maps are given; one of them"),
        ({"probability": "predictions"}, "maps are given without a threshold; one is needed"),
        ({"prediction": "predictions", "threshold": 0.3}, "a threshold is given, but masks are not cut"),
        ({"probability": "predictions", "threshold": 0}, "the threshold is 0; a value above 0 and up to 1"),
        ({"probability": "predictions", "threshold": "no.json"}, r"no\.json: no such file; a number above 0"),
        ({"probability": "predictions", "threshold": "nan"}, "the threshold is NaN"),
        ({"probability": "predictions", "threshold": 0.3, "predicted_value": 2}, "A value of predicted lesions is"),
        ({"prediction": "predictions", "lesion_class": 1}, "The number of a class is given, but masks have none"),
        ({"probability": "labelsTr", "threshold": 0.3, "lesion_class": 1}, "is a map of one class, but the number"),
    ],
)
def test_predictions_that_are_not_clear_get_a_sentence(given, fault):
    with pytest.raises(CordlesionError, match=fault):
        evaluate_files("labelsTr", **given)


def test_a_mask_never_replaces_what_is_there(nnunet):
    cut_files("predictions", 0.3, "masks")
    mask = nnunet / "masks" / f"{TUNED[0]}.nii.gz"
    mask.write_bytes(b"corrected by hand")
    with pytest.raises(CordlesionError, match="is there already; nothing is replaced unasked"):
        cut_files("predictions", 0.3, "masks")
    assert mask.read_bytes() == b"corrected by hand"
    cut_files("predictions", 0.3, "masks", overwrite=True)
    assert read_mask(mask).data.any()
    hard = (nnunet / "predictions" / f"{TUNED[0]}.nii.gz").read_bytes()
    with pytest.raises(CordlesionError, match="lies among the maps that are read"):
        cut_files("predictions", 0.3, "predictions", overwrite=True)
    assert (nnunet / "predictions" / f"{TUNED[0]}.nii.gz").read_bytes() == hard


def test_an_export_of_a_reader_that_reorients_gives_the_mask_of_the_map(shared, tmp_path):
    case = shared("cases", "io", "02_nnunet_npz_reorient")
    (tmp_path / "export").mkdir()
    for name in ("plans.json", "sub-01.npz"):
        shutil.copy(case / name, tmp_path / "export")
    cut_files(tmp_path / "export", 0.4, tmp_path / "one", images=case / "sub-01_T2w.nii.gz")
    cut_files(case / "sub-01_probseg.nii.gz", 0.4, tmp_path / "two")
    one, two = (nib.load(tmp_path / side / "sub-01_label-lesion_mask.nii.gz") for side in ("one", "two"))
    assert two.get_fdata().any()
    np.testing.assert_array_equal(one.get_fdata(), two.get_fdata())
    np.testing.assert_allclose(one.affine, two.affine)


def test_masks_are_no_maps_to_cut(nnunet):
    for path in nnunet.glob("predictions*/*.npz"):
        path.unlink()
    for run in (
        lambda: cut_files("predictions", 0.3, "masks"),
        lambda: evaluate_files("labelsTr", probability="predictions", threshold=0.3),
    ):
        with pytest.raises(CordlesionError, match=r"predictions: holds only 0 and 1, .*--save_probabilities"):
            run()
    assert not (nnunet / "masks").exists()
    # Scans in which the tool found nothing at all are no reason to refuse.
    nib.save(nib.Nifti1Image(0 * probability_of("a"), np.eye(4)), nnunet / "nothing.nii.gz")
    assert cut_files("nothing.nii.gz", 0.3, "masks").table["volume_mm3"].tolist() == [0]


def test_exports_without_masks_take_the_grid_of_the_scans(nnunet):
    with_masks = cut_files("predictions_test", 0.3, "one").table
    for path in (nnunet / "predictions_test").glob("*.nii.gz"):
        path.unlink()
    with pytest.raises(CordlesionError, match=r"no mask .* is beside it, so its place in space is unknown"):
        cut_files("predictions_test", 0.3, "two")
    write_images(nnunet / "imagesTs", TESTED)
    without = cut_files("predictions_test", 0.3, "two", images="imagesTs").table
    assert without["volume_mm3"].tolist() == pytest.approx(with_masks["volume_mm3"].tolist())
    for case in TESTED:
        one, two = (nib.load(nnunet / folder / f"{case}.nii.gz") for folder in ("one", "two"))
        np.testing.assert_array_equal(one.get_fdata(), two.get_fdata())
        np.testing.assert_array_equal(one.affine, two.affine)


@pytest.mark.parametrize(
    ("file", "auto", "bids", "same"),
    [
        ("sub-01_T2w_probseg.nii.gz", *["sub-01_T2w_label-lesion_mask"] * 2, "sub-01_T2w_probseg"),
        ("sub-01_label-lesion_probseg.nii.gz", *["sub-01_label-lesion_mask"] * 2, "sub-01_label-lesion_probseg"),
        ("sub-01_label-l_desc-x_probseg.nii", *["sub-01_label-l_desc-x_mask"] * 2, "sub-01_label-l_desc-x_probseg"),
        ("case_probseg.nii.gz", *["case_label-lesion_mask"] * 2, "case_probseg"),
        ("case.nii.gz", "case", "case_label-lesion_mask", "case"),
    ],
)
def test_masks_have_names_of_bids_or_of_their_maps(tmp_path, file, auto, bids, same):
    (tmp_path / "maps").mkdir()
    nib.save(nib.Nifti1Image(probability_of("a"), np.eye(4)), tmp_path / "maps" / file)
    for names, expected in (("auto", auto), ("bids", bids), ("same", same)):
        done = cut_files(tmp_path / "maps", 0.3, tmp_path / names, names=names)
        assert done.table["mask"].tolist() == [str(tmp_path / names / f"{expected}.nii.gz")]


def test_maps_of_one_name_in_folders_keep_their_folders(tmp_path):
    for patient in ("p1", "p2"):
        (tmp_path / "maps" / patient).mkdir(parents=True)
        nib.save(nib.Nifti1Image(probability_of(patient), np.eye(4)), tmp_path / "maps" / patient / "prob.nii.gz")
    done = cut_files(tmp_path / "maps", 0.3, tmp_path / "masks")
    assert done.table["mask"].tolist() == [str(tmp_path / "masks" / p / "prob.nii.gz") for p in ("p1", "p2")]


ENDINGS = ["", "_0000", "_probseg", "_label-lesion_mask", "_label-lesion_probseg", "_label-lesion_seg",
           "_lesion-manual", "_0000_probseg", "_0000_label-lesion_mask", "_lesion", "_lesion_mask", "_seg", "_pred",
           "_prob", "_lesion_prob", "_softmax", "-mask", ".pred"]  # fmt: skip
CASES = st.lists(
    st.from_regex(r"(P|case_|sub-)[0-9]{2}(_(M|T2_|ses-)[0-9]{1,2})?", fullmatch=True),
    min_size=1,
    max_size=5,
    unique=True,
)


@given(CASES, st.sampled_from(ENDINGS), st.sampled_from(ENDINGS))
def test_two_habits_of_naming_join_each_scan_with_itself(tmp_path_factory, cases, first, second):
    if any(case.startswith("sub-") for case in cases):
        first, second = (ending.replace("-mask", "_mask").replace(".", "_") for ending in (first, second))
    folder = tmp_path_factory.mktemp("habits")
    touch(folder / "r", [f"{case}{first}.nii.gz" for case in cases])
    touch(folder / "p", [f"{case}{second}.nii.gz" for case in cases])
    pairs, left = pair_files(folder / "r", folder / "p", ())
    joined = {pair.reference.name.removesuffix(f"{first}.nii.gz"): pair.prediction.name for pair in pairs}
    assert joined == {case: f"{case}{second}.nii.gz" for case in cases}
    assert left == []


@given(CASES, st.data())
def test_files_of_two_scans_are_never_joined(tmp_path_factory, cases, data):
    """Whatever each file is called: it is matched with its own scan, listed, or all is refused."""
    folder = tmp_path_factory.mktemp("never")
    own = {}
    for side in "rp":
        chosen = data.draw(st.lists(st.sampled_from(cases), unique=True, min_size=1))
        named = {f"{case}{data.draw(st.sampled_from(ENDINGS))}.nii.gz": case for case in chosen}
        own[side] = named
        touch(folder / side, named)
    try:
        pairs, _ = pair_files(folder / "r", folder / "p", ())
    except CordlesionError:
        return
    assert all(own["r"][pair.reference.name] == own["p"][pair.prediction.name] for pair in pairs)


def touch(folder, names):
    folder.mkdir()
    for name in names:
        (folder / name).touch()


def test_a_raw_dataset_of_nnunet_gives_references_and_scans(nnunet, capsys):
    raw = nnunet / "Dataset501_Cord"
    write_labels(raw / "labelsTr", TUNED)
    write_labels(raw / "labelsTs", TESTED[:1])
    write_images(raw / "imagesTr", TUNED)
    write_images(raw / "imagesTs", TESTED)
    (raw / "dataset.json").write_text("{}")
    assert tune_files(raw, "predictions").n_scans == 6
    with shown():
        maps = {"probability": "predictions_test", "threshold": 0.3}
        done = evaluate_files(raw, **maps, images=raw, figures="pictures")
    assert done.table["scan_id"].tolist() == TESTED[:1]
    said = " ".join(capsys.readouterr().out.split())
    assert "pictures of 1 scan" in said
    assert "black" not in said


def test_scans_lie_behind_masks_whose_names_have_a_word_more(tmp_path):
    references = [scan_file(f"P{number}_lesion.nii.gz") for number in range(2)]
    pairs = [MapPair(file.name, "", "", file.path, file.path) for file in references]
    images = [scan_file(f"P{number}.nii.gz") for number in range(3)]
    assert images_behind(pairs, images, tmp_path, tmp_path) == {f"P{n}_lesion": Path(f"P{n}.nii.gz") for n in range(2)}


@pytest.mark.parametrize(
    "files",
    [
        ["r/P01.nii.gz", "p/P01_pred.nii.gz", "p/P01_prob.nii.gz"],
        ["r/P01_mask.nii.gz", "r/P01_seg.nii.gz", "p/P01_pred.nii.gz"],
        ["r/P01.nii.gz", "p/P01_0000.nii.gz", "p/P01_probseg.nii.gz"],
    ],
)
def test_two_files_of_one_scan_are_refused(tmp_path, files):
    for side in "rp":
        touch(tmp_path / side, [name[2:] for name in files if name[0] == side])
    with pytest.raises(CordlesionError, match=r"is of the same scan as .*; one file per scan is needed"):
        pair_files(tmp_path / "r", tmp_path / "p", ())


def test_files_counted_as_people_are_said(nnunet, cli):
    tune = ["tune", "--reference", "labelsTr", "--probability", "predictions", "-o", "t.json"]
    said = cli(*tune).error
    assert "note: 6 files count as 6 people, because their names have no sub- (first: MS_000_M0)" in said
    assert "perhaps" not in said  # every name is of another person
    for case in ("MS_000", "MS_001"):
        write_labels(nnunet / "labelsTr", [f"{case}_M12"])
        write_predictions(nnunet / "predictions", [f"{case}_M12"])
    done = cli(*tune)
    assert "8 files count as 8 people" in done.error
    assert "perhaps --subjects 'MS_{subject}_*'" in done.error
    assert json.loads((nnunet / "t.json").read_text())["n_subjects"] == 8
    assert cli(*tune, "--subjects", "MS_{subject}_*").error == ""
    assert json.loads((nnunet / "t.json").read_text())["n_subjects"] == 6
    rows = "".join(f"MS_00{n}_*\tP{n}\n" for n in range(6))
    (nnunet / "who.tsv").write_text(f"scan\tparticipant_id\n{rows}")
    assert cli(*tune, "--subjects", "who.tsv").error == ""
    assert json.loads((nnunet / "t.json").read_text())["scans"]["MS_001_M12"] == "P1"


def test_a_table_divides_one_folder_into_sets(nnunet, cli):
    write_labels(nnunet / "all", [*TUNED, *TESTED])
    write_predictions(nnunet / "both", [*TUNED, *TESTED])
    rows = [f"{case}\t{case[:6]}\t{name}\n" for name, part in (("threshold", TUNED), ("test", TESTED)) for case in part]
    (nnunet / "scans.tsv").write_text("scan\tparticipant_id\tset\n" + "".join(rows))
    files = ["--reference", "all", "--probability", "both", "--subjects", "scans.tsv"]
    done = cli("tune", *files, "-o", "t.json")
    assert (done.status, done.error) == (0, "")
    assert "scans.tsv: 6 of 12 scans are in the set threshold" in done.output
    chosen = json.loads((nnunet / "t.json").read_text())
    assert sorted(chosen["scans"]) == TUNED
    assert chosen["curve"] == json.loads(json.dumps(tune_files("labelsTr", "predictions").curve.to_dict("records")))
    assert cli("evaluate", *files, "--threshold", "t.json", "-o", "m.tsv").error == ""
    assert read_table("m.tsv")["scan_id"].tolist() == TESTED
    (nnunet / "scans.tsv").write_text("scan\tparticipant_id\tset\n" + "".join(rows[:6]) + "MS_01*\tx\ttraining\n")
    assert "has the set 'training'; each scan needs one of train, validation, threshold, test" in cli(
        "tune", *files, "-o", "t.json"
    ).error.replace("\n", " ")
    (nnunet / "scans.tsv").write_text("scan\tparticipant_id\tset\nMS_00*\tx\ttest\nMS_01*\tx\tthreshold\n")
    assert "puts the subject x into the sets test and threshold; all scans of a subject are needed in one" in cli(
        "tune", *files, "-o", "t.json"
    ).error.replace("\n", " ")
    (nnunet / "scans.tsv").write_text("scan\tparticipant_id\tset\n*\tx\ttrain\n")
    assert "puts none of these 12 scans into the set test" in cli(
        "evaluate", *files, "--threshold", "t.json", "-o", "m.tsv"
    ).error.replace("\n", " ")


def test_subjects_that_a_threshold_was_tuned_on_are_said(nnunet, cli):
    write_labels(nnunet / "labelsTs", ["MS_003_M12"])
    write_predictions(nnunet / "predictions_test", ["MS_003_M12"])
    who = ["--subjects", "MS_{subject}_*"]
    cli("tune", "--reference", "labelsTr", "--probability", "predictions", "-o", "t.json", *who)
    judge = ["evaluate", "--reference", "labelsTs", "--probability", "predictions_test", "--threshold", "t.json"]
    done = cli(*judge, "-o", "m.tsv", *who)
    assert done.status == 0
    assert "t.json: was tuned on the subjects of 1 of these 7 scans (first: MS_003_M12)" in done.error
    cli("cut", "--probability", "predictions_test", "--threshold", "t.json", "-o", "masks")
    masks = cli("evaluate", "--reference", "labelsTs", "--prediction", "masks", "-o", "m.tsv", *who)
    assert "was tuned on the subjects of 1 of these 7 scans (first: MS_003_M12)" in masks.error
    assert "too good" not in cli(*judge, "-o", "m.tsv").error  # nobody knows that it is one person
    done = cli(
        "evaluate", "--reference", "labelsTr", "--probability", "predictions", "--threshold", "t.json", "-o", "m.tsv"
    )
    assert "was tuned on the subjects of 6 of these 6 scans" in done.error
