"""The stages of a study, in their order. Command line, status, error messages and clean-up follow from this table.

A function is named by its import path and imported when its stage runs, so that reading the table needs no torch.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

StageName: TypeAlias = Literal["split", "preprocess", "train", "tune", "evaluate", "analyze", "report"]
"""Names of the stages, for type checkers and for the choices of ``--until``."""


@dataclass(frozen=True)
class Stage:
    """A part of a study that runs after all stages before it."""

    name: StageName
    function: str
    """``module:function``; takes what the stage before returned and :class:`cordlesion.study.options.RunOptions`."""
    description: str
    files: tuple[str, ...] = ()
    """Names of the files that it writes into the study folder (or the folder of each run); the first shows it is done.
    """
    is_result: bool = True
    """Whether its files are removed when the inputs of the study change; otherwise each unit has its own fingerprint.
    """


STAGES: tuple[Stage, ...] = (
    Stage(
        "split",
        "cordlesion.study.cohort:begin_study",
        "check the scans and assign them to sets",
        ("splits.tsv", "study.yaml", "manifest.json", "comparators.tsv"),
        is_result=False,
    ),
    Stage(
        "preprocess",
        "cordlesion.study.preprocess:preprocess",
        "cut the cord stacks and import the files of comparators",
        is_result=False,
    ),
    Stage(
        "train",
        "cordlesion.study.train:train_runs",
        "train a network for each loss and seed",
        ("history.tsv",),
        is_result=False,
    ),
    Stage(
        "tune",
        "cordlesion.study.tune:tune",
        "choose the decision thresholds on the threshold set",
        ("thresholds.tsv", "rule_choices.tsv"),
    ),
    Stage(
        "evaluate",
        "cordlesion.study.evaluate:evaluate_test",
        "open the test set and measure every method",
        ("evaluation.tsv", "sweep.tsv"),
    ),
    Stage(
        "analyze",
        "cordlesion.study.analysis:analyze",
        "other lesion rules, lesion sizes, FROC curves, calibration",
        (
            "calibration.tsv",
            "rules.tsv",
            "strata.tsv",
            "reliability.tsv",
            "froc.tsv",
            "uncertainty.tsv",
            "retention.tsv",
            "threshold_rules.tsv",
        ),
    ),
    Stage(
        "report",
        "cordlesion.study.options:report",
        "write tables, figures and report.html",
        ("report.html",),
    ),
)
"""In the order in which they must run: the test set is opened only after the thresholds are written."""


def stages_until(last: str) -> tuple[Stage, ...]:
    """Return the stages up to and including the one with the name ``last``."""
    names = [stage.name for stage in STAGES]
    return STAGES[: names.index(last) + 1] if last in names else ()


def run_stage(name: str) -> str:
    """Return the advice that ends a message about something missing."""
    return f"Run the study's stage `{name}` (`cordlesion study run` runs every stage that is not done)."


def run_stage_of(file: str) -> str:
    """Return the advice for a file, by its name, that a stage should have written."""
    return run_stage(next(stage.name for stage in STAGES if file in stage.files))
