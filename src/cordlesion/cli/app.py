"""The command line: one subcommand per stage, each calls one API function; heavy imports happen inside."""

import gc
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from cordlesion import __version__

app = App(
    name="cordlesion",
    help="Which loss and which decision threshold segment MS lesions of the spinal cord best on T2w MRI. "
    "Research use only.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # main says that nothing is lost
)
study = App(name="study", help="A whole study: set up, run, look at.")
model = App(name="model", help="Trained models (bundles).")
app.command(study)
app.command(model)
app.command("cordlesion.cli.export:export", name="export", help="For other programs.")
app.command("cordlesion.cli.export:export_split", name="export-split", show=False)  # its name before there was a group
model.command(
    "cordlesion.cli.export:export_model", name="export", help="Write a trained model as ONNX or as a MONAI bundle."
)
model.command(
    "cordlesion.cli.sct:import_sct", name="import-sct", help="Make a model of a lesion network that SCT published."
)

app.command("cordlesion.cli.view:view", name="view", help="Look at a finished study in the browser.")

_MAPS = {
    "evaluate": "Compare masks with references, voxel by voxel and lesion by lesion; a row per scan.",
    "tune": "Choose the decision threshold for probability maps of any tool.\n\n"
    "Give the scans of a threshold set only, never those that results are reported on: they would look too good.",
    "compare": "Compare two metrics.tsv, with subjects as units: Wilcoxon signed-rank test, effect size, interval.",
}
for _name, _help in _MAPS.items():
    app.command(f"cordlesion.cli.maps:{_name}", name=_name, help=_help)

_GO_ON = (("demo",), ("simulate",), ("preprocess",), ("train",), ("study", "run"))
"""Commands that go on where they stopped."""

Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", help="No progress, no messages.")]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Where to write.")]
Bundle = Annotated[Path, Parameter(name=["--model", "-m"], help="Folder of a trained model.")]
CordSource = Annotated[
    str, Parameter(help="What finds the cord where it is not given: auto, sct, or the file t2_ctr.h5 of SCT.")
]
Count = Annotated[int, Parameter(validator=Number(gte=1))]
Repeated = Annotated[Sequence[Path], Parameter(negative="")]
StudyFile = Annotated[Path, Parameter(help="The study: a YAML file.")]


@app.command
def demo(output: Output = Path("demo"), *, quiet: Quiet = False) -> int:
    """Simulate a cohort, run a small study on it, and write the report."""
    from cordlesion.io.progress import shown
    from cordlesion.study.demo import run_demo

    with shown(quiet):
        return report_excluded(run_demo(output))


@app.command
def simulate(output: Path, *, scans: int = 161, seed: int = 0, jobs: int | None = None, quiet: Quiet = False) -> None:
    """Write a BIDS dataset of simulated T2w cords with references, cord masks and centerlines.

    Args:
        output: Folder of the dataset; a simulation that was interrupted goes on.
        scans: Number of scans; subjects, sites and lesion-free scans follow the study's proportions.
        seed: The same seed gives the same files, byte for byte.
        jobs: Processes; all processors by default.
    """
    from cordlesion.io.progress import shown
    from cordlesion.simulate import simulate_cohort

    with shown(quiet):
        simulate_cohort(output, scans=scans, seed=seed, jobs=jobs)


@app.command
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
    """Assign the scans of a BIDS dataset to train, validation, threshold and test, subject by subject.

    Args:
        folds: Cross-validation: each subject is in the test set of one fold.
        nnunet: splits_final.json of nnU-Net: its val becomes test, its train is shared among the other sets.
        lesion_value: The value that is lesion, where references hold others too, such as 2 beside 1 for the cord.
    """
    from cordlesion.config import SplitConfig
    from cordlesion.io.progress import shown
    from cordlesion.study.split import split_dataset

    with shown(quiet):
        return report_excluded(
            split_dataset(dataset, output, SplitConfig(seed=seed, folds=folds), nnunet, lesion_value)
        )


@app.command
def preprocess(study_file: StudyFile, *, quiet: Quiet = False) -> int:
    """Cut the cord stacks of a study's scans."""
    return _run(study_file, "preprocess", quiet)


@app.command
def train(study_file: StudyFile, *, run: str | None = None, quiet: Quiet = False) -> int:
    """Train the networks of a study (loss x seed) that are not trained yet.

    Args:
        run: Train only this one, e.g. tversky_seed-0.
    """
    return _run(study_file, "train", quiet, only=run)


@app.command
def centerline(
    scan: Path,
    *,
    output: Output,
    source: str = "auto",
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Quiet = False,
) -> None:
    """Find the cord of one scan: a curve to check in the picture beside it, to edit, and to give back.

    Args:
        scan: A T2w scan of the cord (.nii or .nii.gz).
        output: Path of the curve (.nii.gz), on the scan's own grid, for --centerline of `segment`.
        source: auto (our own detector), sct (the Spinal Cord Toolbox, SCT, where it is installed), or SCT's centerline
            network: its file t2_ctr.h5 (extra `sct`).
        overwrite: Replace the curve and the picture of an earlier run; without it they are kept, as they may be edited.
    """
    from cordlesion.io.progress import say, shown
    from cordlesion.scan.centerline import centerline_file

    with shown(quiet):
        say(centerline_file(scan, output, source, overwrite=overwrite))


@app.command
def predict(
    scan: Path,
    *,
    bundle: Bundle,
    output: Output,
    centerline: Path | None = None,
    cord_mask: Path | None = None,
    centerline_source: CordSource = "auto",
) -> None:
    """Write the lesion probability map of one scan.

    Args:
        scan: A T2w scan of the cord (.nii or .nii.gz).
        output: Path of the map (.nii.gz), on the scan's own grid.
        centerline: The cord's centre, drawn on a NIfTI grid; without it and without a cord mask the cord is found.
        cord_mask: A cord mask on the scan's grid, in place of a centerline.
    """
    from cordlesion.io.progress import shown
    from cordlesion.scan.segment import predict_file

    with shown():
        predict_file(
            scan, bundle, output, centerline=centerline, cord_mask=cord_mask, centerline_source=centerline_source
        )


@app.command
def segment(
    scans: Annotated[list[Path], Parameter(negative="")],
    *,
    bundle: Bundle,
    output: Output,
    centerline: Repeated = (),
    cord_mask: Repeated = (),
    centerline_source: CordSource = "auto",
    threshold: float | None = None,
    qc: Path | None = None,
    pictures: bool = True,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Quiet = False,
) -> int:
    """Segment lesions: mask, probability map, list of lesions, picture and one-page report for every scan.

    Args:
        scans: T2w scans of the cord (.nii or .nii.gz).
        centerline: The cord's centre, drawn on a NIfTI grid; with several scans, once for each, in their order. Without
            it and without a cord mask the cord is found; `cordlesion centerline` shows where.
        cord_mask: A cord mask on the scan's grid, in place of a centerline, or beside it where the model restricts
            lesions to the cord; once for each scan.
        threshold: A voxel is lesion when p >= threshold; the model's tuned threshold by default.
        qc: A quality-control report of the Spinal Cord Toolbox to add an entry for each scan to.
        pictures: --no-pictures saves a second or two for each scan: no picture, no report.
        overwrite: Replace masks that were corrected by hand, or that are of another scan of the same name; without it
            they are kept, and such scans are listed.
    """
    from cordlesion.io.progress import shown
    from cordlesion.scan.segment import segment_files

    with shown(quiet):
        faults = segment_files(
            scans,
            bundle,
            output,
            centerlines=centerline,
            cord_masks=cord_mask,
            centerline_source=centerline_source,
            threshold=threshold,
            qc=qc,
            pictures=pictures,
            overwrite=overwrite,
        )
        return report_excluded(faults)


@app.command
def report(study_dir: Path, *, explorer: Annotated[bool, Parameter(negative="")] = False, quiet: Quiet = False) -> None:
    """Write tables, figures and report.html of a study again.

    Args:
        explorer: Also write the explorer (see `view`) as a folder that opens without a server; it holds the scans.
    """
    from cordlesion.io.progress import shown
    from cordlesion.report.html import write_report

    with shown(quiet):
        if explorer:  # first: the report links to it where it lies
            from cordlesion.explorer.export import export_explorer

            print(export_explorer(study_dir))
        print(write_report(study_dir))


@study.command
def init(dataset: Path) -> None:
    """Print a study for a BIDS dataset, to be saved as study.yaml and edited."""
    from cordlesion.study.setup import study_to_start_from

    text, remarks = study_to_start_from(dataset)
    print(text, end="")
    for remark in remarks:
        print(f"cordlesion: {remark}", file=sys.stderr)


@study.command
def run(
    study_file: StudyFile,
    *,
    executor: Literal["local", "slurm"] = "local",
    until: str = "report",
    limit_scans: Count | None = None,
    epochs: Count | None = None,
    quiet: Quiet = False,
) -> int:
    """Run a study; started again, it goes on where it stopped.

    Args:
        executor: Where work happens: on this machine, or in jobs of SLURM (section `cluster`, extra `slurm`).
        limit_scans: Only try the study out, with at most so many scans, some of each kind for every set.
        epochs: Only try the study out, with so many epochs per training.
        until: Last stage: split, preprocess, train, tune, evaluate, analyze or report.
    """
    return _run(study_file, until, quiet, executor=executor, limit_scans=limit_scans, epochs=epochs)


@study.command
def status(study_dir: Path) -> None:
    """Say what of a study is done and what is left."""
    from cordlesion.study.status import study_status

    for stage, unit, state in study_status(study_dir):
        print(f"{stage:<11} {unit:<34} {state}")


@model.command
def info(bundle: Path) -> None:
    """Print the card of a trained model."""
    import json

    from cordlesion.model.bundle import read_card

    print(json.dumps(read_card(bundle).model_dump(mode="json"), indent=2))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (``sys.argv`` by default): exit status 0, or 2 after a mistake, told in a sentence."""
    from cordlesion.errors import CordlesionError

    # Importing torch and matplotlib makes a million objects and no garbage: searching them took 4 % of `segment`.
    gc.set_threshold(50_000)
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that a terminal cannot show
    try:
        _require_utf8(arguments)
        status = app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        sys.exit(2)
    except CordlesionError as error:
        print(f"cordlesion: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output (`head`) has seen enough; without this Python complains again when it exits.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        sys.exit(0)
    except OSError as error:
        print(f"cordlesion: {_refused(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"cordlesion: stopped; {_after_stop(arguments)}.", file=sys.stderr)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _refused(error: OSError) -> str:
    """Say what the system did not allow, wherever that was: rights, names and disks are the user's."""
    reason = error.strerror or str(error) or type(error).__name__
    place = f"{error.filename}: cannot be used ({reason})" if error.filename else f"the system refused ({reason})"
    return f"{place}; files and folders that may be read and written are needed. Check rights, names and free space."


def _require_utf8(arguments: Sequence[str]) -> None:
    """Refuse names that could not stand in any table, before anything is written."""
    from cordlesion.dataset.scan_names import illegible
    from cordlesion.errors import CordlesionError

    for argument in arguments:
        if fault := illegible(Path(argument)):
            raise CordlesionError(fault)


def _after_stop(arguments: Sequence[str]) -> str:
    """Say what the same command does after an interruption: only those of ``_GO_ON`` keep track of what is done."""
    if any(tuple(arguments[: len(names)]) == names for names in _GO_ON):
        return "the same command goes on from here"
    return "what is finished is kept, but the same command does it again"


def _run(
    study_file: Path,
    until: str,
    quiet: bool,
    only: str | None = None,
    executor: str = "local",
    limit_scans: int | None = None,
    epochs: int | None = None,
) -> int:
    from cordlesion.io.progress import shown
    from cordlesion.study.run import run_study
    from cordlesion.study.setup import read_study_to_run, reduce_study

    with shown(quiet):
        config = reduce_study(read_study_to_run(study_file), limit_scans, epochs)
        return report_excluded(run_study(config, until=until, only=only, executor=executor))


def report_excluded(faults: Mapping[str, str]) -> int:
    """Print why scans were left out; the exit status tells that there were some."""
    for fault in faults.values():
        print(f"cordlesion: left out: {fault}", file=sys.stderr)
    return 2 if faults else 0
