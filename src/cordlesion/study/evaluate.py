"""The test sets of a study are opened and every method is measured on them (stage ``evaluate``)."""

from collections.abc import Mapping

import pandas as pd

from cordlesion.config import Method
from cordlesion.io.tables import table_in_parts
from cordlesion.study.experience import record_experience
from cordlesion.study.options import DEFAULT, RunOptions
from cordlesion.study.predict import sweep_set, write_maps, write_masks
from cordlesion.study.sets import OpenedTest, Study
from cordlesion.study.tune import at_volume
from cordlesion.study_folder.manifest import record_opening
from cordlesion.study_folder.tables import EVALUATION, SWEEP


def evaluate_test(study: Study, options: RunOptions = DEFAULT) -> Study:
    """Open the test sets, now that the thresholds are fixed, and write masks and the sweep and evaluation tables.

    Raises:
        CordlesionError: The thresholds have not been chosen.
    """
    opened = {fold: study.open_test(fold) for fold in study.folds}
    record_opening(study.folder, study.config)
    measured = [
        (method, (*study.in_set("threshold", method.fold), *opened[method.fold].scans))
        for method in study.config.methods
    ]
    write_maps(study, measured, options.executor)
    _write_tables(study, opened)
    for method, scans in measured:
        tuned = opened[method.fold].thresholds.get(method.name)
        write_masks(study, tuned.applied_to(method) if tuned else method, tuned.rule if tuned else None, scans)
    record_experience(study)
    return study


def _write_tables(study: Study, opened: Mapping[int | None, OpenedTest]) -> None:
    with (
        table_in_parts(study.folder.sweep, SWEEP) as sweep,
        table_in_parts(study.folder.evaluation, EVALUATION) as evaluation,
    ):
        for method in study.config.methods:
            swept, evaluated = _measure(study, method, opened[method.fold])
            for part in swept:
                sweep(part)
            for part in evaluated:
                evaluation(part.assign(rule=study.config.evaluation.rule))


def measured_sets(study: Study, method: Method, test: OpenedTest) -> list[pd.DataFrame]:
    """Return what was measured of a method on the threshold and the test set: a row per scan (and threshold)."""
    swept, evaluated = _measure(study, method, test)
    return swept or evaluated


def _measure(study: Study, method: Method, test: OpenedTest) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Return a method's rows of the sweep, and of the evaluation, on the threshold and the test set."""
    tuning, tuned = study.in_set("threshold", method.fold), test.thresholds.get(method.name)
    if tuned is None:
        # Masks are the same at every threshold.
        return [], [sweep_set(study, method, "threshold", tuning), sweep_set(study, method, "test", test.scans)]
    volume = () if tuned.minimum_volume_mm3 is None else (tuned.minimum_volume_mm3,)
    volumes = study.config.threshold.minimum_volumes_mm3
    tables = [
        at_volume(sweep_set(study, method, "threshold", tuning, volumes), tuned),
        sweep_set(study, method, "test", test.scans, volume),
    ]
    return tables, [table[table["threshold"].isin({0.5, tuned.value})] for table in tables]
