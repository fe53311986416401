"""Two processes on the CPU, as several GPUs would train one network."""

import os
import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cordlesion.config import LossConfig, TrainingConfig
from cordlesion.errors import CordlesionError
from cordlesion.model.hardware import Hardware
from cordlesion.training import fit, processes, workers
from cordlesion.training.nodes import Node
from cordlesion.training.patch_dataset import PatchDataset, PatchKey
from cordlesion.training.processes import Rank, describe_error, launch_workers
from cordlesion.training.shared_batch import (
    SharedBatchNorm3d,
    all_gather_batch,
    all_reduce_mean,
    convert_sync_batchnorm,
)
from support.trainings import run, stacks, weights

# Adadelta, because Adam makes whole steps of differences in the last digit. Of 12 patches, the last batch holds one.
PLAN = TrainingConfig(epochs=3, batch_size=11, optimizer="adadelta", learning_rate=0.5, precision="float32")


def test_two_processes_train_the_network_that_one_would_and_one_can_go_on_where_they_ended(tmp_path):
    def trained(name, **changes):
        plan = run(training=PLAN.model_copy(update=changes))
        return fit(plan, stacks(3), stacks(2, seed=1), tmp_path / f"{name}.ckpt")

    one, two = trained("one"), trained("two", devices=2)
    longer, resumed = trained("one", epochs=4), trained("two", epochs=4)
    for expected, found, epochs in ((one, two, 3), (longer, resumed, 4)):
        assert len(found.history) == epochs
        for a, b in zip(expected.history, found.history, strict=True):
            assert b["train_loss"] == pytest.approx(a["train_loss"], abs=1e-6)
            assert b["validation_loss"] == pytest.approx(a["validation_loss"], abs=1e-6)
        for name, value in weights(expected.network).items():
            np.testing.assert_allclose(weights(found.network)[name], value, atol=1e-5)
    assert not any(isinstance(layer, SharedBatchNorm3d) for layer in two.network.modules())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.ckpt", "two.ckpt"]
    assert not torch.distributed.is_initialized()


@given(st.integers(0, 20), st.integers(1, 9))
def test_the_parts_of_a_batch_are_the_batch_in_its_order(size, world_size):
    batch = [PatchKey(0, place) for place in range(size)]
    parts = [Rank(place, world_size).share(batch) for place in range(world_size)]
    assert [key for part in parts for key in part] == batch
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(1, 4), st.integers(1, 4))
def test_lightning_gets_the_ranks_of_a_training_on_several_machines(n_nodes, local_world_size):
    ranks = [
        Rank(place, local_world_size, Node(number, n_nodes, "n07", 29))
        for number, place in np.ndindex(n_nodes, local_world_size)
    ]
    assert [rank.rank for rank in ranks] == list(range(n_nodes * local_world_size))
    assert [rank.is_global_zero for rank in ranks] == [True] + [False] * (len(ranks) - 1)
    assert {rank.world_size for rank in ranks} == {len(ranks)}
    if len(ranks) > 1:
        environments = [rank.environment() for rank in ranks]
        assert [one.node_rank() * local_world_size + one.local_rank() for one in environments] == list(
            range(len(ranks))
        )
        assert {(one.main_address, one.main_port) for one in environments} == {("n07", 29)}
        assert all(one.creates_processes_externally for one in environments)


@pytest.mark.parametrize("reason", ["Connection closed by peer", "CUDA out of memory.\nTried to allocate 2 GiB"])
def test_a_machine_that_stops_says_why_but_not_while_its_job_is_ended(monkeypatch, reason):
    waited = []
    monkeypatch.setattr(processes.time, "sleep", waited.append)
    with pytest.raises(CordlesionError) as stop, launch_workers(1, Node(1, 3, "n07", 29), print):
        raise RuntimeError(reason)
    assert len(waited) == 1
    assert str(stop.value).startswith("machine 2 of the 3 of a training stopped")
    assert " ".join(reason.split()) in str(stop.value)


def test_machines_that_found_different_checkpoints_do_not_train(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[fit.__module__], "all_reduce_mean", lambda epoch: epoch + 0.5)
    with pytest.raises(CordlesionError, match="found different states"):
        fit(run(), stacks(1), stacks(1), tmp_path / "a.ckpt")
    assert not list(tmp_path.iterdir())


def test_an_empty_part_has_the_shape_of_patches():
    intensities, lesion = PatchDataset(stacks(1), (8, 8, 8), 0.5, augment_seed=0)[[]]
    assert intensities.shape == lesion.shape == (0, 1, 8, 8, 8)


def test_a_process_alone_has_the_whole_batch():
    part = torch.rand(3, 1, 2, 2, 2)
    assert all_gather_batch(part) is part
    assert all_reduce_mean(0.1) == 0.1


def test_every_normalisation_of_a_network_is_shared_and_predicts_as_before():
    plain = nn.Sequential(nn.Conv3d(1, 3, 3), nn.BatchNorm3d(3))
    names = list(plain.state_dict())
    convert_sync_batchnorm(plain)
    assert isinstance(plain[1], SharedBatchNorm3d)
    assert list(plain.state_dict()) == names
    features = torch.randn(2, 3, 4, 4, 4)
    torch.testing.assert_close(plain[1].eval()(features), nn.BatchNorm3d(3).eval()(features))


def test_more_gpus_than_there_are_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    gpu, cpu = Hardware(torch.device("cuda"), True), Hardware(torch.device("cpu"), True)
    assert gpu.numbered(1) == replace(gpu, device=torch.device("cuda", 1))
    with pytest.raises(CordlesionError, match="asks for 3 or more GPUs, but 2"):
        gpu.numbered(2)
    assert cpu.numbered(5) == cpu


def of_this_process_alone(logits: torch.Tensor, lesion: torch.Tensor) -> torch.Tensor:
    """A loss that nobody has registered in the processes that help."""
    return (logits - lesion).square().mean()


def test_a_loss_that_a_helper_does_not_know_is_refused_at_once_with_its_own_words(tmp_path, monkeypatch):
    from cordlesion.losses import LOSSES

    monkeypatch.setitem(LOSSES, "here_alone", of_this_process_alone)
    plan = run(training=PLAN.model_copy(update={"devices": 2}))
    plan = plan.model_copy(update={"loss": plan.loss.model_copy(update={"name": "here_alone"})})
    start = time.monotonic()
    with pytest.raises(CordlesionError, match=r"process 1 of the 2 of a training: There is no loss 'here_alone'"):
        fit(plan, stacks(3), stacks(2, seed=1), tmp_path / "a.ckpt")
    assert time.monotonic() - start < 60


FAULTY = """
import torch.distributed as dist
from torch.nn.functional import binary_cross_entropy_with_logits

calls = 0

def faulty(logits, lesion):
    global calls
    calls += dist.is_initialized() and dist.get_rank() == 1
    if calls == 3:
        raise ValueError("of the third batch")
    return binary_cross_entropy_with_logits(logits, lesion)
"""


@pytest.mark.usefixtures("ready_processes")
def test_what_ends_a_helper_in_the_middle_ends_the_training_at_once_with_its_words_and_place(tmp_path):
    (tmp_path / "own_faulty.py").write_text(FAULTY)
    plan = run(
        training=PLAN.model_copy(update={"devices": 2}), code=tmp_path, loss=LossConfig(name="own_faulty:faulty")
    )
    start = time.monotonic()
    with pytest.raises(CordlesionError) as stop:
        fit(plan, stacks(3), stacks(2, seed=1), tmp_path / "a.ckpt")
    assert time.monotonic() - start < 60
    assert str(stop.value) == (
        "process 1 of the 2 of a training: ValueError: of the third batch "
        f"({tmp_path}/own_faulty.py, line 11). What is trained so far is kept."
    )


def leaves_through_lightning() -> None:
    try:
        sys.exit(3)
    except SystemExit as stop:
        raise KeyboardInterrupt from stop


def divides() -> None:
    raise ZeroDivisionError("in two\nlines")


def refuses() -> None:
    raise CordlesionError("Mend it.")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (leaves_through_lightning, "SystemExit: 3 ({}, line {})."),
        (divides, "ZeroDivisionError: in two lines ({}, line {})."),
        (refuses, "Mend it."),
    ],
)
def test_an_error_of_a_helper_is_one_sentence_with_its_place(work, said):
    line = work.__code__.co_firstlineno + (2 if work is leaves_through_lightning else 1)
    with pytest.raises(BaseException) as error:  # noqa: PT011 - whatever it is
        work()
    assert describe_error(error.value) == said.format(__file__, line)


def dies_when_ready(rank: Rank) -> None:
    rank.ready()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.usefixtures("ready_processes")
def test_a_helper_that_dies_is_reported_even_where_nothing_shows_it_to_the_first_process(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(workers, "show_message", said.append)
    monkeypatch.setattr(workers, "_NOTICE_S", 0.1)
    start = time.monotonic()
    with launch_workers(2, processes.ALONE, dies_when_ready) as rank:
        rank.ready()
        while not said and time.monotonic() - start < 60:
            time.sleep(0.02)
    assert said[0].startswith("process 1 of the 2 of a training ended with status -9.")


def leaves(_: Rank) -> None:
    os._exit(3)


@pytest.mark.usefixtures("ready_processes")
def test_what_ends_a_helper_before_the_processes_meet_is_said():
    with (
        pytest.raises(CordlesionError, match="ended with status 3"),
        launch_workers(2, processes.ALONE, leaves) as rank,
    ):
        rank.ready()


def test_a_full_shared_memory_gets_a_sentence(monkeypatch):
    def full(_: object) -> None:
        raise RuntimeError("unable to write to file </torch_1_2>: No space left on device (28)")

    monkeypatch.setattr(torch.multiprocessing.get_context("spawn").Process, "start", full)
    refused = pytest.raises(CordlesionError, match=r"/dev/shm must have room .* No space left")
    with refused, launch_workers(2, processes.ALONE, leaves):
        pytest.fail("it began")
