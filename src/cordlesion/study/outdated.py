"""Results that are no longer valid: of another configuration, other files, or methods that the study no longer names.

They are removed, so that they cannot be mistaken for results; trained models are never removed.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

from cordlesion.config import SETS, EnsembleRun, RunConfig, StudyConfig
from cordlesion.config.names import file_label
from cordlesion.io.fingerprints import METHOD_VERSION, earlier_fingerprints, fingerprint
from cordlesion.io.progress import show_message
from cordlesion.io.tables import REPEAT
from cordlesion.study.analysis import TABLES
from cordlesion.study.fingerprints import train_fingerprint
from cordlesion.study.models_aside import models_aside, trained_from
from cordlesion.study.sets import Cohort, close_test_sets
from cordlesion.study.threshold_rules import made_for
from cordlesion.study_folder.derivatives import mask_path, sidecar
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.stages import STAGES
from cordlesion.threshold import study_goal

_UNLISTED = {"report": ("report.html", "tables", "figures", "gallery"), "explorer": ("explorer",)}
"""Files and folders of reports and explorers; earlier versions left no list of them."""


def remove_outdated_results(cohort: Cohort) -> None:
    """Remove the results of another configuration, other files or another split.

    Tuned thresholds are cleared in the trained models, too: here in the models that certainly belong to this study, and
    in the others by :func:`clear_outdated_thresholds`, once it is known which ones do.
    """
    folder, (of_runs, of_all) = cohort.folder, _result_fingerprints(cohort)
    if not folder.is_done("results", of_all):
        last = folder.finished("results")
        if last:
            if last["fingerprint"] in _earlier_fingerprints(cohort):
                show_message(
                    "the results here were made by an earlier version of cordlesion, whose method has changed since: "
                    "thresholds, tables and report are made again; networks and maps that are still valid are kept"
                )
            elif last["fingerprint"] == _without_ensembles(cohort):
                names = ", ".join(ensemble.name for ensemble in cohort.config.ensemble_configs)
                show_message(
                    f"tables and report are made again, with the ensembles {names} (means of maps that are here); "
                    "no network trains or predicts again. Without them: ensembles: none"
                )
            folder.remove(_result_files(folder))
            _remove_pages(folder)
        if of_runs != (tuned_for := last.get("runs", last.get("fingerprint"))):
            study = close_test_sets(cohort)
            ours = [run for run in cohort.config.runs if trained_from(folder, run) == train_fingerprint(study, run)]
            _clear_thresholds(folder, [*ours, *cohort.config.ensemble_runs])
        with folder.stage("results", of_all) as record:
            record |= {"runs": tuned_for, "method": METHOD_VERSION}


def clear_outdated_thresholds(cohort: Cohort) -> None:
    """Clear thresholds in the trained models that were tuned for other inputs, so that `segment` cannot use them.

    Runs after models of other settings were moved aside, which stay unchanged. Thresholds do not depend on comparators,
    so they stay when only comparators have changed.
    """
    folder, (of_runs, of_all) = cohort.folder, _result_fingerprints(cohort)
    if folder.finished("results").get("runs") == of_runs:
        return
    _clear_thresholds(folder, cohort.config.own_methods)
    with folder.stage("results", of_all) as record:
        record |= {"runs": of_runs, "method": METHOD_VERSION}


def _result_files(folder: StudyFolder) -> list[Path]:
    """Return the files of the stages whose results become invalid together; those of pages are on lists."""
    stages = [stage for stage in STAGES if stage.is_result and stage.name not in _UNLISTED]
    return [folder.root / name for stage in stages for name in stage.files]


def _clear_thresholds(folder: StudyFolder, runs: Iterable[RunConfig | EnsembleRun]) -> None:
    trained = [path for run in runs if (path := folder.bundle(run.name)).is_dir()]
    if trained:
        from cordlesion.model.bundle_updates import forget_threshold

        for path in trained:
            forget_threshold(path)


def _result_fingerprints(cohort: Cohort) -> tuple[str, str]:
    """Return the fingerprints of the results of the trainings, and of all."""
    own, comparators, ensembles = _result_parts(cohort)
    return fingerprint("results", *own), fingerprint("results", *own, *comparators, *ensembles)


def _earlier_fingerprints(cohort: Cohort) -> list[str]:
    """Return the fingerprints of all results in earlier versions."""
    own, comparators, _ = _result_parts(cohort)
    return earlier_fingerprints("results", *own, *comparators)


def _without_ensembles(cohort: Cohort) -> str:
    """Return the fingerprint of all results but those of ensembles."""
    own, comparators, _ = _result_parts(cohort)
    return fingerprint("results", *own, *comparators)


def _result_parts(cohort: Cohort) -> tuple[list[object], list[object], list[object]]:
    """Return the inputs of the trainings' results, those that comparators add, and those that ensembles add."""
    columns = ["scan_id", "subject", "session", "set", *cohort.splits.filter(["fold"])]
    comparators = [comparator.fingerprint for comparator in cohort.comparators.values()]
    split = cohort.splits[columns].astype(str).to_numpy().tolist()
    ensembles = [ensemble.hashed() for ensemble in cohort.config.ensemble_configs]
    own: list[object] = [cohort.config.decisive, cohort.hashes, split]
    if study_goal(cohort.config).compares_repeats:
        own.append({REPEAT: dict(cohort.repeats)})
    return own, [comparators] if comparators else [], [{"ensembles": ensembles}] if ensembles else []


def remove_orphaned_results(config: StudyConfig, folder: StudyFolder) -> None:
    """Remove maps, masks and tables of methods that the study no longer names, and report it.

    The bundle of an ensemble is one of its results: it holds copies of the networks of its members.
    """
    named = {name for method in config.methods for name in (method.name, method.maps_name)}
    labels = {file_label(name).casefold() for name in named}
    removed = []
    for name in sorted(_made_for(folder) - named):
        # Two names can have one label: a file belongs to the method that has the label now.
        maps = [] if file_label(name).casefold() in labels else _maps(folder, name)
        if folder.remove([*_tables(folder, name), *maps, *_joined(folder, name)]):
            removed.append(name)
        # After the files: if the process is killed in between, the markers still lead to the rest.
        for key in _keys(folder, name):
            folder.undo(key)
        for place in (folder.bundle(name), folder.run(name)):
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
    if removed:
        show_message(f"no longer in the study, so their maps, masks and tables were removed: {', '.join(removed)}")
    if kept := [name for name in kept_models(config, folder) if name in removed]:
        show_message(f"kept: the trained models of {', '.join(kept)} in {folder.root / 'runs'}")


def kept_models(config: StudyConfig, folder: StudyFolder) -> list[str]:
    """Return the runs that the study no longer names but whose trained model exists."""
    named = {run.name for run in config.own_methods}
    there = {path.parent.name for path in (folder.root / "runs").glob("*/bundle")}
    return sorted(there - named - set(models_aside(folder)))


def _made_for(folder: StudyFolder) -> set[str]:
    """Return the names of all methods that have results, from the done-markers."""
    swept = {unit.rpartition("_")[0] for unit in folder.units("sweep")}
    others = (folder.units(stage) for stage in ("masks", "analyze", "ensemble"))
    return swept.union(folder.groups("predict"), *others)


def _tables(folder: StudyFolder, name: str) -> list[Path]:
    tables = [folder.run(name) / f"{table}.tsv" for table in TABLES]
    return [*(folder.run_sweep(name, part) for part in SETS), *tables, *made_for(folder, name)[0]]


def _joined(folder: StudyFolder, name: str) -> list[Path]:
    """Return the files of the bundle of an ensemble; none of a training, whose model is kept."""
    is_ensemble = bool(folder.finished(f"ensemble/{name}"))
    return [path for path in folder.bundle(name).glob("*") if is_ensemble and path.is_file()]


def _maps(folder: StudyFolder, name: str) -> list[Path]:
    """Return the maps and masks of a method with their sidecars, for every scan that has any map."""
    scans = {unit.partition("/")[2] for unit in folder.units("predict")}
    maps = [folder.probability(scan, name) for scan in sorted(scans)]
    return [file for path in maps for image in (path, mask_path(path)) for file in (image, sidecar(image))]


def _keys(folder: StudyFolder, name: str) -> list[str]:
    maps = [f"predict/{name}/{scan}" for scan in folder.units(f"predict/{name}")]
    return [
        *maps,
        *(f"sweep/{name}_{part}" for part in SETS),
        f"masks/{name}",
        f"analyze/{name}",
        f"uncertainty/{name}",
        f"lesions/{name}",
        f"multi_spine/{name}",
        f"repeatability/{name}",
        *made_for(folder, name)[1],
        f"ensemble/{name}",
    ]


def _remove_pages(folder: StudyFolder) -> None:
    """Remove report and explorer: the files on their lists, and no others.

    Pages of earlier versions are on no list. They are moved, unchanged, to another folder.
    """
    for stage, names in _UNLISTED.items():
        if (listed := folder.list_of(stage)) is not None:
            folder.remove(listed)
            folder.undo(stage)
        elif there := [folder.root / name for name in names if (folder.root / name).exists()]:
            places = (folder.root / f"{stage}.replaced{number or ''}" for number in itertools.count())
            aside = next(place for place in places if not place.exists())
            aside.mkdir()
            for path in there:
                path.rename(aside / path.name)
            show_message(f"the {stage} of earlier results was moved to {aside}")
