"""What a study measured about its models, written into them: a model that is used elsewhere has no report."""

from collections.abc import Sequence

import pandas as pd

from cordlesion.config import EnsembleRun, RunConfig, TrainingConfig
from cordlesion.dataset.origin import is_simulated
from cordlesion.io.tables import read_table
from cordlesion.metrics.columns import LESION_COUNTS
from cordlesion.model.experience import TestError, TrainingData, describe_scans
from cordlesion.study.sets import Study


def record_experience(study: Study) -> None:
    """Write training data and test error into every bundle of the study, once the test sets are evaluated."""
    from cordlesion.model.bundle_updates import set_experience

    folder = study.folder
    evaluation = read_table(
        folder.evaluation, ("scan_id", "subject", "set", "loss", "seed", "threshold", *LESION_COUNTS)
    )
    trained = _training_data(study, study.config.runs)
    for run in study.config.own_methods:
        learned = trained[run.members[0].name if isinstance(run, EnsembleRun) else run.name]
        tuned = study.open_test(run.fold).thresholds[run.name].value
        rows = _of_run(evaluation[(evaluation["set"] == "test") & (evaluation["threshold"] == tuned)], run)
        error = measure_error(rows, tuned, study.config.evaluation.rule)
        set_experience(folder.bundle(run.name), learned, error)


def record_training(study: Study, runs: Sequence[RunConfig]) -> None:
    """Write into the bundles of trained runs what they learned from; a training that starts from one reads it there."""
    from cordlesion.model.bundle_updates import set_training_data

    for name, known in _training_data(study, runs).items():
        set_training_data(study.folder.bundle(name), known)


def _training_data(study: Study, runs: Sequence[RunConfig]) -> dict[str, TrainingData]:
    """Return what each run learned from, by its name."""
    splits = read_table(study.folder.splits, ("scan_id", "subject", "set"))
    simulated = is_simulated(study.config.dataset)
    found = {}
    for run in runs:
        learned = splits[splits["set"] == "train"]
        learned = learned if run.fold is None else learned[learned["fold"] == run.fold]
        known = describe_training_set(learned, simulated=simulated)
        found[run.name] = known.model_copy(update=describe_start(run.training))
    return found


def describe_start(training: TrainingConfig) -> dict[str, object]:
    """Return what is known of the model that a training started from, as fields of its training data."""
    from cordlesion.model.bundle import read_card

    if training.start_bundle is None:
        return {}
    if training.start_from == "packaged":
        return {"started_from": "the model in the package", "started_from_simulated": True}
    experience = read_card(training.start_bundle).experience
    learned = experience[0] if experience else None
    return {
        "started_from": f"a model that was trained on {describe_scans(learned)}",
        "started_from_simulated": learned is not None and learned.without_patients,
    }


def describe_training_set(scans: pd.DataFrame, *, simulated: bool) -> TrainingData:
    """Sum up the rows of ``splits.tsv`` that a model learned from."""
    named = scans["scanner"].dropna().astype(str) if "scanner" in scans else pd.Series([], dtype=str)
    return TrainingData(
        simulated=simulated,
        n_scans=len(scans),
        n_subjects=scans["subject"].nunique(),
        scanners=tuple(sorted(set(named) - {""})),
    )


def measure_error(rows: pd.DataFrame, threshold: float, rule: str) -> TestError:
    """Sum up the rows of ``evaluation.tsv`` of a model's test scans at its threshold."""
    free = rows[rows["reference_volume_mm3"] == 0]
    false = rows["n_predicted_lesions"] - rows["n_true_predicted_lesions"]
    return TestError(
        threshold=threshold,
        rule=rule,
        n_scans=len(rows),
        n_subjects=rows["subject"].nunique(),
        n_lesions=int(rows["n_reference_lesions"].sum()),
        n_found=int(rows["n_detected_lesions"].sum()),
        false_lesions_per_scan=float(false.mean()),
        n_lesion_free=len(free),
        n_lesion_free_marked=int((free["n_predicted_lesions"] > 0).sum()),
    )


def _of_run(rows: pd.DataFrame, run: RunConfig | EnsembleRun) -> pd.DataFrame:
    for column, value in run.columns.items():
        rows = rows[rows[column].isna() if value is None else rows[column] == value]
    return rows
