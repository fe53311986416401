"""The small inputs of the shared folder that are about images and maps give the values that its READMEs name."""

import json

import numpy as np
import pytest

from cordlesion.cord.centerline import centerline_from_cord_mask, read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_grid, read_probability, read_volume
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.maps.tune import tune_files
from cordlesion.nnunet.softmax import read_softmax


def tuned(reference, maps, output):
    assert tune_files(reference, maps, output=output).excluded == {}
    return json.loads(output.read_text())


def test_an_export_of_a_reader_that_reorients(shared):
    folder = shared("cases", "io", "02_nnunet_npz_reorient")
    found = read_softmax(folder / "sub-01.npz", read_grid(folder / "sub-01_T2w.nii.gz"))
    np.testing.assert_allclose(found, read_probability(folder / "sub-01_probseg.nii.gz").data, atol=1e-3)


@pytest.mark.parametrize(("kind", "read"), [("cord", centerline_from_cord_mask), ("curve", read_centerline)])
def test_a_stray_voxel(shared, kind, read):
    folder = shared("cases", "io", "03_stray_voxel")
    scan = read_grid(folder / "scan.nii.gz")
    sound, strayed = (read(folder / f"{kind}{end}.nii.gz", scan) for end in ("", "_and_one_stray_voxel"))
    for axis in "xyz":
        np.testing.assert_array_equal(getattr(strayed, axis), getattr(sound, axis))
    assert (len(sound.remarks), len(strayed.remarks)) == (0, 1)


def test_micrometres(shared, tmp_path):
    folder = shared("cases", "io", "04_units")
    tables = []
    for unit in ("mm", "micron"):
        files = (folder / f"{unit}_{kind}.nii.gz" for kind in ("reference", "prediction"))
        evaluate_files(*files, output=tmp_path / f"{unit}.tsv")
        tables.append(read_table(tmp_path / f"{unit}.tsv").drop(columns=["scan_id", "subject", "session", "rule"]))
    np.testing.assert_allclose(tables[0].to_numpy(float), tables[1].to_numpy(float), rtol=1e-5)
    assert tables[0]["reference_volume_mm3"].iloc[0] == pytest.approx(37.97, abs=0.01)
    scans = [read_grid(folder / f"{unit}_scan.nii.gz") for unit in ("mm", "micron")]
    np.testing.assert_allclose(scans[0].affine, scans[1].affine, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parts", [("io", "05_cord_1_lesion_2"), ("metrics", "labels_cord1_lesion2")])
def test_cord_and_lesion_in_one_mask(shared, tmp_path, parts):
    folder = shared("cases", *parts)
    with pytest.raises(CordlesionError, match="--lesion-value"):
        evaluate_files(folder / "reference", folder / "prediction", output=tmp_path / "m.tsv")
    values = {"lesion_value": 1, "predicted_value": 2}  # their references hold lesions only
    evaluate_files(folder / "reference", folder / "prediction", output=tmp_path / "m.tsv", **values)
    table = read_table(tmp_path / "m.tsv")
    free = table[table["n_reference_lesions"] == 0]
    assert len(free)
    assert not free["n_predicted_lesions"].any()


def test_maps_that_rounding_put_above_1(shared, tmp_path):
    folder = shared("cases", "io", "06_maps")
    assert tuned(folder / "references", folder / "rounded_above_1", tmp_path / "t.json")["n_scans"] > 0
    folder = shared("cases", "metrics", "ulp_above_one")
    chosen = [tuned(folder / "reference", folder / name, tmp_path / f"{name}.json") for name in ("maps", "clipped")]
    assert chosen[0] == chosen[1]
    assert (chosen[0]["n_scans"], chosen[0]["threshold"]) == (6, 0.5)
    assert chosen[0]["score"] == pytest.approx(0.9505, abs=1e-4)


def test_one_curve_for_all_storages(shared, tmp_path):
    folder = shared("cases", "metrics", "grid_maps")
    chosen = [
        tuned(folder / "reference", folder / name, tmp_path / f"{name}.json")
        for name in ("float32", "uint8_percent", "int16_1e-4")
    ]
    assert chosen[0] == chosen[1] == chosen[2]
    assert chosen[0]["threshold"] == 0.35


def test_headers(shared):
    folder = shared("cases", "io", "07_header")
    expected = read_volume(folder / "good.nii.gz")
    np.testing.assert_array_equal(read_volume(folder / "vox_offset_0.nii.gz").data, expected.data)
    with pytest.raises(CordlesionError, match="git annex get"):
        read_volume(folder / "annex_pointer.nii.gz")
