"""The commands that compare masks and maps of any tool with each other: of repeated scans, and of two tables."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cordlesion.cli.maps import LesionClass, Rule, Subjects
from cordlesion.cli.options import Code, Flag, Output, Quiet, report_excluded


def repeatability(
    prediction: Path,
    *,
    output: Output,
    pairs: Path | None = None,
    threshold: str | None = None,
    figure: Path | None = None,
    rule: Rule = "study",
    aligned: Flag = False,
    tolerance_mm: float = 2.0,
    subjects: Subjects = None,
    lesion_value: int | None = None,
    lesion_class: LesionClass = None,
    code: Code = None,
    quiet: Quiet = False,
) -> int:
    """Measure how repeatable masks or maps are, from scans of people without a change in between; needs no reference.

    Args:
        prediction: Folder of the masks, or of the probability maps, of scans and their repeats.
        pairs: Which scans repeat each other: a table with the columns scan and repeat (a name for each group), or a
            BIDS dataset with a column repeat in its tables; by default the dataset that the masks lie in.
        threshold: Of maps, which voxels are lesion: the file that `tune` wrote, or a number; by default each of 20.
        figure: Where to draw the differences against the means (.png or .svg).
        aligned: The scans of a person share one space (registered, or nobody moved): count lesions found twice, too.
        tolerance_mm: Largest distance between the two marks of a lesion that is found twice.
        lesion_value: The value that marks lesion, in masks with other labels too, such as 1 for the cord.
    """
    from cordlesion.io.progress import shown
    from cordlesion.maps.repeatability import repeatability_files

    with shown(quiet):
        measured = repeatability_files(
            prediction,
            pairs,
            threshold=threshold,
            output=output,
            figure=figure,
            rule=rule,
            aligned=aligned,
            tolerance_mm=tolerance_mm,
            subjects=subjects,
            lesion_value=lesion_value,
            lesion_class=lesion_class,
            code=code,
        )
        return report_excluded(measured.excluded)


def compare(
    first: Path,
    second: Path,
    *,
    first_run: str = "",
    second_run: str = "",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    metrics: Annotated[tuple[str, ...], Parameter(name="--metric", negative="")] = (),
) -> None:
    """Compare two metrics.tsv, with subjects as units: Wilcoxon signed-rank test, effect size, interval.

    Args:
        first: A metrics.tsv, or a study's evaluation.tsv.
        second: Another, or the same.
        first_run: Which run, if the table has several, e.g. set=test,loss=dice,seed=0,threshold=0.5.
        second_run: The same for the second table.
        output: Where to write the comparison (.tsv).
        metrics: Column of a further metric, to be compared, too; may be repeated.
    """
    from cordlesion.maps.compare import COMPARISON_NOTE, compare_files

    runs = {"first_run": first_run, "second_run": second_run}
    comparison = compare_files(first, second, **runs, output=output, metrics=metrics)
    print(comparison.table.to_string(index=False, float_format="{:.4g}".format))
    print(COMPARISON_NOTE)
