import nibabel as nib
import numpy as np
import pytest

from cordlesion.config import ComparatorConfig, PreprocessConfig
from cordlesion.cord.centerline import centerline_from_cord_mask, read_centerline
from cordlesion.dataset.bids import find_scans
from cordlesion.io.volume import read_scan
from cordlesion.model.bundle import load_bundle, save_bundle
from cordlesion.prediction import predict_scan
from cordlesion.study.comparators.import_files import predict_bundle
from cordlesion.study.comparators.match import match_comparator
from support.sct_models import sct_bundle
from support.tiny import write_scan


@pytest.mark.parametrize("source", ["file", "cord_mask"])
def test_sct_is_compared_along_the_centerline_of_the_study(tmp_path, source):
    write_scan(tmp_path / "cohort", "sub-01", seed=1, lesions=1)
    (scan,), _ = find_scans(tmp_path / "cohort")
    save_bundle(tmp_path / "sct", sct_bundle("shipped"))
    sct = match_comparator(
        ComparatorConfig(name="sct_shipped", bundle=tmp_path / "sct", threshold=0.1),
        {scan.scan_id},
        {scan.scan_id: scan.image},
    )
    study, bundle = PreprocessConfig(centerline=source), load_bundle(tmp_path / "sct")
    own = sct.preprocess_in(study)
    predict_bundle(sct, bundle, own, None, scan, tmp_path / "map.nii.gz", tmp_path / "mask.nii.gz")
    image = read_scan(scan.image)
    read = {"file": (read_centerline, scan.centerline), "cord_mask": (centerline_from_cord_mask, scan.cord_mask)}
    curve_of, file = read[source]
    expected = predict_scan(bundle, image, curve_of(file, image))
    assert 0 < expected.mean() < 1
    for name in ("map", "mask"):
        np.testing.assert_array_equal(nib.load(tmp_path / f"{name}.nii.gz").get_fdata(), expected)
