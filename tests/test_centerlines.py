from pathlib import Path

import numpy as np
import pytest

from cordlesion.centerlines import BY_OPTION, FINDERS, IN_A_STUDY, cord_finder, study_finder
from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import Centerline, centerline_from_cord_mask, read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_scan
from support.images import noise
from support.keras_networks import centerline_layers, lesion_layers, write_keras

CURVE = Centerline(np.zeros(2), np.zeros(2), np.array([0.0, 9.0]), 0.9)
SCAN = Volume(noise((20, 20, 30)), np.eye(4))

REAL = {
    "t2": (centerline_from_cord_mask, "t2_seg-manual", 0.5, 1.5),
    # Slices are 7.5 mm apart, and what stands for the truth is the spline that SCT drew through the same network's map.
    "t2_ms": (read_centerline, "t2_ms_centerline", 1.0, 3.0),
}


@pytest.mark.parametrize("name", REAL)
def test_scts_network_finds_the_cord_of_real_scans(shared, name):
    read, truth, mean_mm, most_mm = REAL[name]
    image = read_scan(shared("data", "real", f"{name}.nii.gz"))
    cord = read(shared("data", "real", f"{truth}.nii.gz"), image)
    curve = cord_finder(shared("data", "sct", "t2_ctr.h5"), BY_OPTION)(image)
    x, y = curve.at(cord.z)
    dx, dy, _ = to_las(image).spacing_mm
    distances = np.hypot((x - cord.x) * dx, (y - cord.y) * dy)
    assert distances.mean() < mean_mm
    assert distances.max() < most_mm
    assert len(curve.z) == to_las(image).data.shape[2]
    assert curve.confidence > 0.9


def test_a_source_is_known_by_its_name_or_is_a_file(monkeypatch):
    monkeypatch.setattr("cordlesion.centerlines.FINDERS", {"auto": lambda _: CURVE, "sct": lambda _: None})
    assert cord_finder("auto", BY_OPTION)(SCAN) is CURVE
    assert cord_finder("sct", BY_OPTION)(SCAN) is None
    for wrong in ("optic", "file", "t2_ctr.onnx"):
        with pytest.raises(CordlesionError, match=rf"{wrong}.* is no source .*auto, sct or the file .*t2_ctr\.h5"):
            cord_finder(wrong, BY_OPTION)


def test_where_no_cord_is_found_the_advice_fits_the_command(tmp_path):
    network = write_keras(tmp_path / "t2_ctr.h5", centerline_layers())
    for source in ("auto", network):
        for advice in (BY_OPTION, IN_A_STUDY):
            with pytest.raises(CordlesionError, match="no spinal cord was found") as told:
                cord_finder(source, advice)(SCAN)
            assert str(told.value).endswith(advice)


@pytest.mark.parametrize(
    ("name", "layers", "told"),
    [
        ("missing_ctr.h5", None, "no such file"),
        ("t2_lesion.h5", lesion_layers, r"not named as SCT's centerline networks are"),
        ("t2s_ctr.h5", lesion_layers, "is not the .* of SCT's centerline network|no Conv2D layer"),
        (
            "network.h5",
            centerline_layers,
            r"not named as SCT's centerline networks are \(t1_ctr\.h5, t2_ctr\.h5, t2s_ctr\.h5, dwi_ctr\.h5\)",
        ),
    ],
)
def test_another_file_than_scts_centerline_network_gets_a_sentence(tmp_path, name, layers, told):
    path = write_keras(tmp_path / name, layers()) if layers else tmp_path / name
    with pytest.raises(CordlesionError, match=rf"{name}: .*({told})"):
        cord_finder(path, BY_OPTION)


def test_a_study_needs_no_finder_where_the_cord_is_drawn():
    assert study_finder(PreprocessConfig(centerline="file")) is None
    assert study_finder(PreprocessConfig(region="foreground", centerline=Path("absent_ctr.h5"))) is None
    assert study_finder(PreprocessConfig(centerline="sct")) is FINDERS["sct"]
    with pytest.raises(CordlesionError, match=r"absent_ctr\.h5: no such file"):
        study_finder(PreprocessConfig(centerline=Path("absent_ctr.h5")))
