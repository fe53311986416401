import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from payloads import unpack, unpack_into

from cordlesion.errors import CordlesionError
from cordlesion.explorer.catalog import Catalog
from cordlesion.explorer.scan_data import ScanData
from cordlesion.io.orient import to_las
from cordlesion.io.tables import read_table
from cordlesion.io.volume import Volume, read_mask, read_probability
from cordlesion.metrics import evaluate
from cordlesion.metrics.columns import METRIC_COLUMNS
from cordlesion.study_folder.results import read_results
from oracles.postprocess_oracle import naive_removal


@pytest.fixture(scope="module")
def catalog(study: Path) -> Catalog:
    return Catalog(read_results(study))


@pytest.fixture(scope="module")
def data(catalog: Catalog) -> ScanData:
    """The test scan with the most lesions."""
    volumes = catalog.results.splits.set_index("scan_id")["n_reference_lesions"]
    return ScanData.read(catalog, max(catalog.scans, key=lambda scan: (scan.set_name == "test", volumes[scan.scan_id])))


@pytest.fixture(scope="module")
def described(catalog: Catalog, data: ScanData) -> dict:
    return {model.run.loss: data.describe_model(model) for model in catalog.models}


def test_metrics_equal_the_tables(catalog, described, data):
    """At each threshold of the sweep, and at 0.5 and the tuned threshold of the evaluation."""
    for table in ("sweep", "evaluation"):
        rows = read_table(catalog.results.folder.table(table))
        rows = rows[rows["scan_id"] == data.scan.scan_id]
        assert len(rows) >= 2
        for row in rows.itertuples():
            level = -1 if pd.isna(row.threshold) else catalog.level(row.threshold)
            if row.loss == "shipped":
                level = catalog.level(0.225)
            shown = described[row.loss]["metrics"]
            for name in METRIC_COLUMNS:
                written = getattr(row, name)
                assert (shown[name][level] is None) == pd.isna(written)
                assert pd.isna(written) or shown[name][level] == pytest.approx(written, rel=1e-12)


def test_metrics_at_other_thresholds_equal_an_evaluation_of_the_mask(catalog, described, data):
    for name, minimum in (("soft", 4), ("bce", 4), ("shipped", 0)):
        model = next(model for model in catalog.models if model.run.loss == name)
        path = catalog.results.folder.probability(data.scan.scan_id, catalog.results.maps_name(model.run))
        p = np.asarray(nib.load(path).dataobj)
        for threshold in (0.03, 0.12, 0.225, 0.37, 0.81):
            mask = naive_removal(p >= np.float32(threshold), data.image.spacing_mm, minimum)
            expected = evaluate(data.reference.data, mask, data.image.spacing_mm, catalog.config.evaluation.rule)
            shown = described[name]["metrics"]
            for column in METRIC_COLUMNS:
                assert shown[column][catalog.level(threshold)] == pytest.approx(getattr(expected, column))


def test_the_level_of_a_voxel_is_the_highest_threshold_that_it_reaches(catalog, described, data):
    path = catalog.results.folder.probability(data.scan.scan_id, "shipped")
    p = to_las(read_probability(path)).data
    levels = unpack_into(described["shipped"]["levels"], p.shape)
    for k, threshold in enumerate(catalog.thresholds):
        assert ((levels >= k) == (p >= np.float32(threshold))).all()


def test_a_mask_is_above_every_threshold(catalog, described, data):
    path = catalog.results.folder.probability(data.scan.scan_id, "hard")
    mask = to_las(read_mask(path.with_name(path.name.replace("probseg", "mask")))).data
    levels = unpack_into(described["hard"]["levels"], mask.shape)
    assert (levels[mask] == len(catalog.thresholds) - 1).all()
    assert not levels[~mask].any()
    assert described["hard"]["threshold"] is None


def test_lists_have_as_many_lesions_as_the_metrics_count(catalog, described, data):
    lesions = data.describe()["lesions"]
    for model in described.values():
        for k in range(len(catalog.thresholds)):
            counts = {name: model["metrics"][name][k] for name in METRIC_COLUMNS}
            assert sum(states[k] == "1" for states in model["detected"]) == counts["n_detected_lesions"]
            assert sum(lesion["counted"] for lesion in lesions) == counts["n_reference_lesions"]
            assert len(model["predicted"][k]) == counts["n_predicted_lesions"]
            assert sum(lesion[5] for lesion in model["predicted"][k]) == counts["n_true_predicted_lesions"]


def test_scan_reference_and_places_are_in_one_frame(catalog, data, described):
    page = data.describe()
    image, reference = to_las(data.image), to_las(data.reference).data.astype(bool)
    assert page["shape"] == list(image.data.shape)
    labels = unpack_into(page["reference"], reference.shape)
    assert ((labels > 0) == reference).all()
    for number, lesion in enumerate(page["lesions"], start=1):
        assert labels[tuple(lesion["place"])] == number
        assert lesion["volume_mm3"] == pytest.approx(
            (labels == number).sum() * np.prod(data.image.spacing_mm), abs=0.01
        )
    raw = to_las(read_probability(catalog.results.folder.probability(data.scan.scan_id, "shipped"))).data
    for x, y, z, _, peak, _ in described["shipped"]["predicted"][catalog.level(0.225)]:
        assert raw[x, y, z] == pytest.approx(peak, abs=1e-4)
    box = tuple(slice(a, a + n) for a, n in zip(page["cord"]["start"], page["cord"]["shape"], strict=True))
    assert (unpack(page["cord"]) == unpack(data.full_image())[box]).all()
    inside = np.zeros(reference.shape, bool)
    inside[box] = True
    assert inside[reference].all()


def test_volumes_are_measured_on_the_grid_of_the_reference(data):
    stretched = data.reference.affine @ np.diag([1.0001, 1, 1, 1])
    other = replace(data, reference=Volume(data.reference.data, stretched))
    assert other.describe()["voxel_mm3"] == pytest.approx(1.0001 * data.describe()["voxel_mm3"], rel=1e-9)


def test_grey_values_increase_with_intensity(data):
    grey, image = unpack(data.full_image()).ravel().astype(int), to_las(data.image).data.ravel()
    assert (np.diff(grey[np.argsort(image)]) >= 0).all()
    assert len(np.unique(grey)) > 100


def test_the_stack_is_the_input_of_the_network(data):
    page = data.describe()["stack"]
    assert unpack(data.stack_image()).shape == tuple(page["shape"]) == data.stack.image.shape
    assert len(page["start_x"]) == page["shape"][2]


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study.parent, tmp_path / "copy")) / study.name


def describe_first(folder: Path, loss: str = "soft") -> dict:
    catalog = Catalog(read_results(folder))
    model = next(model for model in catalog.models if model.run.loss == loss)
    return ScanData.read(catalog, catalog.scans[0]).describe_model(model)


def test_a_map_that_was_changed_after_the_evaluation_is_refused(copy):
    catalog = Catalog(read_results(copy))
    path = catalog.results.folder.probability(catalog.scans[0].scan_id, "soft")
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * np.float32(0.9), image.affine), path)
    with pytest.raises(CordlesionError, match=r"metrics of soft differ from its tables.*study run"):
        describe_first(copy)


def test_missing_files_are_reported(copy):
    catalog = Catalog(read_results(copy))
    scan = catalog.scans[0].scan_id
    catalog.results.folder.probability(scan, "soft").unlink()
    with pytest.raises(CordlesionError, match=r"no such probability map; the explorer needs it"):
        describe_first(copy)
    manifest = copy / "manifest.json"
    written = json.loads(manifest.read_text())
    del written["scans"][scan]["reference"]
    manifest.write_text(json.dumps(written))
    with pytest.raises(CordlesionError, match=r"has no path of reference of"):
        describe_first(copy)
