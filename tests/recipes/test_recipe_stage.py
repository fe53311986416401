"""CONTRIBUTING's recipe for a stage of a study, followed in a copy of the package."""

import pytest

from support.package_copy import PackageCopy
from support.tiny import make_cohort

FUNCTION = '''
"""How large the stacks of a study are (stage ``inventory``)."""

import pandas as pd

from cordlesion.io.tables import write_table
from cordlesion.study.sets import Study
from cordlesion.study.options import RunOptions


def list_stacks(study: Study, options: RunOptions) -> Study:
    """Write the size of each stack."""
    sizes = {name: study.folder.stack(name).stat().st_size for name in study.hashes}
    write_table(study.folder.table("inventory"), pd.DataFrame({"scan_id": list(sizes), "bytes": list(sizes.values())}))
    return study
'''
ROW = """\
    Stage("inventory", "cordlesion.study.inventory:list_stacks", "list the sizes of the stacks", ("inventory.tsv",)),
"""
TRAIN = '    Stage(\n        "train",\n'


@pytest.fixture
def package(tmp_path):
    copy = PackageCopy(tmp_path)
    copy.write("study/inventory.py", FUNCTION)
    copy.replace("study_folder/stages.py", TRAIN, ROW + TRAIN)
    copy.replace("study_folder/stages.py", '"train", "tune"', '"inventory", "train", "tune"')
    return copy


def states(package, study):
    done = package.run("study", "status", study.parent / "study")
    assert done.returncode == 0, done.stderr
    return [(line.split()[0], line.split()[-1]) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_stage_is_one_function_and_one_row(package, tmp_path):
    study, table = make_cohort(tmp_path), tmp_path / "study" / "inventory.tsv"
    assert "[choices: split, preprocess, inventory, train," in package.run("study", "run", "--help").stdout
    assert package.run("study", "run", study, "--until", "preprocess", "-q").returncode == 0
    assert ("inventory", "left") in states(package, study)
    done = package.run("study", "run", study, "--until", "inventory", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(table.read_text().splitlines()) == 15
    assert states(package, study)[:4] == [
        ("split", "done"),
        ("preprocess", "done"),
        ("inventory", "done"),
        ("train", "left"),
    ]
    study.write_text(study.read_text().replace("epochs: 3", "epochs: 2"))
    assert package.run("study", "run", study, "--until", "split", "-q").returncode == 0
    assert not table.exists()


@pytest.mark.slow
def test_the_suite_accepts_a_new_stage(package):
    advice = "from cordlesion.study_folder.stages import run_stage_of; print(run_stage_of('inventory.tsv'))"
    assert "stage `inventory`" in package.python("-c", advice).stdout
    done = package.test("tests/cli/test_cli.py", "tests/study/test_stages.py", "-k", "choices or stage")
    assert done.returncode == 0, done.stdout
