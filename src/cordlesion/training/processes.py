"""Several processes that train one network: this one is the first of its machine, the others help it."""

import contextlib
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
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

_READY = ""
_PATIENCE = timedelta(minutes=10)
"""How long a process waits for another, which is busy with its part of a batch or with writing the checkpoint."""
_END_OF_A_JOB_S = 10.0
"""Within so much of each other the processes of a job end that is taken off its machines."""


def _alone() -> None:
    """Wait for nobody."""


@dataclass(frozen=True)
class Seat:
    """The place of a process among those of a training."""

    place: int = 0
    """Number among the processes of its machine."""
    n_places: int = 1
    """Processes of each machine."""
    node: Node = ALONE
    ready: Callable[[], None] = _alone
    """Called before the processes meet: a helper reports, and the first one waits for all of its machine."""

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
        CordlesionError: A process of the training ended before its time, or did not come, with what it said.
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
    pipes = [context.Pipe(duplex=False) for _ in range(1, n_places)]
    helpers = [
        _Helper(context.Process(target=_help, args=(work, args, seat, each, sender), daemon=True), receiver, seat)
        for place, (receiver, sender) in enumerate(pipes, 1)
        for seat in [Seat(place, n_places, node)]
    ]
    torch.set_num_threads(each)
    try:
        _start(helpers)
        for _, sender in pipes:
            sender.close()  # theirs alone now: where one ends, its pipe does
        yield Seat(0, n_places, node, partial(_await_ready, helpers))
        for helper in helpers:
            helper.process.join()
    except RuntimeError as error:
        # Of torch, which may say that a connection was closed, but not why.
        if why := _loss(node, helpers):
            said = " ".join(str(error).split())
            raise CordlesionError(f"{why} What is trained so far is kept. torch says here: {said}") from error
        raise
    finally:
        torch.set_num_threads(threads)
        if dist.is_initialized():
            dist.destroy_process_group()
        for helper in helpers:
            if helper.process.pid:
                helper.process.kill()
                helper.process.join()


@dataclass(frozen=True)
class _Helper:
    """A process that helps, and the end of the pipe at which it is heard."""

    process: multiprocessing.context.SpawnProcess
    receiver: Connection
    seat: Seat

    def heard(self) -> str | None:
        """Return what it says, :data:`_READY` or what is wrong with it; None where it ended without a word."""
        try:
            return str(self.receiver.recv())
        except EOFError:
            self.process.join()
            return None

    def fault(self, said: str | None) -> str:
        """Say what is wrong with it."""
        which = f"process {self.seat.place} of the {self.seat.n_places} of a training"
        return f"{which}: {said}" if said else f"{which} {_ended(self.process.exitcode)}"


def _start(helpers: Sequence[_Helper]) -> None:
    """Start the helpers, which share the stacks of this process.

    Raises:
        CordlesionError: There is no room for what they share.
    """
    try:
        for helper in helpers:
            helper.process.start()
    except (OSError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise CordlesionError(
            "the stacks cannot be shared by several processes; /dev/shm must have room for them (`df -h /dev/shm`). "
            f"Free some, or leave out `training.devices`. The system says: {said}"
        ) from error


def _await_ready(helpers: Sequence[_Helper]) -> None:
    """Wait until all helpers are about to meet: one that fails before would be waited for in vain.

    Raises:
        CordlesionError: One has failed.
    """
    for helper in helpers:
        if (said := helper.heard()) != _READY:
            raise CordlesionError(helper.fault(said))


def _ended(status: int | None) -> str:
    return (
        f"ended with status {status}. It may say why above; if it does not, the system may have ended it for want of "
        "memory: lower `training.devices`."
    )


def _loss(node: Node, helpers: Sequence[_Helper]) -> str:
    """Say which process was lost and what it said; nothing where none was."""
    for helper in helpers:
        if helper.process.exitcode:
            return helper.fault(helper.heard() if helper.receiver.poll() else None)
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


def _help(work: Callable[..., object], args: tuple[Any, ...], seat: Seat, threads: int, sender: Connection) -> None:
    # Ctrl-C reaches all processes of a terminal, and what SLURM has to say all of a job; the first one ends the others.
    for sent in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(sent, signal.SIG_IGN)
    exit_with_parent()
    torch.set_num_threads(threads)
    try:
        work(*args, replace(seat, ready=partial(sender.send, _READY)))
    except CordlesionError as error:
        # What is wrong with the training, the first process says too, unless it is wrong here alone.
        sender.send(str(error))
    except Exception as error:
        sender.send("".join(traceback.format_exception_only(error)).strip())
        raise
