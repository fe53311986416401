"""The manifest of a study: what it ran on, with which versions, and how long it took."""

import platform
import sys
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cordlesion import __version__
from cordlesion.artifacts import StudyFolder, write_json
from cordlesion.config import StudyConfig
from cordlesion.dataset.scan import Scan

_PACKAGES = ("torch", "lightning", "monai", "nibabel", "numpy", "scipy", "pandas", "pydantic", "safetensors")


def write_manifest(
    folder: StudyFolder,
    config: StudyConfig,
    scans: Mapping[str, Scan],
    hashes: Mapping[str, Mapping[str, str]],
    excluded: Mapping[str, str],
) -> None:
    """Write ``manifest.json``: versions, hardware, seeds, inputs with their SHA-256, and the time of every stage.

    First of all it says whether the study was reduced.
    """
    write_json(
        folder.manifest,
        {
            "reduced": config.reduced.model_dump(mode="json") if config.reduced else None,
            "cordlesion": __version__,
            "python": sys.version.split()[0],
            "packages": {name: found for name in _PACKAGES if (found := _installed(name))},
            "hardware": {
                "machine": platform.machine(),
                "system": platform.platform(),
                "processor": _processor(),
                "training": sorted(
                    {folder.finished(f"train/{run.name}").get("hardware", "") for run in config.runs} - {""}
                ),
            },
            "seeds": {"split": config.split.seed, "runs": list(config.seeds)},
            "scans": {name: _files(scan) | {"sha256": dict(hashes[name])} for name, scan in scans.items()},
            "excluded": dict(excluded),
            "seconds": _seconds(folder, {run.name for run in config.runs}),
        },
    )


def _files(scan: Scan) -> dict[str, Any]:
    return {kind: str(path) for kind, path in scan.files().items()}


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
