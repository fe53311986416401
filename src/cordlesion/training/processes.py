"""Several processes that train one network: this one is the first of its machine, the others help it."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing
from lightning.fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from lightning.pytorch.strategies import DDPStrategy

from cordlesion.errors import CordlesionError
from cordlesion.training.nodes import ALONE, Node
from cordlesion.training.patch_dataset import PatchKey

_PATIENCE = timedelta(minutes=10)
"""How long a process waits for another, which is busy with its part of a batch or with writing the checkpoint."""
_END_OF_A_JOB_S = 10.0
"""Within so much of each other the processes of a job end that is taken off its machines."""


@dataclass(frozen=True)
class Seat:
    """The place of a process among those of a training."""

    place: int = 0
    """Number among the processes of its machine."""
    n_places: int = 1
    """Processes of each machine."""
    node: Node = ALONE

    @property
    def rank(self) -> int:
        """Number among all processes: those of a machine follow each other."""
        return self.node.number * self.n_places + self.place

    @property
    def n_processes(self) -> int:
        """How many processes train, on all machines."""
        return self.node.count * self.n_places

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes, draws and tells."""
        return self.rank == 0

    def share(self, batch: list[PatchKey]) -> list[PatchKey]:
        """Return the part of a batch that is this process's; parts are in the order of the processes."""
        first, last = (len(batch) * rank // self.n_processes for rank in (self.rank, self.rank + 1))
        return batch[first:last]

    def environment(self) -> LightningEnvironment:
        """Tell Lightning where it runs: not to look for SLURM, whose signals are the job's own."""
        return LightningEnvironment() if self.n_processes == 1 else _Seated(self)

    def strategy(self, device: torch.device) -> DDPStrategy | str:
        """Return Lightning's strategy for a device."""
        if self.n_processes == 1:
            return "auto"
        backend = "nccl" if device.type == "cuda" else "gloo"
        return DDPStrategy(process_group_backend=backend, timeout=_PATIENCE)


class _Seated(LightningEnvironment):
    """An environment whose processes are there already."""

    def __init__(self, seat: Seat) -> None:
        super().__init__()
        self._main_port = seat.node.port
        self._seat = seat

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._seat.node.address

    def local_rank(self) -> int:
        return self._seat.place

    def node_rank(self) -> int:
        return self._seat.node.number


@contextlib.contextmanager
def seats(n_places: int, node: Node, work: Callable[..., object], *args: Any) -> Iterator[Seat]:  # noqa: ANN401 - of ``work``
    """Start the helpers of a training on this machine and yield the seat of this process; on leaving, they end.

    Args:
        n_places: Processes of this machine, this one included.
        node: Which of the training's machines this is.
        work: What a helper does, called with ``args`` and its seat.
        args: Whatever can be pickled; tensors are shared, not copied.

    Raises:
        CordlesionError: A process of the training ended before its time, or did not come.
    """
    if n_places * node.count == 1:
        yield Seat()
        return
    if node.count == 1:
        node = replace(node, port=find_free_network_port())
    # Not forked, because threads of torch and the state of a GPU do not survive it.
    context = torch.multiprocessing.get_context("spawn")
    threads = torch.get_num_threads()
    each = max(1, threads // n_places)
    helpers = [
        context.Process(target=_help, args=(work, args, Seat(place, n_places, node), each), daemon=True)
        for place in range(1, n_places)
    ]
    for helper in helpers:
        helper.start()
    torch.set_num_threads(each)
    try:
        yield Seat(0, n_places, node)
        for helper in helpers:
            helper.join()
    except RuntimeError as error:
        # Of torch, which may say that a connection was closed, but not why.
        if why := _loss(node, [helper.exitcode for helper in helpers]):
            said = " ".join(str(error).split())
            raise CordlesionError(f"{why} What is trained so far is kept. torch says here: {said}") from error
        raise
    finally:
        torch.set_num_threads(threads)
        if dist.is_initialized():
            dist.destroy_process_group()
        for helper in helpers:
            helper.kill()
            helper.join()


def _loss(node: Node, statuses: list[int | None]) -> str:
    """Say which process was lost, given how the helpers of this machine ended; nothing where none was."""
    for place, status in enumerate(statuses, 1):
        if status:
            return (
                f"process {place} of the {len(statuses) + 1} of a training ended with status {status}. It may say why "
                "above; if it does not, the system may have ended it for want of memory: lower `training.devices`."
            )
    if node.count == 1:
        return ""
    # A job that is queued again ends on one machine before the other; that must not pass for a failure.
    time.sleep(_END_OF_A_JOB_S)
    return (
        f"machine {node.number + 1} of the {node.count} of a training stopped. If it lost the connection to the others "
        f"or they did not come within {_PATIENCE.seconds // 60} minutes, the logs of the job in `jobs`, one of each "
        "machine, may say why; where machines do not find each other, name their network in GLOO_SOCKET_IFNAME and "
        "NCCL_SOCKET_IFNAME."
    )


def _help(work: Callable[..., object], args: tuple[Any, ...], seat: Seat, threads: int) -> None:
    # Ctrl-C reaches all processes of a terminal, and what SLURM has to say all of a job; the first one ends the others.
    for told in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(told, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    torch.set_num_threads(threads)
    # What is wrong with the training, the first process says.
    with contextlib.suppress(CordlesionError):
        work(*args, seat)


def _end_with_the_first() -> None:
    """End this process when the first one was killed: on a GPU it would wait for it for minutes."""
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)
