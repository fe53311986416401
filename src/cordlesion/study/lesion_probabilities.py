"""The chance that a lesion of a method's masks is real: fitted on the threshold set, for the test set too (no torch).

Of the threshold set, chances come from fits on other subjects. The fit on all of it is stored in the method's bundle.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from cordlesion.config import ComparatorRun, Method
from cordlesion.execution.local import stream_scans
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.lesions.judged import judge_predicted, judged_table
from cordlesion.metrics import resolve_rule
from cordlesion.study.calibration import MappedScan
from cordlesion.study.sets import Study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.lesion_tables import LESION_PROBABILITIES
from cordlesion.threshold.lesion_calibration import LesionCalibration, cross_fitted_chances, shortage
from cordlesion.threshold.rules import ThresholdRule

SPEC = LESION_PROBABILITIES


def calibrate_method(
    study: Study, method: Method, rule: ThresholdRule, scans: Mapping[str, Sequence[MappedScan]]
) -> None:
    """Judge the lesions of a method's masks and fit their chance to be real, unless that is done; into its bundle, too.

    Args:
        study: The study.
        method: A run, an ensemble, or a comparator that comes as maps.
        rule: The threshold rule that made the masks.
        scans: Of the sets ``threshold`` and ``test``.

    Raises:
        CordlesionError: A file is missing or damaged.
    """
    folder, lesion_rule = study.folder, study.config.evaluation.rule
    path = folder.run(method.name) / SPEC.file
    masks = folder.finished(f"masks/{method.name}").get("fingerprint")
    names = {name: [scan.pair.scan_id for scan in members] for name, members in scans.items()}
    made_from = fingerprint("analysis", "lesions", masks, lesion_rule, names)
    if not folder.is_done(key := f"lesions/{method.name}", made_from, path):
        with folder.stage(key, made_from, path):
            judged = {name: _judge_set(method, lesion_rule, name, members) for name, members in scans.items()}
            table = lesion_chances(judged["threshold"], judged["test"], rule, lesion_rule)
            write_table(path, table.assign(**method.columns), SPEC)
    if not isinstance(method, ComparatorRun):
        _write_into_bundle(folder, method, rule, lesion_rule)


def lesion_chances(
    tuning: pd.DataFrame, test: pd.DataFrame, rule: ThresholdRule, lesion_rule: str = "study"
) -> pd.DataFrame:
    """Return the lesions of both sets with their chance to be real, ``probability``; n/a where too few are known.

    Args:
        tuning: The predicted lesions of the threshold set, as for :meth:`LesionCalibration.fit`; they get chances from
            fits on other subjects.
        test: Those of the test set; they get chances from the fit on the whole threshold set.
        rule: What made the masks.
        lesion_rule: What decided which lesions are real.
    """
    is_short = bool(shortage(tuning))
    of_test = np.full(len(test), np.nan) if is_short else LesionCalibration.fit(tuning, rule, lesion_rule).chances(test)
    parts = [tuning.assign(probability=cross_fitted_chances(tuning)), test.assign(probability=of_test)]
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _judge_set(method: Method, lesion_rule: str, name: str, scans: Sequence[MappedScan]) -> pd.DataFrame:
    found = stream_scans(partial(_judge, lesion_rule=lesion_rule), scans, f"lesions {method.name} ({name})")
    names = ["scan_id", "subject", "session"]
    tables = [
        table.assign(**{column: getattr(scan.pair, column) for column in names})
        for scan, table in zip(scans, found, strict=True)
    ]
    return pd.concat(tables, ignore_index=True).assign(set=name)


def _judge(scan: MappedScan, lesion_rule: str) -> pd.DataFrame:
    """Return the lesions of the mask of a scan, a row each."""
    reference = read_mask(scan.pair.reference, value=scan.pair.lesion_value)
    mask = np.asarray(read_mask(scan.mask, like=reference).data, np.bool_)
    probability = read_probability(scan.pair.prediction, like=reference).data.astype(np.float32, copy=False)
    return judged_table(judge_predicted(reference, mask, probability, resolve_rule(lesion_rule)))


def _write_into_bundle(folder: StudyFolder, method: Method, rule: ThresholdRule, lesion_rule: str) -> None:
    """Store the fit in the bundle; a bundle that was tuned again has lost it, although the table is as it was."""
    from cordlesion.model.bundle_updates import set_lesion_calibration

    table = read_table(folder.run(method.name) / SPEC.file, SPEC)
    tuning = table[table["set"] == "threshold"]
    calibration = None if shortage(tuning) else LesionCalibration.fit(tuning, rule, lesion_rule)
    set_lesion_calibration(folder.bundle(method.name), calibration)
