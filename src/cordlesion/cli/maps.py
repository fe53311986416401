"""The commands for masks and maps of any tool; the command line imports this file when one of them is called."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cordlesion.cli.app import Output, Quiet, report_excluded


def evaluate(
    *,
    reference: Path,
    prediction: Path,
    output: Output,
    rule: str = "study",
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
        rule: When a lesion counts as detected: study, anima, ivadomed, multi_spine, any_overlap or iou50.
        figures: Folder for a picture of each scan, coloured by agreement, with a page of them all (index.html) and a
            table of the lesions of both masks.
        images: The scans behind the masks: a scan, or a folder; by default those of the references' BIDS dataset.
        figure_format: Of the pictures; svg has labels that can be edited.
        lesion_value: The value that is lesion, where masks hold others too, such as 2 beside 1 for the cord. By default
            all references must mark by one value, and all predictions.
        predicted_value: The same for the predictions, where it is another than in the references.
    """
    from cordlesion.io.progress import shown
    from cordlesion.maps.evaluate import evaluate_files

    with shown(quiet):
        faults = evaluate_files(
            reference,
            prediction,
            output,
            rule,
            figures=figures,
            images=images,
            figure_format=figure_format,
            lesion_value=lesion_value,
            predicted_value=predicted_value,
        )
        return report_excluded(faults)


def tune(
    *,
    reference: Path,
    probability: Path,
    output: Output,
    objective: str = "median_voxel_f1",
    rule: str = "study",
    grid: Literal["paper", "fine"] = "paper",
    lesion_value: int | None = None,
    quiet: Quiet = False,
) -> int:
    """Choose the decision threshold for probability maps of any tool.

    Give the scans of a threshold set only, never those that results are reported on: they would look too good.

    Args:
        reference: A mask, or a folder of masks.
        probability: A probability map, or a folder of maps with the same BIDS entities or names.
        objective: What the threshold maximises: median_voxel_f1, mean_voxel_f1, pooled_voxel_f1, median_lesion_f1,
            f_beta:2 (voxel-wise; 2 is the weight of sensitivity), lesion_sensitivity:1 (with at most 1 false lesion per
            scan) or joint_f1_specificity (needs scans without lesions too).
        rule: When a lesion counts as detected: study, anima, ivadomed, multi_spine, any_overlap or iou50.
        grid: Thresholds 0, 0.05 .. 1; fine has 0.01, 0.02 and 0.03 as well.
        lesion_value: The value that is lesion, where references hold others too, such as 2 beside 1 for the cord.
    """
    from cordlesion.io.progress import shown
    from cordlesion.maps.evaluate import tune_files

    with shown(quiet):
        return report_excluded(tune_files(reference, probability, output, objective, rule, grid, lesion_value))


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
        first_run: The run that is meant where a table has several, e.g. set=test,loss=dice,seed=0,threshold=0.5.
        second_run: The same for the second table.
        output: Where to write the comparison (.tsv).
    """
    from cordlesion.io.outputs import check_output_file
    from cordlesion.io.tables import write_table
    from cordlesion.maps.evaluate import COMPARISON_NOTE, compare_files

    if output is not None:
        check_output_file(output, first, second)
    table = compare_files(first, second, first_run, second_run)
    if output is not None:
        write_table(output, table)
    print(table.to_string(index=False, float_format="{:.4g}".format))
    print(COMPARISON_NOTE)
