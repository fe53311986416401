"""The dataset that ``implant`` writes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cordlesion.dataset.bids import find_scans
from cordlesion.detectability.cord_mask import require_cord_mask
from cordlesion.detectability.dataset import read_lesion_dataset
from cordlesion.detectability.design import Design
from cordlesion.detectability.implant import implant_files
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_mask, read_probability, read_scan, read_volume, write_volume
from cordlesion.simulate.true_lesions import TRUE_LESIONS
from support.images import assert_same_geometry, write_image
from support.tubes import make_tube

LABELS = "derivatives/labels"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A healthy scan of an odd orientation and of integers, with its cord mask."""
    folder = tmp_path_factory.mktemp("healthy")
    tube = make_tube(noise=9.0, length_mm=50.0)
    affine = tube.scan.affine
    # Stored as posterior-superior-right, as many sagittal scans are.
    order = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt("PSR"))
    stored = nib.orientations.apply_orientation(np.rint(tube.scan.data).astype(np.int16), order)
    moved = affine @ nib.orientations.inv_ornt_aff(order, tube.scan.data.shape)
    write_image(folder / "healthy one.nii.gz", np.ascontiguousarray(stored), moved)
    cord = nib.orientations.apply_orientation(tube.cord.astype(np.uint8), order)
    write_image(folder / "cord.nii.gz", np.ascontiguousarray(cord), moved)
    return folder


@pytest.fixture(scope="module")
def implanted(healthy, tmp_path_factory):
    output = tmp_path_factory.mktemp("implanted") / "data"
    design = Design(volumes_mm3=(30.0, 300.0), contrasts=(1.4, 1.8))
    faults = implant_files(
        [healthy / "healthy one.nii.gz"],
        output,
        cord_masks=[healthy / "cord.nii.gz"],
        copies=2,
        lesions=2,
        design=design,
    )
    assert faults == {}
    return output


def label(folder, name, suffix):
    return folder / LABELS / "sub-healthyone/anat" / f"{name}_{suffix}.nii.gz"


def test_the_unchanged_copy_is_the_file_byte_for_byte_and_has_no_lesion(healthy, implanted):
    copy = implanted / "sub-healthyone/anat/sub-healthyone_rec-unchanged_T2w.nii.gz"
    assert copy.read_bytes() == (healthy / "healthy one.nii.gz").read_bytes()
    assert not read_mask(label(implanted, "sub-healthyone_rec-unchanged", "label-lesion_seg")).data.any()


def test_strength_0_gives_the_identical_bytes_and_no_lesions(healthy, tmp_path):
    scan, output = healthy / "healthy one.nii.gz", tmp_path / "none"
    implant_files([scan], output, cord_masks=[healthy / "cord.nii.gz"], copies=2, design=Design(strength=0))
    copies = sorted(output.rglob("*_T2w.nii.gz"))
    assert len(copies) == 3
    assert {copy.read_bytes() for copy in copies} == {scan.read_bytes()}
    assert len(read_table(output / LABELS / "true_lesions.tsv", TRUE_LESIONS)) == 0
    assert not any(read_mask(mask).data.any() for mask in output.rglob("*_label-lesion_seg.nii.gz"))


def test_images_change_only_near_lesions_and_keep_their_type_and_place(healthy, implanted):
    original = read_volume(healthy / "healthy one.nii.gz")
    table = read_table(implanted / LABELS / "true_lesions.tsv", TRUE_LESIONS)
    for scan_id, rows in table.groupby("scan_id"):
        image = read_volume(implanted / "sub-healthyone/anat" / f"{scan_id}_T2w.nii.gz")
        assert image.data.dtype == np.int16
        assert_same_geometry(image.header, original.header)
        fill = read_probability(label(implanted, scan_id, "label-lesion_desc-fill_probseg")).data
        change = image.data.astype(float) - original.data
        # A lesion ends within 3 mm of its outline; 1 % of the signal of the cord is a rounding.
        assert np.abs(change[fill > 0.9]).min() > 20
        near = read_mask(label(implanted, scan_id, "label-cord_seg")).data
        assert np.abs(change[(fill == 0) & ~near]).max() < 60
        assert (change != 0).mean() < 0.1
        assert len(rows) >= 1


def test_the_table_has_the_volume_of_the_masks(implanted):
    table = read_table(implanted / LABELS / "true_lesions.tsv", TRUE_LESIONS)
    for scan_id, rows in table.groupby("scan_id"):
        fill = read_probability(label(implanted, scan_id, "label-lesion_desc-fill_probseg"))
        voxel = float(np.prod(fill.spacing_mm))
        assert fill.data.sum(dtype=float) * voxel == pytest.approx(rows["volume_mm3"].sum(), rel=0.001)
        numbered = read_volume(label(implanted, scan_id, "desc-lesions_dseg")).data
        reference = read_mask(label(implanted, scan_id, "label-lesion_seg")).data
        np.testing.assert_array_equal(reference, numbered > 0)
        np.testing.assert_array_equal(reference, fill.data >= 0.5)
        assert not (reference & ~read_mask(label(implanted, scan_id, "label-cord_seg")).data).any()
        marked = read_mask(label(implanted, scan_id, "label-cord_seg")).data
        cord = np.array([np.argwhere(marked[:, k])[:, 0].mean() for k in range(marked.shape[1])])
        for row in rows.itertuples():
            assert (numbered == row.lesion).sum() * voxel == pytest.approx(row.mask_volume_mm3)
            index = np.argwhere(numbered == row.lesion)
            # The first axis runs backwards.
            behind = index[:, 0].mean() - cord[index[:, 1].min() : index[:, 1].max() + 1].mean()
            assert behind == pytest.approx(-row.anterior_mm, abs=1.0)


def test_what_is_written_is_a_dataset_for_every_other_command(implanted):
    scans, unusable = find_scans(implanted)
    assert [scan.scan_id for scan in scans] == [
        f"sub-healthyone_rec-{name}" for name in ("implant1", "implant2", "unchanged")
    ]
    assert unusable == []
    assert all(scan.reference and scan.cord_mask and scan.centerline for scan in scans)
    assert all("desc-" not in scan.reference.name for scan in scans)
    sidecar = json.loads((implanted / "sub-healthyone/anat/sub-healthyone_rec-implant1_T2w.json").read_text())
    assert sidecar["ImplantedLesions"] is True


def test_the_same_seed_gives_the_same_files(healthy, implanted, tmp_path):
    design = Design(volumes_mm3=(30.0, 300.0), contrasts=(1.4, 1.8))
    implant_files(
        [healthy / "healthy one.nii.gz"], tmp_path / "again", cord_masks=[healthy / "cord.nii.gz"], copies=2, lesions=2,
        design=design,
    )  # fmt: skip
    for path in sorted(implanted.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(implanted)).read_bytes(), path.name


def make_dataset(folder: Path, *, lesion: bool) -> Path:
    tube = make_tube(noise=5.0, length_mm=30.0)
    for subject in ("sub-01", "sub-02"):
        place, labels = folder / subject / "ses-1/anat", folder / LABELS / subject / "ses-1/anat"
        write_volume(place / f"{subject}_ses-1_run-2_T2w.nii.gz", tube.scan.data, tube.scan)
        write_volume(labels / f"{subject}_ses-1_run-2_label-cord_seg.nii.gz", tube.cord, tube.scan)
        reference = np.zeros_like(tube.cord)
        reference[15:18, 17:20, 10:14] = lesion and subject == "sub-02"
        write_volume(labels / f"{subject}_ses-1_run-2_label-lesion_seg.nii.gz", reference, tube.scan)
    (folder / "sub-01/ses-1/anat/sub-01_ses-1_run-2_T2w.json").write_text('{"EchoTime": 0.1}')
    return folder


def test_a_dataset_is_implanted_into_with_its_names_and_scans_with_lesions_are_refused(tmp_path):
    faults = implant_files([make_dataset(tmp_path / "cohort", lesion=True)], tmp_path / "out", copies=1)
    assert list(faults) == ["sub-02_ses-1_run-2"]
    assert "has lesions of its own" in faults["sub-02_ses-1_run-2"]
    folder = tmp_path / "out/sub-01/ses-1/anat"
    sidecar = json.loads((folder / "sub-01_ses-1_rec-implant1_run-2_T2w.json").read_text())
    assert sidecar == {"EchoTime": 0.1, "ImplantedLesions": True}
    assert not (tmp_path / "out/sub-02").exists()


def test_bad_input_is_refused_before_anything_is_written(healthy, tmp_path):
    scan, cord = healthy / "healthy one.nii.gz", healthy / "cord.nii.gz"
    with pytest.raises(CordlesionError, match="--cord-mask was given 2 times for 1 scans"):
        implant_files([scan], tmp_path / "out", cord_masks=[cord, cord])
    with pytest.raises(CordlesionError, match="names must differ"):
        implant_files([scan, scan], tmp_path / "out")
    with pytest.raises(CordlesionError, match="one of them is needed"):
        implant_files([scan], tmp_path / "out", cord_masks=[cord], centerlines=[cord])
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(CordlesionError, match="is not empty"):
        implant_files([scan], tmp_path / "full", cord_masks=[cord])


def test_the_command_implants(healthy, tmp_path, cli):
    done = cli(
        "implant", healthy / "healthy one.nii.gz", "--cord-mask", healthy / "cord.nii.gz", "-o", tmp_path / "out",
        "--copies", 1, "--design", "grid", "--volume", 40, "--contrast", 1.5, "--column", "posterior", "-q",
    )  # fmt: skip
    assert done.status == 0, done.error
    (row,) = read_table(tmp_path / "out" / LABELS / "true_lesions.tsv", TRUE_LESIONS).itertuples()
    assert json.loads((tmp_path / "out" / LABELS / "true_lesions.json").read_text())["LesionsWithoutRoom"] == {}
    assert (row.contrast, row.column) == (1.5, "posterior")
    assert row.volume_mm3 == pytest.approx(40, rel=0.1)
    assert row.anterior_mm < 0


def test_the_dataset_is_valid_bids(implanted):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("bids-validator-deno is not installed")
    for folder in (implanted, implanted / LABELS):
        done = subprocess.run([validator, "--format", "json", folder], capture_output=True, text=True, check=False)
        issues = json.loads(done.stdout)["issues"]["issues"]
        assert [issue for issue in issues if issue.get("severity") == "error"] == []


def test_a_folder_in_which_a_command_was_interrupted_is_refused(healthy, implanted, tmp_path):
    """Copies with lesions that the table does not list would count as scans without lesions."""
    folder = shutil.copytree(implanted, tmp_path / "data")
    (folder / ".unfinished").write_text("")
    with pytest.raises(CordlesionError, match="is incomplete, because a command was interrupted"):
        implant_files([healthy / "healthy one.nii.gz"], folder, cord_masks=[healthy / "cord.nii.gz"], copies=1)
    with pytest.raises(CordlesionError, match="is incomplete, because a command was interrupted"):
        read_lesion_dataset(folder)


def test_lesions_without_a_row_of_the_table_are_found_out(implanted, tmp_path):
    folder = shutil.copytree(implanted, tmp_path / "data")
    table = folder / LABELS / "true_lesions.tsv"
    rows = table.read_text().splitlines(keepends=True)
    table.write_text("".join(row for row in rows if "implant1" not in row))
    dataset = read_lesion_dataset(folder)
    (scan,) = [scan for scan in dataset.lesion_free if "implant1" in scan.scan_id]
    with pytest.raises(CordlesionError, match=r"marks lesions that true_lesions\.tsv lacks"):
        dataset.numbered(scan, read_mask(scan.reference))


def test_options_take_several_values(healthy, tmp_path, cli):
    scan, cord = healthy / "healthy one.nii.gz", healthy / "cord.nii.gz"
    sizes = ["--design", "grid", "--volume", "40", "80", "--contrast", "1.5", "1.8"]
    ended = cli(
        "implant", scan, "--cord-mask", cord, "--copies", "4", "--lesions", "1", *sizes, "-o", tmp_path / "o", "-q"
    )
    assert ended.status == 0, ended.error
    table = read_table(tmp_path / "o" / LABELS / "true_lesions.tsv", TRUE_LESIONS)
    assert set(table["contrast"].round(3)) == {1.5, 1.8}


def test_lesions_without_room_are_counted_by_copy_in_the_terminal_and_in_the_tables_file(healthy, tmp_path, cli):
    """A cord of 50 mm has room for few lesions; the lesions that are missing are those of the design."""
    scan, cord = healthy / "healthy one.nii.gz", healthy / "cord.nii.gz"
    small = ["--volume", 30, 60, "--lesions", 9, "--copies", 2]
    done = cli("implant", scan, "--cord-mask", cord, *small, "-o", tmp_path / "out")
    assert done.status == 0, done.error
    table = read_table(tmp_path / "out" / LABELS / "true_lesions.tsv", TRUE_LESIONS)
    there = table.groupby("scan_id").size().to_dict()
    left_out = json.loads((tmp_path / "out" / LABELS / "true_lesions.json").read_text())["LesionsWithoutRoom"]
    assert left_out == {name: 9 - n for name, n in there.items()}
    assert min(left_out.values()) > 0
    assert f"{sum(left_out.values())} of 18 lesions had no room and were left out, in 2 copies." in done.output
    assert "healthy one.nii.gz: " in done.output


def moved(cord: np.ndarray, voxels: int) -> np.ndarray:
    return np.roll(cord, voxels, axis=int(np.argmin([np.ptp(axis) for axis in np.nonzero(cord)])))


def cut(cord: np.ndarray) -> np.ndarray:
    """Without two slices in the middle of the cord."""
    along = int(np.argmax([np.ptp(axis) for axis in np.nonzero(cord)]))
    place = [slice(None)] * 3
    place[along] = slice(24, 26)
    copy = cord.copy()
    copy[tuple(place)] = 0
    return copy


NONSENSE = {
    "empty": (lambda cord: 0 * cord, "holds no voxel"),
    "the whole image": (lambda cord: 0 * cord + 1, r"its axial sections have 1152 mm2, those of a cord 10 to 300"),
    "the sac": (lambda cord: ndimage.binary_dilation(cord, iterations=4), "of the edges to bright fluid around it"),
    "a stray voxel": (lambda cord: add_corner(cord), "consists of 2 pieces"),
    "a gap": (cut, "consists of 2 pieces"),
    "beside the cord": (lambda cord: moved(cord, 4), "of the edges to bright fluid around it are at its surface"),
    "off the cord": (lambda cord: moved(cord, -9), "of the edges to bright fluid around it are at its surface"),
}


def add_corner(cord: np.ndarray) -> np.ndarray:
    copy = cord.copy()
    copy[-1, -1, -1] = 1
    return copy


@pytest.mark.parametrize(("change", "sentence"), NONSENSE.values(), ids=NONSENSE)
def test_a_mask_that_is_not_the_cord_is_refused(healthy, tmp_path, change, sentence):
    scan, image = healthy / "healthy one.nii.gz", nib.load(healthy / "cord.nii.gz")
    mask = change(np.asarray(image.dataobj).astype(np.uint8)).astype(np.uint8)
    write_image(tmp_path / "mask.nii.gz", mask, image.affine)
    with pytest.raises(CordlesionError, match=f"mask.nii.gz: .*{sentence}.*a mask of the cord of this scan is needed"):
        implant_files([scan], tmp_path / "out", cord_masks=[tmp_path / "mask.nii.gz"], copies=1)
    assert not (tmp_path / "out").exists()


def test_masks_drawn_a_little_too_wide_or_too_narrow_are_accepted(healthy, tmp_path):
    scan, image = read_scan(healthy / "healthy one.nii.gz"), nib.load(healthy / "cord.nii.gz")
    cord = np.asarray(image.dataobj).astype(bool)
    for mask in (cord, ndimage.binary_dilation(cord), ndimage.binary_erosion(cord), moved(cord, 1)):
        require_cord_mask(mask, scan, tmp_path / "mask.nii.gz")
