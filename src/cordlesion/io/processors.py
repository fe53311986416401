"""The number of usable processors, and the end of worker processes (leaf, standard library only)."""

import multiprocessing
import os
import signal
import threading


def available_processors() -> int:
    """Return the number of processors that this process may use; a container or scheduler may limit it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def exit_with_parent() -> None:
    """Initialise a worker process: it exits when its parent ends for any reason, and ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
