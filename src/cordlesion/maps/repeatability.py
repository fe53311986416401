"""How repeatable masks or maps of any tool are, from scans of people without a change in between (no torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.dataset.repeats import Repeats, read_repeats
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.io.columns import Column, TableSpec
from cordlesion.io.formats import plural
from cordlesion.io.html import html_notes
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.outputs import check_output_file, optional_path
from cordlesion.io.progress import show_message
from cordlesion.io.tables import write_table
from cordlesion.lesions.found_again import TOLERANCE_MM
from cordlesion.lesions.repeatability import COLUMNS, repeatability_rows
from cordlesion.maps.files import require_name, usable_results
from cordlesion.maps.repeats import GIVEN, RepeatedMasks, ScanGroup, dataset_of, group_files, list_predictions
from cordlesion.metrics import RULES
from cordlesion.threshold.mask_rule import read_mask_rule

_THRESHOLD = Column(
    "threshold",
    "Decision threshold; `n/a` of masks, and where `--threshold` names the rule",
    "share",
    may_be_missing=True,
)
REPEATABILITY = TableSpec(
    "repeatability.tsv",
    "From `repeatability`: a row per measure, and threshold where maps are given without one.",
    (_THRESHOLD, *COLUMNS),
    key=("threshold", "measure"),
)


@dataclass(frozen=True, eq=False)
class RepeatabilityTable:
    """How repeatable masks or maps are.

    Examples:
        >>> import cordlesion
        >>> found = cordlesion.repeatability_files("masks", pairs="repeats.tsv")
        >>> found.table["measure"].tolist(), found.scans["group"].nunique()
        (['predicted_volume_mm3', 'n_predicted_lesions'], 5)
    """

    table: pd.DataFrame
    """A row per measure (and threshold): the contents of ``repeatability.tsv``."""
    scans: pd.DataFrame
    """A row per scan (and threshold): ``scan_id``, ``subject``, ``session``, ``group`` (scans that repeat each other),
    ``threshold``, ``predicted_volume_mm3``, ``n_predicted_lesions``."""
    excluded: Mapping[str, str]
    """Groups of scans that could not be used, each with the reason."""

    def __repr__(self) -> str:
        return f"RepeatabilityTable({plural(self.scans['scan_id'].nunique(), 'scan')}, {len(self.excluded)} excluded)"

    def _repr_html_(self) -> str:
        notes = [f"Excluded: {reason}" for reason in self.excluded.values()]
        return self.table.to_html(index=False, float_format="{:.3g}".format) + html_notes(notes)


def repeatability_files(
    prediction: Path | str,
    pairs: Path | str | None = None,
    *,
    threshold: Path | str | float | None = None,
    output: Path | str | None = None,
    figure: Path | str | None = None,
    rule: str = "study",
    aligned: bool = False,
    tolerance_mm: float = TOLERANCE_MM,
    subjects: Path | str | None = None,
    lesion_value: float | None = None,
    lesion_class: int | None = None,
    code: Path | str | None = None,
) -> RepeatabilityTable:
    """Measure how repeatable masks or maps are: the differences between scans of people without a change in between.

    No reference is needed. What is repeatable need not be right: read the scores beside it.

    Args:
        prediction: A folder of masks or of probability maps, with names as for :func:`cordlesion.evaluate_files`.
        pairs: Which scans repeat each other: a table with the columns ``scan`` and ``repeat``, a name for each group of
            scans (and ``participant_id``, where names do not show it); or a BIDS dataset whose tables have a column
            ``repeat``. By default the dataset that ``prediction`` lies in.
        threshold: Of maps, which voxels are lesion: the file that :func:`cordlesion.tune_files` wrote, or a number. By
            default, every threshold of the paper's grid.
        output: Where to write the table (``repeatability.tsv``).
        figure: Where to draw the differences (``.png`` or ``.svg``).
        rule: What a lesion is: a name in :data:`cordlesion.LESION_RULES`.
        aligned: Whether the scans of a group share one space (they were registered, or nobody moved), so that lesions
            that are found twice can be counted.
        tolerance_mm: Largest distance of a lesion that is found twice.
        subjects: The person of each scan, as for :func:`cordlesion.evaluate_files`.
        lesion_value: The value that is lesion, in masks that hold others too.
        lesion_class: Number of the class that is lesion, in nnU-Net's exports of more than two.
        code: Folder of the module of a threshold rule of your own, whose code is run.

    Raises:
        CordlesionError: It is not known which scans repeat each other, fewer than two groups can be used, or an output
            cannot be written.

    Examples:
        Here ``repeats.tsv`` says which of ten masks in ``masks`` repeat each other.

        >>> import cordlesion
        >>> found = cordlesion.repeatability_files("masks", pairs="repeats.tsv")
        >>> volume = found.table.iloc[0]
        >>> bool(volume["smallest_detectable_change"] > volume["within_sd"])
        True
    """
    folder, output, figure = Path(prediction), optional_path(output), optional_path(figure)
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise CordlesionError(f"{figure}: is no format of pictures; .png or .svg is needed. Change the ending.")
    for path in (output, figure):
        if path is not None:
            check_output_file(path, folder, optional_path(pairs))
    if not (np.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise CordlesionError(f"The tolerance is {tolerance_mm} mm; a length of 0 or more is needed.")
    rule = require_name(rule, RULES, "rule")
    cut = None if threshold is None else read_mask_rule(threshold, code)
    repeats = read_repeats(dataset_of(folder) if pairs is None else Path(pairs))
    files, are_maps = list_predictions(folder, threshold is not None)
    groups = group_files(files, folder, repeats, subjects)
    _remark_people(groups, repeats, subjects)
    unmatched = {
        name: f"{repeats.source}: lists the scan {name}, of which {folder} has no file; one is needed. Mend the "
        "name, or remove the row."
        for name in repeats.unmatched(files)
    }
    masks = None if are_maps else MaskValues("masks", lesion_value)
    how = RepeatedMasks(RULES[rule], masks, cut, lesion_class, tolerance_mm if aligned else None)
    outcomes = map_scans(how.measure, groups, "measure repeatability")
    if masks is not None:
        masks.require_one()
    measured, excluded = usable_results(outcomes, unmatched)
    scans = pd.concat([rows for rows, _ in measured], ignore_index=True)
    found = {one.item.scan_id: one.result[1] for one in outcomes if one.result is not None}
    table = _estimate(scans, found if aligned else None)
    scans = scans.assign(threshold=scans["threshold"].replace(GIVEN, np.nan))
    if output is not None:
        write_table(output, table, REPEATABILITY)
    if figure is not None:
        _draw(figure, scans, table)
    _report(table, output, aligned)
    return RepeatabilityTable(table, scans, excluded)


def _remark_people(groups: Sequence[ScanGroup], repeats: Repeats, subjects: Path | str | None) -> None:
    """Remark that each group counts as a person, where neither names nor tables name the people."""
    bare = [file for group in groups for file in group.files if not file.entities]
    if subjects is None and not repeats.names_people and bare:
        show_message(
            f"{repeats.source}: names no people, so that each of the {len(groups)} groups counts as one person; scans "
            "of two people in one group make every number wrong. Add a column participant_id."
        )


def _estimate(scans: pd.DataFrame, found: Mapping[str, Mapping[float, tuple[int, int]]] | None) -> pd.DataFrame:
    rows = []
    for t in sorted(scans["threshold"].unique().tolist()):
        of_threshold = scans[scans["threshold"] == t]
        twice = None if found is None else {group: counts[t] for group, counts in found.items()}
        shown = np.nan if t == GIVEN else t
        rows += [{"threshold": shown, **row} for row in repeatability_rows(of_threshold, twice)]
    return pd.DataFrame(rows, columns=list(REPEATABILITY.names))


def _draw(path: Path, scans: pd.DataFrame, table: pd.DataFrame) -> None:
    """Draw the differences at the threshold in the middle of those that were measured."""
    # This imports matplotlib, which the table does not need.
    from cordlesion.pictures.repeatability import plot_differences
    from cordlesion.pictures.style import save_figure

    thresholds = table["threshold"].unique()
    t = thresholds[len(thresholds) // 2]
    at = scans["threshold"].isna() if np.isnan(t) else scans["threshold"] == t
    figure = plot_differences(scans[at], title="" if np.isnan(t) else f"t = {t:g}")
    save_figure(figure, path)


def _report(table: pd.DataFrame, output: Path | None, aligned: bool) -> None:
    """Print what was found, of maps at the threshold with the smallest coefficient of variation of the volume."""
    volumes = table[table["measure"] == "predicted_volume_mm3"]
    best = volumes.sort_values("coefficient_of_variation").iloc[0]
    at = "" if np.isnan(best["threshold"]) else f" at t = {best['threshold']:g}, where it varies least"
    if not (volumes["mean"] > 0).any():
        show_message("no mask has a lesion, so that nothing can be said of how repeatable lesions are")
        return
    share = "n/a" if np.isnan(best["found_twice"]) else f"{best['found_twice']:.0%}"
    twice = f"; {share} of lesions are found twice" if aligned else ""
    show_message(
        f"{plural(int(best['n_scans']), 'scan')} of {plural(int(best['n_subjects']), 'subject')}{at}: lesion volume "
        f"differs by up to {best['smallest_detectable_change']:.0f} mm3 between scans of a person without a change "
        f"(95 %), ICC {best['icc']:.2f}"
        f"{twice}{'' if output is None else f': {output}'}"
    )
    if not aligned:
        show_message(
            "lesions that are found twice are not counted, since the scans of a person may lie differently in space; "
            "register them, and add --aligned"
        )
