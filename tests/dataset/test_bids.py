import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.config import FilePatterns, PreprocessConfig, read_study
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import inspect_scan
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.preprocess.stack_file import scan_centerline
from support.images import box, noise, write_image

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
def test_entities_identify_the_scan_of_a_file(name, scan):
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
def test_references_are_found_with_both_conventions(tmp_path, name):
    scans, orphans = find_scans(touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz", name))
    assert [scan.reference for scan in scans] == [tmp_path / name]
    assert orphans == []


def test_masks_of_other_contrasts_are_ignored(tmp_path):
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


def test_the_first_pattern_has_priority(tmp_path):
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
def test_an_unusable_dataset_raises_a_clear_error(tmp_path, names, fault):
    with pytest.raises(CordlesionError, match=fault) as error:
        find_scans(touch(tmp_path, *names))
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    "suffix", ["PD", "MP2RAGE", "T1map", "T2", "MTR", "UNIT1", "dwi", "inplaneT2", "Chimap", "mine"]
)
def test_a_mask_of_any_other_suffix_is_no_reference(tmp_path, suffix):
    touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz", f"{LABELS}/sub-01_{suffix}_lesion-manual.nii.gz")
    ((scan,), orphans) = find_scans(tmp_path)
    assert (scan.reference, orphans) == (None, [])
    assert f"sub-01_{suffix}_lesion-manual.nii.gz has {suffix} in its name, so it does not belong to" in scan.why_none(
        "reference"
    )
    image = FilePatterns(image=(f"*_{suffix}.nii.gz",))
    touch(tmp_path, f"sub-01/anat/sub-01_{suffix}.nii.gz")
    ((scan,), _) = find_scans(tmp_path, image)
    assert (scan.scan_id, scan.reference.name) == ("sub-01", f"sub-01_{suffix}_lesion-manual.nii.gz")


def test_words_of_patterns_are_not_suffixes(tmp_path):
    names = [f"{LABELS}/sub-01_{end}.nii.gz" for end in ("lesion_manual", "PD_lesion_manual", "rater_final")]
    touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz", *names)
    for pattern, expected in (("*_lesion_manual.nii.gz", 0), ("*_PD_lesion_manual.nii.gz", 1), ("*_rater_final.*", 2)):
        ((scan,), _) = find_scans(tmp_path, FilePatterns(reference=(pattern,)))
        assert scan.reference == tmp_path / names[expected]


def test_versions_and_copies_of_masks_are_no_conflict(tmp_path):
    """As in spine-generic: other spaces, soft masks, raw copies; the most similar name is used."""
    touch(
        tmp_path,
        "sub-01/anat/sub-01_T2w.nii.gz",
        "derivatives/data_preprocessed/sub-01/anat/sub-01_space-other_T2w.nii.gz",
        f"{LABELS}/sub-01_T2w_label-SC_seg.nii.gz",
        f"{LABELS}/sub-01_space-other_T2w_label-SC_seg.nii.gz",
        "derivatives/labels_softseg_bin/sub-01/anat/sub-01_T2w_desc-softseg_label-SC_seg.nii.gz",
        f"{LABELS}/sub-01_T2w_label-lesion_seg.nii.gz",
        "sourcedata/old/sub-01_T2w_label-lesion_seg.nii.gz",
        "sourcedata/old/sub-07_T2w_label-lesion_seg.nii.gz",
    )
    ((scan,), orphans) = find_scans(tmp_path)
    assert scan.cord_mask == tmp_path / LABELS / "sub-01_T2w_label-SC_seg.nii.gz"
    assert scan.reference == tmp_path / LABELS / "sub-01_T2w_label-lesion_seg.nii.gz"
    assert orphans == []


def dataset_of(study, folder):
    (folder / "study.yaml").write_text(study, encoding="utf-8")
    return str(read_study(folder / "study.yaml").dataset)


def raters(folder):
    names = [f"derivatives/rater{n}/sub-01/anat/sub-01_T2w_label-lesion_seg.nii.gz" for n in (1, 2)]
    return touch(folder, "sub-01/anat/sub-01_T2w.nii.gz", *names), names


@pytest.mark.parametrize(
    "pattern", ["derivatives/rater2/*_seg.nii.gz", "derivatives/rater2/**/*_label-lesion_seg.nii*"]
)
def test_a_pattern_with_a_folder_chooses_among_raters(tmp_path, pattern):
    folder, names = raters(tmp_path)
    with pytest.raises(CordlesionError, match=r"one of the references is needed.*rater1"):
        find_scans(folder)
    ((scan,), _) = find_scans(folder, FilePatterns(reference=(pattern,)))
    assert scan.reference == folder / names[1]


def test_a_study_can_be_set_up_for_a_dataset_with_several_references(tmp_path, cli):
    folder, names = raters(tmp_path / "cohort")
    ended = cli("study", "init", folder)
    assert ended.status == 2
    assert "1 scans of 1 subjects, 0 with a reference" in ended.output
    assert dataset_of(ended.output, tmp_path) == str(folder)
    for text in (ended.output, ended.error):
        assert str(folder / names[1]) in text
        assert 'set `patterns` in the study: reference: ["derivatives/rater1/*_label-lesion_seg.nii*"]' in text
    chosen = cli("study", "init", folder, "--no-estimate", "--reference", "derivatives/rater1/*_label-lesion_seg.nii*")
    assert chosen.status == 0
    assert "1 scans of 1 subjects, 1 with a reference" in chosen.output


def test_a_dataset_without_references_is_reported(tmp_path, cli):
    ended = cli("study", "init", touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz"))
    assert ended.status == 2
    assert f"cordlesion: {tmp_path}: 1 scans, no reference; masks named *_label-lesion_seg.nii*" in ended.error


def test_a_folder_of_any_characters_is_found_again(tmp_path, cli):
    folder = touch(tmp_path / "köhörte \N{BRAIN} #1: x", "sub-01/anat/sub-01_T2w.nii.gz")
    assert dataset_of(cli("study", "init", folder).output, tmp_path) == str(folder)


def test_ambiguous_masks_that_are_not_needed_are_accepted(tmp_path):
    touch(
        tmp_path,
        "sub-01/anat/sub-01_T2w.nii.gz",
        f"{LABELS}/sub-01_T2w_label-lesion_seg.nii.gz",
        *(f"derivatives/{tool}/sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz" for tool in ("sct", "manual")),
    )
    ((scan,), _) = find_scans(tmp_path)
    assert scan.cord_mask is None
    assert "one of the cord masks is needed" in scan.why_none("cord_mask")
    with pytest.raises(CordlesionError, match=r"no centerline cord mask found.*one of the cord masks is needed"):
        scan_centerline(scan, None, PreprocessConfig(centerline="cord_mask"), None)


def test_linked_subjects_are_scans_and_two_links_to_a_file_count_once(tmp_path):
    touch(tmp_path / "store", "sub-01/anat/sub-01_T2w.nii.gz", "labels/sub-01_label-lesion_seg.nii.gz")
    (tmp_path / "bids/derivatives").mkdir(parents=True)
    (tmp_path / "bids/sub-01").symlink_to("../store/sub-01")
    for name in ("labels", "labels_of_today"):
        (tmp_path / "bids/derivatives" / name).symlink_to("../../store/labels")
    ((scan,), _) = find_scans(tmp_path / "bids")
    assert scan.image == tmp_path / "bids/sub-01/anat/sub-01_T2w.nii.gz"
    assert scan.reference.resolve() == tmp_path / "store/labels/sub-01_label-lesion_seg.nii.gz"


labels = st.text("abzAZ019", min_size=1, max_size=4)
optional = st.one_of(st.none(), labels)


@settings(max_examples=60, deadline=None)
@given(labels, *[optional] * 4)
def test_scans_of_finished_studies_keep_their_names(tmp_path_factory, subject, session, acquisition, run, version):
    """The name of a scan contains its entities except label, desc, space, res and den, as in earlier versions."""
    folder = tmp_path_factory.mktemp("bids")
    named = [("sub", subject), ("ses", session), ("acq", acquisition), ("run", run)]
    base = "_".join(f"{key}-{value}" for key, value in named if value is not None)
    image = base + (f"_desc-{version}" if version else "") + "_T2w"
    mask = f"derivatives/x/{base}_T2w_desc-mine_label-lesion_seg.nii.gz"
    touch(folder, f"sub-{subject}/anat/{image}.nii.gz", mask)
    ((scan,), _) = find_scans(folder)
    assert (scan.scan_id, scan.subject, scan.session) == (base, f"sub-{subject}", session or "")
    assert scan.reference == folder / mask


def test_scans_with_equal_entities_are_named_by_suffix_and_version(tmp_path):
    names = ["T2w", "desc-denoised_T2w", "STIR"]
    touch(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in names), f"{LABELS}/sub-01_STIR_lesion-manual.nii")
    scans, _ = find_scans(tmp_path, FilePatterns(image=("*_*.nii.gz",)))
    assert {scan.scan_id: scan.reference is not None for scan in scans} == {
        "sub-01": False,
        "sub-01_desc-denoised": False,
        "sub-01_STIR": True,
    }
    assert {scan.subject for scan in scans} == {"sub-01"}


def test_a_mask_that_fits_two_scans_equally_well_is_listed(tmp_path):
    touch(tmp_path, *(f"sub-01/anat/sub-01_{day}_T2w.nii.gz" for day in ("20210304", "20220304")))
    touch(tmp_path, f"{LABELS}/sub-01_20220304_lesion-manual.nii.gz", f"{LABELS}/sub-01_label-lesion_seg.nii.gz")
    touch(tmp_path, f"{LABELS}/sub-01_label-SC_seg.nii.gz")
    scans, unusable = find_scans(tmp_path)
    assert {scan.scan_id: bool(scan.reference) for scan in scans} == {"sub-01_20210304": False, "sub-01_20220304": True}
    ((name, sentence),) = unusable
    assert name == str(tmp_path / LABELS / "sub-01_label-lesion_seg.nii.gz")
    assert "20210304_T2w.nii.gz and " in sentence
    assert "equally well; the name must distinguish them" in sentence


def test_a_scan_whose_name_is_not_utf8_is_listed(tmp_path):
    anat = touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz") / "sub-01/anat"
    (anat / os.fsdecode(b"sub-01_acq-H\xf4_T2w.nii.gz")).touch()
    scans, unusable = find_scans(tmp_path)
    assert [scan.scan_id for scan in scans] == ["sub-01"]
    ((_, reason),) = unusable
    assert r"sub-01_acq-H\xf4_T2w.nii.gz: its name is not UTF-8" in reason


def test_a_missing_dataset_raises_a_clear_error(tmp_path):
    with pytest.raises(CordlesionError, match="no such folder; the folder of a dataset is needed"):
        find_scans(tmp_path / "absent")


def test_participants_that_are_no_text_raise_a_clear_error(tmp_path):
    touch(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz")
    (tmp_path / "participants.tsv").write_bytes(b"participant_id\tsite\nsub-01\t\xff\xfe")
    with pytest.raises(CordlesionError, match=r"participants\.tsv: not a table"):
        find_scans(tmp_path)


def test_a_link_to_a_file_that_was_not_fetched_is_a_scan_that_cannot_be_read(tmp_path):
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    (tmp_path / "sub-01/anat/sub-01_T2w.nii.gz").symlink_to("../../.git/annex/objects/x.nii.gz")
    (scan,), _ = find_scans(tmp_path)
    with pytest.raises(CordlesionError, match=r"is a pointer .* Fetch it \(git annex get"):
        inspect_scan(scan, "study")


def test_inspection_measures_lesions_and_hashes_the_image(tmp_path):
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
