"""The test set at the tuned thresholds in more detail: other lesion rules, lesion sizes, FROC (stage ``analyze``).

Tables are tidy and hold counts, so that shares and their intervals over subjects can be computed from them.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import pandas as pd

from cordlesion.config import EnsembleRun, Method, RunConfig, SetName
from cordlesion.dataset.scan import Scan
from cordlesion.execution.local import stream_scans
from cordlesion.io.columns import TableSpec
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.tables import read_in_parts, read_table, table_in_parts, write_table
from cordlesion.io.volume import read_mask
from cordlesion.metrics import STRATA_MM3, evaluate_rules, froc_curve, match_lesions, stratum_scores
from cordlesion.metrics.columns import LESION_COUNTS, METRIC_COLUMNS
from cordlesion.study import lesion_probabilities, uncertainty
from cordlesion.study.calibration import MappedScan, calibrate, calibration_table, reliability_table
from cordlesion.study.collected import collect_table
from cordlesion.study.inputs import require_unchanged
from cordlesion.study.lesion_probabilities import calibrate_method
from cordlesion.study.lesion_ranking import rank_method
from cordlesion.study.operating_points import write_operating_points
from cordlesion.study.options import DEFAULT, RunOptions
from cordlesion.study.predict import map_pair, mask_file
from cordlesion.study.repeatability import measure_repeatability
from cordlesion.study.sets import Study
from cordlesion.study.threshold_rules import collect_rules, measure_rules
from cordlesion.study.uncertainty import DoubtedScan, collect_uncertainty, measure_uncertainty, measured_methods
from cordlesion.study_folder.checked_tables import record_rare_tables
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.repeat_tables import MULTI_SPINE, REPEATABILITY
from cordlesion.study_folder.tables import (
    CALIBRATION,
    FROC,
    OPERATING_POINTS,
    RELIABILITY,
    RULE_EVALUATION,
    RULES,
    STRATA,
)
from cordlesion.threshold.study_rules import study_rules

_OF_MASKS = (RULES, STRATA)
_PER_RUN = (*_OF_MASKS, CALIBRATION, RELIABILITY)
_RUN = ["set", "loss", "seed"]
_SETS: tuple[SetName, ...] = ("threshold", "test")
_RULE_METRICS = tuple(name for name in METRIC_COLUMNS if name in RULES.names)
"""The metrics that depend on the lesion rule, and the volume that shows which references have no lesion."""

_SPECS = (*_PER_RUN, FROC, *uncertainty.SPECS, lesion_probabilities.SPEC)
_FURTHER = (RULE_EVALUATION, OPERATING_POINTS, MULTI_SPINE, REPEATABILITY)
TABLES = tuple(spec.file.removesuffix(".tsv") for spec in (*_SPECS, *_FURTHER))
"""Names of the tables in the study folder."""


def analyze(study: Study, options: RunOptions = DEFAULT) -> Study:  # noqa: ARG001
    """Measure the masks of every method by other lesion rules and lesion sizes, and the calibration of its maps."""
    for method in study.config.methods:
        check = partial(_require_references, study, method)
        scans = _by_set(study, method)
        analyze_run(study.folder, method, study.config.evaluation.rule, scans, check)
        if method.is_tuned:
            rank_method(study.folder, method, scans["test"])
    collect_analyses(study.folder, study.config.methods)
    collect_table(study.folder, MULTI_SPINE, [method for method in study.config.methods if method.is_tuned])
    write_operating_points(study.folder, study.config)
    measure_repeatability(study)
    doubted = measured_methods(study)
    for run in doubted:
        measure_uncertainty(study.folder, run, _doubted(study, run))
    collect_uncertainty(study.folder, doubted)
    _calibrate_lesions(study)
    if study_rules(study.config):
        for method in (one for one in study.config.methods if one.is_tuned):
            measure_rules(study, method, {name: study.in_set(name, method.fold) for name in _SETS})
    collect_rules(study, RULE_EVALUATION)
    record_rare_tables(study.folder)
    return study


def _calibrate_lesions(study: Study) -> None:
    """Fit the chance that lesions are real, of every method whose maps hold something."""
    calibrated = []
    for method in study.config.methods:
        tuned = study.open_test(method.fold).thresholds.get(method.name)
        if tuned is not None and tuned.rule.finds_lesions:
            calibrate_method(study, method, tuned.rule, _by_set(study, method))
            calibrated.append(method)
    collect_table(study.folder, lesion_probabilities.SPEC, calibrated)


def _by_set(study: Study, method: Method) -> dict[str, list[MappedScan]]:
    """Return the scans that are measured, with their maps and masks."""
    return {name: [_mapped(scan, study.folder, method) for scan in study.in_set(name, method.fold)] for name in _SETS}


def analyze_run(
    folder: StudyFolder,
    run: Method,
    rule: str,
    scans: Mapping[str, Sequence[MappedScan]],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Analyse the masks and maps of a run and write its tables into its folder, unless that is done.

    Args:
        folder: The study's.
        run: The run or comparator, whose masks exist; a comparator that is given as masks has no maps to calibrate.
        rule: When a lesion counts as detected, in the analysis of lesion sizes.
        scans: Of the sets ``threshold`` and ``test``.
        check: Called before anything is written: raises an error if files have changed.

    Raises:
        CordlesionError: A file is missing or damaged, or no covered voxel of the threshold set is lesion.
    """
    specs = _tables_of(run)
    paths = [folder.run(run.name) / spec.file for spec in specs]
    # Masks depend on all that maps depend on, and on the threshold.
    names = {name: [scan.pair.scan_id for scan in members] for name, members in scans.items()}
    made_from = fingerprint("analysis", folder.finished(f"masks/{run.name}").get("fingerprint"), names)
    if folder.is_done(key := f"analyze/{run.name}", made_from, *paths):
        return
    with folder.stage(key, made_from, *paths):
        rules, strata = analyze_masks(scans["test"], rule, f"lesions {run.name}")
        tables = [rules.assign(set="test"), strata.assign(set="test")]
        if run.is_tuned:
            found = calibrate(scans["threshold"], scans["test"], f"calibration {run.name}")
            tables += [calibration_table(found), reliability_table(found)]
        check()
        for path, table, spec in zip(paths, tables, specs, strict=True):
            write_table(path, table.assign(**run.columns), spec)


def collect_analyses(folder: StudyFolder, runs: Sequence[Method]) -> None:
    """Write the study's tables: those of its runs, one below the other, and the FROC curves from its sweep."""
    for spec in _PER_RUN:
        with table_in_parts(folder.root / spec.file, spec) as append:
            for run in runs:
                if spec in _tables_of(run):
                    append(read_table(folder.run(run.name) / spec.file, spec))
    with table_in_parts(folder.root / FROC.file, FROC) as append:
        for swept in read_in_parts(folder.sweep, _RUN):
            append(froc_table(swept))


def analyze_masks(scans: Sequence[MappedScan], rule: str, description: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the masks of some scans under every lesion rule, and by the size of the lesions under one.

    Args:
        scans: Whose masks are compared with their references.
        rule: For the sizes, a row of :data:`cordlesion.metrics.RULES`.
        description: Label of the progress bar.

    Returns:
        A row per scan and rule (``rules.tsv``), and a row per scan and size (``strata.tsv``), both without the columns
        that name the run.

    Raises:
        CordlesionError: A file is missing or damaged.
    """
    by_rule: list[dict[str, object]] = []
    by_size: list[dict[str, object]] = []
    for rules, strata in stream_scans(partial(_score_mask, rule=rule), scans, description):
        by_rule += rules
        by_size += strata
    return pd.DataFrame(by_rule), pd.DataFrame(by_size)


def froc_table(sweep: pd.DataFrame) -> pd.DataFrame:
    """Return the FROC curve of every run on every set that was swept.

    Args:
        sweep: A row per scan, run and threshold.

    Returns:
        A row per set, run (and fold) and threshold: ``froc.tsv``.
    """
    columns = [*_RUN, *(["fold"] if "fold" in sweep else [])]
    groups = sweep.groupby(columns, sort=False, dropna=False)
    return pd.concat([_froc_rows(zip(columns, key, strict=True), rows) for key, rows in groups], ignore_index=True)


def _tables_of(run: Method) -> tuple[TableSpec, ...]:
    return _PER_RUN if run.is_tuned else _OF_MASKS


def _score_mask(scan: MappedScan, rule: str) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return a scan's rows by rule and by size."""
    reference = read_mask(scan.pair.reference, value=scan.pair.lesion_value)
    masks = reference.data, read_mask(scan.mask, like=reference).data
    named = {"scan_id": scan.pair.scan_id, "subject": scan.pair.subject, "session": scan.pair.session}
    scores = {name: asdict(one) for name, one in evaluate_rules(*masks, reference.spacing_mm).items()}
    rules = [{**named, "rule": name, **{key: one[key] for key in _RULE_METRICS}} for name, one in scores.items()]
    strata = stratum_scores([match_lesions(*masks, reference.spacing_mm, rule)])
    limits = {name: dict(zip(("low_mm3", "high_mm3"), STRATA_MM3[name], strict=True)) for name in strata}
    sizes = [
        {**named, "stratum": name, **limits[name], **{key: getattr(one, key) for key in LESION_COUNTS}}
        for name, one in strata.items()
    ]
    return rules, sizes


def _froc_rows(run: Iterable[tuple[str, Hashable]], rows: pd.DataFrame) -> pd.DataFrame:
    curve = froc_curve(rows["threshold"], *(rows[name] for name in LESION_COUNTS))
    return pd.DataFrame(
        {
            **dict(run),
            "threshold": curve.thresholds,
            "sensitivity": curve.sensitivity,
            "false_per_scan": curve.false_per_scan,
            "n_scans": curve.n_scans,
            "n_reference_lesions": curve.n_reference_lesions,
        }
    )


def _require_references(study: Study, method: Method) -> None:
    for name in _SETS:
        for scan in study.in_set(name, method.fold):
            require_unchanged(scan, study.hashes[scan.scan_id], ["reference"])


def _doubted(study: Study, run: RunConfig | EnsembleRun) -> list[DoubtedScan]:
    """Return the test scans of a method with the maps that its uncertainty comes from."""
    test, folder, rule = study.open_test(run.fold), study.folder, study.config.evaluation.rule
    threshold = test.thresholds[run.name].value
    sources = run.members if isinstance(run, EnsembleRun) else (run,)
    return [
        DoubtedScan(
            _mapped(scan, folder, run),
            tuple(folder.probability(scan.scan_id, one.maps_name) for one in sources),
            threshold,
            rule,
        )
        for scan in test.scans
    ]


def _mapped(scan: Scan, folder: StudyFolder, method: Method) -> MappedScan:
    mask = mask_file(scan.scan_id, folder, method)
    return MappedScan(map_pair(scan, folder, method), mask, folder.stack(scan.scan_id))
