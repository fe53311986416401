"""The manifest of a study: what it ran on, with which versions, and how long it took."""

import os
import platform
import sys
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from cordlesion import __version__
from cordlesion.config import EvaluationConfig, PrimaryConfig, StudyConfig
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.io.faults import first_fault
from cordlesion.io.fingerprints import digest
from cordlesion.io.outputs import portable_path
from cordlesion.io.progress import show_message
from cordlesion.io.reading import read_json
from cordlesion.io.writing import write_json
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.threshold.study_rules import study_rules

BEFORE, AFTER = "before the test set was opened", "after the test set was opened"
"""Values of ``primary.declared``: when the primary comparison was declared."""
_PACKAGES = ("torch", "lightning", "monai", "nibabel", "numpy", "scipy", "pandas", "pydantic", "safetensors")


class _Hardware(BaseModel):
    training: list[str] = []


class _Primary(BaseModel):
    sha256: str | None = None
    declared: str = ""


class _Opening(BaseModel):
    primary_sha256: str | None
    equivalence_margin: float | None = None
    threshold_rules: list[str] = []


class _Manifest(BaseModel):
    """The keys that later steps read; the others are for people."""

    cordlesion: str = ""
    python: str = ""
    packages: dict[str, str] = {}
    hardware: _Hardware = _Hardware()
    scans: dict[str, dict[str, str | dict[str, str]]] = {}
    excluded: dict[str, str] = {}
    partial: dict[str, str] = {}
    primary: _Primary | None = None
    test_set_opened: _Opening | None = None


def write_manifest(
    folder: StudyFolder,
    config: StudyConfig,
    scans: Mapping[str, Scan],
    hashes: Mapping[str, Mapping[str, str]],
    excluded: Mapping[str, str],
    partial: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write ``manifest.json``: versions, hardware, seeds, inputs with their SHA-256, and the time of every stage.

    The first key states whether the study was reduced. The primary comparison that was declared when the test set was
    opened is copied from the manifest that exists.
    """
    opened = _opened_with(folder)

    def within(text: str) -> str:
        """Name files relative to the dataset, which is valid on other machines too."""
        return text.replace(f"{config.dataset}/", "")

    write_json(
        folder.manifest,
        {
            "reduced": config.reduced.model_dump(mode="json") if config.reduced else None,
            "cordlesion": __version__,
            "python": sys.version.split()[0],
            "packages": {name: found for name in _PACKAGES if (found := _installed(name))},
            "hardware": _hardware(folder, config),
            "seeds": {"split": config.split.seed, "runs": list(config.seeds)},
            "scans": {n: _files(scan, config.dataset) | {"sha256": dict(hashes[n])} for n, scan in scans.items()},
            "excluded": {within(name): within(reason) for name, reason in excluded.items()},
            "partial": {name: within(place) for name, place in partial.items()},
            "seconds": _seconds(folder, {run.name for run in config.runs}),
            "primary": _registered(config.evaluation.primary, opened),
            "test_set_opened": opened,
        },
    )


def record_opening(folder: StudyFolder, config: StudyConfig) -> None:
    """Record, once and for all, which primary comparison, margin and rules there were when the test set was opened.

    A comparison that was declared or changed later is accepted, recorded as late, and reported.
    """
    if _opened_with(folder) is None:
        margin = config.evaluation.equivalence_margin
        opened = {
            "primary_sha256": _hash(config.evaluation.primary),
            "equivalence_margin": margin,
            "threshold_rules": list(study_rules(config)),
        }
        registered = {"primary": _registered(config.evaluation.primary, opened), "test_set_opened": opened}
        write_json(folder.manifest, {**_previous(folder), **registered})
    primary = config.evaluation.primary
    if primary and not declared_before(primary, _previous(folder)):
        show_message(f"evaluation.primary: declared {AFTER}; the manifest and the report state it")


def declared_before(primary: PrimaryConfig, manifest: Mapping[str, Any]) -> bool:
    """Return whether the manifest shows that this comparison was declared before the test set was opened."""
    recorded = manifest.get("primary") or {}
    return recorded.get("sha256") == _hash(primary) and recorded.get("declared") == BEFORE


def margin_before(config: StudyConfig, manifest: Mapping[str, Any]) -> bool:
    """Return whether the margin of equivalence is the one that the study had when the test set was opened.

    A study of an earlier version had none; then the default counts, which nobody chose after a look at the results.
    """
    recorded = (manifest.get("test_set_opened") or {}).get("equivalence_margin")
    default: float = EvaluationConfig().equivalence_margin
    return config.evaluation.equivalence_margin == (default if recorded is None else recorded)


def rules_before(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the further threshold rules that the study named before the test set was opened."""
    return tuple((manifest.get("test_set_opened") or {}).get("threshold_rules", ()))


def _registered(primary: PrimaryConfig | None, opened: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if primary is None:
        return None
    in_time = opened is None or opened["primary_sha256"] == _hash(primary)
    return primary.model_dump(mode="json") | {"sha256": _hash(primary), "declared": BEFORE if in_time else AFTER}


def _opened_with(folder: StudyFolder) -> dict[str, Any] | None:
    """Return the manifest's record of the opening; None while the test set is closed."""
    recorded: dict[str, Any] | None = _previous(folder).get("test_set_opened")
    # A study that was evaluated by an earlier version, or whose manifest is lost, proves no declaration.
    evaluated = folder.evaluation.is_file() or folder.sweep.is_file()
    return {"primary_sha256": None} if recorded is None and evaluated else recorded


def _previous(folder: StudyFolder) -> dict[str, Any]:
    try:
        content = _checked(folder.manifest)
    except CordlesionError:
        # Missing or damaged: it is written again, and then proves nothing about the past.
        content = {}
    return content


def _hash(primary: PrimaryConfig | None) -> str | None:
    return digest(primary.model_dump(mode="json")) if primary else None


def read_manifest(path: Path, dataset: Path) -> dict[str, Any]:
    """Read a manifest; the files of the scans, which it names relative to the dataset, become paths.

    Raises:
        CordlesionError: The file is missing or damaged.
    """
    content = _checked(path)
    return content | {"scans": {name: _located(files, dataset) for name, files in content.get("scans", {}).items()}}


def manifest_to_show(path: Path, dataset: Path) -> dict[str, Any]:
    """Return a manifest for a page that is sent to others: without times, and without paths of this machine."""
    content = _checked(path)
    scans = {n: _portable(files, dataset, path.parent) for n, files in content.get("scans", {}).items()}
    return {key: value for key, value in content.items() if key != "seconds"} | {"scans": scans}


def _checked(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(path)
    try:
        _Manifest.model_validate(content, strict=True)
    except ValidationError as error:
        raise CordlesionError(
            f"{path}: is no manifest of a study ({first_fault(error, content)}). Run the study again: it then writes a "
            "new one."
        ) from None
    return content


def _located(files: Any, dataset: Path) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Join relative paths with the dataset; absolute paths of earlier versions stay as they are."""
    if not isinstance(files, dict):
        return files
    return {kind: str(dataset / value) if isinstance(value, str) else value for kind, value in files.items()}


def _portable(files: Any, dataset: Path, folder: Path) -> Any:  # noqa: ANN401 - whatever JSON can hold
    if not isinstance(files, dict):
        return files
    return {kind: _place(v, dataset, folder) if isinstance(v, str) else v for kind, v in files.items()}


def _place(file: str, dataset: Path, folder: Path) -> str:
    within = file.removeprefix(f"{dataset}/")
    return portable_path(Path(within), folder) if Path(within).is_absolute() else within


def _files(scan: Scan, dataset: Path) -> dict[str, Any]:
    return {kind: Path(os.path.relpath(path, dataset)).as_posix() for kind, path in scan.files().items()}


def _seconds(folder: StudyFolder, runs: Collection[str]) -> dict[str, float]:
    """Sum the times in the done-markers by stage and, for trainings and sweeps, by run.

    Trained models are kept when the study no longer names their ``runs``; their times are not of this study.
    """
    total: dict[str, float] = {}
    for parts, seconds in folder.seconds():
        if parts[0] == "train" and parts[1] not in runs:
            continue
        stage = parts[0] if parts[0] in ("inspect", "preprocess") else "/".join(parts[:2])
        total[stage] = round(total.get(stage, 0.0) + seconds, 2)
    return total


def _hardware(folder: StudyFolder, config: StudyConfig) -> dict[str, Any]:
    training = {folder.finished(f"train/{run.name}").get("hardware", "") for run in config.runs}
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "processor": _processor(),
        "training": sorted(training - {""}),
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:  # noqa: PTH123 - a device file
            names = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return f"{len(names)} x {names[0]}" if names else platform.processor()
