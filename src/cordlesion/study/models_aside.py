"""Trained models of other settings or scans: never overwritten, but moved aside, and moved back when they fit again."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cordlesion.config import BESIDE_TRAINING, RunConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message
from cordlesion.io.reading import read_json
from cordlesion.io.writing import write_json
from cordlesion.study.fingerprints import train_fingerprint, train_key
from cordlesion.study.sets import Study
from cordlesion.study.train import is_trained
from cordlesion.study_folder.folder import StudyFolder

_REPLACED, _DAMAGED = ".replaced-", ".damaged-"
_HASH = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")
_MARKER = "train.json"
"""The done-marker of a model that was moved aside, in its folder."""


def set_models_aside(study: Study) -> None:
    """Move models aside whose run has another fingerprint now, and report each of them.

    A model goes to ``runs/<run>.replaced-<fingerprint>``. A model that was moved there and has the fingerprint of its
    run again is moved back, and is not trained again.
    """
    for run in study.config.runs:
        fingerprint = train_fingerprint(study, run)
        if not is_trained(study.folder, run, fingerprint):
            _move_aside(study.folder, run, fingerprint)
            _move_back(study.folder, run, fingerprint)


def trained_from(folder: StudyFolder, run: RunConfig) -> str:
    """Return the fingerprint of the training that made the model of a run; ``unknown`` if there is none."""
    return _trained_from(folder.run(run.name))


def first_weights(folder: StudyFolder, run: RunConfig) -> str:
    """Return the SHA-256 of the weights that the model of a run started from; empty where the card has none."""
    training = _card(folder.run(run.name)).get("provenance", {}).get("training", {})
    return str(training.get("start_from") or "") if isinstance(training, dict) else ""


def models_aside(folder: StudyFolder) -> list[str]:
    """Return the names of the folders below ``runs`` that hold models which were moved aside."""
    found = [path.name for how in (_REPLACED, _DAMAGED) for path in (folder.root / "runs").glob(f"*{how}*")]
    return sorted(found)


def _move_aside(folder: StudyFolder, run: RunConfig, fingerprint: str) -> None:
    place, key = folder.run(run.name), train_key(run)
    marker, trained_from = folder.finished(key), _trained_from(place)
    # A model of this fingerprint without a marker is complete: the process was killed before it wrote the marker.
    if _has_model(place) and (marker or trained_from != fingerprint):
        aside = _unused(place, _REPLACED if trained_from != fingerprint else _DAMAGED, trained_from)
        show_message(
            f"{run.name}: {_reason(_card(place), run, fingerprint)}; the model is kept as "
            f"{aside.relative_to(folder.root)}"
        )
        if marker:
            write_json(place / _MARKER, marker)
        place.rename(aside)
        # An interrupted training of the new settings continues where it stopped.
        for state in aside.glob(f"checkpoint-{fingerprint[:16]}.ckpt"):
            place.mkdir()
            state.rename(place / state.name)
    folder.undo(key)


def _move_back(folder: StudyFolder, run: RunConfig, fingerprint: str) -> None:
    place = folder.run(run.name)
    for aside in _names(place, _REPLACED, fingerprint):
        if not aside.is_dir() or _has_model(place):
            break
        if _trained_from(aside) == fingerprint:
            # The model last: if it is there, all of its files are.
            for part in sorted(aside.iterdir(), key=lambda part: part.name == "bundle"):
                place.mkdir(exist_ok=True)
                if not (place / part.name).exists():
                    part.rename(place / part.name)
            show_message(
                f"{run.name}: the model in {aside.relative_to(folder.root)} is of these settings again, and is used"
            )
            if not any(aside.iterdir()):
                aside.rmdir()
    if (place / _MARKER).is_file() and _trained_from(place) == fingerprint:
        folder.mark_done(train_key(run), fingerprint, read_json(place / _MARKER, dict))
        (place / _MARKER).unlink()


def _has_model(run: Path) -> bool:
    return (run / "bundle" / "model.json").is_file()


def _unused(place: Path, how: str, trained_from: str) -> Path:
    return next(path for path in _names(place, how, trained_from) if not path.exists())


def _names(place: Path, how: str, trained_from: str) -> Iterator[Path]:
    first = place.with_name(f"{place.name}{how}{trained_from[:8]}")
    yield first
    yield from (first.with_name(f"{first.name}-{number}") for number in range(2, 10_000))


def _card(run: Path) -> Mapping[str, Any]:
    """Return the content of a model's card, or nothing if it cannot be read: the model is kept in any case."""
    try:
        content = read_json(run / "bundle" / "model.json")
    except CordlesionError:
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("provenance", {}), dict) else {}


def _trained_from(run: Path) -> str:
    """Return the fingerprint of the training that made a model."""
    return str(_card(run).get("provenance", {}).get("fingerprint", "unknown"))


def _reason(card: Mapping[str, Any], run: RunConfig, fingerprint: str) -> str:
    """Return why a model is not the one that its run needs."""
    provenance = card.get("provenance", {})
    if provenance.get("fingerprint") == fingerprint:
        return "its weights are not those that were trained here"
    now = {
        "network": run.network.hashed(),
        "patches": run.patches.hashed(),
        "loss": run.loss.hashed(),
        "training": run.optimization.portable.hashed(exclude=BESIDE_TRAINING),
        **run.imported_code,
    }
    changed = [
        f"{section}.{key} {was[key]} -> {value}"
        for section, content in now.items()
        for was in [(card if section in ("network", "patches") else provenance).get(section)]
        for key, value in content.items()
        if isinstance(was, dict) and key in was and was[key] != value
    ]
    shown = _HASH.sub(r"\1...", ", ".join(changed))
    return f"its settings have changed ({shown})" if changed else "its scans or stacks have changed"
