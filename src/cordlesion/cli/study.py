"""The commands for a whole study."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cordlesion.cli.options import (
    AllowPartial,
    Count,
    Flag,
    Globs,
    Output,
    Quiet,
    StudyFile,
    report_excluded,
    report_partial,
)
from cordlesion.errors import CordlesionError
from cordlesion.execution.executors import ExecutorName
from cordlesion.study_folder.stages import StageName

if TYPE_CHECKING:
    from cordlesion.study.run import StudyOutcome


def demo(output: Output = Path("demo"), *, quiet: Quiet = False) -> int:
    """Simulate a cohort, run a small study on it, and write the report."""
    from cordlesion.io.progress import shown
    from cordlesion.study.demo import run_demo

    with shown(quiet):
        return _report(run_demo(output))


def simulate(
    output: Path,
    *,
    scans: int = 161,
    seed: int = 0,
    domain: Literal["clinical", "reduced", "varied"] = "clinical",
    jobs: int | None = None,
    quiet: Quiet = False,
) -> None:
    """Write a BIDS dataset of simulated T2w cords with references, cord masks and centerlines.

    Args:
        output: Folder of the dataset; a simulation that was interrupted continues.
        scans: Number of scans; subjects, sites and lesion-free scans have the proportions of Hussein et al.
        seed: The same seed gives the same files, byte for byte.
        domain: clinical: protocols as in Hussein et al. reduced: the same with a reduced field of view, a seventh of
            the voxels. varied: contrasts, resolutions and artefacts from wider ranges, each scan of another site, to
            train networks that meet any protocol.
        jobs: Processes; all processors by default.
    """
    from cordlesion.io.progress import shown
    from cordlesion.simulate import simulate_cohort

    with shown(quiet):
        simulate_cohort(output, scans=scans, seed=seed, jobs=jobs, domain=domain)


def split(
    dataset: Path,
    output: Output = Path("splits.tsv"),
    *,
    seed: int = 0,
    folds: Count = 1,
    nnunet: Path | None = None,
    lesion_value: int | None = None,
    quiet: Quiet = False,
) -> int:
    """Assign the scans of a dataset to train, validation, threshold and test, subject by subject.

    Args:
        folds: Cross-validation: each subject is in the test set of one fold.
        nnunet: splits_final.json of nnU-Net: its val becomes test, its train is shared among the other sets.
        lesion_value: The value that marks lesion, in references with other labels too, such as 1 for the cord.
    """
    from cordlesion.config import SplitConfig
    from cordlesion.io.progress import shown
    from cordlesion.study.split import split_dataset

    with shown(quiet):
        config = SplitConfig(seed=seed, folds=folds)
        return report_excluded(split_dataset(dataset, output, config, nnunet, lesion_value))


def preprocess(study_file: StudyFile, *, allow_partial: AllowPartial = False, quiet: Quiet = False) -> int:
    """Cut the cord stacks of a study's scans."""
    return _run(study_file, "preprocess", quiet, allow_partial=allow_partial)


def train(
    study_file: StudyFile, *, run: str | None = None, allow_partial: AllowPartial = False, quiet: Quiet = False
) -> int:
    """Train the networks of a study (loss x seed) that are not trained yet.

    Args:
        run: Train only this one, e.g. tversky_seed-0.
    """
    return _run(study_file, "train", quiet, only=run, allow_partial=allow_partial)


def report(study_dir: Path, *, explorer: Flag = False, quiet: Quiet = False) -> None:
    """Write tables, figures and report.html of a study again.

    Args:
        explorer: Also write the explorer (see `view`) as a folder that opens without a server; it holds the scans.
    """
    from cordlesion.io.progress import shown
    from cordlesion.report.page import write_report

    with shown(quiet):
        if explorer:  # first: the report links to it if it exists
            from cordlesion.explorer.export import export_explorer

            print(export_explorer(study_dir))
        print(write_report(study_dir))


def init(
    dataset: Path,
    *,
    image: Globs = (),
    reference: Globs = (),
    subjects: str | None = None,
    lesion_value: int | None = None,
    minutes: Count | None = None,
    estimate: Annotated[bool, Parameter(negative="--no-estimate", name="--estimate")] = True,
) -> int:
    """Print a study for a folder of scans, to be saved as study.yaml and edited, and what it will cost here.

    Args:
        dataset: BIDS, a raw dataset of nnU-Net (or the folder with it), images/ and labels/, or masks beside images.
        image: Which files are the scans, a pattern such as `*_T2.nii.gz` or `images/*.nii.gz`; may be repeated.
        reference: Which files are the manual lesion masks; what its stars stand for is the same as in the scan's name.
        subjects: Whose scan each file is: a table (columns scan, participant_id) or a pattern such as `{subject}_*`.
        lesion_value: The value that marks lesion, in references with other labels too, such as 1 for the cord.
        minutes: Print a study that ends after about so many minutes here, with fewer scans, epochs and losses.
        estimate: Time one training step, to estimate the hours of the study.
    """
    from cordlesion.study.initial import start_study, wanted_patterns

    if minutes and not estimate:
        raise CordlesionError("--minutes: needs the time of a training step. Leave out --no-estimate.")
    study = start_study(dataset, wanted_patterns(image, reference, subjects, lesion_value))
    costs: list[str] = []
    if estimate and not study.fault:
        from cordlesion.study.estimate import estimate_initial

        study, costs = estimate_initial(study, minutes)
    print(study.text, end="")
    for remark in [study.counts, *study.remarks, *costs]:
        print(f"cordlesion: {remark}", file=sys.stderr)
    return 2 if study.fault else 0


def run(
    study_file: StudyFile,
    *,
    executor: ExecutorName = "local",
    until: StageName = "report",
    limit_scans: Count | None = None,
    epochs: Count | None = None,
    allow_partial: AllowPartial = False,
    quiet: Quiet = False,
) -> int:
    """Run a study; started again, it continues where it stopped.

    Args:
        executor: Where the work happens: on this machine, or in jobs of SLURM (section `cluster`, extra `slurm`).
        until: Last stage.
        limit_scans: Only try the study out, with at most so many scans, some of each kind for every set.
        epochs: Only try the study out, with so many epochs per training.
    """
    return _run(
        study_file, until, quiet, executor=executor, limit_scans=limit_scans, epochs=epochs, allow_partial=allow_partial
    )


def status(study_dir: Path) -> None:
    """List what of a study is done and what is left."""
    from cordlesion.study.status import study_status

    for stage, unit, state in study_status(study_dir):
        print(f"{stage:<11} {unit:<34} {state}")


def _run(
    study_file: Path,
    until: StageName,
    quiet: bool,
    only: str | None = None,
    executor: ExecutorName = "local",
    limit_scans: int | None = None,
    epochs: int | None = None,
    allow_partial: bool = False,
) -> int:
    from cordlesion.io.progress import shown
    from cordlesion.study.run import run_study
    from cordlesion.study.setup import read_study_to_run, reduce_study

    with shown(quiet):
        config = reduce_study(read_study_to_run(study_file), limit_scans, epochs)
        return _report(run_study(config, until=until, only=only, executor=executor), allow_partial)


def _report(outcome: "StudyOutcome", allow_partial: bool = False) -> int:
    return max(report_excluded(outcome), report_partial(outcome.partial.values(), allow_partial))
