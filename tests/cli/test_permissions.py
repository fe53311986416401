"""What may not be read is named in one sentence, and an unreadable scan does not stop a study."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cordlesion.model.bundle import save_bundle
from support.images import box, noise, write_image
from support.models import untrained_bundle
from support.tiny import make_cohort

WITHOUT_RIGHTS = """\
import contextlib, ctypes, io, json, sys
from pathlib import Path
# The superuser may read everything by a capability, which this process gives up (Linux: capset).
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
from cordlesion.cli.app import main

def ended(call, name):
    mode, printed = Path(name).stat().st_mode, io.StringIO()
    Path(name).chmod(0)
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(io.StringIO()):
            main(call.split())
    except SystemExit as error:
        return [error.code, printed.getvalue()]
    finally:
        Path(name).chmod(mode)

print(json.dumps([ended(*each) for each in json.loads(sys.argv[1])]))
"""
_SEGMENT = "segment scan.nii.gz -m model -o out --cord-mask cord.nii.gz -q"
_DENIED = "(Permission denied)"
COMMANDS = {
    "a scan": (
        _SEGMENT,
        "scan.nii.gz",
        _DENIED,
    ),
    "a cord mask": (
        _SEGMENT,
        "cord.nii.gz",
        _DENIED,
    ),
    "a card": ("model info model", "model/model.json", _DENIED),
    "weights": (
        _SEGMENT,
        "model/model.safetensors",
        _DENIED,
    ),
    "a folder of a model": ("model info model", "model", _DENIED),
    "a table": ("compare first.tsv first.tsv", "first.tsv", _DENIED),
    "a study": ("study status study", "study/study.yaml", _DENIED),
    "a folder of a study": ("study status study", "study", "may not be read"),
    "participants": ("split cohort -o splits.tsv -q", "cohort/participants.tsv", _DENIED),
    "a file of YAML": ("study run study.yaml -q --until split", "study.yaml", _DENIED),
    "a split of nnU-Net": (
        "split cohort --nnunet splits_final.json -o splits.tsv -q",
        "splits_final.json",
        _DENIED,
    ),
    "a reference": (
        "evaluate --reference cord.nii.gz --prediction scan.nii.gz -o out/m.tsv",
        "cord.nii.gz",
        _DENIED,
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    make_cohort(folder)
    save_bundle(folder / "model", untrained_bundle())
    write_image(folder / "scan.nii.gz", noise())
    write_image(folder / "cord.nii.gz", box((8, 16), (8, 16), (2, 38)))
    (folder / "study").mkdir()
    for name in ("first.tsv", "splits_final.json", "study/study.yaml"):
        (folder / name).write_text((folder / "study.yaml").read_text())
    return folder


@pytest.fixture(scope="module")
def ended(place):
    """How each command ended, by its name; all in one process, which has no more rights than anybody."""
    program = [sys.executable, "-c", WITHOUT_RIGHTS, json.dumps([each[:2] for each in COMMANDS.values()])]
    done = subprocess.run(program, cwd=place, capture_output=True, text=True, check=True)
    return dict(zip(COMMANDS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_what_may_not_be_read_gets_a_sentence(ended, command):
    status, printed = ended[command]
    _, name, fault = COMMANDS[command]
    assert status == 2
    assert printed.startswith("cordlesion: ")
    assert printed.count("\n") == 1
    assert name in printed
    assert fault in printed


def test_an_unreadable_scan_is_listed_and_the_others_are_used(cli, tmp_path, monkeypatch):
    study = make_cohort(tmp_path)
    opened = Path.open

    def refuse(path, *args, **options):
        if path.name == "sub-03_T2w.nii.gz":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    ended = cli("study", "run", study, "--until", "split", "-q")
    assert ended.status == 2
    assert ended.error.startswith("cordlesion: left out: ")
    assert "sub-03_T2w.nii.gz: cannot be read (Permission denied)" in ended.error
    assert ended.error.count("\n") == 1
    assert "sub-03" not in (tmp_path / "study" / "splits.tsv").read_text()
    assert "sub-04" in (tmp_path / "study" / "splits.tsv").read_text()
