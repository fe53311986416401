"""What becomes of work that fails, on this machine and on a cluster of stubs."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from cordlesion.config import ClusterConfig
from cordlesion.errors import CordlesionError
from cordlesion.execution import slurm
from cordlesion.execution.devices import Sharing, training_slots
from cordlesion.execution.jobs import Submission, await_earlier_jobs, jobs_folder, submissions
from cordlesion.execution.local import LOCAL, map_scans, stream_scans
from cordlesion.execution.side_by_side import map_side_by_side
from cordlesion.execution.slurm import LARGEST_ARRAY, ChunkWork, SlurmExecutor, chunked

ALONE = Sharing("auto", memory_gib=1)


@dataclass(frozen=True)
class Number:
    value: int

    @property
    def unit(self) -> str:
        return str(self.value)


NUMBERS = [Number(value) for value in range(4)]


def work(number):
    if number.value == 1:
        raise CordlesionError("one is no number")
    if number.value == 2:
        raise ZeroDivisionError("two")
    return number.value


def work_or_die(number):
    if number.value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return work(number), os.environ.get("CUDA_VISIBLE_DEVICES")


def test_trainings_that_fail_are_reported_and_the_others_done():
    outcomes = LOCAL.each_training(work, NUMBERS, ALONE)
    assert [outcome.result for outcome in outcomes] == [0, None, None, 3]
    assert outcomes[1].fault == "one is no number"
    assert outcomes[2].fault.endswith("ZeroDivisionError: two")


@pytest.mark.usefixtures("ready_processes")
def test_trainings_side_by_side_have_devices_of_their_own_and_die_alone():
    outcomes = map_side_by_side(work_or_die, NUMBERS, ["gpu-a"])
    assert outcomes[0].result == (0, "gpu-a")
    assert outcomes[1].fault == "one is no number"
    assert outcomes[2].fault.endswith("ZeroDivisionError: two")
    assert "-9" in outcomes[3].fault


@pytest.fixture
def nvidia(tmp_path, monkeypatch):
    """Two GPUs of 20 and 6 GiB, and eight processors."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU-a, 20480'\necho 'GPU-b, 6144'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("cordlesion.execution.devices.version", lambda _: "2.13.0")
    monkeypatch.setattr("cordlesion.execution.devices.available_processors", lambda: 8)


@pytest.mark.parametrize(
    ("sharing", "slots"),
    [
        (Sharing("auto", memory_gib=5), ["GPU-a", "GPU-b", "GPU-a"]),
        (Sharing("auto", memory_gib=50), ["GPU-a", "GPU-b"]),
        (Sharing(2, memory_gib=50), ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]),
        (Sharing(2, memory_gib=5, devices_per_run=2), [None]),
    ],
)
@pytest.mark.usefixtures("nvidia")
def test_gpus_are_shared_as_memory_and_processors_allow(sharing, slots):
    assert training_slots(sharing) == slots


def test_processors_are_shared_only_when_asked(monkeypatch):
    monkeypatch.setattr("cordlesion.execution.devices.find_gpus", list)
    assert training_slots(Sharing("auto", 1)) == [None]
    assert training_slots(Sharing(3, 1)) == [None] * 3


@pytest.mark.parametrize(("count", "size", "chunks"), [(0, 5, 0), (7, 3, 3), (5000, 2, LARGEST_ARRAY)])
def test_chunks_hold_everything_in_order_and_fit_into_an_array(count, size, chunks):
    cut = chunked(list(range(count)), size)
    assert [item for chunk in cut for item in chunk] == list(range(count))
    assert len(cut) == chunks


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster without a queue, whose jobs do their work when they are submitted; the one with 3 in it is lost."""

    def submit(_executor, work, chunks, *_):
        return [Job(tmp_path, f"7_{k}", work, chunk) for k, chunk in enumerate(chunks)]

    monkeypatch.setattr(slurm, "queue", dict)
    monkeypatch.setattr(slurm, "LOST_AFTER_S", 0.0)
    monkeypatch.setattr(SlurmExecutor, "_submit", submit)
    return SlurmExecutor(tmp_path, ClusterConfig(scans_per_job=2))


class Job:
    def __init__(self, folder: Path, job_id: str, work: ChunkWork, chunk: list[Number]):
        self.job_id = job_id
        names = ("submitted_pickle", "result_pickle", "stderr", "stdout")
        self.paths = SimpleNamespace(**{name: folder / f"{job_id}.{name}" for name in names})
        self.paths.stderr.write_text("slurmstepd: error: out of memory\n")
        if Number(3) not in chunk:
            self.result = lambda: work(chunk)
            self.paths.result_pickle.touch()


def test_a_lost_job_is_reported_with_the_end_of_its_log_and_others_are_collected(cluster, tmp_path):
    outcomes = cluster.each_training(work, NUMBERS, ALONE)
    assert [outcome.result for outcome in outcomes] == [0, None, None, None]
    assert outcomes[1].fault == "one is no number"
    assert "7_3.stderr ends with:\n    slurmstepd: error: out of memory" in outcomes[3].fault
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("gpus", "sharing", "asked"),
    [
        (None, ALONE, [(1, 1)] * 4),
        (2, Sharing(2, memory_gib=1), [(2, 1)]),
        (None, Sharing("auto", memory_gib=1, devices_per_run=2), [(2, 1)] * 4),
        (0, Sharing("auto", memory_gib=1, devices_per_run=2, nodes_per_run=3), [(0, 3)] * 4),
    ],
)
def test_the_job_of_a_training_asks_for_its_machines_and_gpus(tmp_path, monkeypatch, gpus, sharing, asked):
    def array(_executor, _work, chunks, _stage, machines):
        submitted.extend([(machines.gpus, machines.nodes)] * len(chunks))
        return []

    submitted = []
    monkeypatch.setattr(SlurmExecutor, "_array", array)
    SlurmExecutor(tmp_path, ClusterConfig(gpus=gpus)).each_training(work, NUMBERS, sharing)
    assert submitted == asked


def test_several_machines_for_a_training_are_refused_where_there_is_one():
    spread = Sharing("auto", memory_gib=1, nodes_per_run=2)
    assert LOCAL.each_training(work, [], spread) == []
    with pytest.raises(CordlesionError, match=r"asks for 2 machines .* Use --executor slurm"):
        LOCAL.each_training(work, NUMBERS, spread)


def test_each_machine_of_a_training_does_the_work_and_its_log_states_what_went_wrong(capsys):
    outcomes = slurm._Trainings(Sharing("auto", memory_gib=1, nodes_per_run=2))(work, NUMBERS[:2])
    assert [outcome.result for outcome in outcomes] == [0, None]
    assert "one is no number" in capsys.readouterr().err


def test_a_lost_job_is_no_fault_of_its_scans(cluster):
    with pytest.raises(CordlesionError, match=r"job 7_1 ended without a result"):
        cluster.each_scan(lambda number: number.value, NUMBERS, "cut stacks")


def test_jobs_of_an_earlier_command_are_waited_for(tmp_path, monkeypatch):
    submission = Submission(jobs_folder(tmp_path) / "7.json", "train", {"7_0": ["a"], "7_1": ["b"]})
    submission.write()
    assert submissions(tmp_path) == [submission]
    queued = [{"7_1": "running"}, {"7_1": "running", "8": "running"}, {"8": "running"}]
    assert submission.states(queued[0]) == {"a": "ended", "b": "running"}
    monkeypatch.setattr("cordlesion.execution.jobs.queue", lambda: queued.pop(0))
    await_earlier_jobs(tmp_path)
    assert not queued
    assert submissions(tmp_path) == []


def test_a_study_with_jobs_is_refused_where_nobody_knows_of_them(tmp_path, monkeypatch):
    Submission(jobs_folder(tmp_path) / "7.json", "train", {"7_0": ["a"]}).write()
    monkeypatch.setattr("cordlesion.execution.jobs.queue", lambda: None)
    with pytest.raises(CordlesionError, match=r"remove 7\.json there"):
        await_earlier_jobs(tmp_path)


def test_threads_that_share_the_interpreter_take_short_turns() -> None:
    before = sys.getswitchinterval()
    (during,) = {one.result for one in map_scans(lambda _: sys.getswitchinterval(), range(4), "")}
    assert during is not None
    assert during == pytest.approx(before / 10)
    assert sys.getswitchinterval() == before
    assert list(stream_scans(lambda _: sys.getswitchinterval(), range(2), "")) == pytest.approx([before / 10] * 2)
