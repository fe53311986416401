"""The executors by the name that ``study run --executor`` takes; each is imported when it is chosen."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from cordlesion.config import ClusterConfig
    from cordlesion.execution.local import Executor

ExecutorName: TypeAlias = Literal["local", "slurm"]


def _local(_study: Path, _cluster: "ClusterConfig") -> "Executor":
    from cordlesion.execution.local import LOCAL

    return LOCAL


def _slurm(study: Path, cluster: "ClusterConfig") -> "Executor":
    from cordlesion.execution.jobs import jobs_folder
    from cordlesion.execution.slurm import SlurmExecutor, require_slurm

    require_slurm()
    return SlurmExecutor(jobs_folder(study), cluster)


EXECUTORS: Mapping[ExecutorName, "Callable[[Path, ClusterConfig], Executor]"] = {"local": _local, "slurm": _slurm}
"""Each takes the study folder and the section ``cluster``; raises CordlesionError if it cannot work here."""
