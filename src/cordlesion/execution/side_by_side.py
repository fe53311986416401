"""Parallel trainings on this machine, each in its own process, so that one that crashes does not stop the others."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from queue import SimpleQueue

from cordlesion.execution.outcome import Item, Outcome, Result, attempt, outcomes_or_fault, raise_run_fault
from cordlesion.io.processors import available_processors, exit_with_parent
from cordlesion.io.progress import track


def map_side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], slots: Sequence[str | None]
) -> list[Outcome[Item, Result]]:
    """Apply ``work`` to every item, as many at a time as there are slots.

    Args:
        work: Picklable, like the items and the results.
        items: The trainings.
        slots: The device of each training that runs at the same time: ``CUDA_VISIBLE_DEVICES``, or None for the
            processors.

    Returns:
        Outcomes in the order of ``items``; a process that was killed gives a fault.
    """
    free: SimpleQueue[str | None] = SimpleQueue()
    for slot in slots:
        free.put(slot)
    processors = int(os.environ.get("OMP_NUM_THREADS", available_processors()))
    threads = max(1, processors // len(slots))

    def in_process(item: Item) -> Outcome[Item, Result]:
        slot = free.get()
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work_alone, args=(sender, slot, threads, work, item), daemon=True)
        processes.append(process)
        try:
            process.start()
            sender.close()
            return _received(receiver, process, item)
        finally:
            free.put(slot)

    context, processes = multiprocessing.get_context("spawn"), list[multiprocessing.context.SpawnProcess]()
    pool = ThreadPoolExecutor(len(slots))
    try:
        return list(track(pool.map(in_process, items), "train side by side", len(items)))
    finally:
        # When this process is stopped, its children are killed; the next run continues from their checkpoints.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        pool.shutdown()


def _received(receiver: Connection, process: multiprocessing.context.SpawnProcess, item: Item) -> Outcome[Item, Result]:
    outcome: Outcome[Item, Result] | None = None
    with contextlib.suppress(EOFError):
        outcome = receiver.recv()
    process.join()
    if outcome:
        return raise_run_fault([outcome])[0]
    return Outcome(item, None, f"its process ended with status {process.exitcode} (-9: it was killed).")


def _work_alone(sender: Connection, slot: str | None, threads: int, work: Callable[[Item], Result], item: Item) -> None:
    """Do the work in a new process, before torch is imported there."""
    exit_with_parent()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if slot is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = slot
    sender.send(outcomes_or_fault(lambda: [attempt(work, item)], [item])[0])
