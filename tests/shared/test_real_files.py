"""Scans as scanners, converters and people leave them, through `segment` and through the stage `preprocess`."""

import json
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
from torch import nn

from cordlesion.config import PreprocessConfig, read_study
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.tables import read_table
from cordlesion.io.volume import Volume
from cordlesion.model.bundle import Bundle, load_bundle, save_bundle
from cordlesion.preprocess.stack_file import make_stack, read_stack
from cordlesion.scan.segment import segment, segment_files
from cordlesion.study.run import run_study
from support.images import assert_same_geometry
from support.models import untrained_bundle
from support.strategies import AXES, make_scan
from support.tiny import STUDY, make_cohort, write_scan

GIVEN = PreprocessConfig(crop_voxels=16, centerline="file")


@dataclass(frozen=True)
class Phantom:
    """A cord along the third axis, brighter than noise, with one bright lesion in it; arrays in LAS order."""

    image: np.ndarray
    lesion: np.ndarray
    curve: np.ndarray
    affine: np.ndarray


def phantom(shape=(24, 24, 40), spacing_mm=(0.6, 0.6, 0.6), center=None, angles=(0.0, 0.0, 0.0), slices=None):
    """The lesion spans 3 mm (at least a voxel) around the cord's middle slice; the cord has a radius of 2.5 mm."""
    x0, y0 = center or (shape[0] // 2, shape[1] // 2)
    z0 = shape[2] // 2
    grid = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    dx, dy, dz = ((g - c) * s for g, c, s in zip(grid, (x0, y0, z0), spacing_mm, strict=True))
    noise = np.random.default_rng(0).integers(0, 20, shape)
    lesion = (np.hypot(dx, dy) <= 1.5) & (np.abs(dz) <= 1.5)
    curve = np.zeros(shape, np.uint8)
    curve[x0, y0, slices or slice(None)] = 1
    image = noise + 80 * (np.hypot(dx, dy) <= 2.5) + 140 * lesion
    return Phantom(image, lesion, curve, make_scan("LAS", spacing_mm, shape, angles, seed=0).affine)


def saved(folder):
    save_bundle(folder / "bundle", untrained_bundle())
    return folder / "bundle"


class Brightness(nn.Module):
    """A network whose logit is the intensity it is given: p is highest where the scan is brightest."""

    def forward(self, patches):
        return patches


@pytest.fixture(scope="module")
def bright():
    return Bundle(untrained_bundle().card, Brightness())


def store(path, data, affine, change=lambda image: image):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(change(nib.Nifti1Image(data, affine)), path)
    return path


def stored_as(orientation, las, affine):
    """The array and affine of the same voxels in another index order."""
    transform = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(orientation))
    turned = affine @ nib.orientations.inv_ornt_aff(transform, las.shape)
    return np.ascontiguousarray(from_las(las, Volume(las, turned))), turned


def write_phantom(folder, scene, orientation="LAS", suffix=".nii.gz", change=lambda image: image, dtype=np.int16):
    image, affine = stored_as(orientation, scene.image.astype(dtype), scene.affine)
    curve, _ = stored_as(orientation, scene.curve, scene.affine)
    scan = store(folder / f"sub-01_T2w{suffix}", image, affine, change)
    return scan, store(folder / f"line{suffix}", curve, affine)


def found_in_las(result):
    return to_las(Volume(result.probability, result.scan.affine)).data


def assert_lesion_is_found(result, scene):
    """The most probable voxel is one of the lesion, and beyond the crop nothing is."""
    p = found_in_las(result)
    assert p.shape == scene.image.shape
    assert np.isfinite(p).all()
    assert 0 <= p.min() < p.max() <= 1
    assert scene.lesion[np.unravel_index(p.argmax(), p.shape)]


@pytest.fixture(scope="module")
def usual(bright, tmp_path_factory):
    scan, line = write_phantom(tmp_path_factory.mktemp("usual"), phantom())
    return found_in_las(segment(scan, bright, centerline=line, threshold=0.5))


@pytest.mark.parametrize("orientation", AXES)
def test_any_index_order_gives_the_same_map(bright, usual, tmp_path, orientation):
    scan, line = write_phantom(tmp_path, phantom(), orientation)
    result = segment(scan, bright, centerline=line, threshold=0.5)
    assert_lesion_is_found(result, phantom())
    np.testing.assert_array_equal(found_in_las(result), usual)


@pytest.mark.parametrize("angles", [(0.3, 0, 0), (0.1, -0.2, 0.3), (0.7, 0.1, 0), (-0.6, 0.5, 0.4)])
@pytest.mark.parametrize("orientation", ["LAS", "PSR"])
def test_an_oblique_scan_gives_the_same_map_on_its_oblique_grid(bright, usual, tmp_path, angles, orientation):
    scan, line = write_phantom(tmp_path, phantom(angles=angles), orientation)
    result = segment(scan, bright, centerline=line, threshold=0.5)
    np.testing.assert_allclose(found_in_las(result), usual, atol=1e-3)


SHAPES = {
    "thick axial slices, 15:1, five of them": {"shape": (48, 48, 5), "spacing_mm": (0.5, 0.5, 7.5)},
    "thick sagittal slices, 15:1, five of them": {"shape": (5, 48, 60), "spacing_mm": (7.5, 0.5, 0.5)},
    "thick coronal slices, 15:1, five of them": {"shape": (48, 5, 60), "spacing_mm": (0.5, 7.5, 0.5)},
    "one slice": {"shape": (48, 48, 1), "spacing_mm": (0.5, 0.5, 5.0)},
    "400 slices": {"shape": (24, 24, 400), "spacing_mm": (0.6, 0.6, 0.6)},
    "smaller than a patch": {"shape": (5, 5, 5), "spacing_mm": (0.6, 0.6, 0.6)},
    "the cord touches one border": {"center": (0, 12)},
    "the cord touches two borders": {"center": (23, 23)},
    "the cord is marked in one slice": {"slices": slice(20, 21)},
}


@pytest.mark.parametrize("arguments", SHAPES.values(), ids=SHAPES)
def test_the_lesion_is_found_whatever_the_shape(tmp_path, arguments):
    """Through the files, with their picture and their table."""
    scene = phantom(**arguments)
    scan, line = write_phantom(tmp_path, scene, "PSR")
    model = saved(tmp_path)
    assert segment_files([scan], model, tmp_path / "out", centerlines=[line], threshold=0.9) == {}
    written = nib.load(tmp_path / "out" / "sub-01_label-lesion_probseg.nii.gz")
    assert_same_geometry(nib.load(scan).header, written.header)
    assert_lesion_is_found(segment(scan, Bundle(load_bundle(model).card, Brightness()), centerline=line), scene)


@pytest.mark.parametrize("arguments", SHAPES.values(), ids=SHAPES)
def test_the_stack_holds_the_lesion_whatever_the_shape(tmp_path, arguments):
    scene = phantom(**arguments)
    image, line = write_phantom(tmp_path, scene, "PSR")
    mask, affine = stored_as("PSR", scene.lesion.astype(np.uint8), scene.affine)
    files = {"reference": store(tmp_path / "lesion.nii.gz", mask, affine), "centerline": line}
    stack = make_stack(Scan("sub-01", "sub-01", "", "", image, **files), GIVEN, None)
    assert stack.image.shape == stack.reference.shape
    assert stack.reference.any()
    assert np.isfinite(stack.image).all()
    # Linear interpolation blurs, so the lesion is the brighter part, not all above the rest.
    assert stack.image[stack.reference].mean() > 1.5 * stack.image[~stack.reference].mean()


def scaled(image):
    image.header.set_slope_inter(0.25, -1000)
    return image


STORED = {
    "unsigned bytes": (np.uint8, lambda image: image, ".nii.gz"),
    "unsigned 16 bit": (np.uint16, lambda image: image, ".nii.gz"),
    "32 bit": (np.int32, lambda image: image, ".nii.gz"),
    "float": (np.float32, lambda image: image, ".nii.gz"),
    "double": (np.float64, lambda image: image, ".nii.gz"),
    "big-endian integers": (np.dtype(">i2"), lambda image: image, ".nii.gz"),
    "big-endian floats": (np.dtype(">f4"), lambda image: image, ".nii.gz"),
    "scaled integers": (np.int16, scaled, ".nii.gz"),
    "not compressed": (np.int16, lambda image: image, ".nii"),
    "scaled, not compressed": (np.int16, scaled, ".nii"),
}


@pytest.mark.parametrize(("dtype", "change", "suffix"), STORED.values(), ids=STORED)
def test_any_storage_gives_the_same_map(bright, usual, tmp_path, dtype, change, suffix):
    scan, line = write_phantom(tmp_path, phantom(), dtype=dtype, change=change, suffix=suffix)
    result = segment(scan, bright, centerline=line, threshold=0.5)
    # Landmarks undo any linear scale of intensities, up to rounding and the half precision of the processor.
    np.testing.assert_allclose(found_in_las(result), usual, atol=3e-3)


def moved(qform_code, sform_code, shift_mm=3.0):
    def change(image):
        affine = image.affine.copy()
        image.set_qform(affine, qform_code)
        affine[0, 3] += shift_mm
        image.set_sform(affine if sform_code else None, sform_code)
        return image

    return change


def with_impossible_qform(image):
    moved(1, 1, shift_mm=0)(image)
    # A rotation's quaternion has length 1.
    image.header["quatern_b"] = image.header["quatern_c"] = 1
    return image


REMARKS = {
    "the qform is impossible": (with_impossible_qform, "sform", "its sform is used; its qform is invalid"),
    "they disagree": (moved(1, 2), "sform", "its sform is used; its qform would place voxels up to 3.0 mm elsewhere"),
    "they agree": (moved(1, 1, shift_mm=0), "sform", None),
    "they differ by rounding": (moved(1, 1, shift_mm=0.01), "sform", None),
    "qform alone": (moved(1, 0), "qform", None),
    "sform alone": (moved(0, 2), "sform", None),
    "neither": (moved(0, 0), "none", "has neither sform nor qform, so its orientation is a guess: LAS"),
}


@pytest.mark.parametrize(("change", "used", "remark"), REMARKS.values(), ids=REMARKS)
def test_the_transform_in_use_is_told_once_and_recorded(cli, tmp_path, change, used, remark):
    scan, line = write_phantom(tmp_path, phantom(), change=change)
    store(line, nib.load(line).get_fdata().astype(np.uint8), nib.load(scan).affine)
    out = tmp_path / "out"
    ended = cli("segment", scan, "-m", saved(tmp_path), "-o", out, "--centerline", line, "--threshold", "0.5")
    assert (ended.status, ended.error) == (0, "")
    described = json.loads((out / "sub-01_label-lesion_mask.json").read_text())
    assert described["Transform"] == used
    assert len(described["Remarks"]) == (remark is not None)
    if remark:
        assert remark in described["Remarks"][0]
        assert ended.output.count(remark) == 1
    for kind in ("probseg", "mask"):
        written = nib.load(out / f"sub-01_label-lesion_{kind}.nii.gz")
        assert_same_geometry(nib.load(scan).header, written.header)


def test_predict_tells_it_too(cli, tmp_path):
    scan, line = write_phantom(tmp_path, phantom(), change=moved(1, 2))
    store(line, nib.load(line).get_fdata().astype(np.uint8), nib.load(scan).affine)
    ended = cli("predict", scan, "-m", saved(tmp_path), "-o", tmp_path / "p.nii.gz", "--centerline", line)
    assert (ended.status, ended.error) == (0, "")
    assert ended.output.count("its qform would place voxels up to 3.0 mm elsewhere") == 1


def test_a_study_tells_the_transform_once_per_scan(cli, tmp_path):
    make_cohort(tmp_path)
    path = tmp_path / "cohort/sub-03/anat/sub-03_T2w.nii.gz"
    image = nib.load(path)
    image.set_qform(np.diag([-0.6, 0.6, 0.6, 1.0]) + 4 * np.eye(4, k=3), 1)
    nib.save(nib.Nifti1Image(image.get_fdata(dtype=np.float32), None, image.header), path)
    ended = cli("preprocess", tmp_path / "study.yaml")
    assert ended.status == 0
    assert ended.output.count("its qform would place voxels") == 1
    assert "sub-03_T2w.nii.gz: its sform is used" in ended.output
    again = cli("preprocess", tmp_path / "study.yaml")
    assert "qform" not in again.output


def test_a_mask_drawn_by_the_other_transform_is_refused_with_the_reason(bright, tmp_path):
    scan, line = write_phantom(tmp_path, phantom(), change=moved(1, 2))
    mask = store(tmp_path / "cord.nii.gz", nib.load(line).get_fdata().astype(np.uint8), phantom().affine)
    with pytest.raises(CordlesionError, match=r"cord\.nii\.gz: lies up to 3\.00 mm away .* its qform would place"):
        segment(scan, bright, cord_mask=mask, threshold=0.5)


def test_chunks_of_a_session_are_scans_of_their_own_with_their_own_labels(tmp_path):
    """Upper and lower part of the cord, in one session; a subject's chunks stay in one set."""
    for number in range(1, 9):
        for chunk in (1, 2):
            write_scan(tmp_path / "all", f"sub-{number:02d}", seed=10 * number + chunk, lesions=1)
            for path in sorted((tmp_path / "all").rglob("*.nii.gz")):
                name = path.name.replace(f"sub-{number:02d}", f"sub-{number:02d}_ses-M0_chunk-{chunk}")
                folder = path.relative_to(tmp_path / "all").parent.parent
                target = tmp_path / "cohort" / folder / "ses-M0" / "anat" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
    scans, orphans = find_scans(tmp_path / "cohort")
    assert orphans == []
    assert len(scans) == 16
    for scan in scans:
        number, chunk = scan.subject.removeprefix("sub-"), scan.scan_id[-1]
        assert scan.scan_id == f"sub-{number}_ses-M0_chunk-{chunk}"
        assert scan.session == "M0"
        assert all(f"sub-{number}_ses-M0_chunk-{chunk}_" in path.name for path in scan.files().values())
        assert len(scan.files()) == 4
    (tmp_path / "study.yaml").write_text(STUDY)
    run_study(read_study(tmp_path / "study.yaml"), until="preprocess")
    splits = read_table(tmp_path / "study" / "splits.tsv")
    assert len(splits) == 16
    assert (splits.groupby("subject")["set"].nunique() == 1).all()
    for scan in scans:
        stack = read_stack(tmp_path / "study" / "stacks" / f"{scan.scan_id}.safetensors")
        np.testing.assert_array_equal(stack.image, make_stack(scan, GIVEN, None).image)
