import errno
import gc
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash, fingerprint
from cordlesion.io.reading import read_json
from cordlesion.io.tables import write_table
from cordlesion.io.volume import Volume, write_volume
from cordlesion.io.writing import atomic_path, folder_lock, remove_partial_files, waiting_lock, write_json, write_text
from cordlesion.model.bundle import save_bundle
from cordlesion.preprocess.cord_stack import StackGeometry
from cordlesion.preprocess.stack_file import CordStack, write_stack
from support.images import AFFINE, noise
from support.models import untrained_bundle


def write_some_stack(path):
    starts = np.zeros(30, np.int64)
    geometry = StackGeometry((24, 24, 40), (1.0, 1.0, 1.0), (24, 24), 0, starts, starts)
    write_stack(path, CordStack(noise((24, 24, 30)), noise((24, 24, 30)) > 50, geometry))


WRITERS = {
    "text": (lambda path: write_text(path, "ä" * 9000), "a.txt"),
    "JSON": (lambda path: write_json(path, list(range(9000))), "a.json"),
    "table": (lambda path: write_table(path, pd.DataFrame({"a": np.arange(9000.0)})), "a.tsv"),
    "volume": (lambda path: write_volume(path, noise(), Volume(noise(), AFFINE)), "a.nii"),
    "compressed volume": (lambda path: write_volume(path, noise(), Volume(noise(), AFFINE)), "a.nii.gz"),
    "stack": (write_some_stack, "a.safetensors"),
    "bundle": (lambda path: save_bundle(path.parent, untrained_bundle()), "model.safetensors"),
}
"""Everything that writes files -> (writer, name of the file)."""

# nibabel leaves a file open whose writing failed.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
writers = pytest.mark.parametrize(("write", "name"), WRITERS.values(), ids=WRITERS)


def small_disk(function, limit):
    """Run ``function`` where no file can grow beyond ``limit`` bytes: real writes fail half-way, as on a full disk."""
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        function()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
        gc.collect()


@writers
def test_a_full_disk_gets_a_sentence_and_leaves_nothing(tmp_path, write, name):
    with pytest.raises(CordlesionError, match=r"cannot be written \(File too large\)") as error:
        small_disk(lambda: write(tmp_path / name), 3000)
    assert str(tmp_path / name) in str(error.value)
    assert not list(tmp_path.iterdir())


@writers
def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, write, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(CordlesionError):
        small_disk(lambda: write(tmp_path / name), 3000)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "precious")]


@writers
def test_a_read_only_folder_gets_a_sentence(tmp_path, write, name, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(CordlesionError, match="Read-only file system"):
        write(tmp_path / name)


@writers
def test_a_file_in_place_of_the_folder_gets_a_sentence(tmp_path, write, name):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(CordlesionError, match="cannot be written"):
        write(tmp_path / "folder" / name)


@writers
def test_files_are_replaced_whole_and_readable_like_any_other(tmp_path, write, name):
    (tmp_path / name).write_text("old")
    write(tmp_path / name)
    plain = tmp_path / "plain"
    plain.touch()
    assert (tmp_path / name).stat().st_mode == plain.stat().st_mode
    assert (tmp_path / name).read_bytes()[:3] != b"old"
    assert not list(tmp_path.glob(".part*"))


def test_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_an_interrupted_writer_leaves_nothing(tmp_path, interruption):
    def write():
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise interruption

    with pytest.raises(interruption):
        write()
    assert not list(tmp_path.iterdir())


def test_the_temporary_file_has_the_suffixes_of_the_target(tmp_path):
    with atomic_path(tmp_path / "a.nii.gz") as temporary:
        assert temporary.name.endswith("a.nii.gz")
        assert temporary.parent == tmp_path
        nib.save(nib.Nifti1Image(noise(), AFFINE), temporary)
    assert (tmp_path / "a.nii.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_files_respect_the_umask(tmp_path):
    previous = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_json_round_trip_and_refusal_of_nan(tmp_path):
    value = {"name": "Müller", "values": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_damaged_json_gets_a_sentence(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(CordlesionError, match=r"a\.json: not a JSON file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(CordlesionError, match="No such file"):
        read_json(tmp_path / "b.json")


def test_a_second_holder_of_a_folder_is_refused_and_the_lock_dies_with_its_process(tmp_path):
    code = """
import sys, time
from pathlib import Path
from cordlesion.io.writing import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(CordlesionError, match="another cordlesion process works in this folder"),
            folder_lock(tmp_path),
        ):
            pass
        holder.kill()
        holder.wait()
        with folder_lock(tmp_path):
            pass


def test_a_lock_for_moments_is_waited_for(tmp_path):
    code = """
import sys, time
from pathlib import Path
from cordlesion.io.writing import waiting_lock
folder = Path(sys.argv[1])
with waiting_lock(folder / ".lock"):
    print("held", flush=True)
    time.sleep(0.3)
    (folder / "done").touch()
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with waiting_lock(tmp_path / ".lock"):
            assert (tmp_path / "done").is_file()


def test_a_file_system_without_locks_stops_nobody(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("cordlesion.io.writing.fcntl.flock", refuse)
    with waiting_lock(tmp_path / "new" / ".lock"):
        assert (tmp_path / "new").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(CordlesionError, match="cannot be written"), waiting_lock(tmp_path / "file" / ".lock"):
        pass


def test_other_inputs_have_other_fingerprints():
    marks = [fingerprint("map", *parts) for parts in ((1, 2), (2, 1), ({"a": 1},), ({"a": 2},), ("1", 2), ((1, 2),))]
    assert len(set(marks)) == len(marks)
    assert fingerprint("map", {"a": 1, "b": Path("x")}) == fingerprint("map", {"b": Path("x"), "a": 1})


def test_file_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_partial_files_are_removed_wherever_they_are_and_nothing_else(tmp_path):
    kept = [tmp_path / "a" / name for name in ("map.json", ".part-of-my-work", ".part-1-mine")]
    partial = tmp_path / "a" / "b" / ".part-k3_x9w0a-map.json"
    partial.parent.mkdir(parents=True)
    for path in (*kept, partial):
        path.touch()
    remove_partial_files(tmp_path)
    assert all(path.exists() for path in kept)
    assert not partial.exists()
