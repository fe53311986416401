import importlib
import inspect
import os
import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import get_args

import pytest

from cordlesion import __version__
from cordlesion.cli.app import COMMANDS as TABLE
from cordlesion.execution.executors import EXECUTORS, ExecutorName
from cordlesion.io.tables import read_table
from cordlesion.metrics import RULES
from cordlesion.study_folder.stages import STAGES, StageName
from cordlesion.threshold import GRIDS, OBJECTIVES
from support.tiny import make_cohort

NAMES = [
    "demo",
    "simulate",
    "split",
    "export-split",
    "centerline",
    "preprocess",
    "train",
    "predict",
    "segment",
    "evaluate",
    "tune",
    "cut",
    "repeatability",
    "compare",
    "implant",
    "detectability",
    "report",
    "view",
    "plan",
]
GROUPS = ["study", "model", "export"]
COMMANDS = [
    *([name] for name in NAMES),
    *(["study", name] for name in ("init", "run", "status")),
    *(["model", name] for name in ("info", "export", "import-sct")),
    *(["export", name] for name in ("split", "nnunet")),
]
PANELS = (
    *("A study", "One scan", "Masks and maps of any tool", "What a method can detect", "Models and other programs"),
    "Options",
)
COMMANDS_AND_GROUPS = [tuple(names) for names in (*COMMANDS, *([group] for group in GROUPS))]
HEAVY = ("torch", "lightning", "monai", "matplotlib", "seaborn", "pandas", "scipy", "nibabel", "numpy", "pydantic")


def imported_by(code, *arguments):
    """The top-level modules that a fresh process has imported after ``code``."""
    report = "; import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    done = subprocess.run(
        [sys.executable, "-c", f"import sys{report}{code}", *arguments], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    assert imported_by("from cordlesion.cli.app import main; main()", *arguments).isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["run", "status"])
def test_help_of_a_study_imports_no_torch(command):
    assert "torch" not in imported_by("from cordlesion.cli.app import main; main()", "study", command, "--help")


@pytest.mark.parametrize("command", ["evaluate", "tune"])
def test_help_that_is_made_from_tables_imports_no_torch(cli, command):
    assert "torch" not in imported_by("from cordlesion.cli.app import main; main()", command, "--help")
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", cli(command, "--help").output).split())
    assert ", ".join(RULES) in text
    if command == "tune":
        assert all(f"{name} (" in text for name in OBJECTIVES)
        assert all(f"{name} (" in text for name in GRIDS)


def test_commands_are_listed_by_what_they_work_on(cli):
    listed = cli("--help").output
    places = [listed.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    assert "─ Commands ─" not in listed
    assert "export-split" not in listed


@pytest.mark.parametrize("command", [one for one in TABLE if one.function and one.text], ids=attrgetter("name"))
def test_the_list_of_commands_repeats_their_docstrings(command):
    module, _, name = command.function.partition(":")
    docstring = inspect.getdoc(getattr(importlib.import_module(f"cordlesion.cli.{module}"), name))
    description, *_ = docstring.partition("\n\nArgs:")
    assert [" ".join(part.split()) for part in description.split("\n\n")] == command.text.split("\n\n")


def test_every_command_is_tested_here():
    assert {*COMMANDS_AND_GROUPS} == {tuple(one.name.split()) for one in TABLE}


def test_choices_of_a_study_are_those_of_the_tables(cli):
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", cli("study", "run", "--help").output).split())
    assert f"[choices: {', '.join(stage.name for stage in STAGES)}]" in text
    assert f"[choices: {', '.join(EXECUTORS)}]" in text
    assert get_args(StageName) == tuple(stage.name for stage in STAGES)
    assert get_args(ExecutorName) == tuple(EXECUTORS)


def test_the_package_itself_imports_nothing_heavy():
    assert imported_by("import cordlesion").isdisjoint(HEAVY)


@pytest.mark.parametrize("command", [[], *COMMANDS, *([group] for group in GROUPS)], ids=" ".join)
def test_every_command_explains_itself(cli, command):
    ended = cli(*command, "--help")
    assert ended.status == 0
    assert ended.output.startswith("Usage: cordlesion " + " ".join(command))
    assert ended.error == ""


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_an_unknown_option_ends_with_status_2(cli, command):
    ended = cli(*command, "--surprise", "1")
    assert ended.status == 2
    assert "Error" in ended.error
    assert "Traceback" not in ended.error
    assert ended.output == ""


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["nonsense"], "nonsense"),
        (["segment"], "requires an argument"),
        (["segment", "a.nii", "-m", "b", "-o", "c", "--threshold", "high"], "high"),
        (["study", "run", "study.yaml", "--executor", "cloud"], "cloud"),
        (["simulate", "out", "--scans", "many"], "many"),
    ],
)
def test_wrong_arguments_end_with_status_2(cli, arguments, fault):
    ended = cli(*arguments)
    assert ended.status == 2
    assert fault in ended.error
    assert ended.output == ""


def test_the_version(cli):
    assert cli("--version").output.strip() == __version__


def test_the_module_and_the_script_are_the_same_command():
    done = subprocess.run(
        ["cordlesion", "--version"], capture_output=True, text=True, check=True, env=path_of_this_python()
    )
    assert done.stdout.strip() == __version__


def path_of_this_python():
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_split_init_preprocess_and_status_from_the_command_line(cli, tmp_path):
    study = make_cohort(tmp_path)
    ended = cli("split", tmp_path / "cohort", "-o", tmp_path / "splits.tsv", "--seed", "3", "--quiet")
    assert (ended.status, ended.output, ended.error) == (0, "", "")
    assert len(read_table(tmp_path / "splits.tsv")) == 14
    report = cli("split", tmp_path / "cohort", "-o", tmp_path / "again.tsv", "--seed", "3")
    assert "again.tsv: 14 scans of 14 subjects (train 5, validation 2, threshold 2, test 5)" in report.output
    exported = cli("export", "split", tmp_path / "splits.tsv", "-o", tmp_path / "splits_final.json")
    assert exported.output.startswith(f"{tmp_path / 'splits_final.json'}: train and val of 1 fold. Next: copy it into")
    printed = cli("study", "init", tmp_path / "cohort", "--no-estimate")
    assert printed.status == 0
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "study.yaml").write_text(printed.output)
    assert "# 14 scans of 14 subjects, 14 with a reference." in printed.output
    assert cli("study", "run", tmp_path / "own" / "study.yaml", "--until", "split", "-q").status == 0
    assert cli("preprocess", study, "-q").status == 0
    status = cli("study", "status", tmp_path / "study")
    assert status.status == 0
    states = {line.split()[0]: line.split()[-1] for line in status.output.splitlines()}
    assert (states["split"], states["preprocess"], states["train"], states["report"]) == (
        "done",
        "done",
        "left",
        "left",
    )


def test_an_interruption_is_reported_without_a_traceback(cli, monkeypatch, tmp_path):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cordlesion.study.run.run_study", interrupt)
    ended = cli("preprocess", make_cohort(tmp_path), "-q")
    assert ended.status == 130
    assert ended.error == "cordlesion: stopped; the same command continues from here.\n"
    monkeypatch.setattr("cordlesion.scan.segment.segment_files", interrupt)
    ended = cli("segment", "a.nii", "b.nii", "-m", "bundle", "-o", tmp_path, "-q")
    assert ended.error == "cordlesion: stopped; what is finished is kept, but the same command does it again.\n"
