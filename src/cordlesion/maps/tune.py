"""Choose the decision threshold for probability maps of any tool, from files (no torch)."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from cordlesion.config import PostprocessConfig, ThresholdConfig
from cordlesion.dataset.matching import MapPair
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import require_gradual, sweep_volumes
from cordlesion.execution.local import map_scans
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.outputs import check_output_file, optional_path
from cordlesion.io.progress import show_message
from cordlesion.io.writing import write_json
from cordlesion.maps.files import pair_by_name, remark_people, require_name, usable_results
from cordlesion.maps.lesion_chances import calibrate_lesions
from cordlesion.maps.own import find_metrics, find_objective
from cordlesion.maps.promise import asked_limits, keep_limits
from cordlesion.maps.tuned_repeats import TunedRepeats, find_repeats
from cordlesion.metrics import RULES
from cordlesion.metrics.own import MetricFunction, OwnMetric
from cordlesion.nnunet.predictions import read_map
from cordlesion.threshold import (
    GRIDS,
    THRESHOLD_RULES,
    VOLUME,
    AnyObjective,
    GlobalThreshold,
    ThresholdChoice,
    choose_threshold,
    describe_cut,
    describe_maps,
    find_cut,
)
from cordlesion.threshold.edges import describe_edges
from cordlesion.threshold.mask_rule import MaskRule
from cordlesion.threshold.promises import CERTAINTY
from cordlesion.threshold.rule import TunedRule, TuningScan

_LOWER = {"paper": "--grid fine tries lower ones"}


def tune_files(
    reference: Path | str,
    probability: Path | str,
    *,
    output: Path | str | None = None,
    objective: AnyObjective = "median_voxel_f1",
    rule: str = "study",
    grid: str = "paper",
    lesion_value: float | None = None,
    lesion_class: int | None = None,
    minimum_volumes_mm3: Sequence[float] = (),
    threshold_rule: str = "global",
    at_most_missed: float | None = None,
    at_most_false_positives: float | None = None,
    certainty: float = CERTAINTY,
    subjects: Path | str | None = None,
    pairs: Path | str | None = None,
    metrics: Sequence[str | MetricFunction] = (),
    code: Path | str | None = None,
) -> ThresholdChoice:
    """Choose the decision threshold of probability maps.

    Give the scans of a threshold set only, never those that results are reported on: they would look too good.
    Files are paired by their BIDS entities or names. A pair that cannot be used is excluded and listed; the others go
    on. Nothing is written unless ``output`` is given.

    Maps are NIfTI files, or the softmax exports of nnU-Net: a folder of ``nnUNetv2_predict --save_probabilities``, or
    the folder of a trained model, of which the validation of each fold is used.

    Args:
        reference: A mask, or a folder of masks.
        probability: A probability map, or a folder of maps with the same BIDS entities or names.
        output: Where to write the threshold with its curve (``thresholds.json``).
        objective: What the threshold maximises: a name in :data:`cordlesion.OBJECTIVES`, some with a number:
            ``repeatability:0.3``; or one of your own, a function of columns or its import path
            (:func:`cordlesion.choose_threshold`).
        rule: When a lesion counts as detected: a name in :data:`cordlesion.LESION_RULES`.
        grid: Which thresholds are tried: a name in :data:`cordlesion.THRESHOLD_GRIDS`.
        lesion_value: The value that is lesion, in references that hold others too; by default all must mark by one.
        lesion_class: Number of the class that is lesion, in nnU-Net's exports of more than two.
        minimum_volumes_mm3: Minimum lesion volumes, of which one is chosen together with the threshold; predicted
            components count only if they are larger. By default all count.
        threshold_rule: How masks are made of maps: a name in :data:`cordlesion.threshold.THRESHOLD_RULES`. Rules other
            than ``global`` choose their settings together with the threshold, from grids of their own.
        at_most_missed: A promise: the share of a subject's lesions that is missed, in the mean over subjects. The best
            threshold that is shown to keep it is chosen (:func:`cordlesion.threshold.promise`).
        at_most_false_positives: A promise: false positives per scan, in the mean over subjects; beside the other or
            alone.
        certainty: That what is promised holds.
        subjects: The subject of each scan, where names do not show it: a table with the columns ``scan`` and
            ``participant_id`` (and ``session_id``), or a pattern of the names of scans such as ``{subject}_*``. If the
            table has a column ``set``, only scans of the set ``threshold`` are used.
        pairs: For the objective ``repeatability``, which scans repeat each other, as for
            :func:`cordlesion.repeatability_files`; by default the dataset that the references lie in states it.
        metrics: Of your own, which the objective reads, as for :func:`cordlesion.evaluate_files`.
        code: Folder of the modules of import paths; by default the current one, then the installed packages.

    Returns:
        The choice; ``excluded`` in it lists the files that could not be used, each with the reason, and ``remarks``
        what makes it doubtful.

    Raises:
        CordlesionError: Nothing could be evaluated, the scans do not suit the objective, no threshold does better
            than marking every voxel or is shown to keep a promise, or the output cannot be written.

    Examples:
        Here ``references`` holds masks of ten scans, and ``maps`` a probability map of each.

        >>> import cordlesion
        >>> choice = cordlesion.tune_files("references", "maps")
        >>> choice.n_scans, 0 < choice.value < 0.5
        (10, True)
    """
    reference, probability, output = Path(reference), Path(probability), optional_path(output)
    if output is not None:
        check_output_file(output, reference, probability)
    rule, grid = require_name(rule, RULES, "rule"), require_name(grid, GRIDS, "grid")
    kind = THRESHOLD_RULES[require_name(threshold_rule, THRESHOLD_RULES, "threshold rule")]
    own = find_metrics(metrics, code)
    goal = find_objective(objective, own, code)
    limits = asked_limits(at_most_missed, at_most_false_positives, certainty, threshold_rule)
    volumes = _checked_volumes(minimum_volumes_mm3)
    scans, unmatched = pair_by_name(
        reference, probability, are_maps=True, lesion_value=lesion_value, subjects=subjects, set_name="threshold"
    )
    repeats = find_repeats(scans, goal, pairs, reference, subjects)
    measure = _Sweep(rule, volumes, lesion_class, MaskValues("references", lesion_value), own, repeats)
    by_threshold = kind is GlobalThreshold
    if not by_threshold:
        _require_own_grid(threshold_rule, grid, minimum_volumes_mm3, own)
    sweep = partial(measure.sweep, grid) if by_threshold else partial(measure.by_rule, kind)
    outcomes = map_scans(sweep, repeats.pairs, "sweep thresholds")
    measure.references.require_one()
    tables, excluded = usable_results(outcomes, unmatched)
    table = pd.concat(tables, ignore_index=True)
    require_gradual(probability, table)
    usable = [outcome.item for outcome in outcomes if outcome.result is not None]
    chosen, choice = kind.choose(table, goal, RULES[rule])
    alone = [pair for pair in usable if pair.scan_id not in repeats.groups]
    choice = replace(choice, excluded=excluded, remarks=[*repeats.remarks, *remark_people(alone, subjects)])
    if isinstance(objective, str):
        choice, chosen = replace(choice, objective=objective), chosen.model_copy(update={"objective": objective})
    if not choice.learned:
        finer = "" if grid == "fine" or not by_threshold else _finer(usable, choice, measure)
        raise CordlesionError(_refusal(probability, table, choice, finer))
    promised = ""
    if limits:
        chosen, choice, promised = keep_limits(table, choice, limits, certainty, rule, probability)
    people = {pair.scan_id: pair.subject for pair in usable}
    masks = MaskRule.chosen(choice, people) if by_threshold else MaskRule(chosen, scans=people)
    masks = replace(masks, lesions=calibrate_lesions(usable, masks, rule, measure.references, lesion_class))
    choice = replace(choice, rule=chosen, lesion_calibration=masks.lesions)
    if output is not None:
        left_out = _without_places(excluded, reference, probability)
        own_grid = {"grid": grid, "maps_cut_at": find_cut(table)} if by_threshold else {}
        write_json(output, _record(choice, masks, rule, left_out) | own_grid)
    _report(choice, chosen, grid, probability, table, output)
    show_message(promised)
    return choice


@dataclass(frozen=True)
class _Sweep:
    """How each map is measured."""

    rule: str
    volumes_mm3: tuple[float, ...]
    lesion_class: int | None
    references: MaskValues
    own: Sequence[OwnMetric]
    repeats: TunedRepeats

    def sweep(self, grid: str, pair: MapPair) -> pd.DataFrame:
        """Measure a map at every threshold of a grid."""
        read = partial(read_map, lesion_class=self.lesion_class)
        removal = PostprocessConfig()
        references, own = self.references, self.own
        table = sweep_volumes(pair, GRIDS[grid], self.rule, removal, self.volumes_mm3, references, read, own)
        return table.assign(**self.repeats.column(pair.scan_id))

    def by_rule(self, kind: type[TunedRule], pair: MapPair) -> pd.DataFrame:
        """Measure a map with everything that a threshold rule may choose."""
        reference = self.references.read(pair.reference)
        probability = read_map(pair.prediction, reference, lesion_class=self.lesion_class)
        p = probability.data.astype(np.float32, copy=False)
        lesion = np.asarray(reference.data).astype(np.bool_)
        scan = TuningScan(pair.scan_id, pair.subject, lesion, p, reference.spacing_mm)
        return kind.measure(scan, RULES[self.rule]).assign(session=pair.session, **self.repeats.column(pair.scan_id))


def _require_own_grid(threshold_rule: str, grid: str, volumes_mm3: Sequence[float], own: Sequence[OwnMetric]) -> None:
    given = {"--grid fine": grid != "paper", "--minimum-volume": len(volumes_mm3) > 0, "--metric": len(own) > 0}
    if misplaced := [name for name, is_given in given.items() if is_given]:
        raise CordlesionError(
            f"{misplaced[0]} is given with the threshold rule {threshold_rule}, which has a grid of its own; it needs "
            f"the rule global. Leave out {misplaced[0]}."
        )


def _checked_volumes(volumes_mm3: Sequence[float]) -> tuple[float, ...]:
    try:
        return ThresholdConfig(minimum_volumes_mm3=tuple(volumes_mm3)).minimum_volumes_mm3
    except ValidationError as error:
        raise CordlesionError(
            f"minimum volumes of {', '.join(map(str, volumes_mm3))} mm3 are given; different numbers of 0 or more are "
            "needed. Mend --minimum-volume."
        ) from error


def _report(
    choice: ThresholdChoice, chosen: TunedRule, grid: str, probability: Path, sweep: pd.DataFrame, output: Path | None
) -> None:
    """Print the choice, and what limits it."""
    by_threshold = isinstance(chosen, GlobalThreshold)
    volume = choice.minimum_volume_mm3 if by_threshold else None
    removed = "" if volume is None else f", minimum volume {volume:g} mm3"
    # A promise comes first: where it and the condition of an objective exclude each other, the condition is broken.
    score = "has no score here: its condition is not met" if math.isnan(choice.score) else f"{choice.score:.3f}"
    show_message(f"threshold {chosen.summary}{removed} ({choice.objective} {score}; {choice.basis})"
        f"{'' if output is None else f': {output}'}")  # fmt: skip
    cut = find_cut(sweep) if by_threshold else None
    if cut is not None:
        show_message(f"{probability}: {describe_cut(sweep, cut)}.")
    for name, found in describe_edges(choice, cut).items():
        options = {VOLUME: "--minimum-volume takes others", "threshold": _LOWER.get(grid)} if by_threshold else {}
        show_message(f"{found}; {options.get(name) or 'more may be gained beyond it'}.")


def _finer(pairs: Sequence[MapPair], choice: ThresholdChoice, measure: _Sweep) -> str:
    """Describe what the fine grid finds where the paper's grid finds nothing; empty where it finds nothing either."""
    outcomes = map_scans(partial(measure.sweep, "fine"), pairs, "sweep finer thresholds")
    finer = choose_threshold(pd.concat([o.result for o in outcomes if o.result is not None]), choice.goal)
    return f"--grid fine does better: t = {finer.value:g} reaches {finer.score:.3g}" if finer.learned else ""


def _refusal(probability: Path, sweep: pd.DataFrame, choice: ThresholdChoice, finer: str) -> str:
    """Explain why maps have no threshold, and what to do."""
    apparent = describe_maps(sweep)
    why = f"{choice.shortfall}{f' ({apparent})' if apparent else ''}"
    remedy = finer or "Check that these are the lesion's probabilities, or give the objective another number or name"
    return f"{probability}: these maps hold nothing that a threshold could find: {why}. {remedy}."


def _record(choice: ThresholdChoice, chosen: MaskRule, rule: str, left_out: Mapping[str, str]) -> dict[str, object]:
    """Return the contents of ``thresholds.json``; ``threshold`` is null where one threshold is not the whole rule."""
    stability = choice.stability
    return {
        "threshold": chosen.rule.fixed_threshold,
        **chosen.record(),
        "objective": choice.objective,
        "score": _defined((choice.score,))[0],
        "interval": choice.interval,
        "minimum_volume_interval": choice.minimum_volume_interval,
        "plateau": _defined(stability.plateau),
        "score_lost_at_0.05_below_and_above": _defined((stability.loss_below, stability.loss_above)),
        "area_under_curve": _defined((stability.area,))[0],
        "n_scans": choice.n_scans,
        "n_subjects": choice.n_subjects,
        "n_lesion_free": choice.n_lesion_free,
        "n_left_out": choice.n_left_out,
        **({"n_groups": choice.n_groups} if choice.n_groups else {}),
        "rule": rule,
        "grid": None,
        "lesion_free_scans": choice.goal.lesion_free,
        "maps_cut_at": None,
        "left_out": left_out,
        "curve": _without_nan(choice.curve),
    }


def _defined(numbers: Sequence[float]) -> list[float | None]:
    """Return numbers for JSON, which has no NaN."""
    return [None if math.isnan(number) else number for number in numbers]


def _without_places(excluded: Mapping[str, str], *roots: Path) -> dict[str, str]:
    """Return why files were excluded, without the folders of this machine: the record is passed on."""
    for root in roots:
        folder = root if root.is_dir() else root.parent
        excluded = {name: reason.replace(f"{folder}/", "") for name, reason in excluded.items()}
    return dict(excluded)


def _without_nan(curve: pd.DataFrame) -> list[dict[Hashable, object]]:
    """Return the rows of a curve for JSON, which has no NaN, nor the infinite number of components that means all."""
    finite = curve.replace(math.inf, math.nan)
    return finite.astype(object).where(finite.notna(), None).to_dict(orient="records")
