"""What a user can get wrong, from the command line: one sentence, exit status 2, nothing half-written."""

import os
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cordlesion.config import read_study
from cordlesion.cord.centerline import read_centerline
from cordlesion.io.tables import read_table
from cordlesion.io.writing import folder_lock
from cordlesion.model.bundle import save_bundle
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from support.images import AFFINE, SHAPE, UNUSABLE_MASKS, UNUSABLE_SCANS, box, noise, truncate, write_image
from support.models import untrained_bundle
from support.tiny import make_cohort

LESION = box((4, 10), (4, 10), (4, 10))


def assert_fails(ended, *parts):
    """One line for the user that names what matters."""
    assert ended.status == 2
    assert ended.error.startswith("cordlesion: ")
    assert ended.error.count("\n") == 1
    for part in parts:
        assert str(part) in ended.error


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(folder, untrained_bundle())
    return folder


@pytest.fixture
def cord(tmp_path):
    return write_image(tmp_path / "cord.nii.gz", box((8, 16), (8, 16), (2, 38)))


# --- one scan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("write", "fault"), UNUSABLE_SCANS.values(), ids=UNUSABLE_SCANS)
@pytest.mark.parametrize("command", ["segment", "predict"])
def test_an_unusable_scan(cli, bundle, cord, tmp_path, command, write, fault):
    scan = write(tmp_path / "scan.nii.gz")
    output = tmp_path / "out" / ("map.nii.gz" if command == "predict" else "")
    assert_fails(cli(command, scan, "-m", bundle, "-o", output, "--cord-mask", cord), scan, fault)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("write", "fault"), UNUSABLE_MASKS.values(), ids=UNUSABLE_MASKS)
def test_an_unusable_cord_mask(cli, bundle, tmp_path, write, fault):
    scan = write_image(tmp_path / "scan.nii.gz", noise())
    mask = write(tmp_path / "mask.nii.gz")
    ended = cli("segment", scan, "-m", bundle, "-o", tmp_path / "out", "--cord-mask", mask)
    assert_fails(ended, mask, fault)
    assert not (tmp_path / "out").exists()


CURVES = {
    "empty": (np.zeros(SHAPE, np.uint8), AFFINE, "is empty; the cord must be marked"),
    "leaves the image": (box((12, 13), (12, 13), (0, 40)), AFFINE - 12 * np.eye(4, k=3), "the centerline leaves"),
}


@pytest.mark.parametrize(("data", "affine", "fault"), CURVES.values(), ids=CURVES)
def test_an_unusable_centerline(cli, bundle, tmp_path, data, affine, fault):
    scan = write_image(tmp_path / "scan.nii.gz", noise())
    curve = write_image(tmp_path / "curve.nii.gz", data, affine)
    assert_fails(cli("segment", scan, "-m", bundle, "-o", tmp_path / "out", "--centerline", curve), curve, fault)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threshold", ["0", "1.5", "-1", "nan"])
def test_a_threshold_out_of_range(cli, bundle, cord, tmp_path, threshold):
    scan = write_image(tmp_path / "scan.nii.gz", noise())
    ended = cli("segment", scan, "-m", bundle, "-o", tmp_path / "out", "--cord-mask", cord, f"--threshold={threshold}")
    assert_fails(ended, "the threshold is", "above 0 and up to 1")


@pytest.mark.parametrize("command", [["segment", "scan.nii", "-o", "out", "-m"], ["model", "info"]])
def test_a_folder_that_is_no_bundle(cli, tmp_path, command):
    assert_fails(cli(*command, tmp_path / "absent"), tmp_path / "absent", "no bundle; a folder with model.json")


def test_two_scans_of_one_name(cli, bundle, tmp_path):
    scans = [write_image(tmp_path / folder / "sub-01_T2w.nii.gz", noise()) for folder in "ab"]
    assert_fails(cli("segment", *scans, "-m", bundle, "-o", tmp_path / "out"), scans[0], "the same name")


def test_a_stack_shorter_than_a_patch_is_no_fault(cli, bundle, tmp_path):
    scan = write_image(tmp_path / "scan.nii.gz", noise((24, 24, 3)))
    curve = write_image(tmp_path / "curve.nii.gz", box((12, 13), (12, 13), (1, 2), shape=(24, 24, 3)))
    assert cli("segment", scan, "-m", bundle, "-o", tmp_path / "out", "--centerline", curve, "-q").status == 0
    probability = nib.load(tmp_path / "out" / "scan_label-lesion_probseg.nii.gz").get_fdata()
    assert probability[:, :, 1].any()


def test_one_bad_scan_does_not_stop_the_others(cli, bundle, tmp_path, monkeypatch):
    scans = [write_image(tmp_path / f"sub-{n}_T2w.nii.gz", noise(seed=n)) for n in range(3)]
    truncate(scans[1])
    curve = write_image(tmp_path / "curve.nii.gz", box((12, 13), (12, 13), (0, 40)))
    monkeypatch.setattr("cordlesion.scan.segment._centerline", lambda image, *_: read_centerline(curve, image))
    ended = cli("segment", *scans, "-m", bundle, "-o", tmp_path / "out", "-q")
    assert_fails(ended, "left out", scans[1], "truncated or damaged")
    assert {path.name.split("_")[0] for path in (tmp_path / "out").glob("sub-*")} == {"sub-0", "sub-2"}
    assert read_table(tmp_path / "out" / "lesion_load.tsv")["scan_id"].tolist() == ["sub-0", "sub-2"]


@pytest.mark.parametrize("command", ["segment", "predict"])
def test_an_output_that_cannot_be_written(cli, bundle, cord, tmp_path, command):
    scan = write_image(tmp_path / "scan.nii.gz", noise())
    (tmp_path / "out").write_text("a file where a folder is needed")
    output = tmp_path / "out" / ("map.nii.gz" if command == "predict" else "")
    assert_fails(cli(command, scan, "-m", bundle, "-o", output, "--cord-mask", cord), tmp_path / "out", "is a file")
    assert (tmp_path / "out").read_text() == "a file where a folder is needed"


# --- masks, maps and tables of any tool -------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["reference", "prediction"])
@pytest.mark.parametrize(("write", "fault"), UNUSABLE_MASKS.values(), ids=UNUSABLE_MASKS)
def test_an_unusable_mask_is_not_evaluated(cli, tmp_path, side, write, fault):
    good = write_image(tmp_path / "good.nii.gz", LESION)
    bad = write(tmp_path / "bad.nii.gz")
    files = {"reference": good, "prediction": good} | {side: bad}
    options = (f"--{name}={path}" for name, path in files.items())
    assert_fails(cli("evaluate", *options, "-o", tmp_path / "metrics.tsv"), bad.name if fault == "one grid" else bad)
    assert not (tmp_path / "metrics.tsv").exists()


@pytest.mark.parametrize("values", [noise(), np.where(LESION, 3.0, -3.0)], ids=["percentages", "logits"])
def test_maps_that_are_no_probabilities(cli, tmp_path, values):
    reference = write_image(tmp_path / "r.nii.gz", LESION)
    maps = write_image(tmp_path / "p.nii.gz", values.astype(np.float32))
    ended = cli("tune", "--reference", reference, "--probability", maps, "-o", tmp_path / "t.json")
    assert_fails(ended, maps, "probabilities between 0 and 1 are needed")
    assert not (tmp_path / "t.json").exists()


@pytest.mark.parametrize(
    ("command", "option", "fault"),
    [
        ("evaluate", "--rule", "one of study, anima, ivadomed, multi_spine, any_overlap, iou50"),
        ("tune", "--rule", "one of study, anima, ivadomed, multi_spine, any_overlap, iou50"),
        ("tune", "--objective", "one of median_voxel_f1"),
    ],
)
def test_unknown_rules_and_objectives(cli, tmp_path, command, option, fault):
    mask = write_image(tmp_path / "m.nii.gz", LESION)
    other = "--prediction" if command == "evaluate" else "--probability"
    assert_fails(cli(command, "--reference", mask, other, mask, "-o", tmp_path / "o", option, "nope"), "'nope'", fault)


def test_a_reference_without_lesion_chooses_no_threshold(cli, tmp_path):
    empty = write_image(tmp_path / "r.nii.gz", np.zeros(SHAPE, np.uint8))
    ended = cli("tune", "--reference", empty, "--probability", empty, "-o", tmp_path / "t.json")
    assert_fails(ended, "has a lesion")
    assert not (tmp_path / "t.json").exists()


# --- a study ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """The tiny cohort with its study, as it is found and after the split."""
    found, split = tmp_path_factory.mktemp("found"), tmp_path_factory.mktemp("split") / "study"
    make_cohort(found)
    shutil.copytree(found, split)
    run_study(read_study(split / "study.yaml"), until="split")
    return found, split


@pytest.fixture
def study(templates, tmp_path):
    return shutil.copytree(templates[0], tmp_path / "copy") / "study.yaml"


@pytest.fixture
def split_study(templates, tmp_path):
    return shutil.copytree(templates[1], tmp_path / "copy") / "study.yaml"


def image_of(study, n):
    return study.parent / f"cohort/sub-{n:02d}/anat/sub-{n:02d}_T2w.nii.gz"


def label_of(study, kind, n):
    return study.parent / f"cohort/derivatives/labels/sub-{n:02d}/anat/sub-{n:02d}_label-{kind}_seg.nii.gz"


def left_out(ended):
    """The sentences about what took no part, by the number of the subject."""
    assert ended.status == 2
    lines = ended.error.splitlines()
    assert all(line.startswith("cordlesion: left out: ") for line in lines)
    return {int(re.search(r"sub-(\d+)[_.]", line).group(1)): line for line in lines}


def test_unusable_files_of_a_study_are_listed_and_the_others_go_on(cli, study):
    """A scan or a reference with each kind of fault, all in one cohort."""
    faults = {}
    kinds = {"T2w": UNUSABLE_SCANS, "label-lesion_seg": UNUSABLE_MASKS}
    for kind, (write, fault) in ((kind, broken) for kind, table in kinds.items() for broken in table.values()):
        n = 20 + len(faults)
        path = image_of(study, n) if kind == "T2w" else label_of(study, "lesion", n)
        if kind != "T2w":
            write_image(image_of(study, n), noise(seed=n))
        path.parent.mkdir(parents=True, exist_ok=True)
        if fault == "no such file":
            path.symlink_to("not-fetched.nii.gz")
        write(path)
        faults[n] = kind, fault
    listed = left_out(cli("study", "run", study, "--until", "split", "-q"))
    assert listed.keys() == faults.keys()
    for n, (kind, fault) in faults.items():
        assert kind in listed[n]
        assert fault in listed[n]
    table = read_table(study.parent / "study/splits.tsv")
    assert sorted(table["scan_id"]) == [f"sub-{n:02d}" for n in range(1, 15)]


def test_references_without_image_and_unusable_centerlines_are_listed(cli, study):
    image_of(study, 3).unlink()
    cases = dict(zip((5, 14), CURVES.values(), strict=True))
    for n, (data, affine, _) in cases.items():
        write_image(label_of(study, "centerline", n), data, affine)
    label_of(study, "centerline", 13).unlink()
    listed = left_out(cli("preprocess", study, "-q"))
    assert listed.keys() == {3, 5, 13, 14}
    assert f"{label_of(study, 'lesion', 3)}: a reference without an image" in listed[3]
    assert "no centerline file found" in listed[13]
    for n, (_, _, fault) in cases.items():
        assert str(label_of(study, "centerline", n)) in listed[n]
        assert fault in listed[n]
    stacks = {path.stem for path in (study.parent / "study/stacks").iterdir()}
    assert stacks == {f"sub-{n:02d}" for n in range(1, 15) if n not in listed}


def test_a_study_without_any_lesion(cli, study):
    for n in range(1, 15):
        write_image(label_of(study, "lesion", n), np.zeros(SHAPE, np.uint8))
    assert_fails(cli("study", "run", study, "-q"), "0 subjects with lesions; at least 4 are needed")
    assert not (study.parent / "study/splits.tsv").exists()


def test_an_image_that_was_copied_under_two_names(cli, split_study):
    """The copy takes the name of a scan of another set; compressed otherwise, its bytes differ but not its content."""
    sets = read_table(split_study.parent / "study/splits.tsv").set_index("scan_id")["set"]
    first, second = (next(name for name in sets.index if sets[name] == home) for home in ("train", "test"))
    numbers = [int(name.removeprefix("sub-")) for name in (first, second)]
    image_of(split_study, numbers[1]).unlink()
    nib.save(nib.load(image_of(split_study, numbers[0])), image_of(split_study, numbers[1]).with_suffix(""))
    (split_study.parent / "study/.done/split.json").unlink()  # as if the user had written the split
    assert_fails(cli("preprocess", split_study, "-q"), "one image content in two sets", first, second)


def share_a_subject(text):
    """Give a scan of the test set the subject of one of the training set."""
    rows = [line.split("\t") for line in text.splitlines()]
    train, test = (next(row for row in rows if row[4] == name) for name in ("train", "test"))
    test[1] = train[1]
    return "\n".join("\t".join(row) for row in rows) + "\n"


EDITS = {
    "a subject in two sets": (share_a_subject, "one subject in two sets"),
    "an unknown set": (lambda text: text.replace("\tthreshold\t", "\ttuning\t"), "unknown set 'tuning'"),
    "a set without lesion": (lambda text: text.replace("\tvalidation\t", "\ttrain\t"), "'validation' contains no scan"),
    "a scan twice": (lambda text: text + text.splitlines()[-1] + "\n", "listed twice"),
    "a scan lost": (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "was written for other scans"),
    "a column lost": (lambda text: text.replace("\tset\t", "\tgroup\t", 1), "lacks the columns set"),
    "text for a number": (lambda text: re.sub(r"\t[\d.]+\tbalanced", "\tlarge\tbalanced", text), "holds text"),
}


@pytest.mark.parametrize(("change", "fault"), EDITS.values(), ids=EDITS)
def test_a_split_that_was_edited_wrongly(cli, split_study, change, fault):
    path = split_study.parent / "study/splits.tsv"
    path.write_text(change(path.read_text()))
    edited = path.read_text()
    assert_fails(cli("preprocess", split_study, "-q"), "splits.tsv", fault)
    assert path.read_text() == edited
    assert not (split_study.parent / "study/stacks").exists()


def test_a_second_process_on_one_study_folder(cli, study):
    with folder_lock(study.parent / "study"):
        ended = cli("study", "run", study, "-q")
    assert_fails(ended, study.parent / "study", "another cordlesion process works in this folder")


def test_a_study_folder_that_cannot_be_written(cli, study):
    (study.parent / "study").write_text("a file where a folder is needed")
    assert_fails(cli("study", "run", study, "-q"), study.parent / "study", "cannot be written")


def test_a_disk_that_fills_up_during_a_study(cli, split_study, monkeypatch):
    """Renaming the fifth stack fails and ends the run, whose scans are sound; with space again the study goes on."""
    rename = Path.replace
    stacks = []

    def fill_up(self, target):
        if Path(target).suffix == ".safetensors":
            stacks.append(target)
            if stacks.index(target) == 4:  # and no file that another thread renames at the same time
                raise OSError(28, os.strerror(28))
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fill_up)
        assert_fails(cli("preprocess", split_study, "-q"), ".safetensors: cannot be written (No space left on device)")
    assert not list((split_study.parent / "study").rglob(".part-*"))
    assert cli("preprocess", split_study, "-q").status == 0
    assert len(list((split_study.parent / "study/stacks").iterdir())) == 14


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda text: text + "epochs: 3\n", ("study.yaml:", ":1 epochs: unknown key")),
        (
            lambda text: text.replace("epochs: 3", "epochs: three"),
            ("study.yaml:", ":12 training.epochs", "found 'three'"),
        ),
        (lambda text: text.replace("[bce, tversky]", "[bce, tversky"), ("study.yaml:", "expected ',' or ']'")),
        (lambda text: text.replace("dataset: cohort", "dataset: absent"), ("absent: no such folder",)),
    ],
)
def test_a_faulty_study_file(cli, study, change, parts):
    study.write_text(change(study.read_text()))
    assert_fails(cli("study", "run", study, "-q"), *parts)
    assert not (study.parent / "study/splits.tsv").exists()


def test_stages_and_studies_that_do_not_exist(cli, study, tmp_path):
    ended = cli("study", "run", study, "--until", "nope")
    assert ended.status == 2
    assert 'Invalid value "nope" for --until. Choose from: "split", "preprocess"' in ended.error
    assert_fails(cli("study", "run", tmp_path / "absent.yaml"), tmp_path / "absent.yaml", "cannot be read")
    assert_fails(cli("study", "status", tmp_path / "absent"), tmp_path / "absent", "no study here")
    assert_fails(cli("study", "init", tmp_path / "absent"), tmp_path / "absent", "no such folder")
    assert_fails(cli("split", tmp_path / "absent"), tmp_path / "absent", "no such folder")
    assert not StudyFolder(study.parent / "study").splits.exists()


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--reference", "absent", "--prediction", "absent", "-o"),
        ("tune", "--reference", "absent", "--probability", "absent", "-o"),
        ("compare", "absent", "absent", "-o"),
        ("split", "absent", "-o"),
        ("predict", "absent", "-m", "absent", "-o"),
    ],
    ids=lambda command: command[0],
)
def test_an_output_that_is_a_folder_is_reported_before_anything_is_read(cli, tmp_path, command):
    assert_fails(cli(*command, tmp_path), f"{tmp_path}: is a folder; the name of a file to write is needed")
    file = tmp_path / "file"
    file.touch()
    assert_fails(cli(*command, file / "x.tsv"), f"{file}: is a file; a folder to write into is needed")


def test_an_output_folder_that_is_a_file_is_reported_before_anything_is_read(cli, tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert_fails(cli("segment", "absent", "-m", "absent", "-o", file), f"{file}: is a file; a folder to write into")


def test_simulating_with_no_process_at_all(cli, tmp_path):
    assert_fails(cli("simulate", tmp_path / "o", "--jobs", "0"), "0 processes were requested; at least 1 is needed")
    assert not (tmp_path / "o").exists()


def test_nnunets_splits_bring_their_own_folds(cli, tmp_path):
    ended = cli("split", "absent", "-o", tmp_path / "s.tsv", "--nnunet", "splits.json", "--folds", "3")
    assert_fails(ended, "splits.json: has its own folds, and 3 were asked for")


def test_a_run_that_is_not_in_the_study(cli, tmp_path):
    study = make_cohort(tmp_path)
    assert_fails(cli("train", study, "--run", "foo", "-q"), "'foo' is no run of this study", "Mend the option --run")


def test_a_folder_in_place_of_nnunets_splits(cli, tmp_path):
    make_cohort(tmp_path / "cohort")
    ended = cli("split", tmp_path / "cohort", "-o", tmp_path / "s.tsv", "--nnunet", tmp_path, "-q")
    assert_fails(ended, tmp_path, "cannot be read (Is a directory)")


@pytest.mark.parametrize("reduced", ["{foo: 1}", "3"])
def test_an_output_folder_with_a_strange_configuration(cli, tmp_path, reduced):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.yaml").write_text(f"reduced: {reduced}\n")
    study = tmp_path / "study.yaml"
    study.write_text("name: x\ndataset: cohort\noutput: study\nlosses: [bce]\n")
    assert_fails(cli("study", "run", study, "-q"), tmp_path / "study" / "study.yaml", "none of this program's")
