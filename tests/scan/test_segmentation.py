import gzip
import html
import json
import re
import shutil
from dataclasses import asdict, replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cordlesion.config import PostprocessConfig, PreprocessConfig
from cordlesion.cord.centerline import read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.volume import read_scan, read_volume, write_volume
from cordlesion.metrics import binarize
from cordlesion.model.bundle import Bundle, load_bundle, read_card, save_bundle
from cordlesion.pictures.montage import montage
from cordlesion.prediction import Prediction
from cordlesion.scan.segment import output_name, predict_file, segment, segment_files
from support.images import SHAPE, assert_same_geometry, box, noise, truncate, write_image
from support.models import THRESHOLD, untrained_bundle
from support.strategies import make_scan
from support.tiny import write_scan

pytestmark = pytest.mark.usefixtures("plain_montage")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(folder, untrained_bundle())
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    for n in (1, 2):
        write_scan(folder, f"sub-{n:02d}", seed=n, lesions=1)
    return folder


def scan_of(cohort, n=1):
    return cohort / f"sub-{n:02d}/anat/sub-{n:02d}_T2w.nii.gz"


def label_of(cohort, kind, n=1):
    return cohort / f"derivatives/labels/sub-{n:02d}/anat/sub-{n:02d}_label-{kind}_seg.nii.gz"


def test_a_scan_is_segmented_into_files_that_agree(bundle, cohort, tmp_path, monkeypatch):
    monkeypatch.undo()  # with the real montage
    assert segment_files([scan_of(cohort)], bundle, tmp_path, centerlines=[label_of(cohort, "centerline")]) == {}
    names = [
        "label-lesion_mask.json",
        "label-lesion_mask.nii.gz",
        "label-lesion_mask.png",
        "label-lesion_probseg.nii.gz",
        "label-lesion_report.html",
    ]
    tables = [".tables.lock", "lesion_load.json", "lesion_load.tsv", "lesions.json", "lesions.tsv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*tables, *(f"sub-01_{name}" for name in names)]
    probability, mask = (nib.load(tmp_path / f"sub-01_{name}") for name in (names[3], names[1]))
    np.testing.assert_array_equal(mask.get_fdata(), binarize(probability.get_fdata(), THRESHOLD.value))
    assert 0 < mask.get_fdata().sum() < mask.get_fdata().size
    assert (probability.get_data_dtype(), mask.get_data_dtype()) == (np.float32, np.uint8)
    for image in (probability, mask):
        assert_same_geometry(nib.load(scan_of(cohort)).header, image.header)
    described = json.loads((tmp_path / f"sub-01_{names[0]}").read_text())
    assert described["Threshold"] == THRESHOLD.value
    assert described["GeneratedBy"]["WeightsSHA256"] == file_hash(bundle / "model.safetensors")
    table = read_table(tmp_path / "lesions.tsv")
    assert len(table) == len(described["Lesions"])
    assert [row["n_voxels"] for row in described["Lesions"]] == table["n_voxels"].tolist()
    assert (tmp_path / f"sub-01_{names[2]}").read_bytes().startswith(b"\x89PNG")


def test_pictures_can_be_left_out_and_none_of_an_earlier_run_stays(bundle, cohort, tmp_path):
    given = {"centerlines": [label_of(cohort, "centerline")]}
    pictures = [tmp_path / f"sub-01_label-lesion_{end}" for end in ("mask.png", "report.html")]
    segment_files([scan_of(cohort)], bundle, tmp_path, **given)
    assert all(path.is_file() for path in pictures)
    segment_files([scan_of(cohort)], bundle, tmp_path, **given, pictures=False)
    assert not any(path.exists() for path in pictures)


def test_the_report_says_what_the_tables_say(bundle, cohort, tmp_path):
    segment_files([scan_of(cohort)], bundle, tmp_path, centerlines=[label_of(cohort, "centerline")])
    page = " ".join((tmp_path / "sub-01_label-lesion_report.html").read_text().split())
    load = read_table(tmp_path / "lesion_load.tsv").iloc[0]
    assert f"<strong>{load['n_lesions']} lesion" in page
    assert f"p ≥ {THRESHOLD.value:g}: the model&#39;s own, tuned on scans set aside" in page
    assert "<dd>sub-01_label-centerline_seg.nii.gz</dd>" in page
    for row in read_table(tmp_path / "lesions.tsv").head(12).to_dict("records"):
        assert f"<td>{row['length_mm']:.1f}</td><td>{row['position_mm']:.1f}</td>" in page.replace("−", "-")


def test_a_name_that_is_markup_stays_text(bundle, cohort, tmp_path):
    name = "sub-<img src=x onerror=alert(1)>&'x'"
    scan = tmp_path / f"{name}_T2w.nii.gz"
    shutil.copy(scan_of(cohort), scan)
    assert segment_files([scan], bundle, tmp_path / "o", centerlines=[label_of(cohort, "centerline")]) == {}
    page = (tmp_path / "o" / f"{name}_label-lesion_report.html").read_text()
    assert "<img" not in page
    assert page.count(html.escape(name).replace("&#x27;", "&#39;")) == 3  # title, heading, file
    assert read_table(tmp_path / "o/lesion_load.tsv")["scan_id"].tolist() == [name]


def test_a_prediction_never_overwrites_what_it_is_made_from(bundle, cohort):
    scan, cord = scan_of(cohort), label_of(cohort, "cord")
    for output in (scan, cord):
        with pytest.raises(CordlesionError, match="is the file that is read, and would be overwritten"):
            predict_file(scan, bundle, output, cord_mask=cord)


def test_a_fault_of_the_quality_control_loses_no_lesions(bundle, cohort, tmp_path):
    (tmp_path / "qc").mkdir()
    (tmp_path / "qc" / "_json").write_text("in the way")
    cord = [label_of(cohort, "cord")]
    faults = segment_files([scan_of(cohort)], bundle, tmp_path / "out", cord_masks=cord, qc=tmp_path / "qc")
    assert "_json" in faults["sub-01"]
    assert (read_table(tmp_path / "out/lesions.tsv")["scan_id"] == "sub-01").all()


def test_python_gives_what_the_command_writes(bundle, cohort, tmp_path):
    result = segment(scan_of(cohort), bundle, cord_mask=label_of(cohort, "cord"))
    segment_files([scan_of(cohort)], bundle, tmp_path, cord_masks=[label_of(cohort, "cord")])
    predict_file(scan_of(cohort), bundle, tmp_path / "p.nii.gz", cord_mask=label_of(cohort, "cord"))
    for name in ("sub-01_label-lesion_probseg.nii.gz", "p.nii.gz"):
        np.testing.assert_array_equal(nib.load(tmp_path / name).get_fdata(), result.probability)
    np.testing.assert_array_equal(nib.load(tmp_path / "sub-01_label-lesion_mask.nii.gz").get_fdata(), result.mask)
    assert result.threshold == THRESHOLD.value


def test_saving_writes_what_the_command_writes(bundle, cohort, tmp_path):
    scan, line = scan_of(cohort), label_of(cohort, "centerline")
    segment_files([scan], bundle, tmp_path / "command", centerlines=[line])
    files = segment(scan, bundle, centerline=line).save(tmp_path / "python")
    assert all(path.is_file() for path in files)
    names = sorted(path.name for path in (tmp_path / "command").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "python").iterdir())
    for name in names:
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "command" / name).read_bytes(), name


def test_saving_protects_a_corrected_mask(bundle, cohort, tmp_path):
    result = segment(scan_of(cohort), bundle, centerline=label_of(cohort, "centerline"))
    mask = result.save(tmp_path, pictures=False)[1]
    write_volume(mask, ~result.mask, result.scan)
    with pytest.raises(CordlesionError, match="may have been corrected by hand"):
        result.save(tmp_path)
    result.save(tmp_path, overwrite=True, pictures=False)
    np.testing.assert_array_equal(read_volume(mask).data, result.mask)


def test_a_loaded_model_is_recorded_without_a_place(bundle, cohort, tmp_path):
    result = segment(scan_of(cohort), load_bundle(bundle), centerline=label_of(cohort, "centerline"))
    record = json.loads(result.save(str(tmp_path), pictures=False)[2].read_text())
    assert record["GeneratedBy"]["Bundle"] is None
    assert record["GeneratedBy"]["WeightsSHA256"] == file_hash(bundle / "model.safetensors")


def test_the_former_name_of_the_cord_input_still_works(bundle, cohort):
    result = segment(scan_of(cohort), bundle, cord_mask=label_of(cohort, "cord"))
    with pytest.warns(DeprecationWarning, match="use cord_input"):
        assert result.given is result.cord_input


def test_lesions_are_measured_largest_first(bundle, tmp_path, monkeypatch):
    """Three boxes in a scan of another orientation; the smallest is below 3 mm3 and stays out of the list."""
    scan = make_scan("RPI", (0.5, 0.5, 2.0), SHAPE, (0, 0, 0), seed=0)
    boxes = [box((10, 14), (10, 14), (20, 22)), box((10, 14), (10, 14), (5, 12)), box((12, 13), (12, 13), (30, 32))]
    probability = sum(b * np.float32(p) for b, p in zip(boxes, (0.9, 0.5, 0.7), strict=True)).astype(np.float32)
    probability[10, 10, 5] = 0.8
    on_grid = np.ascontiguousarray(from_las(probability, scan))
    monkeypatch.setattr("cordlesion.scan.segment.predict", lambda *_: Prediction(on_grid))
    path = write_image(tmp_path / "sub-01_T2w.nii.gz", scan.data, scan.affine)
    curve = box((12, 13), (12, 13), (0, 36))
    line = write_image(tmp_path / "line.nii.gz", np.ascontiguousarray(from_las(curve, scan)), scan.affine)
    large, small = segment(path, bundle, centerline=line).lesions
    place = nib.affines.apply_affine(to_las(scan).affine, (11.5, 11.5, 8.0))
    assert asdict(large) == {
        "lesion": 1,
        "volume_mm3": 56.0,  # 4 x 4 x 7 voxels of 0.5 mm3
        "length_mm": 14.0,
        "position_mm": 55.0,  # from the upper face of slice 35 down to the middle of slice 8
        "left_mm": -0.25,
        "anterior_mm": -0.25,
        "peak_probability": 0.8,
        "mean_probability": pytest.approx(0.5 + 0.3 / 112, abs=1e-4),
        "n_voxels": 112,
        **dict(zip(("x_mm", "y_mm", "z_mm"), place.round(2), strict=True)),
        "i": 11.5,
        "j": 11.5,
        "k": 31.0,  # 24 x 24 x 40 voxels, counted from the other ends
        "spread": None,  # of one network
        "disagreement": None,
        "probability": None,  # of models whose lesions are calibrated
    }
    assert (small.lesion, small.volume_mm3, small.length_mm, small.position_mm) == (2, 16.0, 4.0, 30.0)


def test_lesions_of_a_noisy_map_equal_a_naive_list(bundle, cohort, monkeypatch):
    probability = ndimage.gaussian_filter(noise() / 100, 1.2)
    monkeypatch.setattr("cordlesion.scan.segment.predict", lambda *_: Prediction(probability))
    cut = float(np.quantile(probability, 0.9))
    result = segment(scan_of(cohort), bundle, cord_mask=label_of(cohort, "cord"), threshold=cut)
    labels, n = ndimage.label(result.mask)
    sizes = sorted((int((labels == k).sum()) for k in range(1, n + 1)), reverse=True)
    kept = [size for size in sizes if size * 0.216 > 3]
    assert [lesion.n_voxels for lesion in result.lesions] == kept
    assert 1 < len(kept) < n
    assert [lesion.lesion for lesion in result.lesions] == list(range(1, len(kept) + 1))


def test_the_users_threshold_counts(bundle, cohort):
    cuts = (0.01, 0.5, 1.0)
    results = [segment(scan_of(cohort), bundle, cord_mask=label_of(cohort, "cord"), threshold=cut) for cut in cuts]
    for cut, result in zip(cuts, results, strict=True):
        np.testing.assert_array_equal(result.mask, result.probability >= np.float32(cut))


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01, float("nan")])
def test_a_threshold_out_of_range_gets_a_sentence(bundle, cohort, tmp_path, threshold):
    with pytest.raises(CordlesionError, match="a value above 0 and up to 1 is needed"):
        segment_files(
            [scan_of(cohort)], bundle, tmp_path / "o", cord_masks=[label_of(cohort, "cord")], threshold=threshold
        )
    assert not (tmp_path / "o").exists()


def test_a_bundle_without_threshold_needs_one(cohort, tmp_path):
    save_bundle(tmp_path / "b", untrained_bundle(threshold=None))
    with pytest.raises(CordlesionError, match=r"b: has no tuned threshold"):
        segment(scan_of(cohort), tmp_path / "b", cord_mask=label_of(cohort, "cord"))
    result = segment(scan_of(cohort), tmp_path / "b", cord_mask=label_of(cohort, "cord"), threshold=0.5)
    assert result.threshold == 0.5


def test_at_most_one_of_centerline_and_cord_mask_is_needed(bundle, cohort):
    both = {"centerline": label_of(cohort, "centerline"), "cord_mask": label_of(cohort, "cord")}
    with pytest.raises(CordlesionError, match="centerline and cord mask were given; this model needs at most one"):
        segment(scan_of(cohort), bundle, **both)


def test_without_a_curve_the_cord_is_found(bundle, cohort, monkeypatch):
    curve = read_centerline(label_of(cohort, "centerline"), read_scan(scan_of(cohort)))
    monkeypatch.setattr("cordlesion.centerlines.FINDERS", {"auto": lambda _: replace(curve, confidence=0.9)})
    found = segment(scan_of(cohort), bundle)
    assert found.centerline.confidence == 0.9
    given = segment(scan_of(cohort), bundle, centerline=label_of(cohort, "centerline"))
    np.testing.assert_array_equal(found.probability, given.probability)


def test_a_model_of_the_foreground_needs_no_centerline(cohort, tmp_path):
    bundle = untrained_bundle(edge_voxels=8)
    config = PreprocessConfig(region="foreground", spacing_mm=1.2)
    save_bundle(tmp_path / "model", Bundle(bundle.card.model_copy(update={"preprocess": config}), bundle.network))
    predict_file(scan_of(cohort), tmp_path / "model", tmp_path / "p.nii.gz")
    probability = nib.load(tmp_path / "p.nii.gz").get_fdata(dtype=np.float32)
    cut = float(np.quantile(probability, 0.9))
    assert segment_files([scan_of(cohort)], tmp_path / "model", tmp_path / "o", threshold=cut) == {}
    written = nib.load(tmp_path / "o/sub-01_label-lesion_probseg.nii.gz").get_fdata()
    np.testing.assert_array_equal(written, probability)
    found = segment(scan_of(cohort), tmp_path / "model", threshold=cut).lesions
    table = read_table(tmp_path / "o/lesions.tsv")
    assert len(found) == len(table) > 0
    labels, _ = ndimage.label(probability >= np.float32(cut))
    largest = 1 + np.bincount(labels.ravel())[1:].argmax()
    z = np.flatnonzero((labels == largest).any(axis=(0, 1)))
    # From the top of the uppermost of 40 slices of 0.6 mm down to the middle of the lesion.
    assert found[0].position_mm == pytest.approx((39.5 - (z[0] + z[-1]) / 2) * 0.6, abs=0.01)


def test_scans_that_would_overwrite_each_other_are_refused(bundle, cohort, tmp_path):
    twin = write_image(tmp_path / "other" / "sub-01_acq-x_space-y_T2w.nii.gz", noise())
    same = write_image(tmp_path / "other" / "sub-01_T2w.nii", noise())
    with pytest.raises(CordlesionError, match=r"other/sub-01_T2w\.nii: its outputs would get the same name \(sub-01\)"):
        segment_files([scan_of(cohort), twin, same], bundle, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_each_scan_has_its_own_curve(bundle, cohort, tmp_path):
    scans, curves = [scan_of(cohort, n) for n in (2, 1)], [label_of(cohort, "centerline", n) for n in (2, 1)]
    assert segment_files(scans, bundle, tmp_path / "both", centerlines=curves) == {}
    for n, scan, curve in zip((2, 1), scans, curves, strict=True):
        name = f"sub-{n:02d}_label-lesion_probseg.nii.gz"
        alone = segment(scan, bundle, centerline=curve).probability
        np.testing.assert_array_equal(nib.load(tmp_path / "both" / name).get_fdata(), alone)
    with pytest.raises(CordlesionError, match="--cord-mask was given 1 times for 2 scans; one for each scan"):
        segment_files(scans, bundle, tmp_path / "o", cord_masks=[label_of(cohort, "cord")])
    assert not (tmp_path / "o").exists()


def test_a_model_that_restricts_lesions_to_the_cord_needs_its_mask(bundle, cohort, tmp_path, monkeypatch):
    removal = PostprocessConfig(cord_margin_mm=0, minimum_volume_mm3=10)
    card = read_card(bundle).model_copy(update={"postprocess": removal})
    strict = Bundle(card, load_bundle(bundle).network)
    save_bundle(tmp_path / "strict", strict)
    probability = ndimage.gaussian_filter(noise() / 100, 1.2)
    monkeypatch.setattr("cordlesion.scan.segment.predict", lambda *_: Prediction(probability))
    cut = float(np.quantile(probability, 0.9))
    cord, curve = label_of(cohort, "cord"), label_of(cohort, "centerline")
    with pytest.raises(CordlesionError, match=r"sub-01_T2w\.nii\.gz: has no cord mask; one is needed.*--cord-mask"):
        segment(scan_of(cohort), strict, centerline=curve, threshold=cut)
    restricted = segment(scan_of(cohort), strict, cord_mask=cord, threshold=cut)
    np.testing.assert_array_equal(restricted.probability, probability)
    labels, n = ndimage.label((probability >= np.float32(cut)) & (np.asarray(nib.load(cord).dataobj) > 0))
    large = [k for k in range(1, n + 1) if (labels == k).sum() * 0.216 > 10]
    assert 0 < len(large) < n
    np.testing.assert_array_equal(restricted.mask, np.isin(labels, large))


def test_beside_a_centerline_the_cord_mask_only_restricts(bundle, cohort, tmp_path):
    card = read_card(bundle).model_copy(update={"postprocess": PostprocessConfig(cord_margin_mm=1)})
    save_bundle(tmp_path / "strict", Bundle(card, load_bundle(bundle).network))
    files = {"centerlines": [label_of(cohort, "centerline")], "cord_masks": [label_of(cohort, "cord")]}
    segment_files([scan_of(cohort)], tmp_path / "strict", tmp_path / "o", **files)
    along_the_curve = segment(scan_of(cohort), bundle, centerline=label_of(cohort, "centerline")).probability
    written = nib.load(tmp_path / "o/sub-01_label-lesion_probseg.nii.gz").get_fdata()
    np.testing.assert_array_equal(written, along_the_curve)
    described = json.loads((tmp_path / "o/sub-01_label-lesion_mask.json").read_text())
    assert described["Postprocessing"] == {"minimum_volume_mm3": 0.0, "cord_margin_mm": 1.0}
    assert described["Prediction"] == {"blending": "mean", "mirror": False, "radius_mm": None, "precision": "auto"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sub-01_ses-1_T2w.nii.gz", "sub-01_ses-1"), ("t2.nii.gz", "t2"), ("my scan.nii", "my scan")],
)
def test_outputs_are_named_after_the_scan(tmp_path, name, expected):
    assert output_name(tmp_path / name) == expected


REAL = {
    "axial, patient": ("t2_ms.nii.gz", {"centerline": "t2_ms_centerline.nii.gz"}),
    "synthetic lesion": ("t2_fake_lesion.nii.gz", {"cord_mask": "t2_fake_lesion_sc_seg.nii.gz"}),
    "axial, healthy": ("sub-unf01_T2w.nii.gz", {"cord_mask": "sub-unf01_T2w_seg-manual.nii.gz"}),
}


@pytest.mark.parametrize(("name", "along"), REAL.values(), ids=REAL)
def test_real_scans_are_segmented_on_their_own_grid(shared, bundle, tmp_path, name, along):
    scan = shared("data", "real", name)
    files = {f"{kind}s": [shared("data", "real", file)] for kind, file in along.items()}
    assert segment_files([scan], bundle, tmp_path, **files, threshold=0.5) == {}
    assert len(list(tmp_path.iterdir())) == 10
    header = nib.load(scan).header
    for kind in ("probseg", "mask"):
        image = nib.load(tmp_path / f"{output_name(scan)}_label-lesion_{kind}.nii.gz")
        assert image.shape == header.get_data_shape()
        assert_same_geometry(header, image.header)
        data = image.get_fdata()
        assert 0 <= data.min() < data.max() <= 1
    # What is predicted lies around the cord: within the 16 voxels of 0.5 mm of the crop, and a native voxel of rim.
    ((guide,),) = files.values()
    cord = to_las(read_volume(guide))
    predicted = to_las(read_volume(tmp_path / f"{output_name(scan)}_label-lesion_probseg.nii.gz"))
    centres = np.array([np.argwhere(s).mean(axis=0) for s in np.moveaxis(cord.data, 2, 0) if s.any()])
    reach = 4.0 / np.array(cord.spacing_mm[:2]) + 1.5
    where = np.argwhere(predicted.data)[:, :2]
    assert (where >= centres.min(axis=0) - reach).all()
    assert (where <= centres.max(axis=0) + reach).all()


def test_a_second_scan_joins_the_table_and_a_repeated_one_replaces_its_rows(bundle, cohort, tmp_path):
    for n in (1, 2, 1):
        segment_files([scan_of(cohort, n)], bundle, tmp_path, centerlines=[label_of(cohort, "centerline", n)])
    table = read_table(tmp_path / "lesions.tsv")
    counts = {
        n: len(json.loads((tmp_path / f"sub-0{n}_label-lesion_mask.json").read_text())["Lesions"]) for n in (1, 2)
    }
    assert table["scan_id"].value_counts().to_dict() == {f"sub-0{n}": count for n, count in counts.items() if count}


def count_lesions(folder):
    return read_table(folder / "lesion_load.tsv").set_index("scan_id")["n_lesions"].to_dict()


@pytest.mark.parametrize("moment", ["scan.segment.read_centerline", "pictures.montage.montage"])
def test_when_interrupted_the_tables_tell_of_every_mask_written(bundle, cohort, tmp_path, monkeypatch, moment):
    scans, curves = [scan_of(cohort, n) for n in (1, 2)], [label_of(cohort, "centerline", n) for n in (1, 2)]

    segment_files(scans, bundle, tmp_path, centerlines=curves, threshold=1.0)
    whole = {"read_centerline": read_centerline, "montage": montage}[moment.rpartition(".")[2]]

    def interrupt(first, *others, **named):
        if first == curves[1] or getattr(first, "path", None) == scans[1]:
            raise KeyboardInterrupt
        return whole(first, *others, **named)

    monkeypatch.setattr(f"cordlesion.{moment}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        segment_files(scans, bundle, tmp_path, centerlines=curves)
    masks = [json.loads((tmp_path / f"sub-0{n}_label-lesion_mask.json").read_text()) for n in (1, 2)]
    assert [mask["Threshold"] for mask in masks] == [THRESHOLD.value, THRESHOLD.value if whole is montage else 1.0]
    assert count_lesions(tmp_path) == {f"sub-0{n}": len(mask["Lesions"]) for n, mask in zip((1, 2), masks, strict=True)}


def test_a_scan_that_fails_keeps_files_and_rows_of_an_earlier_run(bundle, cohort, tmp_path):
    scans, out = [tmp_path / f"sub-0{n}_T2w.nii.gz" for n in (1, 2, 3)], tmp_path / "out"
    curves = [label_of(cohort, "centerline")] * 3
    for scan in scans:
        shutil.copy(scan_of(cohort), scan)
    assert segment_files(scans[:2], bundle, out, centerlines=curves[:2]) == {}
    before = {path.name: path.read_bytes() for path in out.glob("*sub-01*")}
    rows = read_table(out / "lesions.tsv").query("scan_id == 'sub-01'")
    for scan in (scans[0], scans[2]):
        truncate(scan)
    faults = segment_files(scans, bundle, out, centerlines=curves, threshold=1.0)
    kept = f"What {out} holds of this scan is of an earlier run and was left as it is."
    assert faults["sub-01"].endswith(kept)
    assert kept not in faults["sub-03"]
    assert {path.name: path.read_bytes() for path in out.glob("*sub-01*")} == before
    after = read_table(out / "lesions.tsv")
    np.testing.assert_array_equal(after.query("scan_id == 'sub-01'")["n_voxels"], rows["n_voxels"])
    assert count_lesions(out) == {"sub-01": len(rows), "sub-02": 0}
    assert len(before) == 5
    assert len(rows) > 0
    with pytest.raises(CordlesionError, match=re.escape(kept)):
        segment_files(scans[:1], bundle, out, centerlines=curves[:1])


def test_files_that_cannot_be_written_are_told_with_what_to_do(bundle, cohort, tmp_path):
    (tmp_path / "lesions.tsv").mkdir()
    with pytest.raises(
        CordlesionError, match=r"lesions\.tsv: cannot be written .* may be incomplete: segment it again"
    ):
        segment_files([scan_of(cohort)], bundle, tmp_path, centerlines=[label_of(cohort, "centerline")])
    assert not (tmp_path / "lesion_load.tsv").exists()


@pytest.mark.parametrize("command", [("segment", "-m", "model"), ("predict", "-m", "model"), ("centerline",)])
def test_a_folder_in_place_of_a_scan_is_told(cli, bundle, tmp_path, command):
    (tmp_path / "a" / "anat").mkdir(parents=True)
    (tmp_path / "b" / "anat").mkdir(parents=True)
    name, *options = [bundle if part == "model" else part for part in command]
    folders = [tmp_path / part / "anat" for part in ("ab" if name == "segment" else "a")]
    ended = cli(name, *folders, *options, "-o", tmp_path / "out")
    assert ended.status == 2
    assert f"{folders[0]}: is a folder; " in ended.error
    assert ("Give the scans in it" if name == "segment" else "a NIfTI file (.nii or .nii.gz) is needed") in ended.error
    assert not (tmp_path / "out").exists()


def test_the_bar_counts_scans_that_were_segmented(cli, bundle, cohort, tmp_path):
    bad = tmp_path / "sub-03_T2w.nii.gz"
    shutil.copy(scan_of(cohort), bad)
    truncate(bad)
    curve = label_of(cohort, "centerline")
    assert "0/1" in cli("segment", bad, "-m", bundle, "-o", tmp_path / "o", "--centerline", curve).output
    both = cli("segment", bad, scan_of(cohort), "-m", bundle, "-o", tmp_path / "o",
               "--centerline", curve, "--centerline", curve)  # fmt: skip
    assert both.status == 2
    assert "1/2" in both.output
    assert "2/2" not in both.output


def test_what_finds_the_cord_is_made_once_for_all_scans(bundle, cohort, tmp_path, monkeypatch):
    curve = read_centerline(label_of(cohort, "centerline"), read_scan(scan_of(cohort)))
    made = []

    def make(source, _):
        made.append(source)
        return lambda _: curve

    monkeypatch.setattr("cordlesion.scan.segment.cord_finder", make)
    scans = [scan_of(cohort, n) for n in (1, 2)]
    assert segment_files(scans, bundle, tmp_path, centerline_source="network.h5") == {}
    assert made == ["network.h5"]
    assert json.loads((tmp_path / "sub-02_label-lesion_mask.json").read_text())["Centerline"]["Source"] == "network.h5"


def written(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*_label-lesion_*"))}


def copy_of(scan, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(scan, path)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("patient01_2021-03-04", "patient02_2021-03-04"),
        ("T2_1.3.12.2.1107", "T2_1.3.12.2.1108"),
        ("sub-01_T2w", "sub-01_STIR"),
        ("sub-01_T2w", "sub-01_desc-denoised_T2w"),
    ],
)
def test_two_scans_have_two_sets_of_files(bundle, cohort, tmp_path, names):
    curve, out = label_of(cohort, "centerline"), tmp_path / "out"
    scans = [copy_of(scan_of(cohort), tmp_path / f"{name}.nii.gz") for name in names]
    for scan in scans:
        assert segment_files([scan], bundle, out, centerlines=[curve], pictures=False) == {}
    assert len(written(out)) == 6
    ids = [output_name(scan) for scan in scans]
    assert read_table(out / "lesion_load.tsv")["scan_id"].tolist() == ids
    for scan, name in zip(scans, ids, strict=True):
        assert json.loads((out / f"{name}_label-lesion_mask.json").read_text())["Sources"] == [scan.name]


def test_another_patients_scan_of_the_same_name_replaces_nothing(bundle, cohort, tmp_path):
    out, curve = tmp_path / "out", label_of(cohort, "centerline")
    scans = [copy_of(scan_of(cohort, n), tmp_path / f"p{n}" / "T2.nii.gz") for n in (1, 2)]
    with pytest.raises(CordlesionError, match=r"its outputs would get the same name \(T2\) as those of .*p1/T2"):
        segment_files(scans, bundle, out, centerlines=[curve] * 2)
    segment_files(scans[:1], bundle, out, centerlines=[curve])
    before, rows = written(out), (out / "lesions.tsv").read_bytes()
    with pytest.raises(CordlesionError, match=r"was made from another image named T2\.nii\.gz, not from .*p2/T2"):
        segment_files(scans[1:], bundle, out, centerlines=[curve])
    twin = tmp_path / "T2.nii"
    twin.write_bytes(gzip.decompress(scans[0].read_bytes()))
    with pytest.raises(CordlesionError, match=r"was made from T2\.nii\.gz, not from "):
        segment_files([twin], bundle, out, centerlines=[curve])
    assert (written(out), (out / "lesions.tsv").read_bytes()) == (before, rows)
    (out / "T2_label-lesion_mask.nii.gz").unlink()
    with pytest.raises(CordlesionError, match="was made from another image"):
        segment_files(scans[1:], bundle, out, centerlines=[curve])
    curve = label_of(cohort, "centerline", 2)
    assert segment_files(scans[1:], bundle, out, centerlines=[curve], overwrite=True) == {}
    assert written(out) != before


def test_a_mask_that_was_corrected_is_kept_and_that_is_said(bundle, cohort, tmp_path, cli):
    scan, curve, out = scan_of(cohort), label_of(cohort, "centerline"), tmp_path / "out"
    command = ("segment", scan, "-m", bundle, "-o", out, "--centerline", curve, "--no-pictures")
    for threshold in (0.5, 0.4, 0.4):
        assert cli(*command, "--threshold", threshold).status == 0
    mask = out / "sub-01_label-lesion_mask.nii.gz"
    image = nib.load(mask)
    nib.save(image, mask)  # saved again by a viewer, unchanged
    assert cli(*command).status == 0
    corrected = np.asarray(image.dataobj).copy()
    corrected[:2] = 1
    nib.save(nib.Nifti1Image(corrected, None, image.header), mask)
    before = written(out)
    ended = cli(*command)
    assert ended.status == 2
    assert f"{mask}: is not what its JSON file records, so it may have been corrected by hand" in ended.error
    assert "--overwrite" in ended.error
    assert written(out) == before
    assert cli(*command, "--overwrite").status == 0
    assert written(out) != before


@pytest.mark.parametrize("moment", ["probability", "mask"])
def test_what_was_killed_while_it_was_written_can_be_done_again(bundle, cohort, tmp_path, monkeypatch, moment):
    given = {"centerlines": [label_of(cohort, "centerline")], "pictures": False}
    segment_files([scan_of(cohort)], bundle, tmp_path, threshold=1.0, **given)

    def killed(path, data, like):
        if (data.dtype == bool) == (moment == "mask"):
            raise KeyboardInterrupt
        write_volume(path, data, like)

    with monkeypatch.context() as patch:
        patch.setattr("cordlesion.scan.outputs.write_volume", killed)
        with pytest.raises(KeyboardInterrupt):
            segment_files([scan_of(cohort)], bundle, tmp_path, **given)
    assert segment_files([scan_of(cohort)], bundle, tmp_path, **given) == {}
    fresh = tmp_path / "fresh"
    segment_files([scan_of(cohort)], bundle, fresh, **given)
    maps = [name for name in written(fresh) if name.endswith(".nii.gz")]
    assert [nib.load(tmp_path / name).get_fdata().sum() for name in maps] == [
        nib.load(fresh / name).get_fdata().sum() for name in maps
    ]


def test_columns_that_people_add_to_the_tables_are_kept(bundle, cohort, tmp_path):
    scans, curves = [scan_of(cohort, n) for n in (1, 2)], [label_of(cohort, "centerline", n) for n in (1, 2)]
    segment_files(scans[:1], bundle, tmp_path, centerlines=curves[:1], pictures=False)
    for name in ("lesions", "lesion_load"):
        table = read_table(tmp_path / f"{name}.tsv")
        write_table(tmp_path / f"{name}.tsv", table.assign(level=[f"C{n}" for n in range(len(table))]))
    about = json.loads((tmp_path / "lesions.json").read_text()) | {"level": {"Description": "Vertebra"}}
    (tmp_path / "lesions.json").write_text(json.dumps(about))
    with (tmp_path / "lesions.tsv").open("a") as stream:  # a lesion noted by hand, without numbers
        stream.write("sub-07" + "\tn/a" * (len(read_table(tmp_path / "lesions.tsv").columns) - 2) + "\tC7\n")
    assert segment_files(scans[::-1], bundle, tmp_path, centerlines=curves[::-1], pictures=False) == {}
    assert read_table(tmp_path / "lesions.tsv").set_index("scan_id").loc["sub-07", "level"] == "C7"
    for name in ("lesions", "lesion_load"):
        after = read_table(tmp_path / f"{name}.tsv")
        mine = after[after["scan_id"] == "sub-01"]
        assert mine["level"].tolist() == [f"C{n}" for n in range(len(mine))]
        assert after.loc[after["scan_id"] == "sub-02", "level"].isna().all()
        described = json.loads((tmp_path / f"{name}.json").read_text())
        assert described["level"]["Description"] == ("Vertebra" if name == "lesions" else "Added by hand")
