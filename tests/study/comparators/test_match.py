import shutil
from pathlib import Path

import numpy as np
import pytest

from cordlesion.config import PACKAGED_BUNDLE, ComparatorConfig, PreprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.model.bundle import save_bundle
from cordlesion.model.bundle_updates import set_lesion_calibration, set_threshold
from cordlesion.study.comparators.match import comparator_table, match_comparator, require_files
from cordlesion.study_folder.tables import COMPARATORS
from cordlesion.threshold import LesionCalibration
from cordlesion.threshold.rules import GlobalThreshold
from support.comparator_files import save_softmax
from support.models import untrained_bundle

MEASURED = ["sub-01_ses-01", "sub-02_ses-01"]
SCANS = {name: Path(f"{name}_T2w.nii.gz") for name in (*MEASURED, "sub-03_ses-01")}


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def match(folder: Path, kind: str = "maps", **options: object):
    return match_comparator(ComparatorConfig(name="theirs", **{kind: folder}, **options), MEASURED, SCANS)


def states(comparator) -> dict[str, str]:
    table = comparator_table([comparator], MEASURED, Path())
    assert tuple(table) == COMPARATORS.names
    return dict(zip(table["scan_id"], table["state"], strict=True))


def test_files_are_matched_by_their_entities_wherever_they_lie(tmp_path):
    folder = touch(
        tmp_path,
        "sub-01/ses-01/anat/sub-01_ses-01_T2w_desc-x_probseg.nii.gz",
        "sub-02_ses-01_label-lesion_probseg.nii",
        "sub-03_ses-01_probseg.nii.gz",
        "sub-04_ses-01_probseg.nii.gz",
        "sub-01_ses-01_T2w.nii.gz",
        ".sub-02_ses-01_probseg.nii.gz",
        "notes.txt",
    )
    found = match(folder)
    assert {name: path.name[:13] for name, path in found.files.items()} == {name: name for name in MEASURED}
    assert states(found) == {
        "sub-01_ses-01": "used",
        "sub-02_ses-01": "used",
        "sub-03_ses-01": "not needed",
        "sub-04_ses-01": "no such scan",
    }


def test_every_kind_looks_for_its_own_files(tmp_path):
    folder = touch(tmp_path, "sub-01_ses-01.nii.gz", "sub-01_ses-01.npz", "sub-01_ses-01.pkl", "sub-02_ses-01.npz")
    assert [path.name for path in match(folder, "npz").files.values()] == ["sub-01_ses-01.npz", "sub-02_ses-01.npz"]
    assert [path.name for path in match(folder, "masks").files.values()] == ["sub-01_ses-01.nii.gz"]


def test_a_pattern_chooses_among_files_of_one_scan(tmp_path):
    names = [f"{scan}_T2w_{suffix}.nii.gz" for scan in MEASURED for suffix in ("seg", "lesionseg")]
    folder = touch(tmp_path, *names)
    with pytest.raises(CordlesionError, match=r"is of the same scan as .*; one file per scan is needed"):
        match(folder, "masks")
    found = match(folder, "masks", files="*_lesionseg.nii.gz")
    assert sorted(path.name for path in found.files.values()) == [name for name in names if "lesionseg" in name]


def test_files_of_another_suffix_belong_to_no_scan(tmp_path):
    folder = touch(tmp_path, *(f"{scan}_{word}_probseg.nii.gz" for scan in MEASURED for word in ("T2w", "PSIR")))
    assert sorted(path.name for path in match(folder).files.values()) == [f"{n}_T2w_probseg.nii.gz" for n in MEASURED]
    alone = touch(tmp_path / "alone", *(f"{scan}_PSIR_probseg.nii.gz" for scan in MEASURED))
    assert match(alone).files == {}
    with pytest.raises(CordlesionError, match="must be spelled out by `files`"):
        require_files(comparator_table([match(alone)], MEASURED, tmp_path))


def test_a_word_that_the_pattern_spells_out_is_no_suffix(tmp_path):
    folder = touch(tmp_path, *(f"{scan}_nnUNet_probseg.nii.gz" for scan in MEASURED))
    assert match(folder).files == {}
    assert set(match(folder, files="*_nnUNet_probseg.nii.gz").files) == set(MEASURED)


def test_versions_of_a_file_must_be_chosen_from(tmp_path):
    folder = touch(tmp_path, *(f"{MEASURED[0]}{version}.npz" for version in ("", "_desc-2")))
    with pytest.raises(CordlesionError, match=r"is of the same scan as .* Narrow them to one per scan by `files:`"):
        match(folder, "npz")


def test_what_changes_a_file_changes_its_origin_alone(tmp_path):
    folder = touch(tmp_path, *(f"{scan}_probseg.nii.gz" for scan in MEASURED))
    before = match(folder)
    (folder / "sub-02_ses-01_probseg.nii.gz").write_text("edited")
    after = match(folder)
    assert before.origin("sub-01_ses-01") == after.origin("sub-01_ses-01")
    assert before.origin("sub-02_ses-01") != after.origin("sub-02_ses-01")
    assert before.fingerprint != after.fingerprint
    assert match(folder, threshold=0.5).origin("sub-01_ses-01") != after.origin("sub-01_ses-01")


def test_any_file_of_a_bundle_changes_what_it_predicts(tmp_path):
    save_bundle(tmp_path, untrained_bundle())
    before = match(tmp_path, "bundle")
    assert before.files == {}
    save_bundle(tmp_path, untrained_bundle(threshold=None))
    assert match(tmp_path, "bundle").origin("sub-01_ses-01") != before.origin("sub-01_ses-01")
    (row,) = comparator_table([before], MEASURED, tmp_path / "study").to_dict("records")
    assert (row["state"], row["file"], row["scan_id"]) == ("used", "..", "n/a")


def test_the_chance_that_its_lesions_are_real_changes_no_map_of_a_model(tmp_path):
    model = shutil.copytree(PACKAGED_BUNDLE, tmp_path / "model")
    set_threshold(model, GlobalThreshold.given(0.6))  # which has no calibration
    found = match(model, "bundle")
    assert found.hashes["model.json"] == file_hash(model / "model.json")  # as before there was any
    set_lesion_calibration(model, LesionCalibration(
        peak=0.1, mean=1 / 3, volume=0, shift=-2, threshold_rule=0.6, lesion_rule="study",
        n_lesions=30, n_real=12, n_subjects=9,
    ))  # fmt: skip
    assert match(model, "bundle").fingerprint == found.fingerprint
    assert found.hashes["model.json"] != file_hash(model / "model.json")
    set_threshold(model, GlobalThreshold.given(0.5))
    assert match(model, "bundle").fingerprint != found.fingerprint


def test_a_model_keeps_its_preprocessing_but_for_the_source_of_centerlines(tmp_path):
    save_bundle(tmp_path, untrained_bundle(edge_voxels=16))
    theirs = match(tmp_path, "bundle")
    own = theirs.preprocess_in(PreprocessConfig(centerline="cord_mask", crop_voxels=48))
    assert own == PreprocessConfig(centerline="cord_mask", crop_voxels=16)
    assert theirs.preprocess_in(PreprocessConfig(region="foreground")) == PreprocessConfig(crop_voxels=16)


def test_scans_without_a_file_are_refused_and_named(tmp_path):
    found = match(touch(tmp_path / "maps", "sub-02_ses-01_probseg.nii.gz"))
    table = comparator_table([found], MEASURED, tmp_path)
    sentence = (
        r"comparator theirs: no file for 1 of 2 scans of the threshold and test sets \(sub-01_ses-01\); methods are "
        r"compared on the same scans\. Add the files, .* or remove the comparator\.$"
    )
    with pytest.raises(CordlesionError, match=sentence):
        require_files(table)


def test_a_scan_that_the_study_leaves_out_needs_no_file(tmp_path):
    found = match(touch(tmp_path, "sub-02_ses-01_probseg.nii.gz"))
    require_files(comparator_table([found], MEASURED[1:], tmp_path))
    table = comparator_table([found], MEASURED[:1], tmp_path).set_index("scan_id")
    assert table["state"].to_dict() == {"sub-01_ses-01": "missing", "sub-02_ses-01": "not needed"}


def test_every_comparator_that_lacks_scans_is_reported_at_once(tmp_path):
    one = match(touch(tmp_path / "a", "sub-09_probseg.nii.gz"))
    save_softmax(tmp_path / "b" / "sub-01.npz", np.zeros((2, 2, 2)))
    two = match_comparator(ComparatorConfig(name="nnunet", npz=tmp_path / "b"), MEASURED, SCANS)
    with pytest.raises(CordlesionError) as caught:
        require_files(comparator_table([one, two], MEASURED, tmp_path))
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["comparator theirs", "comparator nnunet"]


@pytest.mark.parametrize(
    ("make", "kind", "options", "sentence"),
    [
        (lambda _: None, "maps", {}, "no such folder; the comparator 'theirs' needs it"),
        (lambda path: path.write_text(""), "npz", {}, "no such folder"),
        (lambda path: path.mkdir(), "maps", {}, r"holds no file \*\.nii\.gz or \*\.nii named \*; the comparator"),
        (lambda path: touch(path, "a.nii"), "npz", {}, r"holds no file \*\.npz named \*"),
        (lambda path: touch(path, "a.nii"), "maps", {"files": "b*"}, r"named b\*; .*Check `files` and the path"),
        (lambda path: path.mkdir(), "bundle", {}, "no bundle; a folder with model.json"),
        (lambda path: touch(path, "model.json"), "bundle", {}, "not a JSON file"),
        (
            lambda path: (path.mkdir(), (path / "sub-01_ses-01.nii.gz").symlink_to("gone")),
            "maps",
            {},
            "a link to a missing file",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_ends_in_a_sentence(tmp_path, make, kind, options, sentence):
    make(tmp_path / "theirs")
    with pytest.raises(CordlesionError, match=sentence):
        match(tmp_path / "theirs", kind, **options)


def test_outside_of_bids_files_have_the_names_of_the_scans(tmp_path):
    """As in a folder for each patient, in which every image is called T2."""
    scans = {name: tmp_path / f"data/{name}/T2.nii.gz" for name in ("P01", "P02")}
    folder = touch(tmp_path / "maps", *(f"{name}_probseg.nii.gz" for name in scans))
    found = match_comparator(ComparatorConfig(name="theirs", maps=folder), list(scans), scans)
    assert {name: path.name for name, path in found.files.items()} == {n: f"{n}_probseg.nii.gz" for n in scans}
