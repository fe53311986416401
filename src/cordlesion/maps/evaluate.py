"""Evaluate masks, choose thresholds for maps and compare tables of any tool, from files (no torch)."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas as pd

from cordlesion.config import FilePatterns
from cordlesion.dataset.bids import read_dataset
from cordlesion.dataset.matching import PROBABILITY_NAMES, MapPair, images_behind, list_files, named_files, pair_files
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import METRICS, evaluate_mask, metric_row, require_gradual, sweep_map
from cordlesion.execution.local import map_scans
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.outputs import check_output_file, check_output_folder
from cordlesion.io.progress import say
from cordlesion.io.tables import write_table
from cordlesion.io.writing import write_json
from cordlesion.maps.compare import COMPARISON_NOTE as COMPARISON_NOTE
from cordlesion.maps.compare import compare_files as compare_files
from cordlesion.metrics import RULES
from cordlesion.metrics.rules import row_name
from cordlesion.threshold import (
    GRIDS,
    THRESHOLDS,
    ThresholdChoice,
    choose_threshold,
    describe_cut,
    describe_maps,
    find_cut,
    parse_objective,
)


def evaluate_files(
    reference: Path,
    prediction: Path,
    output: Path,
    rule: str = "study",
    *,
    figures: Path | None = None,
    images: Path | None = None,
    figure_format: Literal["png", "svg"] = "png",
    lesion_value: float | None = None,
    predicted_value: float | None = None,
) -> dict[str, str]:
    """Compare predicted masks with references and write ``metrics.tsv``; draw them, where that is asked for.

    Args:
        reference: A mask, or a folder of masks.
        prediction: A mask, or a folder of masks with the same BIDS entities or names.
        output: Path of the table.
        rule: A name in :data:`cordlesion.metrics.RULES`.
        figures: Folder for a picture of each scan, a page of them and a table of the lesions of both masks.
        images: The scan behind the masks, or a folder of scans; by default those of the BIDS dataset of the references.
        figure_format: Of the pictures.
        lesion_value: The value that is lesion, in masks that hold others too; by default all references must mark by
            one value, and all predictions.
        predicted_value: The same for the predictions, where it is another.

    Returns:
        The files that could not be used, each with the reason.

    Raises:
        CordlesionError: Nothing could be evaluated.
    """
    check_output_file(output, reference, prediction, images)
    if figures is not None:
        check_output_folder(figures)
    elif images is not None:
        raise CordlesionError(f"{images}: images are given but no folder for the figures; add --figures, too.")
    rule = _row(rule, RULES, "rule")
    pairs, unmatched = pair_files(reference, prediction)
    predicted = lesion_value if predicted_value is None else predicted_value
    pairs = [replace(pair, lesion_value=lesion_value, predicted_value=predicted) for pair in pairs]
    behind = {} if figures is None else _images(reference, images, pairs)
    references, predictions = MaskValues("references", lesion_value), MaskValues("predictions", predicted)
    outcomes = map_scans(
        lambda pair: metric_row(pair, evaluate_mask(pair, rule, references, predictions)), pairs, "evaluate masks"
    )
    references.require_one()
    predictions.require_one()
    faults = _faults({o.item.scan_id: o.fault for o in outcomes}, unmatched)
    rows = [o.result for o in outcomes if o.result is not None]
    if not rows:
        raise CordlesionError(next(iter(faults.values())))
    table = pd.DataFrame(rows).assign(rule=rule)
    write_table(output, table, METRICS)
    n_free = int((table["reference_volume_mm3"] == 0).sum())
    free = f" ({n_free} without lesions: their scores are undefined, false lesions are counted)" if n_free else ""
    say(f"{_scans(len(rows))} evaluated with the rule {rule!r}{free}: {output}")
    if figures is not None:
        from cordlesion.maps.agreement import write_agreement

        evaluated = [o.item for o in outcomes if o.result is not None]
        not_drawn = write_agreement(figures, evaluated, behind, rule, figure_format)
        faults |= not_drawn
        say(f"pictures of {_scans(len(evaluated) - len(not_drawn))}: {figures / 'index.html'}")
    return faults


def _scans(number: int) -> str:
    return "1 scan" if number == 1 else f"{number} scans"


def _images(reference: Path, images: Path | None, pairs: Sequence[MapPair]) -> dict[str, Path]:
    """Find the scans behind references: among ``images``, or in the BIDS dataset that the references belong to."""
    if images is not None and images.is_file() and len(pairs) == 1:
        return {pairs[0].scan_id: images}
    if images is not None:
        root = images
        given = named_files(list_files(images), FilePatterns().image)
        found = images_behind(pairs, [file for file in given if not file.is_derived], root)
    else:
        folder = reference.resolve() if reference.is_dir() else reference.resolve().parent
        root = next((above.parent for above in (folder, *folder.parents) if above.name == "derivatives"), folder)
        try:
            found = images_behind(pairs, [scan_file(scan.image) for scan in read_dataset(root).scans], root)
        except CordlesionError:
            found = {}
    missing = [pair.scan_id for pair in pairs if pair.scan_id not in found]
    if missing:
        say(
            f"{root}: has no scan for {len(missing)} of {len(pairs)} references (first: {missing[0]}), so that their "
            "masks are drawn on black. Say with --images where the scans are."
        )
    return found


def tune_files(
    reference: Path,
    probability: Path,
    output: Path,
    objective: str = "median_voxel_f1",
    rule: str = "study",
    grid: str = "paper",
    lesion_value: float | None = None,
) -> dict[str, str]:
    """Choose the decision threshold of probability maps and write it, with its curve, to ``thresholds.json``.

    Args:
        reference: A mask, or a folder of masks.
        probability: A map, or a folder of maps.
        output: Path of the JSON file.
        objective: A name in :data:`cordlesion.threshold.OBJECTIVES`, some with a number: ``f_beta:2``.
        rule: A name in :data:`cordlesion.metrics.RULES`.
        grid: A name in :data:`cordlesion.threshold.GRIDS`.
        lesion_value: The value that is lesion, in references that hold others too; by default all must mark by one.

    Returns:
        The files that could not be used, each with the reason.

    Raises:
        CordlesionError: Nothing could be evaluated, the scans do not suit the objective, or no threshold does better
            than marking every voxel.
    """
    check_output_file(output, reference, probability)
    rule = _row(rule, RULES, "rule")
    grid = _row(grid, GRIDS, "grid")
    goal = parse_objective(objective)
    pairs, unmatched = pair_files(reference, probability, PROBABILITY_NAMES)
    pairs = [replace(pair, lesion_value=lesion_value) for pair in pairs]
    references = MaskValues("references", lesion_value)
    outcomes = map_scans(
        lambda pair: sweep_map(pair, GRIDS[grid], rule, references=references), pairs, "sweep thresholds"
    )
    references.require_one()
    faults = _faults({o.item.scan_id: o.fault for o in outcomes}, unmatched)
    tables = [o.result for o in outcomes if o.result is not None]
    if not tables:
        raise CordlesionError(next(iter(faults.values())))
    table = pd.concat(tables, ignore_index=True)
    require_gradual(probability, table)
    choice = choose_threshold(table, objective)
    if not choice.learned:
        finer = "" if grid == "fine" else _finer([o.item for o in outcomes if o.result is not None], objective, rule)
        raise CordlesionError(_refusal(probability, table, choice, finer))
    cut = find_cut(table)
    how = {
        "rule": rule,
        "grid": grid,
        "lesion_free_scans": goal.lesion_free,
        "maps_cut_at": cut,
        "left_out": _without_places(faults, reference, probability),
    }
    write_json(output, _choice_record(choice) | how | {"curve": _without_nan(choice.curve)})
    say(f"threshold {choice.value:g} ({objective} {choice.score:.3f}; {choice.basis}): {output}")
    if cut is not None:
        say(f"{probability}: {describe_cut(table, cut)}.")
    if grid == "paper" and choice.value == THRESHOLDS[1]:
        say(f"{choice.value:g} is the lowest threshold above 0 that was tried; --grid fine tries lower ones.")
    return faults


def _finer(pairs: Sequence[MapPair], objective: str, rule: str) -> str:
    """Say what the fine grid finds where the study's grid finds nothing; nothing where it does not either."""
    outcomes = map_scans(lambda pair: sweep_map(pair, GRIDS["fine"], rule), pairs, "sweep finer thresholds")
    choice = choose_threshold(pd.concat([o.result for o in outcomes if o.result is not None]), objective)
    return f"--grid fine does better: t = {choice.value:g} reaches {choice.score:.3g}" if choice.learned else ""


def _refusal(probability: Path, sweep: pd.DataFrame, choice: ThresholdChoice, finer: str) -> str:
    """Say why maps have no threshold, and what to do."""
    apparent = describe_maps(sweep)
    why = f"{choice.shortfall}{f' ({apparent})' if apparent else ''}"
    remedy = finer or "Check that these are the lesion's probabilities, or give the objective another number or name"
    return f"{probability}: these maps hold nothing that a threshold could find: {why}. {remedy}."


def _choice_record(choice: ThresholdChoice) -> dict[str, object]:
    stability = choice.stability
    lost = (stability.loss_below, stability.loss_above)
    return {
        "threshold": choice.value,
        "objective": choice.objective,
        "score": choice.score,
        "interval": choice.interval,
        "plateau": stability.plateau,
        "score_lost_at_0.05_below_and_above": [None if math.isnan(loss) else loss for loss in lost],
        "area_under_curve": stability.area,
        "n_scans": choice.n_scans,
        "n_subjects": choice.n_subjects,
        "n_lesion_free": choice.n_lesion_free,
        "n_left_out": choice.n_left_out,
    }


def _without_places(faults: Mapping[str, str], *roots: Path) -> dict[str, str]:
    """Return why files were left out, without the folders of this machine: the record is passed on."""
    for root in roots:
        folder = root if root.is_dir() else root.parent
        faults = {name: fault.replace(f"{folder}/", "") for name, fault in faults.items()}
    return dict(faults)


def _without_nan(curve: pd.DataFrame) -> list[dict[Hashable, object]]:
    """Return the rows of a curve for JSON, which has no NaN."""
    return curve.astype(object).where(curve.notna(), None).to_dict(orient="records")


def _faults(by_scan: dict[str, str], unmatched: list[tuple[str, str]]) -> dict[str, str]:
    return {name: fault for name, fault in by_scan.items() if fault} | dict(unmatched)


def _row(name: str, table: Iterable[str], kind: str) -> str:
    """Return the key that a name stands for, or refuse the name."""
    names = list(table)
    key = row_name(name, names)
    if key not in names:
        raise CordlesionError(f"{name!r} is no {kind}; one of {', '.join(names)} is needed.")
    return key
