"""The commands for masks and maps of any tool. Lesion rules, objectives and grids are those of the tables."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

from cordlesion.cli.options import Code, Flag, Output, Quiet, report_excluded, report_remarks
from cordlesion.metrics import FURTHER_METRICS, RULES
from cordlesion.threshold import GRIDS, OBJECTIVES, THRESHOLD_RULES

Rule: TypeAlias = Annotated[str, Parameter(help=f"When a lesion counts as detected: {', '.join(RULES)}.")]
Objective: TypeAlias = Annotated[
    str,
    Parameter(
        help=f"What the threshold maximises: {'; '.join(f'{name} ({one.title})' for name, one in OBJECTIVES.items())}. "
        "A number after a colon replaces the one in brackets, e.g. f_beta:0.5. Or one of your own, by the import path "
        "of its function: my_module:my_objective."
    ),
]
Metrics: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        name="--metric",
        negative="",
        help=f"A further metric, a column of its own: {', '.join(FURTHER_METRICS)}. Or one of your own, by the "
        "import path of its function: my_module:my_metric; its code is run. May be repeated.",
    ),
]
OwnCode: TypeAlias = Annotated[
    Path | None,
    Parameter(
        name="--code",
        help="Folder of the modules of your own that other options name; by default the current one. A threshold rule "
        "that a file names runs only where this is given.",
    ),
]
Grid: TypeAlias = Annotated[
    str,
    Parameter(
        help=f"The thresholds to try: {', '.join(f'{name} ({len(grid)} of them)' for name, grid in GRIDS.items())}."
    ),
]
ThresholdRuleName: TypeAlias = Annotated[
    str,
    Parameter(
        help=f"How masks are made of maps: {', '.join(THRESHOLD_RULES)}. Rules other than global choose settings of "
        "their own together with the threshold."
    ),
]
Subjects: TypeAlias = Annotated[
    str | None,
    Parameter(
        help="The subject of each scan, where names do not show it: a table with the columns scan and participant_id "
        "(and session_id), or a pattern of the names of scans such as '{subject}_*'. With a column set, `tune` uses "
        "only scans of the set threshold, and `evaluate` only those of the set test."
    ),
]
LesionClass: TypeAlias = Annotated[
    int | None, Parameter(help="Number of the class that is lesion, in nnU-Net's exports of more than two.")
]


def evaluate(
    *,
    reference: Path,
    prediction: Path | None = None,
    probability: Path | None = None,
    threshold: str | None = None,
    output: Output,
    rule: Rule = "study",
    figures: Path | None = None,
    images: Path | None = None,
    figure_format: Literal["png", "svg"] = "png",
    lesion_value: int | None = None,
    predicted_value: int | None = None,
    lesion_class: LesionClass = None,
    subjects: Subjects = None,
    metrics: Metrics = (),
    code: OwnCode = None,
    summary: Path | None = None,
    instances: Literal["prediction", "reference", "both"] | None = None,
    ranked_by: str | None = None,
    quiet: Quiet = False,
) -> int:
    """Compare masks with references, voxel by voxel and lesion by lesion; a row per scan.

    Args:
        reference: A mask, or a folder of masks.
        prediction: A mask, or a folder of masks with the same BIDS entities or names.
        probability: In place of masks: a probability map, or a folder of maps, as for `tune`.
        threshold: Which voxels of the maps are lesion: the file that `tune` wrote, or a number.
        figures: Folder for a picture of each scan, coloured by agreement, with a page of them all (index.html) and a
            table of the lesions of both masks.
        images: The scans behind the masks: a scan, or a folder; by default those of the references' BIDS dataset.
        figure_format: Format of the pictures; the labels of svg can be edited.
        lesion_value: The value that marks lesion, in masks with other labels too, such as 1 for the cord. By default
            all references must have one value, and all predictions.
        predicted_value: The same for the predictions, if it is not that of the references.
        summary: Where to write the medians and means over scans, and of maps the score of MS-Multi-Spine (.json).
        instances: Which files are instance maps (*_dseg.nii.gz), with a number for each lesion in place of a mask. Each
            number is one lesion. By default none are.
        ranked_by: Of predicted instance maps: the column that holds the probability of each lesion, in the table
            beside the image (*_dseg.tsv); by default probability.
    """
    from cordlesion.io.progress import shown
    from cordlesion.maps.evaluate import evaluate_files

    with shown(quiet):
        measured = evaluate_files(
            reference,
            prediction,
            probability=probability,
            threshold=threshold,
            output=output,
            rule=rule,
            figures=figures,
            images=images,
            figure_format=figure_format,
            lesion_value=lesion_value,
            predicted_value=predicted_value,
            lesion_class=lesion_class,
            subjects=subjects,
            metrics=metrics,
            code=code,
            summary=summary,
            instances=instances,
            ranked_by=ranked_by,
        )
        report_remarks(measured.remarks)
        return report_excluded(measured.excluded)


def tune(
    *,
    reference: Path,
    probability: Path,
    output: Output,
    objective: Objective = "median_voxel_f1",
    rule: Rule = "study",
    grid: Grid = "paper",
    threshold_rule: ThresholdRuleName = "global",
    minimum_volume: Annotated[tuple[float, ...], Parameter(negative="", consume_multiple=True)] = (),
    at_most_missed: float | None = None,
    at_most_false_positives: float | None = None,
    certainty: float = 0.95,
    lesion_value: int | None = None,
    lesion_class: LesionClass = None,
    subjects: Subjects = None,
    pairs: Path | None = None,
    metrics: Metrics = (),
    code: OwnCode = None,
    quiet: Quiet = False,
) -> int:
    """Choose the decision threshold for probability maps of any tool.

    Give the scans of a threshold set only, never those that results are reported on: they would look too good.

    Args:
        reference: A mask, or a folder of masks.
        probability: A probability map, or a folder of maps with the same BIDS entities or names: NIfTI files, or the
            predictions of nnU-Net (.npz), also those in the folds of a trained model.
        minimum_volume: Minimum lesion volumes in mm3, of which one is chosen together with the threshold; predicted
            components count only if they are larger. By default all count.
        at_most_missed: A promise, such as 0.2: the share of a subject's lesions that is missed, in the mean over
            subjects. The best threshold that is shown to keep it is chosen, and its price is printed.
        at_most_false_positives: A promise, such as 1: false positives per scan, in the mean over subjects.
        certainty: That what is promised holds for subjects like these, from 0.5 to below 1.
        lesion_value: The value that marks lesion, in references with other labels too, such as 1 for the cord.
        pairs: Which scans repeat each other, for the objective repeatability: a table with the columns scan and repeat
            (a name for each group), or a BIDS dataset with a column repeat in its tables; by default the dataset that
            the references lie in.
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
            lesion_class=lesion_class,
            threshold_rule=threshold_rule,
            minimum_volumes_mm3=minimum_volume,
            at_most_missed=at_most_missed,
            at_most_false_positives=at_most_false_positives,
            certainty=certainty,
            subjects=subjects,
            pairs=pairs,
            metrics=metrics,
            code=code,
        )
        report_remarks(choice.remarks)
        return report_excluded(choice.excluded)


def cut(
    *,
    probability: Path,
    threshold: str,
    output: Output,
    names: Literal["auto", "bids", "same"] = "auto",
    images: Path | None = None,
    lesion_class: LesionClass = None,
    instances: Flag = False,
    overwrite: Flag = False,
    code: Code = None,
    quiet: Quiet = False,
) -> int:
    """Make lesion masks of the probability maps of any tool, by the threshold that `tune` chose.

    Args:
        probability: A probability map, or a folder of maps, as for `tune`.
        threshold: Which voxels are lesion: the file that `tune` wrote, or a number.
        output: Folder of the masks.
        names: How masks are named: bids (label-lesion_mask in place of probseg), same (as the map), or auto (by the
            name of the map).
        images: The scans: a scan, or a folder; needed for predictions of nnU-Net that lie without its masks.
        instances: Write an image with the number of each lesion, too (*_dseg.nii.gz), and its table with the
            probability that each is real.
        overwrite: Replace masks of these names.
    """
    from cordlesion.io.progress import shown
    from cordlesion.maps.cut import cut_files

    with shown(quiet):
        done = cut_files(
            probability,
            threshold,
            output,
            names=names,
            images=images,
            lesion_class=lesion_class,
            overwrite=overwrite,
            code=code,
            instances=instances,
        )
        return report_excluded(done.excluded)
