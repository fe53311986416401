"""Several processes of this machine that train one network: this one is the first, the others help it."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing
from lightning.fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from lightning.pytorch.strategies import DDPStrategy

from cordlesion.errors import CordlesionError
from cordlesion.training.patch_dataset import PatchKey

_PATIENCE = timedelta(minutes=10)
"""How long a process waits for another, which is busy with its part of a batch or with writing the checkpoint."""


@dataclass(frozen=True)
class Seat:
    """The place of a process among those of a training."""

    rank: int = 0
    n_processes: int = 1
    port: int = 0

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
        self._main_port = seat.port
        self._seat = seat

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self._seat.rank


@contextlib.contextmanager
def seats(n_processes: int, work: Callable[..., object], *args: Any) -> Iterator[Seat]:  # noqa: ANN401 - of ``work``
    """Start the helpers of a training and yield the seat of this process; on leaving, the helpers end.

    Args:
        n_processes: All processes, this one included.
        work: What a helper does, called with ``args`` and its seat.
        args: Whatever can be pickled; tensors are shared, not copied.
    """
    if n_processes == 1:
        yield Seat()
        return
    port = find_free_network_port()
    # Not forked, because threads of torch and the state of a GPU do not survive it.
    context = torch.multiprocessing.get_context("spawn")
    threads = torch.get_num_threads()
    each = max(1, threads // n_processes)
    helpers = [
        context.Process(target=_help, args=(work, args, Seat(rank, n_processes, port), each), daemon=True)
        for rank in range(1, n_processes)
    ]
    for helper in helpers:
        helper.start()
    torch.set_num_threads(each)
    try:
        yield Seat(0, n_processes, port)
        for helper in helpers:
            helper.join()
    except RuntimeError as error:
        # Of torch, which says that a connection was closed, but not why.
        fallen = [rank for rank, helper in enumerate(helpers, 1) if helper.exitcode]
        if not fallen:
            raise
        status = helpers[fallen[0] - 1].exitcode
        raise CordlesionError(
            f"process {fallen[0]} of the {n_processes} of a training ended with status {status}. It may say why above; "
            "if it does not, the system may have ended it for want of memory: lower `training.devices`. What is "
            "trained so far is kept."
        ) from error
    finally:
        torch.set_num_threads(threads)
        if dist.is_initialized():
            dist.destroy_process_group()
        for helper in helpers:
            helper.kill()
            helper.join()


def _help(work: Callable[..., object], args: tuple[Any, ...], seat: Seat, threads: int) -> None:
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    # What is wrong with the training, the first process says.
    with contextlib.suppress(CordlesionError):
        work(*args, seat)
