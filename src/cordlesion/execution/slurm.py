"""Work on a cluster: job arrays of SLURM, submitted and waited for through submitit."""

import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from cordlesion.config import ClusterConfig
from cordlesion.errors import CordlesionError
from cordlesion.execution.devices import Sharing
from cordlesion.execution.jobs import Backoff, Submission, queue, summarize_states
from cordlesion.execution.local import LOCAL, Piece
from cordlesion.execution.outcome import Item, Outcome, Result, attempt, last_lines, outcomes_or_fault, raise_run_fault
from cordlesion.io.progress import bar, show_message

if TYPE_CHECKING:
    from submitit import Job
    from submitit.helpers import DelayedSubmission

RunChunk: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], list[Outcome[Any, Any]]]
"""Applies work to the items of a chunk on one machine."""
LARGEST_ARRAY = 1000
"""Jobs of one array; the default limit of SLURM, which a site may raise."""
LOST_AFTER_S = 20.0
"""A job is lost when it is not in the queue and has left no result for so long: file systems may show one late."""


def require_slurm() -> None:
    """Require submitit and SLURM.

    Raises:
        CordlesionError: submitit or SLURM is missing.
    """
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise CordlesionError(
            "--executor slurm: the package submitit is not installed; it is an extra. Install it with "
            "`pip install 'cordlesion[slurm]'`."
        ) from None
    for program in ("sbatch", "srun", "squeue"):
        if not shutil.which(program):
            raise CordlesionError(
                f"--executor slurm: {program} is not found; SLURM's programs are needed. Run it on a machine of the "
                "cluster from which jobs are submitted, or use --executor local."
            )


class ChunkWork(Generic[Item, Result]):
    """The work of one job. Requeued after a time limit or a preemption, it starts again and skips what is done."""

    def __init__(self, run_chunk: RunChunk, work: Callable[[Item], Result]) -> None:
        self._run_chunk = run_chunk
        self._work = work

    def __call__(self, chunk: Sequence[Item]) -> list[Outcome[Item, Result]]:
        """Do the work on a chunk of the items."""
        return outcomes_or_fault(lambda: self._run_chunk(self._work, chunk), chunk)

    def checkpoint(self, chunk: Sequence[Item]) -> "DelayedSubmission":
        """Return the work of the requeued job (called by submitit)."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, chunk)


@dataclass(frozen=True)
class SlurmExecutor:
    """Does all work in jobs; this process only submits them, waits, and collects their outcomes."""

    folder: Path
    """Of logs, and of the files that jobs and this process exchange."""
    cluster: ClusterConfig

    @property
    def maps_at_once(self) -> int:
        """See :class:`cordlesion.execution.local.Executor`."""
        return LARGEST_ARRAY * self.cluster.scans_per_job

    def each_scan(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], description: str
    ) -> list[Outcome[Piece, Result]]:
        """See :class:`cordlesion.execution.local.Executor`."""
        chunks = chunked(items, self.cluster.scans_per_job)
        return _require_all(self._array(ChunkWork(_scans, work), chunks, description, _Machines()))

    def each_map(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], description: str
    ) -> list[Outcome[Piece, Result]]:
        """See :class:`cordlesion.execution.local.Executor`."""
        chunks = chunked(items, self.cluster.scans_per_job)
        # Networks predict on one device.
        machine = _Machines(gpus=0 if self.cluster.gpus == 0 else 1)
        return _require_all(self._array(ChunkWork(_maps, work), chunks, description, machine))

    def each_training(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], sharing: Sharing
    ) -> list[Outcome[Piece, Result]]:
        """See :class:`cordlesion.execution.local.Executor`."""
        gpus = sharing.devices_per_run if self.cluster.gpus is None else self.cluster.gpus
        # The free memory of a job's GPU is unknown here.
        per_device = 1 if sharing.runs_per_device == "auto" else sharing.runs_per_device
        alone = sharing.devices_per_run * sharing.nodes_per_run > 1
        chunks = chunked(items, 1 if alone else per_device * max(1, gpus))
        machines = _Machines(gpus, sharing.nodes_per_run)
        ended = self._array(ChunkWork(_Trainings(sharing), work), chunks, "train", machines)
        return raise_run_fault([outcome for chunk in ended for outcome in chunk.outcomes()])

    def _array(
        self, work: ChunkWork[Piece, Result], chunks: Sequence[Sequence[Piece]], stage: str, machines: "_Machines"
    ) -> list["_Ended[Piece, Result]"]:
        if not chunks:
            return []
        jobs = self._submit(work, chunks, stage, machines)
        first = str(jobs[0].job_id).split("_")[0]
        units = {str(job.job_id): [item.unit for item in chunk] for job, chunk in zip(jobs, chunks, strict=True)}
        submission = Submission(self.folder / f"{first}.json", stage, units)
        submission.write()
        try:
            ended = _collect(jobs, chunks, f"{stage} (job {first})")
        except KeyboardInterrupt:
            show_message(
                f"job {first} goes on without this command, and `scancel {first}` stops it; the same command waits for "
                "it and continues from there"
            )
            raise
        submission.file.unlink()
        for job in jobs:
            # Pickled work and results; logs are kept.
            for pickled in (job.paths.submitted_pickle, *self.folder.glob(f"{job.job_id}_*_result.pkl")):
                pickled.unlink(missing_ok=True)
        return ended

    def _submit(
        self, work: ChunkWork[Piece, Result], chunks: Sequence[Sequence[Piece]], stage: str, machines: "_Machines"
    ) -> "list[Job[list[Outcome[Piece, Result]]]]":
        from submitit import SlurmExecutor as Submitter

        cluster = self.cluster
        submitter = Submitter(self.folder, max_num_timeout=cluster.requeues)
        partition = cluster.partition if machines.gpus else cluster.cpu_partition or cluster.partition
        wanted = {"partition": partition, "gpus_per_node": machines.gpus or None}
        submitter.update_parameters(
            job_name=f"cordlesion-{stage.replace(' ', '-')}",
            time=math.ceil(60 * cluster.time_limit_hours),
            nodes=machines.nodes,
            ntasks_per_node=1,
            cpus_per_task=cluster.cpus,
            mem=f"{math.ceil(1024 * cluster.memory_gb)}M",
            array_parallelism=cluster.parallel_jobs,
            # By default a step gets one processor, and networks would take all of the machine.
            srun_args=[f"--cpus-per-task={cluster.cpus}"],
            setup=[f"export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{cluster.cpus}}}"],
            additional_parameters={"requeue": True} | cluster.options,
            **{key: value for key, value in wanted.items() if value},
        )
        try:
            # Of a job with several tasks, the result of the first one.
            return [job.task(0) for job in submitter.map_array(work, list(chunks))]
        except RuntimeError as error:
            raise CordlesionError(
                f"sbatch refused the jobs of {stage!r}:\n{last_lines(str(error))}\n"
                "Mend the section `cluster` where it asks for what this cluster does not have."
            ) from error


@dataclass(frozen=True)
class _Machines:
    """How many nodes a job has, and GPUs on each."""

    gpus: int = 0
    nodes: int = 1


@dataclass(frozen=True)
class _Ended(Generic[Item, Result]):
    """A job that has ended."""

    chunk: Sequence[Item]
    results: list[Outcome[Item, Result]] | None
    loss: str = ""
    """Why there is no result: the job was killed, for example."""

    def outcomes(self) -> list[Outcome[Item, Result]]:
        """Return the outcome of each item; the reason for the loss where the job has left no result."""
        return self.results if self.results is not None else [Outcome(item, None, self.loss) for item in self.chunk]


@dataclass(frozen=True)
class _Trainings:
    """Trains networks on one node, or one after the other on several nodes, each of which calls this."""

    sharing: Sharing

    def __call__(self, work: Callable[[Piece], Result], chunk: Sequence[Piece]) -> list[Outcome[Piece, Result]]:
        if self.sharing.nodes_per_run == 1:
            return LOCAL.each_training(work, chunk, self.sharing)
        outcomes = [attempt(work, item) for item in chunk]
        # Only the outcomes of the first node are collected.
        for fault in (outcome.fault for outcome in outcomes if outcome.fault):
            print(fault, file=sys.stderr)
        return outcomes


def chunked(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut items into chunks of ``size``, or larger ones if an array would hold more than its limit."""
    size = max(size, math.ceil(len(items) / LARGEST_ARRAY))
    return [items[start : start + size] for start in range(0, len(items), size)]


def _scans(work: Callable[[Piece], Result], chunk: Sequence[Piece]) -> list[Outcome[Piece, Result]]:
    return LOCAL.each_scan(work, chunk, "")


def _maps(work: Callable[[Piece], Result], chunk: Sequence[Piece]) -> list[Outcome[Piece, Result]]:
    return LOCAL.each_map(work, chunk, "")


def _collect(
    jobs: "Sequence[Job[list[Outcome[Item, Result]]]]", chunks: Sequence[Sequence[Item]], description: str
) -> list[_Ended[Item, Result]]:
    """Wait until every job has left a result, or is lost."""
    ended: dict[int, _Ended[Item, Result]] = {}
    gone_since: dict[int, float] = {}
    backoff = Backoff()
    with bar(description, sum(map(len, chunks))) as advance:
        while len(ended) < len(jobs):
            states = queue()
            for k, job in enumerate(jobs):
                if k in ended:
                    continue
                if job.paths.result_pickle.exists():
                    ended[k] = _result(job, chunks[k])
                    advance(len(chunks[k]))
                elif states is not None and str(job.job_id) not in states:
                    if time.monotonic() - gone_since.setdefault(k, time.monotonic()) >= LOST_AFTER_S:
                        ended[k] = _Ended(chunks[k], None, _lost(job, "ended without a result"))
                        advance(len(chunks[k]))
                else:
                    gone_since.pop(k, None)
            if states is not None:
                advance(0, note=summarize_states(states[name] for job in jobs if (name := str(job.job_id)) in states))
            if len(ended) < len(jobs):
                backoff.wait()
    return [ended[k] for k in range(len(jobs))]


def _result(job: "Job[list[Outcome[Item, Result]]]", chunk: Sequence[Item]) -> _Ended[Item, Result]:
    from submitit.core.utils import UncompletedJobError

    try:
        return _Ended(chunk, job.result())
    except UncompletedJobError:
        return _Ended(chunk, None, _lost(job, "failed"))


def _lost(job: "Job[Any]", how: str) -> str:
    logs = [path for path in (job.paths.stderr, job.paths.stdout) if path.is_file() and path.stat().st_size]
    ends = last_lines(logs[0].read_text(encoding="utf-8", errors="replace")) if logs else "    (there is no log)"
    return f"job {job.job_id} {how}; {logs[0] if logs else job.paths.stderr} ends with:\n{ends}"


def _require_all(ended: Sequence[_Ended[Item, Result]]) -> list[Outcome[Item, Result]]:
    """Return all outcomes; none may be missing, because a lost job is no fault of its scans.

    Raises:
        CordlesionError: Jobs have left no result.
    """
    if losses := [job.loss for job in ended if job.results is None]:
        raise CordlesionError("\n".join(losses))
    return raise_run_fault([outcome for job in ended for outcome in job.outcomes()])
