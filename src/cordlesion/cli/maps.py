"""The commands for masks and maps of any tool. Lesion rules, objectives and grids are those of the tables."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

from cordlesion.cli.options import Output, Quiet, report_excluded
from cordlesion.metrics import RULES
from cordlesion.threshold import GRIDS, OBJECTIVES

Rule: TypeAlias = Annotated[str, Parameter(help=f"When a lesion counts as detected: {', '.join(RULES)}.")]
Objective: TypeAlias = Annotated[
    str,
    Parameter(
        help=f"What the threshold maximises: {'; '.join(f'{name} ({one.title})' for name, one in OBJECTIVES.items())}. "
        "A number after a colon replaces the one in brackets, e.g. f_beta:0.5."
    ),
]
Grid: TypeAlias = Annotated[
    str,
    Parameter(
        help=f"The thresholds to try: {', '.join(f'{name} ({len(grid)} of them)' for name, grid in GRIDS.items())}."
    ),
]


def evaluate(
    *,
    reference: Path,
    prediction: Path,
    output: Output,
    rule: Rule = "study",
    figures: Path | None = None,
    images: Path | None = None,
    figure_format: Literal["png", "svg"] = "png",
    lesion_value: int | None = None,
    predicted_value: int | None = None,
    quiet: Quiet = False,
) -> int:
    """Compare masks with references, voxel by voxel and lesion by lesion; a row per scan.

    Args:
        reference: A mask, or a folder of masks.
        prediction: A mask, or a folder of masks with the same BIDS entities or names.
        figures: Folder for a picture of each scan, coloured by agreement, with a page of them all (index.html) and a
            table of the lesions of both masks.
        images: The scans behind the masks: a scan, or a folder; by default those of the references' BIDS dataset.
        figure_format: Format of the pictures; the labels of svg can be edited.
        lesion_value: The value that marks lesion, in masks with other labels too, such as 1 for the cord. By default
            all references must have one value, and all predictions.
        predicted_value: The same for the predictions, if it is not that of the references.
    """
    from cordlesion.io.progress import shown
    from cordlesion.maps.evaluate import evaluate_files

    with shown(quiet):
        metrics = evaluate_files(
            reference,
            prediction,
            output=output,
            rule=rule,
            figures=figures,
            images=images,
            figure_format=figure_format,
            lesion_value=lesion_value,
            predicted_value=predicted_value,
        )
        return report_excluded(metrics.excluded)


def tune(
    *,
    reference: Path,
    probability: Path,
    output: Output,
    objective: Objective = "median_voxel_f1",
    rule: Rule = "study",
    grid: Grid = "paper",
    lesion_value: int | None = None,
    quiet: Quiet = False,
) -> int:
    """Choose the decision threshold for probability maps of any tool.

    Give the scans of a threshold set only, never those that results are reported on: they would look too good.

    Args:
        reference: A mask, or a folder of masks.
        probability: A probability map, or a folder of maps with the same BIDS entities or names.
        lesion_value: The value that marks lesion, in references with other labels too, such as 1 for the cord.
    """
    from cordlesion.io.progress import shown
    from cordlesion.maps.tune import tune_files

    with shown(quiet):
        choice = tune_files(
            reference,
            probability,
            output=output,
            objective=objective,
            rule=rule,
            grid=grid,
            lesion_value=lesion_value,
        )
        return report_excluded(choice.excluded)


def compare(
    first: Path,
    second: Path,
    *,
    first_run: str = "",
    second_run: str = "",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> None:
    """Compare two metrics.tsv, with subjects as units: Wilcoxon signed-rank test, effect size, interval.

    Args:
        first: A metrics.tsv, or a study's evaluation.tsv.
        second: Another, or the same.
        first_run: Which run, if the table has several, e.g. set=test,loss=dice,seed=0,threshold=0.5.
        second_run: The same for the second table.
        output: Where to write the comparison (.tsv).
    """
    from cordlesion.maps.compare import COMPARISON_NOTE, compare_files

    comparison = compare_files(first, second, first_run=first_run, second_run=second_run, output=output)
    print(comparison.table.to_string(index=False, float_format="{:.4g}".format))
    print(COMPARISON_NOTE)
