"""Which machine of a training this is, as SLURM's variables tell it."""

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.training.nodes import ALONE, this_node

JOB = {
    "SUBMITIT_EXECUTOR": "slurm",
    "SLURM_JOB_ID": "812",
    "SLURM_JOB_NUM_NODES": "3",
    "SLURM_JOB_NODELIST": "gpu[07-08],old1",
    "SLURM_NTASKS": "3",
}


def as_task(monkeypatch, number):
    for name, value in (JOB | {"SLURM_PROCID": str(number), "SLURM_NODEID": str(number)}).items():
        monkeypatch.setenv(name, value)


def test_the_machines_of_a_job_are_numbered_and_know_where_the_first_one_is(monkeypatch):
    monkeypatch.delenv("MASTER_PORT", raising=False)
    nodes = []
    for number in range(3):
        as_task(monkeypatch, number)
        nodes.append(this_node(3))
    assert [node.number for node in nodes] == [0, 1, 2]
    assert [node.is_first for node in nodes] == [True, False, False]
    ((address, port),) = {(node.address, node.port) for node in nodes}
    assert address == "gpu07"
    assert port > 1023


def test_a_training_of_one_machine_does_not_ask_slurm(monkeypatch):
    as_task(monkeypatch, 2)
    assert this_node(1) == ALONE


def test_another_number_of_tasks_is_refused(monkeypatch):
    as_task(monkeypatch, 0)
    with pytest.raises(CordlesionError, match="asks for 2 machines per training, but this job has 3 tasks"):
        this_node(2)


def test_several_machines_without_a_job_are_refused(monkeypatch):
    monkeypatch.delenv("SUBMITIT_EXECUTOR", raising=False)
    with pytest.raises(CordlesionError, match=r"no job of SLURM\. Use --executor slurm"):
        this_node(2)
