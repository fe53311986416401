"""The command line: the table of its commands, and what becomes of errors.

Commands are imported when they are called, and import what they need inside, so that ``--help`` is fast.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cyclopts import App, CycloptsError, Group

from cordlesion import __version__
from cordlesion.errors import CordlesionError

STUDY = Group("A study", sort_key=1)
SCAN = Group("One scan", sort_key=2)
MAPS = Group("Masks and maps of any tool", sort_key=3)
DETECT = Group("What a method can detect", sort_key=4)
MODELS = Group("Models and other programs", sort_key=5)
OPTIONS = Group("Options", sort_key=6)


@dataclass(frozen=True)
class Command:
    """A row of the table below."""

    name: str
    """Its words on the command line."""
    function: str
    """``module:function`` below ``cordlesion.cli``; empty for a command that only holds others."""
    text: str
    """The docstring of the function without ``Args``, for the list of commands; empty if the list leaves it out."""
    group: Group | None = None
    """Where ``--help`` lists it; None below another command."""


COMMANDS = (
    Command("demo", "study:demo", "Simulate a cohort, run a small study on it, and write the report.", STUDY),
    Command(
        "simulate",
        "study:simulate",
        "Write a BIDS dataset of simulated T2w cords with references, cord masks and centerlines.",
        STUDY,
    ),
    Command("study", "", "A whole study: set up, run, look at.", STUDY),
    Command(
        "study init",
        "study:init",
        "Print a study for a folder of scans, to be saved as study.yaml and edited, and what it will cost here.",
    ),
    Command("study run", "study:run", "Run a study; started again, it continues where it stopped."),
    Command("study status", "study:status", "List what of a study is done and what is left."),
    Command(
        "split",
        "study:split",
        "Assign the scans of a dataset to train, validation, threshold and test, subject by subject.",
        STUDY,
    ),
    Command("preprocess", "study:preprocess", "Cut the cord stacks of a study's scans.", STUDY),
    Command("train", "study:train", "Train the networks of a study (loss x seed) that are not trained yet.", STUDY),
    Command("report", "study:report", "Write tables, figures and report.html of a study again.", STUDY),
    Command(
        "view",
        "view:view",
        (
            "Look at a finished study in the browser: every scan, two models side by side, at any threshold.\n\n"
            "Nothing leaves this machine, and nothing of the study is changed. Ctrl+C ends it."
        ),
        STUDY,
    ),
    Command(
        "plan",
        "plan:plan",
        (
            "Plan a study: how many subjects, scans and seeds show that one loss beats another, or that tuning helps."
            "\n\nWrites a table and a figure, and prints how many are enough. The numbers come from a finished study, "
            "or from the example in the package."
        ),
        STUDY,
    ),
    Command(
        "centerline",
        "scan:centerline",
        "Find the cord of one scan: a curve, and a picture to check it, so that it can be edited and given back.",
        SCAN,
    ),
    Command("predict", "scan:predict", "Write the lesion probability map of one scan.", SCAN),
    Command(
        "segment",
        "scan:segment",
        "Segment lesions: mask, probability map, list of lesions, picture and one-page report for every scan.",
        SCAN,
    ),
    Command(
        "evaluate",
        "maps:evaluate",
        "Compare masks with references, voxel by voxel and lesion by lesion; a row per scan.",
        MAPS,
    ),
    Command(
        "tune",
        "maps:tune",
        (
            "Choose the decision threshold for probability maps of any tool.\n\n"
            "Give the scans of a threshold set only, never those that results are reported on: they would look too "
            "good."
        ),
        MAPS,
    ),
    Command(
        "cut",
        "maps:cut",
        "Make lesion masks of the probability maps of any tool, by the threshold that `tune` chose.",
        MAPS,
    ),
    Command(
        "compare",
        "maps:compare",
        "Compare two metrics.tsv, with subjects as units: Wilcoxon signed-rank test, effect size, interval.",
        MAPS,
    ),
    Command(
        "implant",
        "detectability:implant",
        "Put known lesions into copies of healthy scans: a BIDS dataset with exact masks, for `detectability`.",
        DETECT,
    ),
    Command(
        "detectability",
        "detectability:detectability",
        (
            "Measure how small and how faint a lesion a method can find: tables with intervals, and a figure.\n\n"
            "Give a model, or the maps or masks of any tool for the scans of the dataset."
        ),
        DETECT,
    ),
    Command("model", "", "Trained models (bundles).", MODELS),
    Command(
        "model info",
        "model:info",
        "Print the card of a trained model; by default, or for `packaged`, of the one in the package.",
    ),
    Command(
        "model export",
        "model:export_model",
        "Write a trained model for other programs: patches in, lesion probabilities out.",
    ),
    Command(
        "model import-sct",
        "model:import_sct",
        (
            "Make a model of a lesion network that the Spinal Cord Toolbox (SCT) published, with SCT's own "
            "preprocessing.\n\nThe weights stay under SCT's own terms; nothing in the file is executed."
        ),
    ),
    Command("export", "", "Splits and scans for nnU-Net.", MODELS),
    Command(
        "export split",
        "export:export_split",
        (
            "Write a splits.tsv, e.g. of a study, as splits_final.json of nnU-Net: train and validation of each fold."
            "\n\nScans of the sets threshold and test are left out, so that nnU-Net can be measured on them too."
        ),
    ),
    Command(
        "export nnunet",
        "export:export_nnunet",
        (
            "Write the scans of a study as a raw dataset of nnU-Net v2, with the study's own split.\n\n"
            "imagesTr and labelsTr hold train and validation; imagesTs holds threshold and test, without their "
            "references."
        ),
    ),
    Command("export-split", "export:export_split", ""),  # the old name of `export split`
)
"""Every command, in the order of ``--help``."""

_RESUMABLE = (("demo",), ("simulate",), ("preprocess",), ("train",), ("study", "run"))
"""Commands that continue where they stopped."""


def make_app() -> App:
    """Return the command line; no command is imported yet."""
    app = App(
        name="cordlesion",
        help="Which loss and which decision threshold segment MS lesions of the spinal cord best on T2w MRI. "
        "Research use only.",
        version=__version__,
        suppress_keyboard_interrupt=False,  # main prints that nothing is lost
    )
    for flag in ("--help", "--version"):
        app[flag].group = OPTIONS
    holders: dict[str, App] = {}
    for order, command in enumerate(COMMANDS):
        *above, name = command.name.split()
        parent = holders[above[0]] if above else app
        if command.function:
            path, shown = f"cordlesion.cli.{command.function}", command.text != ""
            parent.command(path, name=name, help=command.text or None, group=command.group, show=shown, sort_key=order)
        else:
            holders[name] = App(name=name, help=command.text, group=command.group, sort_key=order)
            app.command(holders[name])
    return app


app = make_app()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (``sys.argv`` by default): exit status 0, or 2 with a sentence about the mistake."""
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
        # The reader of our output (`head`) has closed it; without this Python reports the error again at exit.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        sys.exit(0)
    except OSError as error:
        print(f"cordlesion: {_describe(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"cordlesion: stopped; {_after_stop(arguments)}.", file=sys.stderr)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _describe(error: OSError) -> str:
    """Describe what the system did not allow: rights, names and disks are the user's."""
    reason = error.strerror or str(error) or type(error).__name__
    place = f"{error.filename}: cannot be used ({reason})" if error.filename else f"the system refused ({reason})"
    return f"{place}; files and folders that may be read and written are needed. Check rights, names and free space."


def _require_utf8(arguments: Sequence[str]) -> None:
    """Refuse names that cannot be written into tables, before anything is written."""
    from cordlesion.dataset.scan_names import illegible

    for argument in arguments:
        if fault := illegible(Path(argument)):
            raise CordlesionError(fault)


def _after_stop(arguments: Sequence[str]) -> str:
    """Describe what the same command does after an interruption: only those of ``_RESUMABLE`` record what is done."""
    if any(tuple(arguments[: len(names)]) == names for names in _RESUMABLE):
        return "the same command continues from here"
    return "what is finished is kept, but the same command does it again"
