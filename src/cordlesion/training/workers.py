"""The worker processes of a training on this machine: started, watched, and asked why they ended."""

import multiprocessing
import threading
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

import torch.distributed as dist

from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message

READY = ""
_MOMENT_S = 0.5
_ENDING_S = 5.0
"""A process whose connections are closed has ended within this time."""
_LOST = "Connection closed by peer"
"""What gloo says in a process that has lost another one: the reason is in the other one's error."""
_NOTICE_S = 5.0
"""Within this time, a closed connection ends what waits for a worker; NCCL knows no closed connections."""


@dataclass(frozen=True)
class Worker:
    """A worker process, and the end of the pipe that receives its messages."""

    process: multiprocessing.context.SpawnProcess
    receiver: Connection
    name: str

    def message(self) -> str | None:
        """Wait for its next message, :data:`READY` or its error; None where it ended without one."""
        try:
            return str(self.receiver.recv())
        except EOFError:
            self.process.join()
            return None

    def fault(self) -> str:
        """Wait for its end and return why it failed; empty where it is ready or has done its work."""
        if message := self.message():
            return f"{self.name}: {message}"
        return f"{self.name} {_ended(self.process.exitcode)}" if message is None and self.process.exitcode else ""


def start(workers: Sequence[Worker]) -> None:
    """Start the workers, which share the stacks of this process.

    Raises:
        CordlesionError: There is no room in shared memory.
    """
    try:
        for worker in workers:
            worker.process.start()
    except (OSError, RuntimeError) as error:
        reported = " ".join(str(error).split())
        raise CordlesionError(
            "the stacks cannot be shared by several processes; /dev/shm must have room for them (`df -h /dev/shm`). "
            f"Free some, or leave out `training.devices`. The system reports: {reported}"
        ) from error


class Watch:
    """Watches the workers while they train: the end of one ends the training, which would wait for it."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        """Watch no one before :meth:`await_ready`."""
        self._workers = workers
        self._fault = ""
        self._found = threading.Event()
        self._left, self._leave = multiprocessing.Pipe(duplex=False)

    def await_ready(self) -> None:
        """Wait until all workers are ready to form the process group, which would wait for a failed one in vain.

        Raises:
            CordlesionError: One has failed.
        """
        for worker in self._workers:
            if fault := worker.fault():
                raise CordlesionError(fault)
        context = copy_context()  # a thread starts without it, and it holds whether messages are shown
        threading.Thread(target=context.run, args=(self._watch,), daemon=True).start()

    def fault(self) -> str:
        """Return why a worker ended; empty where none has failed.

        Waits a moment: torch reports a closed connection before the process is gone.
        """
        if self._workers:
            self._found.wait(_ENDING_S)
        return self._fault

    def end(self) -> None:
        """Watch no longer."""
        self._leave.close()

    def _watch(self) -> None:
        running = {worker.process.sentinel: worker for worker in self._workers}
        while running:
            # A moment later those have ended, too, that have lost the first one.
            if self._left in wait([*running, self._left]) or wait([self._left], _MOMENT_S):
                return
            ended = [running.pop(sentinel) for sentinel in wait([*running], 0) if isinstance(sentinel, int)]
            if faults := [fault for worker in ended if (fault := worker.fault())]:
                self._stop_training(min(faults, key=lambda fault: _LOST in fault))
                return

    def _stop_training(self, fault: str) -> None:
        self._fault = fault
        self._found.set()
        if not wait([self._left], _NOTICE_S):
            show_message(fault)
            if dist.is_initialized() and dist.get_backend() == "nccl" and (group := dist.group.WORLD):
                group.abort()


def _ended(status: int | None) -> str:
    return (
        f"ended with status {status}. The reason may be printed above; if not, the system may have ended it because "
        "memory was short: lower `training.devices`."
    )
