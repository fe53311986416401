"""The analysis of a finished study against its files, voxel by voxel and lesion by lesion."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from cordlesion.config import read_study
from cordlesion.dataset.matching import MapPair
from cordlesion.io.tables import read_table
from cordlesion.metrics import RULES, match_components, multi_spine_score
from cordlesion.preprocess.stack_file import read_stack
from cordlesion.study.calibration import MappedScan, calibrate
from cordlesion.study.run import run_study
from cordlesion.study.status import study_status
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.results import read_results
from oracles import calibration_oracle, lesion_oracle
from support.tiny import make_cohort

TABLES = ("rules", "strata", "froc", "calibration", "reliability")
RUN = "tversky_seed-0"
SPACING_MM = (0.6, 0.6, 0.6)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file of a tiny study with its report."""
    file = make_cohort(tmp_path_factory.mktemp("analysis"))
    assert run_study(read_study(file)) == {}
    return file


@pytest.fixture(scope="module")
def folder(study: Path) -> StudyFolder:
    return StudyFolder(study.parent / "study")


def mapped(folder, scan):
    labels = folder.root.parent / "cohort/derivatives/labels" / scan / "anat"
    probability = folder.probability(scan, RUN)
    pair = MapPair(scan, scan, "", labels / f"{scan}_label-lesion_seg.nii.gz", probability)
    mask = probability.with_name(probability.name.replace("_probseg", "_mask"))
    return MappedScan(pair, mask, folder.stack(scan))


def data(path):
    return np.asarray(nib.load(path).dataobj)


def scans_of(folder, set_name):
    splits = read_table(folder.splits)
    return [mapped(folder, scan) for scan in splits.loc[splits["set"] == set_name, "scan_id"]]


def covered(scan):
    """Probability and reference of voxels whose neighbours on the stack's grid are all in the stack."""
    p, lesion, geometry = data(scan.pair.prediction), data(scan.pair.reference), read_stack(scan.stack).geometry
    x, y, z = (np.clip((np.arange(n) + 0.5) / step - 0.5, 0, round(n / step) - 1)
               for n, step in zip(p.shape, geometry.step, strict=True))  # fmt: skip
    found = []
    for k, at in enumerate(z):
        below, above = int(np.floor(at)) - geometry.first_slice, int(np.ceil(at)) - geometry.first_slice
        if below < 0 or above >= geometry.n_slices:
            continue
        starts = [(geometry.start_x[slice_], geometry.start_y[slice_]) for slice_ in (below, above)]
        inside = np.all(
            [((x >= a) & (x <= a + 15))[:, None] & ((y >= b) & (y <= b + 15))[None] for a, b in starts], axis=0
        )
        found.append((p[:, :, k][inside], lesion[:, :, k][inside]))
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def all_covered(folder, set_name):
    voxels = [covered(scan) for scan in scans_of(folder, set_name)]
    return [np.concatenate(parts) for parts in zip(*voxels, strict=True)]


def of_run(folder, name):
    table = read_table(folder.table(name))
    return table[table["loss"] == "tversky"]


def test_every_mask_is_scored_under_every_rule(folder):
    table = of_run(folder, "rules").set_index(["scan_id", "rule"])
    scans = scans_of(folder, "test")
    assert len(table) == len(scans) * len(RULES)
    for scan in scans:
        masks = data(scan.pair.reference).astype(bool), data(scan.mask).astype(bool)
        for name, rule in RULES.items():
            expected = lesion_oracle.evaluate(*masks, SPACING_MM, rule)
            row = table.loc[(scan.pair.scan_id, name)]
            for key in (key for key in expected if not key.startswith(("voxel", "predicted"))):
                assert row[key] == pytest.approx(expected[key], nan_ok=True, rel=1e-5)


def test_lesions_are_counted_by_size(folder):
    table = of_run(folder, "strata").set_index(["scan_id", "stratum"])
    for scan in scans_of(folder, "test"):
        masks = data(scan.pair.reference).astype(bool), data(scan.mask).astype(bool)
        volumes, found, predicted, true = lesion_oracle.match(*masks, SPACING_MM, RULES["study"])
        for name, low, high in (("small", 0, 40), ("medium", 40, 100), ("large", 100, np.inf)):
            row = table.loc[(scan.pair.scan_id, name)]
            inside = [low <= volume < high for volume in volumes]
            inside_predicted = [low <= volume < high for volume in predicted]
            assert row["n_reference_lesions"] == sum(inside)
            assert row["n_detected_lesions"] == sum(a and b for a, b in zip(inside, found, strict=True))
            assert row["n_predicted_lesions"] == sum(inside_predicted)
            assert row["n_true_predicted_lesions"] == sum(a and b for a, b in zip(inside_predicted, true, strict=True))


def test_froc_is_what_the_sweep_says(folder):
    froc, sweep = of_run(folder, "froc"), of_run(folder, "sweep")
    by = ["set", "loss", "seed", "threshold"]
    sums = sweep.groupby(by).sum(numeric_only=True)
    found = froc.set_index(by).loc[sums.index]
    assert len(froc) == len(sums)
    np.testing.assert_allclose(found["sensitivity"], sums["n_detected_lesions"] / sums["n_reference_lesions"])
    false = (sums["n_predicted_lesions"] - sums["n_true_predicted_lesions"]) / sweep.groupby(by).size()
    np.testing.assert_allclose(found["false_per_scan"], false)


def test_calibration_is_that_of_the_covered_voxels_of_the_test_set(folder):
    p, lesion = all_covered(folder, "test")
    rows = of_run(folder, "calibration").set_index(["set", "map"])
    raw = rows.loc[("test", "raw")]
    assert (raw["n_voxels"], raw["n_lesion_voxels"], raw["temperature"]) == (len(p), lesion.sum(), 1)
    assert raw["sum_probability"] == pytest.approx(p.sum(dtype=float))
    p, lesion = p.tolist(), lesion.tolist()
    assert raw["expected_calibration_error"] == pytest.approx(
        calibration_oracle.expected_calibration_error(p, lesion, 15)
    )
    assert raw["brier_score"] == pytest.approx(calibration_oracle.brier_score(p, lesion))
    temperature = rows.loc[("test", "scaled"), "temperature"]
    scaled = [1 / (1 + (1 / x - 1) ** (1 / temperature)) for x in p]
    assert rows.loc[("test", "scaled"), "brier_score"] == pytest.approx(
        calibration_oracle.brier_score(scaled, lesion), rel=1e-4
    )


def test_the_temperature_is_fitted_on_the_threshold_set_alone(folder):
    p, lesion = all_covered(folder, "threshold")
    logit = np.log(p.astype(float) / (1 - p))

    def cross_entropy(log_t):
        return np.mean(np.logaddexp(0, logit / np.exp(log_t)) - lesion * logit / np.exp(log_t))

    best = np.exp(optimize.minimize_scalar(cross_entropy, bounds=(-3, 3), method="bounded").x)
    written = of_run(folder, "calibration").query("map == 'scaled'")["temperature"]
    assert written.to_numpy() == pytest.approx([best, best], rel=1e-3)
    tuning = scans_of(folder, "threshold")
    assert calibrate(tuning, tuning[:1], "other scans")["test", "scaled"].temperature == written.iloc[0]


def test_reliability_counts_every_voxel_once(folder):
    p, lesion = all_covered(folder, "test")
    bins = of_run(folder, "reliability").query("set == 'test' and map == 'raw'").reset_index()
    expected = calibration_oracle.bins(p.tolist(), lesion.tolist(), 15)
    for members, row in zip(expected, bins.itertuples(), strict=True):
        assert (row.n_voxels, row.n_lesion_voxels) == (len(members), sum(label for _, label in members))
        if members:
            assert row.mean_probability == pytest.approx(np.mean([probability for probability, _ in members]))
            assert row.bin_low <= row.mean_probability <= row.bin_high


def test_thresholds_have_their_stability_and_basis(folder):
    table, sweep = read_table(folder.thresholds), read_table(folder.sweep)
    for row in table.itertuples():
        scans = sweep[(sweep["loss"] == row.loss) & (sweep["set"] == "threshold")]
        curve = scans[scans["threshold"] > 0].groupby("threshold")["voxel_f1"].mean()
        for shift, lost in ((-0.05, row.loss_below), (0.05, row.loss_above)):
            moved = curve.get(round(row.threshold + shift, 2), np.nan)
            assert lost == pytest.approx(row.score - moved, nan_ok=True)
        assert row.area == pytest.approx(np.trapezoid(curve, curve.index) / (curve.index[-1] - curve.index[0]))
        assert row.basis.startswith(f"{row.n_scans} scans of {row.n_subjects} subjects")


def test_an_analysis_that_is_done_is_not_done_again_and_a_deleted_one_is(study, folder):
    path = folder.run(RUN) / "rules.tsv"
    before, written = path.stat().st_mtime_ns, path.read_bytes()
    run_study(read_study(study), until="analyze")
    assert path.stat().st_mtime_ns == before
    path.unlink()
    run_study(read_study(study), until="analyze")
    assert path.read_bytes() == written
    assert ("analyze", "calibration.tsv", "done") in study_status(folder.root)


def test_a_deleted_table_of_the_study_is_missed_and_written_again(study, folder, cli):
    path = folder.table("operating_points")
    written = path.read_bytes()
    path.unlink()
    ended = cli("report", folder.root, "-q")
    assert ended.status == 2
    assert "operating_points.tsv: no such file; the report needs it. Run the study's stage `analyze`" in " ".join(
        ended.error.split()
    )
    run_study(read_study(study), until="analyze")
    assert path.read_bytes() == written


def test_the_report_shows_the_analysis(folder):
    page = (folder.root / "report.html").read_text(encoding="utf-8")
    for heading in ("Why the thresholds differ", "Which lesions are found", "Lesion F1 depends on the rule"):
        assert f">{heading}</h3>" in page
    for name in ("tuning", "stability", "calibration", "pairs", "strata", "rules"):
        assert f'id="table-{name}"' in page
        assert len(pd.read_csv(folder.root / "tables" / f"{name}.tsv", sep="\t")) > 0
    for name in ("figure4_reliability", "figure5_froc"):
        assert (folder.root / "figures" / f"{name}.pdf").is_file()
    assert "seed noise is unknown" in page


def test_a_study_has_operating_points_of_every_method_and_says_what_is_lacking(folder):
    """A handful of subjects is never enough for a promise: there is no number, but the one that would be enough."""
    table = read_table(folder.root / "operating_points.tsv")
    tuned = read_table(folder.thresholds)
    assert (table.groupby("loss").size() == 3).all()
    assert set(table["loss"]) == set(tuned["loss"])
    balanced = table[table["point"] == "balanced"].set_index("loss")["threshold"]
    assert balanced.to_dict() == tuned.set_index("loss")["threshold"].to_dict()
    promised = table[table["point"] != "balanced"]
    assert promised["threshold"].isna().all()
    assert (promised["needed"].isna() | (promised["needed"] > promised["n_subjects"])).all()
    page = (folder.root / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "cannot be promised with 95 % certainty" in page


def test_the_score_of_multi_spine_is_that_of_the_components_of_the_masks(folder):
    scans = scans_of(folder, "test")
    images = [
        match_components(data(scan.pair.reference) > 0, data(scan.mask) > 0, data(scan.pair.prediction))
        for scan in scans
    ]
    expected = multi_spine_score(images)
    table = read_table(folder.table("multi_spine")).set_index("loss")
    row = table.loc["tversky"]
    assert row["score"] == pytest.approx(expected.score)
    found = [row[f"sensitivity_at_{name}"] for name in ("0_25", "0_5", "1", "2", "3")]
    np.testing.assert_allclose(found, expected.sensitivities)
    assert (row["n_scans"], row["n_lesion_bearing"]) == (len(scans), sum(len(i.detected_at) > 0 for i in images))
    assert read_results(folder.root).multi_spine["score"].tolist() == table["score"].tolist()
