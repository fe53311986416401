"""What of a study is done and what is left, from its folder alone."""

from pathlib import Path

from cordlesion.config import RunConfig, read_study
from cordlesion.dataset.columns import SPLITS
from cordlesion.errors import CordlesionError
from cordlesion.execution.jobs import queue, submissions, told
from cordlesion.io.fingerprints import METHOD_VERSION
from cordlesion.io.tables import read_table
from cordlesion.study.fingerprints import train_key
from cordlesion.study.models_aside import models_aside
from cordlesion.study.outdated import kept_models
from cordlesion.study.train import failure_file
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.manifest import read_manifest


def study_status(root: Path) -> list[tuple[str, str, str]]:
    """List what is done and what is left: (stage, unit, state), without reading any scan.

    Raises:
        CordlesionError: The folder holds no study, or may not be read.
    """
    try:
        return _rows(StudyFolder(root))
    except PermissionError as error:
        raise CordlesionError(f"{error.filename or root}: may not be read. Check who may read the study.") from error


def _rows(folder: StudyFolder) -> list[tuple[str, str, str]]:
    if not folder.configuration.is_file():
        raise CordlesionError(f"{folder.root}: no study here; a folder with study.yaml is needed. Check the path.")
    config = read_study(folder.configuration)
    rows = _scans(folder)
    working = _on_cluster(folder)
    rows += [("train", run.name, _training(folder, run, working.get(("train", run.name)))) for run in config.runs]
    rows += [("train", name, "kept, not in the study") for name in kept_models(config, folder)]
    rows += [("train", name, "set aside: of other settings or scans") for name in models_aside(folder)]
    rows += [("comparator", *_brought(folder, one.name)) for one in config.comparators]
    for stage, path in (
        ("tune", folder.thresholds),
        ("evaluate", folder.evaluation),
        ("analyze", folder.table("calibration")),
        ("report", folder.root / "report.html"),
    ):
        rows.append((stage, path.name, _result(folder, path)))
    stages = dict.fromkeys(stage for stage, _ in working)
    return rows + [("cluster", stage, told(s for (of, _), s in working.items() if of == stage)) for stage in stages]


def _scans(folder: StudyFolder) -> list[tuple[str, str, str]]:
    if not folder.splits.is_file():
        return [("split", "all scans", "left")]
    splits = read_table(folder.splits, SPLITS)
    folds = f"{splits['fold'].nunique()} folds" if "fold" in splits else "all scans"
    return [("split", folds, "done"), ("preprocess", *_counted(folder, "preprocess", set(splits["scan_id"])))]


def _brought(folder: StudyFolder, comparator: str) -> tuple[str, str]:
    """Count the scans whose map or mask by a comparator is there."""
    if not folder.splits.is_file():
        return comparator, "left"
    splits = read_table(folder.splits, SPLITS)
    scans = set(splits.loc[splits["set"].isin(["threshold", "test"]), "scan_id"])
    told, state = _counted(folder, f"predict/{comparator}", scans)
    return f"{comparator}: {told}", state


def _counted(folder: StudyFolder, stage: str, scans: set[str]) -> tuple[str, str]:
    """Count the scans of which a stage is done; those that the study had to leave out are not waited for."""
    excluded = read_manifest(folder.manifest, folder.root).get("excluded", {}) if folder.manifest.is_file() else {}
    left_out = scans.intersection(excluded)
    done = sum(bool(folder.finished(f"{stage}/{name}")) for name in scans - left_out)
    told = f"{done} of {len(scans - left_out)} scans" + (f", {len(left_out)} left out" if left_out else "")
    return told, _state(done == len(scans - left_out))


def _on_cluster(folder: StudyFolder) -> dict[tuple[str, str], str]:
    """Return the state of each unit, with its stage, of which a job on a cluster has not been collected yet."""
    if not (arrays := submissions(folder.root)):
        return {}
    queued = queue()
    return {(array.stage, unit): state for array in arrays for unit, state in array.states(queued).items()}


def _training(folder: StudyFolder, run: RunConfig, on_cluster: str | None) -> str:
    if folder.finished(train_key(run)):
        return "done"
    failure = failure_file(folder, run)
    return on_cluster or (f"failed: {failure.read_text(encoding='utf-8').strip()}" if failure.is_file() else "left")


def _result(folder: StudyFolder, path: Path) -> str:
    """Return the state of a table or of the report, which a change of the method makes invalid."""
    made = folder.finished("results")
    if path.is_file() and made and made.get("method") != METHOD_VERSION:
        return "left: there is one made by an earlier version"
    return _state(path.is_file())


def _state(done: bool) -> str:
    return "done" if done else "left"
