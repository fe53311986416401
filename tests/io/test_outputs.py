"""No command overwrites its inputs; all commands with an output are tested."""

import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cordlesion.cli.app import app
from cordlesion.errors import CordlesionError
from cordlesion.io.outputs import check_output_file, portable_path
from cordlesion.io.writing import atomic_path
from cordlesion.model.bundle import save_bundle
from support.images import box, noise, write_image
from support.models import untrained_bundle
from support.tiny import make_cohort

OUTPUTS = {"output", "onnx", "monai_bundle", "figures", "qc"}
"""Parameters that name an output."""


def commands(group=app, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield every command with its output parameters."""
    for name in group:
        if name.startswith("-"):
            continue
        command = group[name]
        if command.default_command is not None:
            yield (*names, name), OUTPUTS & set(inspect.signature(command.default_command).parameters)
        yield from commands(command, (*names, name))


@pytest.fixture
def place(tmp_path):
    """Create all inputs of commands."""
    make_cohort(tmp_path)
    save_bundle(tmp_path / "model", untrained_bundle())
    for name in ("scan", "sub-01_label-lesion_mask", "maps/sub-01_probseg", "images/sub-01_T2w"):
        write_image(tmp_path / f"{name}.nii.gz", noise() / 200)
    for name in ("cord", "masks/sub-01_label-lesion_seg", "predicted/sub-01_label-lesion_seg"):
        write_image(tmp_path / f"{name}.nii.gz", box((8, 16), (8, 16), (2, 38)))
    for name in ("first.tsv", "second.tsv", "splits.tsv"):
        (tmp_path / name).write_text("scan_id\tsubject\n")
    for name in ("splits_final.json", "cohort/dataset_description.json"):
        (tmp_path / name).write_text(json.dumps([{"train": [], "val": []}]))
    (tmp_path / "t2_ctr.h5").write_text("a network")
    return tmp_path


REFUSED: dict[tuple[str, ...], list[tuple[str, tuple[str, ...]]]] = {
    ("split",): [
        (
            "split cohort --nnunet splits_final.json -o",
            ("splits_final.json", "cohort/participants.tsv", "cohort/dataset_description.json"),
        ),
        ("split cohort -o", ("cohort/sub-01/anat/sub-01_T2w.nii.gz",)),
    ],
    ("centerline",): [("centerline scan.nii.gz --source t2_ctr.h5 --overwrite -o", ("scan.nii.gz", "t2_ctr.h5"))],
    ("predict",): [
        ("predict scan.nii.gz -m model --cord-mask cord.nii.gz -o", ("scan.nii.gz", "cord.nii.gz", "model/model.json")),
        ("predict scan.nii.gz -m model --centerline-source t2_ctr.h5 -o", ("t2_ctr.h5", "model/model.safetensors")),
    ],
    ("segment",): [("segment sub-01_label-lesion_mask.nii.gz -m model --cord-mask cord.nii.gz -q -o", (".",))],
    ("evaluate",): [
        (
            "evaluate --reference masks --prediction predicted --images images --figures figures -o",
            (
                "masks/sub-01_label-lesion_seg.nii.gz",
                "predicted/sub-01_label-lesion_seg.nii.gz",
                "images/sub-01_T2w.nii.gz",
            ),
        ),
        ("evaluate --reference cord.nii.gz --prediction scan.nii.gz -o", ("cord.nii.gz", "scan.nii.gz")),
    ],
    ("tune",): [
        (
            "tune --reference masks --probability maps -o",
            ("masks/sub-01_label-lesion_seg.nii.gz", "maps/sub-01_probseg.nii.gz"),
        ),
        ("tune --reference cord.nii.gz --probability scan.nii.gz -o", ("cord.nii.gz", "scan.nii.gz")),
    ],
    ("cut",): [("cut --probability maps --threshold 0.5 --names same -o", ("maps",))],
    ("repeatability",): [
        ("repeatability predicted --pairs first.tsv -o", ("predicted/sub-01_label-lesion_seg.nii.gz", "first.tsv"))
    ],
    ("plan",): [("plan splits_final.json --save-components", ("splits_final.json",))],
    ("compare",): [("compare first.tsv second.tsv -o", ("first.tsv", "second.tsv"))],
    ("export", "split"): [("export split splits.tsv -o", ("splits.tsv",))],
    ("export-split",): [("export-split splits.tsv -o", ("splits.tsv",))],
    ("model", "export"): [
        ("model export model --onnx", ("model/model.safetensors", "model/model.json")),
    ],
}
"""By command: calls without the value of the output option, and the inputs that are used as its value."""
NEW_FOLDER_ONLY = {
    ("export", "nnunet"): "export nnunet cohort -o cohort",
    ("model", "import-sct"): "model import-sct t2_ctr.h5 model",
    ("model", "export"): "model export model --monai-bundle model",
    ("simulate",): "simulate cohort",
    ("implant",): "implant scan.nii.gz --cord-mask cord.nii.gz -o masks",
    ("detectability",): "detectability cohort --probability maps -o maps",
}
"""Commands that write a new folder, called with an existing folder of the user."""


def test_every_command_with_an_output_is_tested():
    with_outputs = {names for names, outputs in commands() if outputs}
    assert len(with_outputs) > 10
    # The demo reads nothing but what it makes itself.
    assert with_outputs - {("demo",)} == REFUSED.keys() | NEW_FOLDER_ONLY.keys()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("call", "target"), [(call, target) for calls in REFUSED.values() for call, targets in calls for target in targets]
)
def test_an_input_is_never_overwritten(cli, place, monkeypatch, call, target):
    monkeypatch.chdir(place)
    before = contents(place)
    ended = cli(*call.split(), target)
    assert ended.status == 2
    assert "would be overwritten" in ended.error
    assert ended.error.count("\n") == 1
    assert contents(place) == before


@pytest.mark.parametrize("call", NEW_FOLDER_ONLY.values())
def test_a_folder_of_the_user_is_not_changed(cli, place, monkeypatch, call):
    monkeypatch.chdir(place)
    before = contents(place)
    assert cli(*call.split()).status == 2
    assert contents(place) == before


def test_an_input_is_recognised_by_other_names(cli, place):
    (place / "link.tsv").symlink_to(place / "first.tsv")
    (place / "hard.tsv").hardlink_to(place / "first.tsv")
    for name in ("link.tsv", "hard.tsv", "maps/../first.tsv"):
        ended = cli("compare", place / "first.tsv", place / "second.tsv", "-o", place / name)
        assert "would be overwritten" in ended.error


def test_a_device_or_pipe_is_never_replaced(cli, place):
    os.mkfifo(place / "pipe.tsv")
    ended = cli("compare", place / "first.tsv", place / "second.tsv", "-o", place / "pipe.tsv")
    assert (ended.status, "is a device, pipe or socket" in ended.error) == (2, True)
    with pytest.raises(CordlesionError, match="is a device"), atomic_path(place / "pipe.tsv"):
        pass
    assert (place / "pipe.tsv").is_fifo()


def test_a_table_of_an_earlier_call_is_replaced(cli, place):
    call = ("evaluate", "--reference", place / "masks", "--prediction", place / "predicted", "-q")
    for _ in range(2):
        assert cli(*call, "-o", place / "predicted" / "metrics.tsv").status == 0


def test_an_output_that_is_an_input_is_refused(tmp_path):
    scan, link = tmp_path / "scan.nii.gz", tmp_path / "same.nii.gz"
    scan.write_text("a scan")
    link.symlink_to(scan)
    for output in (scan, link):
        with pytest.raises(CordlesionError, match=r"is the file that is read, and would be overwritten"):
            check_output_file(output, None, scan)
    assert check_output_file(tmp_path / "new.nii.gz", scan, None) == tmp_path / "new.nii.gz"


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("/data/study/runs/a", "/data/study", "runs/a"),
        ("/data/models/a", "/data/study/out", "../../models/a"),
        ("/data/study", "/data/study", "."),
        ("/models/a", "/data/study", "a"),
    ],
)
def test_a_path_that_is_passed_on_does_not_name_the_machine(path, folder, expected):
    assert portable_path(Path(path), Path(folder)) == expected
