"""Every folder of small inputs that went wrong once is walked by a test."""

import os
from pathlib import Path

import pytest

from support.forked import run_forked
from support.tiny import make_cohort

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("kind", ["io", "metrics"])
def test_no_folder_is_forgotten(shared, kind):
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    folders = sorted(path.name for path in shared("cases", kind).iterdir() if path.is_dir())
    assert folders
    assert [name for name in folders if name not in sources] == []


def test_no_kind_of_folder_is_forgotten(shared):
    assert sorted(path.name for path in shared("cases").iterdir() if path.is_dir()) == ["io", "metrics"]


@pytest.mark.parametrize("code", ["ENOSYS", "EOPNOTSUPP"])
def test_a_study_runs_on_a_file_system_without_locks(shared, tmp_path, code):
    study = make_cohort(tmp_path)
    paths = [shared("cases", "io", "10_no_locks"), TESTS.parent / "src"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "NOLOCK": code, "COLUMNS": "500"}
    # Python imports sitecustomize when it starts, and a fork has started already.
    program = "import sitecustomize, sys; from cordlesion.cli.app import main; sys.argv[0] = 'cordlesion'; main()"
    ended = run_forked("-c", program, "study", "run", study, "--until", "split", variables=environment)
    assert ended.returncode == 0, ended.stderr
    assert "its file system has no locks" in ended.stdout
    assert (tmp_path / "study/splits.tsv").is_file()
