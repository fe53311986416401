"""A study on a real SLURM of two nodes, and the message where there is none."""

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from cordlesion.config import read_study
from cordlesion.execution import slurm as slurm_executor
from cordlesion.execution.jobs import queue, submissions
from cordlesion.study.run import run_study
from cordlesion.study.status import study_status
from cordlesion.study_folder.folder import StudyFolder
from support.slurm_cluster import slurm, why_not
from support.tiny import make_cohort

CLUSTER = "cluster: {gpus: 0, cpus: 1, memory_gb: 1, scans_per_job: 8}\n"
FEW_JOBS = CLUSTER.replace("8", "20")  # one for all scans: each imports torch, and trainings are two all the same


@pytest.fixture(scope="module")
def cluster():
    if reason := why_not():
        pytest.skip(reason)
    with slurm() as variables, pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        yield


def wait_for(found, seconds=120):
    start = time.monotonic()
    while not (value := found()):
        assert time.monotonic() - start < seconds
        time.sleep(0.05)
    return value


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_study_whose_trainings_are_taken_off_the_cluster_ends_with_the_same_bytes(tmp_path):
    """One training gets the signal of a time limit; the other is requeued without a signal."""
    file = make_cohort(tmp_path)
    file.write_text(file.read_text().replace("epochs: 3", "epochs: 30") + FEW_JOBS)
    run_study(read_study(file), until="evaluate")
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/cohort").symlink_to(tmp_path / "cohort")
    on_cluster = Path(shutil.copy(file, tmp_path / "slurm"))
    folder = StudyFolder(tmp_path / "slurm/study")
    with ThreadPoolExecutor() as pool:
        signalled = pool.submit(interrupt, folder, "bce_seed-0", ["scancel", "--signal=USR2"])
        requeued = pool.submit(interrupt, folder, "tversky_seed-0", ["scontrol", "requeue"])
        run_study(read_study(on_cluster), until="evaluate", executor="slurm")
    assert signalled.result() == requeued.result() == "running"
    logs = "".join(path.read_text() for path in (folder.root / "jobs").glob("*_log.out"))
    assert logs.count("this job is preempted") == 1
    for name in ("splits.tsv", "sweep.tsv", "thresholds.tsv", "evaluation.tsv"):
        assert (folder.root / name).read_bytes() == (tmp_path / "study" / name).read_bytes()
    # A training that is done before it is taken off starts again all the same, and leaves its result once more.
    wait_for(lambda: queue() == {})
    run_study(read_study(on_cluster), until="evaluate", executor="slurm")
    assert not list((folder.root / "jobs").glob("*.json"))
    assert not list((folder.root / "jobs").glob("*.pkl"))
    assert not [row for row in study_status(folder.root) if row[0] == "cluster"]


def interrupt(folder, run, command):
    """Take a training off the node once it has left a checkpoint; returns its status before."""
    wait_for(lambda: list(folder.run(run).glob("checkpoint-*.ckpt")))
    ((job,),) = [[job for job, units in one.units.items() if units == [run]] for one in submissions(folder.root)]
    state = {unit: state for stage, unit, state in study_status(folder.root) if stage == "train"}[run]
    subprocess.run([*command, job], check=True)
    return state


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_two_nodes_train_the_network_that_one_machine_would_also_when_taken_off_half_way(tmp_path):
    file = make_cohort(tmp_path)
    # Adadelta, because Adam makes whole steps of differences in the last digit.
    plan = "{epochs: 20, batch_size: 4, optimizer: adadelta, learning_rate: 0.1, precision: float32}"
    text = file.read_text().replace("{epochs: 3, batch_size: 4, learning_rate: 0.01}", plan)
    file.write_text(text.replace("[bce, tversky]", "[tversky]") + CLUSTER)
    run_study(read_study(file), until="train")
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/cohort").symlink_to(tmp_path / "cohort")
    on_cluster = Path(shutil.copy(file, tmp_path / "slurm"))
    on_cluster.write_text(file.read_text().replace("gpus: 0", "nodes: 2, gpus: 0"))
    run_study(read_study(on_cluster), until="preprocess")
    folder = StudyFolder(tmp_path / "slurm/study")
    with ThreadPoolExecutor() as pool:
        signalled = pool.submit(interrupt, folder, "tversky_seed-0", ["scancel", "--signal=USR2"])
        run_study(read_study(on_cluster), until="train", executor="slurm")
    assert signalled.result() == "running"
    alone, together = (StudyFolder(path / "study").run("tversky_seed-0") for path in (tmp_path, tmp_path / "slurm"))
    expected, found = (load_file(run / "bundle/model.safetensors") for run in (alone, together))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-3)
    histories = [pd.read_csv(run / "history.tsv", sep="\t").drop(columns="seconds") for run in (alone, together)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)
    logs = [path.read_text() for path in (folder.root / "jobs").glob("*_log.out")]
    assert sum("this job is preempted" in log for log in logs) == 2
    assert sum("global_rank=1(2)" in log for log in logs) == 1


@pytest.mark.usefixtures("cluster")
def test_what_sbatch_refuses_is_reported_in_its_words(tmp_path, cli):
    file = make_cohort(tmp_path)
    file.write_text(file.read_text() + "cluster: {gpus: 0, partition: nowhere}\n")
    ended = cli("study", "run", file, "--executor", "slurm", "-q")
    assert ended.status == 2
    assert "sbatch refused the jobs of 'cut stacks'" in ended.error
    assert "invalid partition specified: nowhere" in ended.error
    assert submissions(tmp_path / "study") == []


@pytest.mark.usefixtures("cluster")
def test_ctrl_c_leaves_the_jobs_and_the_same_command_waits_for_them(tmp_path, cli, monkeypatch):
    file = make_cohort(tmp_path)
    file.write_text(file.read_text() + CLUSTER)

    def stop(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(slurm_executor.Backoff, "wait", stop)
        ended = cli("study", "run", file, "--until", "preprocess", "--executor", "slurm")
    assert ended.status == 130
    assert "goes on without this command, and `scancel" in ended.output
    assert ("cluster", "cut stacks") in [row[:2] for row in study_status(tmp_path / "study")]
    ended = cli("study", "run", file, "--until", "preprocess")
    assert ended.status == 0
    assert "waiting for jobs of an earlier command" in ended.output
    assert "cut stacks" not in ended.output
    assert len(list((tmp_path / "study/stacks").iterdir())) == 14
    assert not list((tmp_path / "study/jobs").glob("*.pkl"))


def test_nothing_is_submitted_where_there_is_no_slurm(tmp_path, monkeypatch, cli):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    ended = cli("study", "run", make_cohort(tmp_path), "--executor", "slurm", "-q")
    assert ended.status == 2
    assert "sbatch is not found" in ended.error
    assert not (tmp_path / "study").exists()
