"""Compare predicted masks of any tool with references, from files (no torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd

from cordlesion.dataset.matching import MapPair
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import METRICS
from cordlesion.execution.local import map_scans
from cordlesion.execution.outcome import Outcome
from cordlesion.io.formats import plural
from cordlesion.io.html import html_notes
from cordlesion.io.mask_values import MaskReader
from cordlesion.io.outputs import optional_path
from cordlesion.io.progress import show_message
from cordlesion.io.tables import write_table
from cordlesion.lesions.ranking import LesionRanking
from cordlesion.maps.behind import find_images
from cordlesion.maps.files import (
    FigureFormat,
    pair_by_name,
    remark_people,
    remark_shared,
    require_name,
    usable_results,
)
from cordlesion.maps.given import Given, check_outputs, one_of
from cordlesion.maps.own import find_metrics
from cordlesion.maps.promise import compare_promises
from cordlesion.maps.sides import Instances, MeasuredScan, measure_sides, rank_scans, remark_masks
from cordlesion.maps.summary import write_summary
from cordlesion.metrics import RULES
from cordlesion.metrics.own import MetricFunction, OwnMetric
from cordlesion.threshold.mask_rule import read_mask_rule


@dataclass(frozen=True, eq=False)
class MetricsTable:
    """The metrics of masks, scan by scan.

    Examples:
        >>> import cordlesion
        >>> metrics = cordlesion.evaluate_files("references", "masks")
        >>> metrics.table.columns[:4].tolist()
        ['scan_id', 'subject', 'session', 'voxel_sensitivity']
    """

    table: pd.DataFrame
    """A row per scan: ``scan_id``, ``subject``, ``session``, the fields of :class:`cordlesion.ScanMetrics` and
    ``rule``; the contents of ``metrics.tsv``."""
    excluded: Mapping[str, str]
    """The scans and files that could not be used, each with the reason."""
    remarks: Sequence[str] = ()
    """What makes the scores doubtful, as sentences: files counted as people, subjects that a threshold was tuned on."""
    multi_spine: LesionRanking | None = None
    """The score of the MS-Multi-Spine challenge: of probability maps, where the highest p of a predicted lesion is its
    probability, and of instance maps with tables of probabilities."""

    def __repr__(self) -> str:
        return f"MetricsTable({plural(len(self.table), 'scan')}, {len(self.excluded)} excluded)"

    def _repr_html_(self) -> str:
        notes = [*self.remarks, *(f"Excluded: {reason}" for reason in self.excluded.values())]
        return self.table.to_html(index=False, float_format="{:.3g}".format) + html_notes(notes)


def evaluate_files(
    reference: Path | str,
    prediction: Path | str | None = None,
    *,
    probability: Path | str | None = None,
    threshold: Path | str | float | None = None,
    output: Path | str | None = None,
    rule: str = "study",
    figures: Path | str | None = None,
    images: Path | str | None = None,
    figure_format: FigureFormat = "png",
    lesion_value: float | None = None,
    predicted_value: float | None = None,
    lesion_class: int | None = None,
    subjects: Path | str | None = None,
    metrics: Sequence[str | MetricFunction] = (),
    code: Path | str | None = None,
    summary: Path | str | None = None,
    instances: Instances | None = None,
    ranked_by: str | None = None,
) -> MetricsTable:
    """Compare predicted masks with references, voxel by voxel and lesion by lesion.

    Predictions are masks, instance maps, or probability maps that are cut by a threshold. Files are paired by their
    BIDS entities or names. A pair that cannot be used is excluded and listed; the others go on. Nothing is written
    unless ``output`` or ``figures`` is given.

    Args:
        reference: A mask, or a folder of masks.
        prediction: A mask, or a folder of masks with the same BIDS entities or names.
        probability: In place of masks, a probability map or a folder of maps, as for :func:`cordlesion.tune_files`.
        threshold: Which voxels of the maps are lesion: the file that :func:`cordlesion.tune_files` wrote, or a number.
        output: Where to write the table (``metrics.tsv``).
        rule: When a lesion counts as detected: a name in :data:`cordlesion.LESION_RULES`.
        figures: Folder for a picture of each scan, a page of them and a table of the lesions of both masks.
        images: The scan behind the masks, or a folder of scans; by default those of the BIDS dataset of the references.
        figure_format: Format of the pictures.
        lesion_value: The value that is lesion, in masks that hold others too; by default all references must mark by
            one value, and all predictions.
        predicted_value: The same for the predictions, where it is another.
        lesion_class: Number of the class that is lesion, in nnU-Net's exports of more than two.
        subjects: The subject of each scan, where names do not show it: a table with the columns ``scan`` and
            ``participant_id`` (and ``session_id``), or a pattern of the names of scans such as ``{subject}_*``. If the
            table has a column ``set``, only scans of the set ``test`` are evaluated.
        metrics: Further ones, each a column: names of :data:`cordlesion.FURTHER_METRICS` such as ``hd95_mm``; functions
            of your own, ``f(reference, prediction, spacing_mm)`` of two boolean arrays that return a number, NaN where
            it is undefined; or their import paths, ``my_module:f``.
        code: Folder of the modules of import paths; by default the current one, then the installed packages. A rule of
            your own in the file ``threshold`` is run only with it.
        summary: Where to write medians and means over scans, and of maps the score of MS-Multi-Spine (``.json``).
        instances: Which files are instance maps, with a number for each lesion in place of a mask: ``prediction``,
            ``reference`` or ``both``. Their lesions are those numbers, not connected components. In folders, files
            named ``*_dseg`` are taken, where there are some.
        ranked_by: Of predicted instance maps: the column that holds the probability of each lesion, by default
            ``probability``, in the table beside the image (``.tsv``, with the number of the lesion in ``index``).

    Returns:
        The table, and what was excluded.

    Raises:
        CordlesionError: Nothing could be evaluated, neither or both of masks and maps are given, or an output cannot
            be written.

    Examples:
        Here ``references`` and ``masks`` hold one mask each of ten scans.

        >>> import cordlesion
        >>> metrics = cordlesion.evaluate_files("references", "masks", rule="anima")
        >>> len(metrics.table), dict(metrics.excluded)
        (10, {})
        >>> bool(metrics.table["voxel_f1"].median() > 0.8)
        True
    """
    reference = Path(reference)
    masks, maps, output, figures, images = map(optional_path, (prediction, probability, output, figures, images))
    summary = optional_path(summary)
    predicted_files = one_of(masks, maps, threshold)
    given = Given(predicted_files, masks is None, instances, lesion_value, predicted_value, lesion_class, ranked_by)
    check_outputs((output, summary), figures, images, reference, predicted_files)
    rule = require_name(rule, RULES, "rule")
    if figure_format not in get_args(FigureFormat):
        raise CordlesionError(f"{figure_format!r} is no format of pictures; png or svg is needed.")
    cut = None if threshold is None else read_mask_rule(threshold, code)
    own = find_metrics(metrics, code)
    pairs, unmatched = pair_by_name(
        reference,
        predicted_files,
        are_maps=given.are_maps,
        lesion_value=lesion_value,
        predicted_value=given.value_of_predictions,
        subjects=subjects,
        set_name="test",
        numbered_references=given.numbered_references,
        numbered_predictions=given.numbered_predictions,
    )
    behind = {} if figures is None else find_images(reference, images, pairs)
    references, predictions = given.readers(cut)
    outcomes = _measure(pairs, rule, own, references, predictions)
    measured, excluded = usable_results(outcomes, unmatched)
    table = pd.DataFrame([scan.row for scan in measured]).assign(rule=rule)
    ranking, unranked = rank_scans(measured)
    if output is not None:
        write_table(output, table, METRICS)
    if summary is not None:
        write_summary(summary, table, rule, None if cut is None else cut.summary, given, ranking)
    made = "" if cut is None else f" at {cut.summary}"
    show_message(f"{_summary(table, rule)}{made}{'' if output is None else f': {output}'}")
    show_message(compare_promises(cut, predicted_files, table, rule))
    if ranking is not None:
        show_message(str(ranking))
    evaluated = [outcome.item for outcome in outcomes if outcome.result is not None]
    if figures is not None:
        excluded |= _draw(figures, evaluated, behind, rule, figure_format, references, predictions)
    people = [*remark_people(evaluated, subjects), *remark_shared(cut, predicted_files, evaluated)]
    return MetricsTable(table, excluded, [*unranked, *remark_masks(references, predictions), *people], ranking)


def _measure(
    pairs: Sequence[MapPair],
    rule: str,
    own: Sequence[OwnMetric],
    references: MaskReader,
    predictions: MaskReader,
) -> list[Outcome[MapPair, MeasuredScan]]:
    """Evaluate each pair; reject all pairs if masks of one kind use different values for lesion."""
    outcomes = map_scans(lambda pair: measure_sides(pair, rule, own, references, predictions), pairs, "evaluate masks")
    references.require_one()
    predictions.require_one()
    return outcomes


def _summary(table: pd.DataFrame, rule: str) -> str:
    n_free = int((table["reference_volume_mm3"] == 0).sum())
    free = f" ({n_free} without lesions: their scores are undefined, false positives are counted)" if n_free else ""
    return f"{plural(len(table), 'scan')} evaluated with the rule {rule!r}{free}"


def _draw(
    folder: Path,
    pairs: Sequence[MapPair],
    images: Mapping[str, Path],
    rule: str,
    figure_format: FigureFormat,
    references: MaskReader,
    predictions: MaskReader,
) -> dict[str, str]:
    """Draw each pair; returns the pairs that could not be drawn, each with the reason."""
    # This imports matplotlib, which the evaluation itself does not need.
    from cordlesion.maps.agreement import write_agreement

    not_drawn = write_agreement(folder, pairs, images, rule, figure_format, predictions, references)
    show_message(f"pictures of {plural(len(pairs) - len(not_drawn), 'scan')}: {folder / 'index.html'}")
    return not_drawn
