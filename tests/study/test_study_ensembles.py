"""Ensembles in a study, from the maps on disk to the bundle that segments like them."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import cordlesion
from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.metrics import label_components, resolve_rule
from cordlesion.model.bundle import load_bundle, read_card
from cordlesion.model.bundle_updates import set_threshold
from cordlesion.model.ensemble import join_bundles
from cordlesion.study.run import run_study
from cordlesion.study_folder.derivatives import mask_path
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.results import read_results
from support.tiny import make_cohort

MEMBERS = ("tversky_seed-0", "tversky_seed-1")
NAME = "tversky_ensemble"
TRAINED, PREDICTED = "tversky_seed*/bundle/model.safetensors", "*desc-tverskyseed*_probseg.nii.gz"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file of a tiny study of one loss and two seeds."""
    file = make_cohort(tmp_path_factory.mktemp("ensembles"))
    text = file.read_text().replace("losses: [bce, tversky]", "losses: [tversky]\nseeds: [0, 1]")
    file.write_text(text)
    run_study(read_study(file), until="analyze")
    return file


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


@pytest.fixture(scope="module")
def folder(finished: Path) -> StudyFolder:
    return StudyFolder(finished.parent / "study")


def data(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float64)


def held_out(folder: StudyFolder) -> list[str]:
    splits = read_table(folder.splits)
    return splits.loc[splits["set"] == "test", "scan_id"].tolist()


def test_its_map_is_the_mean_of_the_maps_of_its_members(folder):
    scans = read_table(folder.splits)
    for scan in scans.loc[scans["set"].isin(["threshold", "test"]), "scan_id"]:
        mean = np.mean([data(folder.probability(scan, member)) for member in MEMBERS], axis=0)
        np.testing.assert_allclose(data(folder.probability(scan, NAME)), mean, atol=1e-7)


def test_it_has_the_rows_of_any_other_method(folder):
    for table in ("thresholds", "sweep", "evaluation", "rules", "strata", "froc", "calibration", "reliability"):
        rows = read_table(folder.table(table))
        mine, other = rows[rows["loss"] == NAME], rows[(rows["loss"] == "tversky") & (rows["seed"] == 0)]
        assert mine["seed"].isna().all()
        if table == "evaluation":  # a row at the tuned threshold, unless that is 0.5
            assert set(mine["scan_id"]) == set(other["scan_id"])
        else:
            assert len(mine) == len(other) > 0


def test_its_mask_is_its_map_cut_at_its_own_threshold(folder):
    thresholds = read_table(folder.thresholds).set_index("loss")
    for scan in held_out(folder):
        path = folder.probability(scan, NAME)
        np.testing.assert_array_equal(data(mask_path(path)) > 0, data(path) >= thresholds.loc[NAME, "threshold"])


@pytest.fixture(scope="module")
def segmented(folder: StudyFolder, tmp_path_factory: pytest.TempPathFactory):
    """A test scan with lesions, segmented by the bundle of the ensemble, and where that was saved."""
    evaluation = read_table(folder.evaluation)
    rows = evaluation[(evaluation["set"] == "test") & (evaluation["loss"] == NAME)]
    scan = rows.loc[rows["n_predicted_lesions"].idxmax(), "scan_id"]
    cohort = folder.root.parent / "cohort"
    curve = cohort / f"derivatives/labels/{scan}/anat/{scan}_label-centerline_seg.nii.gz"
    image = cohort / f"{scan}/anat/{scan}_T2w.nii.gz"
    result = cordlesion.segment(image, folder.bundle(NAME), centerline=curve)
    out = tmp_path_factory.mktemp("segmented")
    result.save(out, pictures=False)
    return scan, result, out


def test_its_bundle_segments_as_the_study_did(folder, segmented):
    scan, result, _ = segmented
    card = read_card(folder.bundle(NAME))
    assert (
        card.threshold.value
        == result.threshold
        == read_table(folder.thresholds).set_index("loss").loc[NAME, "threshold"]
    )
    assert card.test_error.n_scans == len(held_out(folder))
    np.testing.assert_allclose(result.probability, data(folder.probability(scan, NAME)), atol=2e-6)


def test_the_maps_of_doubt_are_the_deviation_between_the_members_and_the_entropy_of_their_mean(folder, segmented):
    scan, _, out = segmented
    expected = np.std([data(folder.probability(scan, member)) for member in MEMBERS], axis=0)
    written = nib.load(out / f"{scan}_label-lesion_spread.nii.gz")
    np.testing.assert_allclose(data(out / f"{scan}_label-lesion_spread.nii.gz"), expected, atol=1e-5)
    mean = np.mean([data(folder.probability(scan, member)) for member in MEMBERS], axis=0)
    entropy = np.array([stats.entropy([p, 1 - p]) for p in mean.ravel()]).reshape(mean.shape)
    np.testing.assert_allclose(data(out / f"{scan}_label-lesion_entropy.nii.gz"), entropy, atol=1e-4)
    np.testing.assert_array_equal(written.affine, nib.load(out / f"{scan}_label-lesion_mask.nii.gz").affine)


def test_each_lesion_states_how_far_the_members_disagree(folder, segmented):
    scan, result, out = segmented
    assert result.lesions
    maps = [data(folder.probability(scan, member)) for member in MEMBERS]
    spread, rule = np.std(maps, axis=0), resolve_rule("study")
    labels = label_components(result.mask, rule, 0.6**3).labels
    table = read_table(out / "lesions.tsv").set_index("lesion")
    for lesion in result.lesions:
        # The one whose centre of mass is the lesion's.
        centers = [np.argwhere(labels == k).mean(axis=0) for k in range(1, labels.max() + 1)]
        near = np.argmin([np.linalg.norm(center - (lesion.i, lesion.j, lesion.k)) for center in centers])
        mine = labels == near + 1
        assert lesion.spread == pytest.approx(spread[mine].mean(), abs=1e-4)
        overlaps = []
        for p in maps:
            pieces = label_components(p >= result.threshold, resolve_rule("any_overlap"), 0.6**3).labels
            found = [pieces == k for k in np.unique(pieces[mine]) if k]
            overlaps.append(max(((one & mine).sum() / (one | mine).sum() for one in found), default=0.0))
        assert lesion.disagreement == pytest.approx(1 - np.mean(overlaps), abs=1e-3)
        assert table.loc[lesion.lesion, "spread"] == lesion.spread


def test_another_model_in_the_same_folder_leaves_no_spread_behind(folder, segmented, tmp_path):
    _, result, out = segmented
    shutil.copytree(out, tmp_path / "out")
    curve = result.cord_input.centerline
    other = cordlesion.segment(result.scan.path, folder.bundle(MEMBERS[0]), centerline=curve)
    other.save(tmp_path / "out", pictures=False)
    assert not list((tmp_path / "out").glob("*spread*")) + list((tmp_path / "out").glob("*entropy*"))
    assert "spread" not in read_table(tmp_path / "out" / "lesions.tsv").dropna(axis="columns", how="all")


def test_retention_ends_with_the_scores_of_the_evaluation(folder):
    retention, evaluation = read_table(folder.table("retention")), read_table(folder.evaluation)
    t = read_table(folder.thresholds).set_index("loss").loc[NAME, "threshold"]
    scans = evaluation[(evaluation["loss"] == NAME) & (evaluation["set"] == "test") & (evaluation["threshold"] == t)]
    scans = scans[(scans["n_reference_lesions"] > 0) & (scans["n_predicted_lesions"] > 0)]
    ends = retention[(retention["loss"] == NAME) & (retention["level"] == "lesion") & (retention["retained"] == 1)]
    baselines = {"entropy", "margin", "random", "ideal"}
    assert set(ends["uncertainty"]) == baselines | {"spread", "mutual_information", "disagreement"}
    assert ends["score"].to_numpy() == pytest.approx(scans["lesion_f1"].mean())
    areas = read_table(folder.table("uncertainty"))
    areas = areas[(areas["loss"] == NAME) & (areas["level"] == "voxel")]
    wide = areas.pivot(index="scan_id", columns="uncertainty", values="area")
    assert (wide.le(wide["ideal"] + 1e-9, axis="index")).all(axis=None)
    single = read_table(folder.table("retention")).query("loss == 'tversky'")
    assert set(single["uncertainty"]) == baselines


def test_the_results_name_it_and_count_it_as_no_seed(folder):
    results = read_results(folder.root)
    (ensemble,) = [run for run in results.runs if run.seed is None]
    assert results.label(ensemble) == "Tversky, mean of 2 seeds"
    assert results.maps_name(ensemble) == NAME
    assert [results.label(run) for run in results.runs][:2] == ["Tversky, seed 0", "Tversky, seed 1"]
    assert ensemble not in results.histories


def stamps(file: Path, pattern: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (file.parent / "study").rglob(pattern)}


def test_a_finished_study_gets_its_rows_and_loses_them_without_a_training_or_a_prediction(copy):
    folder = StudyFolder(copy.parent / "study")
    tables = {name: folder.table(name).read_bytes() for name in ("thresholds", "sweep", "evaluation")}
    trained, predicted = stamps(copy, TRAINED), stamps(copy, PREDICTED)
    copy.write_text(f"{copy.read_text()}ensembles: none\n")
    run_study(read_study(copy), until="analyze")
    assert not folder.run(NAME).exists()
    assert not list(folder.derivatives.rglob("*tverskyensemble*"))
    assert not folder.table("retention").exists()
    assert read_card(folder.bundle(MEMBERS[0])).threshold is not None
    assert NAME not in set(read_table(folder.evaluation)["loss"])
    copy.write_text(copy.read_text().replace("ensembles: none\n", ""))
    run_study(read_study(copy), until="analyze")
    assert {name: folder.table(name).read_bytes() for name in tables} == tables
    assert stamps(copy, TRAINED) == trained
    assert stamps(copy, PREDICTED) == predicted


def test_a_deleted_map_of_an_ensemble_is_made_again_from_those_of_its_members(copy):
    folder = StudyFolder(copy.parent / "study")
    path = folder.probability(held_out(folder)[0], NAME)
    before, predicted = path.read_bytes(), stamps(copy, PREDICTED)
    path.unlink()
    run_study(read_study(copy), until="evaluate")
    assert path.read_bytes() == before
    assert stamps(copy, PREDICTED) == predicted


def test_networks_that_share_no_settings_make_no_bundle(copy):
    folder = StudyFolder(copy.parent / "study")
    members = [folder.bundle(member) for member in MEMBERS]
    with pytest.raises(CordlesionError, match="is an ensemble itself; single networks are needed"):
        join_bundles(copy.parent / "new", "new", [*members, folder.bundle(NAME)], read_card(members[0]).postprocess)
    card = members[1] / "model.json"
    card.write_text(card.read_text().replace('"overlap_fraction": 0.5', '"overlap_fraction": 0.25'))
    with pytest.raises(
        CordlesionError, match=r"tversky_seed-1/bundle: its patches is not that of .*Train them in one study"
    ):
        join_bundles(copy.parent / "new", "new", members, read_card(members[0]).postprocess)
    assert not (copy.parent / "new").exists()


def test_its_networks_are_those_of_its_members_in_their_order(folder):
    ensemble, members = load_bundle(folder.bundle(NAME)), [load_bundle(folder.bundle(member)) for member in MEMBERS]
    assert [one["seed"] for one in ensemble.card.members] == [0, 1]
    for network, member in zip(ensemble.networks, members, strict=True):
        mine, theirs = network.state_dict(), member.network.state_dict()
        assert all(bool((mine[name] == theirs[name]).all()) for name in theirs)
    assert ensemble.card.describe().startswith("ensemble of 2 3-D U-Nets trained with cordlesion")


def test_it_exports_as_one_network(folder):
    import torch

    from cordlesion.model.patch_model import PatchModel, example_patches

    ensemble, members = load_bundle(folder.bundle(NAME)), [load_bundle(folder.bundle(member)) for member in MEMBERS]
    patches = example_patches(ensemble.card)
    mean = torch.stack([PatchModel(member)(patches) for member in members]).mean(dim=0)
    torch.testing.assert_close(PatchModel(ensemble)(patches), mean)


def test_a_training_cannot_start_from_an_ensemble(folder):
    from cordlesion.config import TrainingConfig
    from cordlesion.model.networks import make_network
    from cordlesion.model.start import load_start

    start = TrainingConfig(start_from=folder.bundle(NAME))
    with pytest.raises(CordlesionError, match=r"is an ensemble of 2 networks; `training.start_from` needs a single"):
        load_start(make_network(read_card(folder.bundle(NAME)).network), start)


def test_tables_hold_every_test_scan_once(folder):
    areas = read_table(folder.table("uncertainty"))
    keys = [*areas.columns.drop(["area", "score"])]
    assert not areas.duplicated(keys).any()
    assert set(areas["scan_id"]) <= set(held_out(folder))
    assert isinstance(areas, pd.DataFrame)


def test_a_minimum_volume_that_is_no_longer_tuned_leaves_its_bundle(copy):
    bundle = StudyFolder(copy.parent / "study").bundle(NAME)
    tuned = read_card(bundle)
    assert tuned.threshold is not None
    set_threshold(bundle, tuned.threshold, 5.0)
    assert read_card(bundle).postprocess.minimum_volume_mm3 == 5.0
    run_study(read_study(copy), until="tune")
    assert read_card(bundle).postprocess == tuned.postprocess
