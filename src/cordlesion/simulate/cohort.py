"""Writes a simulated cohort to disk: a BIDS dataset with its labels as a derivative."""

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import cordlesion
from cordlesion.errors import CordlesionError
from cordlesion.io.deprecation import renamed_arguments
from cordlesion.io.processors import available_processors, exit_with_parent
from cordlesion.io.progress import bar, show_message
from cordlesion.io.reading import read_json
from cordlesion.io.writing import folder_lock, is_partial, remove_partial_files, write_json, write_text
from cordlesion.simulate import bids
from cordlesion.simulate.domain import Domain
from cordlesion.simulate.plan import SubjectPlan, plan_cohort
from cordlesion.simulate.scan import ScanPlan, simulate_scan
from cordlesion.simulate.true_lesions import TRUE_LESIONS


@renamed_arguments(out="output")
def simulate_cohort(
    output: Path | str, scans: int = 161, seed: int = 0, jobs: int | None = None, *, domain: Domain = "clinical"
) -> None:
    """Simulate a cohort as a BIDS dataset.

    Each scan depends only on the seed, the size of the cohort and its own number. To complete an interrupted run, run
    it again. A folder with the complete cohort is not changed.

    Args:
        output: Output folder: new, empty, or with an unfinished cohort of the same size and seed.
        scans: Number of scans; the default is as in Hussein et al. (161 scans of 108 subjects, 46 without lesions).
        seed: Another seed gives another cohort.
        jobs: Number of processes; by default one per processor.
        domain: ``clinical``: protocols as in Hussein et al.; ``reduced``: the same with a reduced field of view, a
            seventh of the voxels; ``varied``: contrasts, resolutions and artefacts from
            wider ranges, each scan of another site, to train networks that meet any protocol.

    Raises:
        CordlesionError: The folder contains something else or cannot be written, or ``scans`` or ``jobs`` is below 1.

    Examples:
        >>> import cordlesion
        >>> cordlesion.simulate_cohort("simulated", scans=1, seed=3)
        >>> scans, _ = cordlesion.find_scans("simulated")
        >>> len(scans), scans[0].reference is not None
        (1, True)
    """
    output = Path(output)
    if scans < 1:
        raise CordlesionError(f"{scans} scans were requested; at least 1 is needed. Choose a number from 1 up.")
    if jobs is not None and jobs < 1:
        raise CordlesionError(f"{jobs} processes were requested; at least 1 is needed. Choose a number from 1 up.")
    marker = _marker(scans, seed, domain)
    _require_free(output, marker)
    with folder_lock(output) as remark:
        show_message(remark)
        remove_partial_files(output)
        subjects = plan_cohort(scans, seed, domain)
        write_json(output / bids.MARKER, marker)
        _write_dataset(output, subjects, seed)
        missing = [plan for subject in subjects for plan in subject.scans(seed) if not bids.is_complete(output, plan)]
        with bar("Simulating scans", total=scans) as advance:
            advance(scans - len(missing))
            for name in simulate_all(output, missing, jobs or available_processors()):
                advance(1, name)
        if missing or not (output / bids.LABELS / TRUE_LESIONS.file).is_file():
            bids.write_lesions(output, [plan for subject in subjects for plan in subject.scans(seed)])


def _require_free(out: Path, marker: dict[str, object]) -> None:
    """Reject a folder with other content."""
    if out.exists() and not out.is_dir():
        raise CordlesionError(f"{out}: is a file; a folder for the simulated dataset is needed. Choose another name.")
    if not out.is_dir() or all(e.name == ".lock" or is_partial(e.name) for e in out.iterdir()):
        return
    if not (out / bids.MARKER).is_file():
        raise CordlesionError(f"{out}: the folder is not empty; a new or empty folder is needed. Choose another name.")
    found = read_json(out / bids.MARKER, dict)
    if found != marker:
        raise CordlesionError(
            f"{out}: contains a simulated cohort of {_described(found)}, not {_described(marker)}. "
            "Choose another folder."
        )


def _marker(scans: int, seed: int, domain: Domain) -> dict[str, object]:
    marker = {"generator": "cordlesion simulate", "version": cordlesion.__version__, "scans": scans, "seed": seed}
    return marker if domain == "clinical" else marker | {"domain": domain}


def _described(marker: Mapping[str, object]) -> str:
    domain = marker.get("domain", "clinical")
    return f"{marker.get('scans')} {domain} scans with seed {marker.get('seed')} (version {marker.get('version')})"


def _write_dataset(out: Path, subjects: tuple[SubjectPlan, ...], seed: int) -> None:
    """Write all files except the scans."""
    for name, text in bids.dataset_texts(subjects, seed).items():
        write_text(out / name, text)


def simulate_all(out: Path, plans: list[ScanPlan], jobs: int) -> Iterator[str]:
    """Simulate scans, in parallel if ``jobs`` > 1, and yield the name of each scan when it is on disk."""
    work = partial(_simulate_to_disk, out)
    if jobs == 1 or len(plans) < 2:
        yield from map(work, plans)
        return
    # "spawn", because forking is unsafe after torch or a viewer has started threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(plans)), mp_context=context, initializer=exit_with_parent) as pool:
        try:
            for future in as_completed([pool.submit(work, plan) for plan in plans]):
                yield future.result()
        except BrokenProcessPool as error:
            raise CordlesionError(
                f"{out}: the system ended a process, perhaps because memory is low. Run it again with fewer --jobs; "
                "finished scans are kept."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _simulate_to_disk(out: Path, plan: ScanPlan) -> str:
    bids.write_scan(out, simulate_scan(plan))
    return bids.scan_name(plan)
