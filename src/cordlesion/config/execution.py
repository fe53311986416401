"""Sections on how a study is run: reduced runs, jobs of a cluster."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cordlesion.config.section import Section
from cordlesion.io.yaml import fault_at

_TASKS = {"nodes", "ntasks", "ntasks-per-node"}
_SETTINGS = {"cpus-per-task": "cpus", "mem": "memory_gb", "partition": "partition", "time": "time_limit_hours"}
_RESERVED = {"array", "error", "open-mode", "output", "signal"}
"""Options of ``sbatch`` that the program itself sets, to find its jobs and their logs."""


class ReducedConfig(Section):
    """A run of a part of a study, to check that everything works. Its numbers are not those of the study."""

    scans: Annotated[int, Field(gt=0)] | None = None
    """Maximum number of scans; subjects with and without lesions are included."""
    epochs: Annotated[int, Field(gt=0)] | None = None
    """Replaces ``training.epochs``."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.scans is None and self.epochs is None:
            raise ValueError("a number of scans or of epochs is needed; leave the section out to run the whole study")
        return self

    @property
    def description(self) -> str:
        """What is reduced, as printed text."""
        parts = [f"at most {self.scans} scans"] if self.scans else []
        parts += [f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}"] if self.epochs else []
        return f"reduced run: {', '.join(parts)}"


class ClusterConfig(Section):
    """What jobs request from SLURM, for ``study run --executor slurm``; changes no result."""

    partition: str | None = None
    """Default: the default partition of the site, if it has one."""
    cpu_partition: str | None = None
    """Partition of jobs that need no GPU, such as cutting stacks. Default: ``partition``."""
    nodes: Annotated[int, Field(gt=0)] = 1
    """Machines that train one network together, each with ``training.devices`` processes. All other resources of a job
    are per machine."""
    gpus: Annotated[int, Field(ge=0)] | None = None
    """GPUs per training job. Default: ``training.devices``; prediction jobs take one. Set 0 where there are none or
    where ``options`` request them (``gres``). Then every job requests them, so leave ``cpu_partition`` out."""
    cpus: Annotated[int, Field(gt=0)] = 4
    """Processors per job."""
    memory_gb: Annotated[float, Field(gt=0)] = 16
    """Memory per job."""
    time_limit_hours: Annotated[float, Field(gt=0)] = 4
    """A job that reaches its time limit is queued again and continues where it stopped."""
    requeues: Annotated[int, Field(ge=0)] = 20
    """How often a job may be queued again before it counts as failed."""
    parallel_jobs: Annotated[int, Field(gt=0)] = 100
    """Maximum number of jobs that run at the same time."""
    scans_per_job: Annotated[int, Field(gt=0)] = 50
    """Number of stacks that one job cuts, or of scans that it predicts."""
    options: dict[str, str | int | bool] = {}  # noqa: RUF012 - pydantic copies defaults
    """Further options of ``sbatch``, such as ``account`` and ``qos``."""

    @model_validator(mode="after")
    def _other_options(self) -> Self:
        for option in self.options:
            name = option.replace("_", "-")
            if name in _TASKS:
                reason = "every task would do the work of the whole job; set `cluster.nodes`"
            elif name in _SETTINGS:
                reason = f"jobs would request it twice; set `cluster.{_SETTINGS[name]}`"
            elif name in _RESERVED:
                reason = "`study run` would not find its jobs or their logs; remove it"
            else:
                continue
            raise fault_at(reason, "options", option)
        return self
