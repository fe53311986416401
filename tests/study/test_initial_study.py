"""`study init` on the trees that people have: one command to a study that runs, or a sentence with the option."""

import json
import re
import shlex
import shutil

import nibabel as nib
import numpy as np
import pytest

from cordlesion.config import builtin_study, read_study
from cordlesion.dataset.bids import find_scans
from cordlesion.io.tables import read_table
from cordlesion.simulate import simulate_cohort
from support.tiny import write_scan

PEOPLE = [f"P{n:02d}" for n in range(1, 9)]
VENDORS = ("SIEMENS", "GE", "PHILIPS")
DEFAULT = '"*_T2w.nii.gz", "*_T2w.nii"'


def by_bids(image, reference, *others):
    files = [(image, "image"), (reference, "mask"), *others]
    return lambda _n, who: [(name.format(p=who), kind) for name, kind in files]


def dated(n, who):
    visit = f"{who}/2019-0{n}-14"
    return [(f"{visit}/T2_{VENDORS[n % 3]}.nii.gz", "image"), (f"{visit}/lesion.nii.gz", "mask")]


TREES = {
    # Public
    "spine-generic": by_bids(
        "sub-{p}/anat/sub-{p}_T2w.nii.gz", "derivatives/labels/sub-{p}/anat/sub-{p}_T2w_label-lesion_seg.nii.gz",
        ("sub-{p}/anat/sub-{p}_T1w.nii.gz", "image"),
        ("derivatives/data_preprocessed/sub-{p}/anat/sub-{p}_space-other_T2w.nii.gz", "image"),
        ("derivatives/labels/sub-{p}/anat/sub-{p}_space-other_T2w_label-SC_seg.nii.gz", "mask"),
    ),
    "MS-Multi-Spine": by_bids(
        "sub-{p}/anat/sub-{p}_T2w.nii.gz", "derivatives/labels/sub-{p}/anat/sub-{p}_T2w_label-lesion_seg.nii.gz",
        ("sub-{p}/anat/sub-{p}_STIR.nii.gz", "image"),
    ),
    "lesion-manual": by_bids(
        "sub-{p}/ses-1/anat/sub-{p}_ses-1_acq-sag_T2w.nii.gz",
        "derivatives/labels/sub-{p}/ses-1/anat/sub-{p}_ses-1_acq-sag_T2w_lesion-manual.nii.gz",
    ),
    "open_ms_data": by_bids(
        "patient{p}/patient{p}_T2W.nii.gz", "patient{p}/patient{p}_consensus_gt.nii.gz",
        ("patient{p}/patient{p}_FLAIR.nii.gz", "image"), ("patient{p}/patient{p}_brainmask.nii.gz", "mask"),
    ),
    # Private
    "masks beside images": by_bids(
        "sub-{p}/ses-M0/anat/sub-{p}_ses-M0_T2w.nii.gz", "sub-{p}/ses-M0/anat/sub-{p}_ses-M0_T2w_lesion.nii.gz"
    ),
    "images and labels": by_bids("images/{p}.nii.gz", "labels/{p}.nii.gz"),
    "a folder for each visit": dated,
    "T2 and les": by_bids("{p}_T2.nii.gz", "les/les_{p}.nii.gz", ("{p}_T1.nii.gz", "image")),
}  # fmt: skip


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Image and reference of eight small scans; the last one has no lesion."""
    folder = tmp_path_factory.mktemp("scans")
    for n, who in enumerate(PEOPLE):
        write_scan(folder, f"sub-{who}", seed=n, lesions=0 if n == 7 else 2)
    kinds = {"image": "", "mask": "derivatives/labels"}
    return {
        (who, kind): next((folder / place / f"sub-{who}/anat").glob("*T2w.nii.gz" if not place else "*lesion_seg*"))
        for who in PEOPLE
        for kind, place in kinds.items()
    }


@pytest.fixture
def tree(scans, tmp_path):
    def make(named, people=PEOPLE, root=tmp_path / "data"):
        for n, who in enumerate(people, 1):
            for name, kind in named(n, who):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(scans[who, kind], root / name)
        return root

    return make


def init_and_split(cli, folder, *options):
    """Run the two commands of the guide; returns what the first printed on stderr, and the split of the second."""
    printed = cli("study", "init", folder, *options, "--no-estimate")
    assert printed.status == 0, printed.error
    study = folder.parent / "study.yaml"
    study.write_text(printed.output)
    ran = cli("study", "run", study, "--until", "split", "-q")
    assert ran.status == 0, ran.error
    return printed.error, read_table(folder.parent / "study/splits.tsv")


@pytest.mark.parametrize("name", TREES)
def test_one_command_leads_to_a_running_study(tree, cli, name):
    said, splits = init_and_split(cli, tree(TREES[name]))
    assert len(splits) == splits["subject"].nunique() == 8
    assert sorted(splits["reference_volume_mm3"] > 0) == [False, *[True] * 7]
    assert "8 scans of 8 subjects, 8 with a reference" in said
    # Whoever is not named by sub- counts as a person, and that is said.
    assert ("count as 8 subjects" in said) == (not splits["subject"].str.startswith("sub-").all())


def test_what_was_recognised_by_names_is_said_and_written(tree, cli):
    folder = tree(TREES["T2 and les"])
    said, _ = init_and_split(cli, folder)
    assert "Scans are *_T2.nii.gz; references (manual lesion masks) are les_*.nii.gz" in said
    patterns = read_study(folder.parent / "study.yaml").patterns
    assert (patterns.image, patterns.reference) == (("*_T2.nii.gz",), ("les_*.nii.gz",))


def test_the_names_of_bids_need_no_patterns(tree, cli):
    assert "patterns:" not in cli("study", "init", tree(TREES["spine-generic"]), "--no-estimate").output


NNUNET = by_bids("imagesTr/{p}_0000.nii.gz", "labelsTr/{p}.nii.gz", ("imagesTr/{p}_0001.nii.gz", "image"))


def dataset_json(folder, channels, labels, **others):
    about = {"channel_names": channels, "labels": labels, "file_ending": ".nii.gz", **others}
    (folder / "dataset.json").write_text(json.dumps(about))


@pytest.mark.parametrize(("channels", "image"), [
    ({"0": "T2w", "1": "T1w"}, "imagesTr/*_0000.nii.gz"), ({"0": "FLAIR", "1": "T2"}, "imagesTr/*_0001.nii.gz")
])  # fmt: skip
def test_a_raw_dataset_of_nnunet_is_read_by_its_description(tree, cli, tmp_path, channels, image):
    raw = tree(NNUNET, root=tmp_path / "raw/Dataset501_Cord")
    dataset_json(raw, channels, {"background": 0, "cord": 2, "lesion": 1})
    said, splits = init_and_split(cli, tmp_path / "raw")
    assert sorted(splits["scan_id"]) == PEOPLE
    study = read_study(tmp_path / "study.yaml")
    assert (study.dataset, study.patterns.image, study.patterns.lesion_value) == (raw, (image,), 1)
    assert f"{raw}: a raw dataset of nnU-Net" in said


@pytest.mark.parametrize(
    ("about", "fault"),
    [
        ({"channels": {"0": "T1", "1": "FLAIR"}}, "channels 0000 T1, 0001 FLAIR; one is needed.*--image"),
        ({"labels": {"background": 0, "cord": 1, "x": 2}}, "labels cord 1, x 2; the one of lesions.*--lesion-value"),
        ({"file_ending": ".mha"}, "end in .mha; .nii.gz or .nii is needed"),
    ],
)  # fmt: skip
def test_what_nnunet_leaves_open_is_asked(tree, cli, about, fault):
    folder = tree(NNUNET, PEOPLE[:2])
    dataset_json(folder, **({"channels": {"0": "T2"}, "labels": {"background": 0, "lesion": 1}} | about))
    ended = cli("study", "init", folder, "--no-estimate")
    assert (ended.status, ended.output) == (2, "")
    assert re.search(fault, ended.error)


def test_two_datasets_of_nnunet_are_listed(tree, cli, tmp_path):
    for name in ("Dataset501_A", "Dataset502_B"):
        dataset_json(tree(NNUNET, PEOPLE[:1], tmp_path / "raw" / name), {"0": "T2"}, {"background": 0, "lesion": 1})
    assert "2 datasets of nnU-Net (Dataset501_A, Dataset502_B)" in cli("study", "init", tmp_path / "raw").error


def suggested(text):
    """Return the arguments of the last command in a message."""
    line = [line for line in text.splitlines() if "cordlesion study init" in line][-1]
    return shlex.split(line[line.index("study init") :], comments=True)


MSSEG = by_bids(
    "Center_01_Patient_{p}/Raw_Data/T2.nii.gz", "Center_01_Patient_{p}/Masks/Consensus.nii.gz",
    ("Center_01_Patient_{p}/Preprocessed_Data/T2_preprocessed.nii.gz", "image"),
    ("Center_01_Patient_{p}/Preprocessed_Data/FLAIR_preprocessed.nii.gz", "image"),
    ("Center_01_Patient_{p}/Masks/ManualSegmentation_1.nii.gz", "mask"),
    ("Center_01_Patient_{p}/Masks/Brain_Mask.nii.gz", "mask"),
)  # fmt: skip
RATERS = by_bids("{p}_T2.nii.gz", "{p}_T2_lesion_JD.nii.gz", ("{p}_T2_lesion_KM.nii.gz", "mask"))
FLAIR = by_bids("{p}_FLAIR.nii.gz", "{p}_lesion.nii.gz")


@pytest.mark.parametrize("named", [MSSEG, RATERS, FLAIR])
def test_where_a_person_must_choose_the_message_has_the_command_that_runs(tree, cli, named):
    """MSSEG 2016 has raw and preprocessed T2, two raters are two references, and FLAIR is not T2w."""
    folder = tree(named)
    ended = cli("study", "init", folder, "--no-estimate")
    assert (ended.status, ended.output) == (2, "")
    _, _, given, *options = suggested(ended.error)
    assert given == str(folder)
    _, splits = init_and_split(cli, folder, *options)
    assert len(splits) == 8


def test_no_reference_is_status_2_with_the_files_that_look_like_masks(tree, cli):
    """Forty masks that no name links to a scan: thirty are listed, the study is printed all the same."""
    folder = tree(by_bids("{p}_T2w.nii.gz", "masks/{p}0_lesion.nii.gz", *(
        (f"masks/{{p}}{k}_lesion.nii.gz", "mask") for k in range(1, 5)
    )))  # fmt: skip
    ended = cli("study", "init", folder, "--no-estimate")
    assert ended.status == 2
    assert "8 scans, no reference" in ended.error
    assert "These 40 files look like masks" in ended.error
    assert ended.error.count("\n  masks/") == 30
    assert "... and 10 more" in ended.error
    assert "--reference" in ended.error
    assert "8 scans of 8 subjects, 0 with a reference" in ended.output


def test_a_folder_without_nifti_files_says_what_it_holds(cli, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/IM1.dcm").touch()
    ended = cli("study", "init", tmp_path / "data")
    assert ended.status == 2
    assert "holds no NIfTI file (.nii.gz, .nii), but 1 files with .dcm" in ended.error


TWO_VISITS = by_bids("{p}_a_T2.nii.gz", "{p}_a_les.nii.gz", ("{p}_b_T2.nii.gz", "image"), ("{p}_b_les.nii.gz", "mask"))


@pytest.fixture
def two_visits(tree):
    """Two scans of each person, which differ; their names show no person to this program."""
    folder = tree(TWO_VISITS)
    for path in folder.glob("*_b_T2.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), path)
    return folder


def test_a_pattern_names_the_subjects_and_is_proposed(two_visits, cli):
    said = cli("study", "init", two_visits, "--no-estimate").error
    assert "With --subjects '{subject}_*' there are 8 subjects instead of 16" in said
    said, splits = init_and_split(cli, two_visits, "--subjects", "{subject}_*")
    assert sorted(set(splits["subject"])) == PEOPLE
    assert splits.groupby("subject")["set"].nunique().max() == 1
    assert "count as" not in said


def test_a_table_names_the_subjects(two_visits, cli, tmp_path, monkeypatch):
    rows = [f"{who}_{visit}_T2\tperson{who[1:]}" for who in PEOPLE for visit in "ab"]
    (tmp_path / "who.tsv").write_text("\n".join(["scan\tparticipant_id", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    _, splits = init_and_split(cli, two_visits, "--subjects", "who.tsv")
    assert sorted(set(splits["subject"])) == [f"person{who[1:]}" for who in PEOPLE]


def test_a_scan_that_the_table_does_not_name_is_a_fault(two_visits, cli, tmp_path):
    (tmp_path / "who.tsv").write_text("scan\tparticipant_id\nP01_a_T2\t1\n")
    ended = cli("study", "init", two_visits, "--no-estimate", "--subjects", tmp_path / "who.tsv")
    assert ended.status == 2
    assert "who.tsv" in ended.error
    assert "P01_b_T2" in ended.error


def test_a_private_tree_of_simulated_scans_is_preprocessed(cli, tmp_path):
    """With the cord found by the detector: one command, no edit, no message but those of `init`."""
    simulate_cohort(tmp_path / "sim", scans=7, seed=2, domain="reduced")
    for n, scan in enumerate(find_scans(tmp_path / "sim")[0]):
        visit = tmp_path / f"data/pat{n}/2020-05-0{n + 1}_{VENDORS[n % 3]}"
        visit.mkdir(parents=True)
        shutil.copy(scan.image, visit / "t2_tse_sag.nii.gz")
        shutil.copy(scan.reference, visit / "t2_tse_sag_roi.nii.gz")
    study = tmp_path / "study.yaml"
    study.write_text(cli("study", "init", tmp_path / "data", "--no-estimate").output)
    assert cli("study", "run", study, "--until", "preprocess", "-q", "--allow-partial").status == 0
    assert len(list((tmp_path / "study/stacks").iterdir())) == 7


def test_the_start_of_a_study_is_the_papers(tree, cli):
    """Apart from names and the objective, nothing differs from the study in the package."""
    folder = tree(TREES["images and labels"])
    (folder.parent / "study.yaml").write_text(cli("study", "init", folder, "--no-estimate").output)
    study, paper = (read_study(path) for path in (folder.parent / "study.yaml", builtin_study("isbi2023")))
    changed = {key for key in type(study).model_fields if getattr(study, key) != getattr(paper, key)}
    assert changed == {"dataset", "output", "patterns", "threshold"}


def test_a_split_alone_recognises_the_same_names(tree, cli, tmp_path):
    table = tmp_path / "splits.tsv"
    assert cli("split", tree(TREES["images and labels"]), "-o", table).status == 0
    assert sorted(read_table(table)["scan_id"]) == PEOPLE


def test_masks_of_a_second_kind_are_reported_where_scans_lack_a_reference(tree, cli):
    """Half of the masks have another name than those of BIDS: their scans must not be left out without a word."""
    folder = tree(TREES["spine-generic"], PEOPLE[:5])
    tree(by_bids("sub-X{p}/anat/sub-X{p}_T2w.nii.gz", "sub-X{p}/anat/sub-X{p}_T2w_lesion.nii.gz"), PEOPLE[5:])
    ended = cli("study", "init", folder, "--no-estimate")
    assert ended.status == 0
    assert "3 scans have no reference (first: sub-XP06)" in ended.error
    assert "Not used: 3 files like sub-XP06/anat/sub-XP06_T2w_lesion.nii.gz" in ended.error


@pytest.mark.parametrize(
    ("name", "n_references"), [("space_and_desc", 1), ("raters_in_folders", 0), ("raters_desc", 0), ("dual_echo", 0)]
)
def test_public_trees_are_set_up_or_the_message_says_how(shared, cli, tmp_path, name, n_references):
    """Two raters: the message names the pattern of the first. The mask of a PD image: the file is listed."""
    for line in shared("cases", "io", "09_trees", f"{name}.txt").read_text().split():
        (tmp_path / line).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / line).touch()
    ended = cli("study", "init", tmp_path, "--no-estimate")
    assert (ended.status, ended.output != "") == (0 if n_references else 2, True)
    assert f"1 scans of 1 subjects, {n_references} with a reference" in ended.error
    if name.startswith("raters"):
        glob = re.search(r'reference: \["(.*?)"\]', ended.error)[1]
        assert cli("study", "init", tmp_path, "--no-estimate", "--reference", glob).status == 0
    if name == "dual_echo":
        assert "sub-01_ses-1_acq-sagCervTSE_PD_lesion-manual.nii.gz" in ended.error
        assert cli("study", "init", tmp_path, "--no-estimate", "--image", "*_PD.nii.gz").status == 0
