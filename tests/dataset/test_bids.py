import pytest

from cordlesion.config import FilePatterns
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import inspect_scan
from cordlesion.errors import CordlesionError
from cordlesion.scan_names import scan_file
from images import box, noise, write_image

LABELS = "derivatives/labels/sub-01/anat"
MASK = box((8, 14), (8, 14), (8, 14))


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    ("name", "scan"),
    [
        ("sub-01_T2w.nii.gz", "sub-01"),
        ("sub-01_ses-a_acq-sag_run-2_T2w.nii", "sub-01_ses-a_acq-sag_run-2"),
        ("sub-01_label-lesion_seg.nii.gz", "sub-01"),
        ("sub-01_ses-a_space-orig_label-lesion_desc-rater1_seg.nii.gz", "sub-01_ses-a"),
        ("sub-01_lesion-manual.nii.gz", "sub-01"),
        ("sub-01_T2w_lesion-manual.nii.gz", "sub-01"),
        ("sub-01_acq-ax_T2w_seg-manual.nii.gz", "sub-01_acq-ax"),
    ],
)
def test_a_files_scan_is_known_by_its_entities(name, scan):
    assert scan_file(name).name == scan


def test_entities():
    assert scan_file("sub-01_acq-a-b_T2w.nii.gz").entities == {"sub": "01", "acq": "a-b"}


@pytest.mark.parametrize(
    "name",
    [
        f"{LABELS}/sub-01_label-lesion_seg.nii.gz",
        f"{LABELS}/sub-01_T2w_label-lesion_seg.nii.gz",
        f"{LABELS}/sub-01_lesion-manual.nii.gz",
        f"{LABELS}/sub-01_T2w_lesion-manual.nii.gz",
        "sub-01/anat/sub-01_label-lesion_seg.nii.gz",
    ],
)
def test_references_are_found_under_either_convention(tmp_path, name):
    scans, orphans = find_scans(touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz", name))
    assert [scan.reference for scan in scans] == [tmp_path / name]
    assert orphans == []


def test_masks_of_other_contrasts_are_left_alone(tmp_path):
    others = [f"{LABELS}/sub-01_{contrast}_label-lesion_seg.nii.gz" for contrast in ("T1w", "PSIR", "T2star")]
    ours = f"{LABELS}/sub-01_T2w_label-lesion_seg.nii.gz"
    scans, orphans = find_scans(touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz", ours, *others))
    assert [scan.reference for scan in scans] == [tmp_path / ours]
    assert orphans == []
    star = FilePatterns(image=("*_T2star.nii.gz",))
    scans, _ = find_scans(touch(tmp_path, "sub-01/anat/sub-01_T2star.nii.gz"), star)
    assert scans[0].reference == tmp_path / others[2]


def test_cord_mask_centerline_site_and_session_are_found(tmp_path):
    touch(
        tmp_path,
        "sub-02/ses-1/anat/sub-02_ses-1_T2w.nii",
        "derivatives/a/sub-02/ses-1/anat/sub-02_ses-1_T2w_seg-manual.nii.gz",
        "derivatives/a/sub-02/ses-1/anat/sub-02_ses-1_T2w_centerline.nii.gz",
    )
    (tmp_path / "participants.tsv").write_text("\ufeffparticipant_id\tage\tsite\nsub-02\t40\tRennes\nsub-03\t41\n")
    (scan,), _ = find_scans(tmp_path)
    assert (scan.scan_id, scan.subject, scan.session, scan.site) == ("sub-02_ses-1", "sub-02", "1", "Rennes")
    assert scan.cord_mask.name.endswith("seg-manual.nii.gz")
    assert scan.centerline.name.endswith("centerline.nii.gz")
    assert scan.reference is None


def test_scans_are_sorted_and_images_in_derivatives_are_no_scans(tmp_path):
    touch(
        tmp_path,
        *(f"sub-{n}/anat/sub-{n}_T2w.nii.gz" for n in ("10", "02", "1")),
        "derivatives/x/sub-02/anat/sub-02_T2w.nii.gz",
        "sourcedata/sub-03/anat/sub-03_T2w.nii.gz",
        "sub-02/anat/.sub-02_T2w.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
    )
    scans, _ = find_scans(tmp_path)
    assert [scan.scan_id for scan in scans] == ["sub-02", "sub-1", "sub-10"]
    assert scans[0].image == tmp_path / "sub-02/anat/sub-02_T2w.nii.gz"


def test_an_uncompressed_scan_is_not_hidden_by_a_derivative(tmp_path):
    touch(tmp_path, "sub-01/anat/sub-01_T2w.nii", "derivatives/x/sub-01/anat/sub-01_T2w.nii.gz")
    assert [scan.image.name for scan in find_scans(tmp_path)[0]] == ["sub-01_T2w.nii"]


def test_the_first_pattern_counts(tmp_path):
    names = [f"{LABELS}/sub-01_{end}.nii.gz" for end in ("lesion-manual", "label-lesion_seg", "label-lesion_mask")]
    touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz", *names)
    assert find_scans(tmp_path)[0][0].reference == tmp_path / names[1]
    own = FilePatterns(reference=("*_lesion-manual.nii.gz",))
    assert find_scans(tmp_path, own)[0][0].reference == tmp_path / names[0]


def test_a_reference_without_an_image_is_listed(tmp_path):
    touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz", f"{LABELS}/sub-09_label-lesion_seg.nii.gz")
    scans, orphans = find_scans(tmp_path)
    assert [scan.scan_id for scan in scans] == ["sub-01"]
    ((name, sentence),) = orphans
    assert sentence.startswith(name)
    assert name == str(tmp_path / LABELS / "sub-09_label-lesion_seg.nii.gz")
    assert "sub-09_T2w.nii.gz is needed" in sentence


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ([], "no scan found"),
        (["sub-01/anat/sub-01_T1w.nii.gz"], "no scan found"),
        (["sub-01/anat/sub-01_T2w.nii.gz", "sub-01/ses-1/anat/sub-01_T2w.nii.gz"], "one of the images is needed"),
        (
            ["sub-01/anat/sub-01_T2w.nii.gz", *(f"{LABELS}/sub-01_desc-{r}_label-lesion_seg.nii.gz" for r in "ab")],
            "one of the references is needed",
        ),
    ],
)
def test_an_unusable_dataset_gets_a_sentence(tmp_path, names, fault):
    with pytest.raises(CordlesionError, match=fault) as error:
        find_scans(touch(tmp_path, *names))
    assert str(tmp_path) in str(error.value)


def test_a_missing_dataset_gets_a_sentence(tmp_path):
    with pytest.raises(CordlesionError, match="no such folder; a BIDS dataset is needed"):
        find_scans(tmp_path / "absent")


def test_participants_that_are_no_text_get_a_sentence(tmp_path):
    touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz")
    (tmp_path / "participants.tsv").write_bytes(b"participant_id\tsite\nsub-01\t\xff\xfe")
    with pytest.raises(CordlesionError, match=r"participants\.tsv: not a table"):
        find_scans(tmp_path)


def test_a_link_to_a_file_that_was_not_fetched_is_a_scan_that_cannot_be_read(tmp_path):
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    (tmp_path / "sub-01/anat/sub-01_T2w.nii.gz").symlink_to("../../.git/annex/objects/x.nii.gz")
    (scan,), _ = find_scans(tmp_path)
    with pytest.raises(CordlesionError, match="no such file"):
        inspect_scan(scan, "study")


def test_inspection_measures_the_lesions_and_knows_the_image_again(tmp_path):
    anat = tmp_path / "sub-01" / "anat"
    write_image(anat / "sub-01_T2w.nii.gz", noise())
    write_image(anat / "sub-01_label-lesion_seg.nii.gz", MASK)
    write_image(tmp_path / "sub-02/anat/sub-02_T2w.nii", noise())
    write_image(tmp_path / "sub-03/anat/sub-03_T2w.nii", noise(seed=1))
    for subject in ("sub-02", "sub-03"):
        write_image(tmp_path / subject / "anat" / f"{subject}_label-lesion_seg.nii.gz", 0 * MASK)
    first, copy, other = (inspect_scan(scan, "study") for scan in find_scans(tmp_path)[0])
    assert (first.n_lesions, first.lesion_volume_mm3) == (1, pytest.approx(216 * 0.6**3, rel=1e-6))
    assert (copy.n_lesions, copy.lesion_volume_mm3) == (0, 0.0)
    assert first.image_hash == copy.image_hash != other.image_hash
