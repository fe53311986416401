"""Several processes that train one network: this one is the first of its machine and launches the others."""

import contextlib
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing
from lightning.fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from lightning.pytorch.strategies import DDPStrategy

from cordlesion.errors import CordlesionError
from cordlesion.io.processors import exit_with_parent
from cordlesion.training.nodes import ALONE, Node
from cordlesion.training.patch_dataset import PatchKey
from cordlesion.training.workers import READY, Watch, Worker, start

_PATIENCE = timedelta(minutes=10)
"""How long a process waits for another, which computes its part of a batch or writes the checkpoint."""
_END_OF_A_JOB_S = 10.0
"""When a job is stopped or queued again, its processes on all machines end within this time."""


def _no_workers() -> None:
    """Wait for no process."""


@dataclass(frozen=True)
class Rank:
    """Which of the processes of a training this is, in the terms of ``torch.distributed``."""

    local_rank: int = 0
    """Number among the processes of its machine."""
    local_world_size: int = 1
    """Processes of each machine."""
    node: Node = ALONE
    ready: Callable[[], None] = _no_workers
    """Called before the process group is formed: a worker reports that it is ready, the first process waits for all."""

    @property
    def rank(self) -> int:
        """Number among all processes; those of a machine are consecutive."""
        return self.node.number * self.local_world_size + self.local_rank

    @property
    def world_size(self) -> int:
        """Number of processes that train, on all machines."""
        return self.node.count * self.local_world_size

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"process {self.local_rank} of the {self.local_world_size} of a training"

    @property
    def is_global_zero(self) -> bool:
        """Whether it is the process that writes files, draws curves and reports."""
        return self.rank == 0

    def share(self, batch: list[PatchKey]) -> list[PatchKey]:
        """Return this process's part of a batch; the parts are in the order of the ranks."""
        first, last = (len(batch) * rank // self.world_size for rank in (self.rank, self.rank + 1))
        return batch[first:last]

    def environment(self) -> LightningEnvironment:
        """Return Lightning's environment: it must not look for SLURM, because the job handles its signals itself."""
        return LightningEnvironment() if self.world_size == 1 else _RankEnvironment(self)

    def strategy(self, device: torch.device) -> DDPStrategy | str:
        """Return Lightning's strategy for a device."""
        if self.world_size == 1:
            return "auto"
        backend = "nccl" if device.type == "cuda" else "gloo"
        return DDPStrategy(process_group_backend=backend, timeout=_PATIENCE)


class _RankEnvironment(LightningEnvironment):
    """An environment whose processes have been launched already."""

    def __init__(self, rank: Rank) -> None:
        super().__init__()
        self._main_port = rank.node.port
        self._rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._rank.node.address

    def local_rank(self) -> int:
        return self._rank.local_rank

    def node_rank(self) -> int:
        return self._rank.node.number


@contextlib.contextmanager
def launch_workers(local_world_size: int, node: Node, work: Callable[..., object], *args: Any) -> Iterator[Rank]:  # noqa: ANN401 - of ``work``
    """Launch the workers of a training on this machine and yield the rank of this process; on leaving, they end.

    Args:
        local_world_size: Processes of this machine, this one included.
        node: Which of the training's machines this is.
        work: What a worker does, called with ``args`` and its rank.
        args: Anything that can be pickled; tensors are shared, not copied.

    Raises:
        CordlesionError: A process of the training ended early or did not join; the sentence contains its error.
    """
    if local_world_size * node.count == 1:
        yield Rank()
        return
    if node.count == 1:
        node = replace(node, port=find_free_network_port())
    # Not forked, because threads of torch and the state of a GPU do not survive it.
    context = torch.multiprocessing.get_context("spawn")
    threads = torch.get_num_threads()
    each = max(1, threads // local_world_size)
    pipes = [context.Pipe(duplex=False) for _ in range(1, local_world_size)]
    workers = [
        Worker(context.Process(target=_work, args=(work, args, rank, each, sender), daemon=True), receiver, rank.name)
        for place, (receiver, sender) in enumerate(pipes, 1)
        for rank in [Rank(place, local_world_size, node)]
    ]
    watch = Watch(workers)
    torch.set_num_threads(each)
    try:
        start(workers)
        for _, sender in pipes:
            sender.close()  # only the worker holds it now: when a worker ends, its pipe is closed
        yield Rank(0, local_world_size, node, watch.await_ready)
        for worker in workers:
            worker.process.join()
    except RuntimeError as error:
        # torch may report that a connection was closed, but not why.
        if why := watch.fault() or _lost_machine(node, error):
            raise CordlesionError(f"{why} What is trained so far is kept.") from error
        raise
    finally:
        watch.end()
        torch.set_num_threads(threads)
        if dist.is_initialized():
            dist.destroy_process_group()
        for worker in workers:
            if worker.process.pid:
                worker.process.kill()
                worker.process.join()


def _lost_machine(node: Node, error: RuntimeError) -> str:
    """Describe that another machine was lost, as far as this one knows; empty where there is no other."""
    if node.count == 1:
        return ""
    # A job that is queued again ends on one machine before the other; that is no failure.
    time.sleep(_END_OF_A_JOB_S)
    return (
        f"machine {node.number + 1} of the {node.count} of a training stopped. If it lost the connection to the others "
        f"or they did not join within {_PATIENCE.seconds // 60} minutes, the reason may be in the logs of the job in "
        "`jobs`, one per machine; where machines do not find each other, set GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME "
        f"to the name of their network. torch reports here: {' '.join(str(error).split())}."
    )


def _work(work: Callable[..., object], args: tuple[Any, ...], rank: Rank, threads: int, sender: Connection) -> None:
    # Ctrl-C reaches all processes of a terminal, and SLURM's signals all of a job; the first process ends the others.
    for sent in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(sent, signal.SIG_IGN)
    exit_with_parent()
    torch.set_num_threads(threads)
    try:
        work(*args, replace(rank, ready=partial(sender.send, READY)))
    except BaseException as error:  # a user's loss can raise anything, and leave by sys.exit
        sender.send(describe_error(error))
        raise SystemExit(1) from None


def describe_error(error: BaseException) -> str:
    """Return the error of a worker as one sentence: a user's mistake as it is, any other with its place."""
    if isinstance(error, CordlesionError):
        return str(error)
    if isinstance(error, KeyboardInterrupt) and isinstance(error.__cause__, SystemExit):
        error = error.__cause__  # Lightning turns the one into the other
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join("".join(traceback.format_exception_only(error)).split())
    return f"{said} ({place.filename}, line {place.lineno})."
