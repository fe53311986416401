"""Results that are this study's no longer: of another configuration, other files, or methods that it no longer names.

They are removed, so that nobody can take them for results; trained models never are.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

from cordlesion.config import SETS, RunConfig, StudyConfig
from cordlesion.config.names import file_label
from cordlesion.io.fingerprints import METHOD_VERSION, earlier_fingerprints, fingerprint
from cordlesion.io.progress import say
from cordlesion.study.analysis import TABLES
from cordlesion.study.fingerprints import train_mark
from cordlesion.study.models_aside import models_aside, trained_from
from cordlesion.study.sets import Cohort, close_test_sets
from cordlesion.study_folder.derivatives import mask_path, sidecar
from cordlesion.study_folder.folder import StudyFolder

_UNLISTED = {"report": ("report.html", "tables", "figures", "gallery"), "explorer": ("explorer",)}
"""Where reports and explorers lie; versions before left no list of their files."""


def forget_outdated(cohort: Cohort) -> None:
    """Remove the results of another configuration, other files or another split: none may be taken for this one's.

    What was tuned for them goes out of the trained models, too: here of those that certainly are this study's, and of
    the others once it is known which these are, see :func:`forget_thresholds`.
    """
    folder, (of_runs, mark) = cohort.folder, _result_marks(cohort)
    if not folder.is_done("results", mark):
        last = folder.finished("results")
        analyses = [folder.table(name) for name in TABLES]
        if last:
            if last["fingerprint"] in _earlier_marks(cohort):
                say(
                    "the results here were made by an earlier version of cordlesion, whose method has changed since: "
                    "thresholds, tables and report are made anew; networks and maps are kept where they are still valid"
                )
            folder.remove([folder.thresholds, folder.sweep, folder.evaluation, *analyses])
            _forget_pages(folder)
        if of_runs != (tuned_for := last.get("runs", last.get("fingerprint"))):
            study = close_test_sets(cohort)
            _forget(folder, [r for r in cohort.config.runs if trained_from(folder, r) == train_mark(study, r)])
        with folder.stage("results", mark) as record:
            record |= {"runs": tuned_for, "method": METHOD_VERSION}


def forget_thresholds(cohort: Cohort) -> None:
    """Take out of the trained models what was tuned under other circumstances, so that `segment` cannot use it.

    Only once models that are not this study's have been set aside: these stay as they were. Thresholds do not depend on
    comparators and stay when only these have changed.
    """
    folder, (of_runs, mark) = cohort.folder, _result_marks(cohort)
    if folder.finished("results").get("runs") == of_runs:
        return
    _forget(folder, cohort.config.runs)
    with folder.stage("results", mark) as record:
        record |= {"runs": of_runs, "method": METHOD_VERSION}


def _forget(folder: StudyFolder, runs: Iterable[RunConfig]) -> None:
    trained = [path for run in runs if (path := folder.bundle(run.name)).is_dir()]
    if trained:
        from cordlesion.model.bundle import forget_threshold

        for path in trained:
            forget_threshold(path)


def _result_marks(cohort: Cohort) -> tuple[str, str]:
    """Return the fingerprints of the results of the trainings, and of all."""
    own, comparators = _result_parts(cohort)
    return fingerprint("results", *own), fingerprint("results", *own, *comparators)


def _earlier_marks(cohort: Cohort) -> list[str]:
    """Return what the fingerprint of all results was in the versions before."""
    own, comparators = _result_parts(cohort)
    return earlier_fingerprints("results", *own, *comparators)


def _result_parts(cohort: Cohort) -> tuple[list[object], list[object]]:
    """Return what the results of the trainings depend on, and what comparators add to that."""
    columns = ["scan_id", "subject", "session", "set", *cohort.splits.filter(["fold"])]
    comparators = [comparator.fingerprint for comparator in cohort.comparators.values()]
    split = cohort.splits[columns].astype(str).to_numpy().tolist()
    return [cohort.config.decisive, cohort.hashes, split], [comparators] if comparators else []


def forget_strangers(config: StudyConfig, folder: StudyFolder) -> None:
    """Remove maps, masks and tables of losses, seeds and comparators that the study no longer names, and say so."""
    named = {name for method in config.methods for name in (method.name, method.maps_name)}
    labels = {file_label(name).casefold() for name in named}
    forgotten = []
    for name in sorted(_made_for(folder) - named):
        # Names may differ where labels do not: a file is that of the method which has the label now.
        maps = [] if file_label(name).casefold() in labels else _maps(folder, name)
        if folder.remove([*_tables(folder, name), *maps]):
            forgotten.append(name)
        # After the files: a process killed in between finds them again by their markers.
        for key in _keys(folder, name):
            folder.undo(key)
        if (run := folder.run(name)).is_dir() and not any(run.iterdir()):
            run.rmdir()
    if forgotten:
        say(f"no longer in the study, so their maps, masks and tables were removed: {', '.join(forgotten)}")
    if kept := [name for name in kept_models(config, folder) if name in forgotten]:
        say(f"kept all the same: the trained models of {', '.join(kept)} in {folder.root / 'runs'}")


def kept_models(config: StudyConfig, folder: StudyFolder) -> list[str]:
    """Return the runs whose trained model is there although the study no longer names them."""
    named = {run.name for run in config.runs}
    there = {path.parent.name for path in (folder.root / "runs").glob("*/bundle")}
    return sorted(there - named - set(models_aside(folder)))


def _made_for(folder: StudyFolder) -> set[str]:
    """Return the names of all methods that something was made for, as done-markers name them."""
    swept = {unit.rpartition("_")[0] for unit in folder.units("sweep")}
    return swept.union(folder.groups("predict"), folder.units("masks"), folder.units("analyze"))


def _tables(folder: StudyFolder, name: str) -> list[Path]:
    return [*(folder.run_sweep(name, part) for part in SETS), *(folder.run(name) / f"{table}.tsv" for table in TABLES)]


def _maps(folder: StudyFolder, name: str) -> list[Path]:
    """Return the maps and masks of a method, with what describes them, of every scan of which there is any map."""
    scans = {unit.partition("/")[2] for unit in folder.units("predict")}
    maps = [folder.probability(scan, name) for scan in sorted(scans)]
    return [file for path in maps for image in (path, mask_path(path)) for file in (image, sidecar(image))]


def _keys(folder: StudyFolder, name: str) -> list[str]:
    maps = [f"predict/{name}/{scan}" for scan in folder.units(f"predict/{name}")]
    return [*maps, *(f"sweep/{name}_{part}" for part in SETS), f"masks/{name}", f"analyze/{name}"]


def _forget_pages(folder: StudyFolder) -> None:
    """Remove report and explorer: the files that they have listed, and no others.

    What earlier versions have written is on no list. It is moved, unchanged, to a folder beside, so that nobody takes
    it for results of this study.
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
            say(f"the {stage} of earlier results was moved to {aside}")
