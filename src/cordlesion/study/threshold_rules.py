"""Further threshold rules of a study: chosen on the threshold set (`tune`), then measured (`analyze`)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.config import Method
from cordlesion.config.runs import imported_code
from cordlesion.dataset.matching import MapPair
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import load_metrics, metric_row, named_scan
from cordlesion.execution.local import stream_scans
from cordlesion.io.columns import TableSpec
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.progress import show_message
from cordlesion.io.reading import read_json
from cordlesion.io.tables import REPEAT, write_table
from cordlesion.io.volume import Volume, read_mask, read_probability
from cordlesion.io.writing import write_json
from cordlesion.metrics import LesionRule, evaluate, resolve_rule
from cordlesion.metrics.own import OwnMetric
from cordlesion.study.collected import collect_table
from cordlesion.study.fingerprints import measured_fingerprint, sweep_fingerprint
from cordlesion.study.predict import map_pair
from cordlesion.study.sets import Study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.tables import RULE_CHOICES, RULE_EVALUATION
from cordlesion.threshold import ThresholdChoice, ThresholdRule, study_goal
from cordlesion.threshold.edges import describe_edges
from cordlesion.threshold.further import FurtherRule
from cordlesion.threshold.own_rule import resolve_rule as resolve_own
from cordlesion.threshold.postprocess import make_mask, near_cord, read_cord
from cordlesion.threshold.rule import TuningScan
from cordlesion.threshold.study_rules import choose_further, study_rules

FILE = "threshold_rules.json"
"""In the folder of a method: its further rules, as in ``model.json``."""
SPECS = (RULE_CHOICES, RULE_EVALUATION)
_COUNTS = ("n_scans", "n_subjects", "n_lesion_free", "n_left_out")


def tune_rules(study: Study, method: Method, scans: Sequence[Scan]) -> dict[str, FurtherRule]:
    """Choose the further threshold rules of a method on its threshold set, unless that is done.

    Each scan is read once for all rules, with the post-processing of the study, not with a minimum volume that was
    chosen for the one threshold. A rule that cannot be chosen on these scans is reported and left out.

    Args:
        study: The study.
        method: A run, an ensemble or a comparator that comes as maps.
        scans: Of its threshold set.

    Returns:
        The rules by name; none where the study tunes none.

    Raises:
        CordlesionError: A file is missing or damaged, or a rule of the user fails.
    """
    if not study_rules(study.config):
        return {}
    folder, key = study.folder, f"rules/{method.name}"
    paths = (folder.run(method.name) / FILE, folder.run(method.name) / RULE_CHOICES.file)
    made_from = _tuned_fingerprint(study, method, scans)
    if not folder.is_done(key, made_from, *paths):
        with folder.stage(key, made_from, *paths):
            rules, choices = _choose(study, method, scans)
            write_json(paths[0], {name: rule.model_dump(mode="json") for name, rule in rules.items()})
            write_table(paths[1], choices.assign(**method.columns), RULE_CHOICES)
    return _read_rules(paths[0], study.config.code)


def measure_rules(study: Study, method: Method, sets: Mapping[str, Sequence[Scan]]) -> None:
    """Measure the masks of a method's further rules, unless that is done.

    Args:
        study: The study.
        method: A run, an ensemble or a comparator that comes as maps.
        sets: The scans of the sets ``threshold`` and ``test``.

    Raises:
        CordlesionError: A file is missing or damaged, or a rule or metric of the user fails.
    """
    folder = study.folder
    path, key = folder.run(method.name) / RULE_EVALUATION.file, f"measured_rules/{method.name}"
    tuned = folder.finished(f"rules/{method.name}").get("fingerprint")
    maps = {name: measured_fingerprint(study, method, scans) for name, scans in sets.items()}
    made_from = fingerprint("analysis", "threshold rules", tuned, maps)
    if folder.is_done(key, made_from, path):
        return
    with folder.stage(key, made_from, path):
        rules = _read_rules(folder.run(method.name) / FILE, study.config.code)
        own = load_metrics(study.config.evaluation, study.config.code)
        how = partial(_measure_masks, rules=rules, method=method, rule=study.config.evaluation.rule, own=own)
        rows = []
        for name, scans in sets.items():
            pairs = [map_pair(scan, folder, method) for scan in scans]
            measured = stream_scans(how, pairs, f"threshold rules {method.name} ({name})")
            rows += [row | {"set": name} for of_scan in measured for row in of_scan]
        table = pd.DataFrame(rows, columns=None if rows else [*RULE_EVALUATION.names])
        write_table(path, table.assign(**method.columns), RULE_EVALUATION)


def collect_rules(study: Study, spec: TableSpec) -> None:
    """Write a table of the study, one of :data:`SPECS`; none where no further rule is tuned."""
    methods = [method for method in study.config.methods if method.is_tuned] if study_rules(study.config) else []
    collect_table(study.folder, spec, methods)


def _tuned_fingerprint(study: Study, method: Method, scans: Sequence[Scan]) -> str:
    """Return what the choice depends on: maps, references, post-processing, objective and rules, with their code.

    The volume that is stored with the rules is part of it only where there is one, and so is what the objective
    compares: other fingerprints stay.
    """
    threshold = study.config.threshold
    volume = _stored_volume(study, method)
    rules = study_rules(study.config)
    own = imported_code([*threshold.imported, *threshold.imported_rules], study.config.code)
    measured = sweep_fingerprint(study, method, scans)
    stored: list[object] = [] if volume is None else [{"minimum_volume_mm3": volume}]
    if study_goal(study.config).compares_repeats:
        stored.append({REPEAT: {scan.scan_id: study.repeats.get(scan.scan_id) for scan in scans}})
    return fingerprint("analysis", "threshold rules", measured, threshold.objective, list(rules), own, *stored)


def _stored_volume(study: Study, method: Method) -> float | None:
    """Return the volume of the study's post-processing, in the place of one that is tuned for the one threshold."""
    return method.postprocess.minimum_volume_mm3 if study.config.threshold.minimum_volumes_mm3 else None


def _choose(study: Study, method: Method, scans: Sequence[Scan]) -> tuple[dict[str, FurtherRule], pd.DataFrame]:
    config, kinds, lesion_rule = study.config, study_rules(study.config), resolve_rule(study.config.evaluation.rule)
    pairs = [map_pair(scan, study.folder, method) for scan in scans]
    measure = partial(_measure, kinds=kinds, method=method, lesion_rule=lesion_rule)
    measured = list(stream_scans(measure, pairs, f"tune threshold rules {method.name}"))
    goal, objective = study_goal(config), config.threshold.objective
    rules, rows = dict[str, FurtherRule](), list[dict[str, object]]()
    volume = _stored_volume(study, method)
    for name, kind in kinds.items():
        table = study.with_repeats(pd.concat([of_scan[name] for of_scan in measured], ignore_index=True))
        try:
            rule, choice = choose_further(kind, table, goal, objective, lesion_rule)
        except CordlesionError as error:
            show_message(f"{method.name}: the threshold rule {name} is left out: {error}")
            continue
        rules[name] = FurtherRule(rule=rule, minimum_volume_mm3=volume)
        for found in describe_edges(choice).values() if choice else ():
            show_message(f"{method.name}: by the threshold rule {name}, {found}; more may be gained beyond it.")
        rows += [row | {"threshold_rule": name} for row in _choice_rows(rule, choice, objective, table)]
    return rules, pd.DataFrame(rows, columns=None if rows else [*RULE_CHOICES.names])


def _measure(
    pair: MapPair, kinds: Mapping[str, type[ThresholdRule]], method: Method, lesion_rule: LesionRule
) -> dict[str, pd.DataFrame]:
    """Measure a scan of the threshold set with everything that may be chosen, for each rule."""
    reference, probability = _read(pair)
    removal = method.postprocess
    p = near_cord(probability, removal, read_cord(pair.cord_mask, reference, removal))
    lesion = reference.data.astype(np.bool_, copy=False)
    scan = TuningScan(pair.scan_id, pair.subject, lesion, p, reference.spacing_mm)
    return {name: kind.measure(scan, lesion_rule) for name, kind in kinds.items()}


def _measure_masks(
    pair: MapPair, rules: Mapping[str, FurtherRule], method: Method, rule: str, own: Sequence[OwnMetric]
) -> list[dict[str, object]]:
    """Return a row of a scan for the mask of each rule."""
    reference, probability = _read(pair)
    cord = read_cord(pair.cord_mask, reference, method.postprocess)
    lesion, spacing_mm = reference.data.astype(np.bool_, copy=False), reference.spacing_mm
    rows = []
    for name, further in rules.items():
        mask, threshold = make_mask(probability, further.rule, further.removal(method.postprocess), cord)
        row = metric_row(pair, evaluate(lesion, mask, spacing_mm, rule))
        with named_scan(pair.scan_id):
            values = {metric.name: metric.measure(lesion, mask, spacing_mm) for metric in own}
        rows.append(row | {"threshold_rule": name, "threshold": threshold} | values)
    return rows


def _read(pair: MapPair) -> tuple[Volume, Volume]:
    reference = read_mask(pair.reference, value=pair.lesion_value)
    return reference, read_probability(pair.prediction, like=reference)


def _read_rules(path: Path, code: Path | None) -> dict[str, FurtherRule]:
    """Read the rules of a method; the code of a user's rule, which the study names, is run."""
    read = {name: FurtherRule.model_validate(content) for name, content in read_json(path, dict).items()}
    return {name: one.model_copy(update={"rule": resolve_own(one.rule, code)}) for name, one in read.items()}


def _choice_rows(
    rule: ThresholdRule, choice: ThresholdChoice | None, objective: str, table: pd.DataFrame
) -> list[dict[str, object]]:
    """Return a row for each setting of a rule."""
    if choice is None:
        scans = table.drop_duplicates("scan_id")
        free = int((scans["reference_volume_mm3"] == 0).sum())
        basis: dict[str, object] = dict(zip(_COUNTS, (len(scans), scans["subject"].nunique(), free, 0), strict=True))
        shared = basis | {"score": np.nan, "learned": rule.finds_lesions, "objective": objective}
        fields = rule.model_dump(mode="json").items()
        numbers = {name: float(one) for name, one in fields if type(one) in (int, float)}
        settings: Iterable[tuple[str | None, float]] = numbers.items() if numbers else [(None, np.nan)]
        return [shared | {"setting": name, "value": one} for name, one in settings]
    shared = {name: getattr(choice, name) for name in (*_COUNTS, "score", "learned")} | {"objective": objective}
    chosen = {"threshold": choice.value, **choice.settings}
    intervals = {"threshold": choice.interval, **choice.setting_intervals}
    rows = []
    for name, value in chosen.items():
        if np.isnan(value):  # the threshold of a rule that finds one in each scan
            continue
        low, high = intervals.get(name) or (np.nan, np.nan)
        rows.append(shared | {"setting": name, "value": value, "interval_low": low, "interval_high": high})
    return rows


def made_for(folder: StudyFolder, name: str) -> tuple[list[Path], list[str]]:
    """Return the files and the done-markers of a method's rules."""
    files = [folder.run(name) / file for file in (FILE, *(spec.file for spec in SPECS))]
    return files, [f"rules/{name}", f"measured_rules/{name}"]
