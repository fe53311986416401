"""Jobs on a cluster that work for a study: recorded when submitted, so that later commands find them."""

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message
from cordlesion.io.reading import read_json
from cordlesion.io.writing import write_json

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 30.0


@dataclass(frozen=True)
class Submission:
    """The jobs of one array."""

    file: Path
    stage: str
    units: Mapping[str, list[str]]
    """What each job works on, by the name that SLURM gives to the job."""

    def states(self, queued: Mapping[str, str] | None) -> dict[str, str]:
        """Return the state of each unit, given the queue; a job that is not in the queue has ended."""
        jobs = {
            job: "unknown: squeue does not answer" if queued is None else queued.get(job, "ended") for job in self.units
        }
        return {unit: jobs[job] for job, units in self.units.items() for unit in units}

    def write(self) -> None:
        """Write the record, which is kept until the jobs have ended and their outcomes are collected."""
        write_json(self.file, {"stage": self.stage, "units": dict(self.units)})


def jobs_folder(study: Path) -> Path:
    """Return the folder of a study's logs and of the records of its jobs."""
    return study / "jobs"


def submissions(study: Path) -> list[Submission]:
    """Return the job arrays of a study whose outcomes are not collected yet."""
    return [_submission(path) for path in sorted(jobs_folder(study).glob("*.json"))]


def _submission(path: Path) -> Submission:
    content = read_json(path, dict)
    stage, units = content.get("stage"), content.get("units")
    named = isinstance(units, dict) and all(isinstance(u, list) and {*map(type, u)} <= {str} for u in units.values())
    if not isinstance(stage, str) or not named:
        raise CordlesionError(
            f"{path}: is no record of submitted jobs; the file that an earlier command wrote is needed. If no job is "
            "left (`squeue`), remove it."
        )
    return Submission(path, stage, units)


def queue() -> dict[str, str] | None:
    """Return the state of each job of this user that has not ended, by its name; None where SLURM does not answer.

    The state of a waiting job includes the reason: some wait forever, for example because no partition allows their
    time limit.
    """
    if not shutil.which("squeue"):
        return None
    command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i|%T|%r"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    rows = [line.strip().split("|") for line in answer.stdout.splitlines()]
    return {job: f"queued ({reason})" if state == "PENDING" else "running" for job, state, reason in rows}


def summarize_states(states: Iterable[str]) -> str:
    """Return how many jobs are in each state, as text."""
    return ", ".join(f"{count} {state}" for state, count in sorted(Counter(states).items(), reverse=True))


def await_earlier_jobs(study: Path) -> None:
    """Wait for the jobs of a command that was stopped; until they end nothing else may work in the study.

    Raises:
        CordlesionError: The queue cannot be read, so it is unknown whether they still run.
    """
    earlier, backoff, is_reported = submissions(study), Backoff(), False
    folder = jobs_folder(study)
    while working := _working(earlier, folder):
        if not is_reported:
            show_message(
                f"waiting for jobs of an earlier command: {', '.join(sorted(working))} (logs in {folder}); "
                f"`scancel {' '.join(sorted({job.split('_')[0] for job in working}))}` stops them"
            )
            is_reported = True
        backoff.wait()
    # Done-markers show what the jobs have done; the rest is submitted again.
    for file in (*(submission.file for submission in earlier), *folder.glob("*.pkl")):
        file.unlink(missing_ok=True)


class Backoff:
    """Waits between questions to the cluster: short at first, then longer and longer."""

    def __init__(self) -> None:
        self._delay_s = _FIRST_DELAY_S

    def wait(self) -> None:
        """Wait a little longer than the last time."""
        time.sleep(self._delay_s)
        self._delay_s = min(1.3 * self._delay_s, _LONGEST_DELAY_S)


def _working(earlier: list[Submission], folder: Path) -> set[str]:
    if not earlier:
        return set()
    states = queue()
    if states is None:
        records = ", ".join(one.file.name for one in earlier)
        raise CordlesionError(
            f"{folder}: jobs of an earlier command may still work in this study, and `squeue` gives no answer here. "
            f"Run the command where it does, or, if no job is left, remove {records} there."
        )
    return {job for one in earlier for job in one.units if job in states}
