"""The command ``detectability``: what a method finds of known lesions, by size, contrast and place."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.dataset.scan import Scan
from cordlesion.detectability.dataset import LesionDataset, predictions_by_scan, read_lesion_dataset
from cordlesion.detectability.found import Detections, detections
from cordlesion.detectability.masks import Method, map_method
from cordlesion.detectability.names import CONTRAST
from cordlesion.detectability.summary import by_stratum, contrast_bands, false_lesions, limits
from cordlesion.detectability.tables import DETECTABILITY, DETECTED, FALSE_LESIONS, LIMITS
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.io.outputs import check_output_folder
from cordlesion.io.progress import show_message
from cordlesion.io.tables import write_table
from cordlesion.io.volume import read_grid
from cordlesion.metrics.rules import LesionRule, resolve_rule
from cordlesion.threshold import GRIDS

_TRUTH = ["volume_mm3", "contrast", "column", "level", "position_mm", "distance_mm"]


@dataclass(frozen=True, eq=False)
class Detectability:
    """What a method detects; the tables of docs/file_formats.md."""

    detected: pd.DataFrame
    shares: pd.DataFrame
    limits: pd.DataFrame
    false: pd.DataFrame
    """Empty if the dataset has no scan without lesions."""
    excluded: dict[str, str]
    """The scans that could not be used, each with the reason."""


def measure_detectability(
    dataset: Path,
    output: Path,
    *,
    bundle: Path | None = None,
    probability: Path | None = None,
    prediction: Path | None = None,
    rule: str = "study",
    grid: str = "paper",
    threshold: float | None = None,
    contrast: Sequence[float] = CONTRAST,
    code: Path | None = None,
) -> Detectability:
    """Measure the detection limit of a trained model, or of the maps or masks of any tool.

    Args:
        dataset: Folder that ``implant`` or ``simulate`` wrote.
        output: Folder for the tables, the figure and, of a model, its maps.
        bundle: Folder of a trained model, or ``packaged``, the model in the package; give this, ``probability`` or
            ``prediction``.
        probability: Folder of probability maps with the names of the scans.
        prediction: Folder of masks with the names of the scans.
        rule: When a lesion counts as found: a name in :data:`cordlesion.LESION_RULES`.
        grid: The thresholds that are tried: a name in :data:`cordlesion.THRESHOLD_GRIDS`.
        threshold: The method's own threshold; by default that of the model, and none of maps.
        contrast: Edges of the bands of contrast.
        code: Folder of the module of a model whose network is a user's own code.

    Raises:
        CordlesionError: The dataset, the model or all files cannot be used, or not exactly one method is given.
    """
    resolved = resolve_rule(rule)
    if grid not in GRIDS:
        raise CordlesionError(f"{grid!r} is no grid; one of {', '.join(GRIDS)} is needed.")
    if sum(one is not None for one in (bundle, probability, prediction)) != 1:
        raise CordlesionError(
            "One method is needed: a model (--model FOLDER, or --model packaged), a folder of maps (--probability), or "
            "a folder of masks (--prediction). Give exactly one."
        )
    if not all(below < above for below, above in pairwise(contrast)):
        raise CordlesionError(
            f"The bands of contrast end at {', '.join(f'{edge:g}' for edge in contrast)}; rising numbers are needed. "
            "Change --contrast-bands."
        )
    check_output_folder(output)
    lesions = read_lesion_dataset(dataset)
    if lesions.lesions.empty:
        raise CordlesionError(f"{dataset}: its table has no lesion; one is needed. Implant with a strength above 0.")
    if bundle is not None:
        from cordlesion.detectability.bundle_maps import predict_dataset
        from cordlesion.model.packaged_model import announcer, bundle_folder

        announcer(bundle)()
        missing: dict[str, str] = {}
        method = predict_dataset(bundle_folder(bundle), lesions, output / "maps", GRIDS[grid], threshold, code)
    else:
        folder = probability or prediction
        assert folder is not None
        files, missing = predictions_by_scan(folder, lesions.scans, are_maps=probability is not None)
        method = Method(files, False) if probability is None else map_method(files, GRIDS[grid], threshold)
    return _measured(lesions, method, resolved, contrast, output, missing)


def _measured(
    dataset: LesionDataset, method: Method, rule: LesionRule, contrast: Sequence[float], output: Path,
    missing: dict[str, str],
) -> Detectability:  # fmt: skip
    scans = [scan for scan in dataset.scans if scan.scan_id in method.files]
    outcomes = map_scans(lambda scan: _scan_rows(dataset, scan, method, rule), scans, "match lesions")
    # A fault of a file that is there comes first: it is the one to mend.
    excluded = {outcome.item.scan_id: outcome.fault for outcome in outcomes if outcome.fault} | missing
    found = [row for outcome in outcomes for row in (outcome.result or ((), ()))[0]]
    free = [row for outcome in outcomes for row in (outcome.result or ((), ()))[1]]
    if not found:
        raise CordlesionError(next(iter(excluded.values()), f"{dataset.root}: no lesion is in a scan with a result."))
    detected = pd.DataFrame(found)
    bands = contrast_bands(detected, contrast)
    result = Detectability(
        detected=detected,
        shares=by_stratum(detected, contrast),
        limits=limits(bands),
        false=false_lesions(pd.DataFrame(free)) if free else pd.DataFrame(columns=list(FALSE_LESIONS.names)),
        excluded=excluded,
    )
    _write(result, output)
    from cordlesion.detectability.figure import write_figure

    write_figure(result, bands, output / "detectability.png")
    show_message(f"{output}: {_summary(result)}")
    return result


def _scan_rows(
    dataset: LesionDataset, scan: Scan, method: Method, rule: LesionRule
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the rows of the lesions of a scan, and of a scan without lesions, at every operating point."""
    like = read_grid(scan.image)
    numbered = dataset.numbered(scan, like)
    truth = dataset.of_scan(scan)
    chance = _by_chance(dataset, scan, method, rule) if len(truth) else {}
    found, free = [], []
    for point, mask in method.masks(scan, like):
        result = detections(numbered, mask, like.spacing_mm, rule)
        if not len(truth):
            free.append({"scan_id": scan.scan_id, "subject": scan.subject, **point.columns,
                         "n_false": result.n_false, "false_mm3": result.false_mm3})  # fmt: skip
        by_chance = chance.get((point.threshold, point.kind))
        found += [
            {"scan_id": scan.scan_id, "subject": row["subject"], "lesion": row["lesion"], **point.columns,
             "found": _flag(result, row["lesion"]), "by_chance": _flag(by_chance, row["lesion"]),
             **{name: row[name] for name in _TRUTH}}
            for row in truth.to_dict(orient="records")
        ]  # fmt: skip
    return found, free


def _flag(result: Detections | None, lesion: int) -> float:
    """Return 1 for a found lesion, 0 for a missed one, NaN for one without a voxel."""
    found = None if result is None else result.found.get(int(lesion))
    return np.nan if found is None else float(found)


def _by_chance(
    dataset: LesionDataset, scan: Scan, method: Method, rule: LesionRule
) -> dict[tuple[float | None, str], Detections]:
    """Return what the masks of the unchanged scan detect of the lesions of a copy, by operating point."""
    name = dataset.unchanged(scan)
    if name is None or name not in method.files:
        return {}
    original = next(other for other in dataset.scans if other.scan_id == name)
    like = read_grid(original.image)
    numbered = dataset.numbered(scan, like)
    return {
        (point.threshold, point.kind): detections(numbered, mask, like.spacing_mm, rule)
        for point, mask in method.masks(original, like)
    }


def _write(result: Detectability, output: Path) -> None:
    for table, spec in (
        (result.detected, DETECTED),
        (result.shares, DETECTABILITY),
        (result.limits.reindex(columns=list(LIMITS.names)), LIMITS),
        (result.false, FALSE_LESIONS),
    ):
        write_table(output / spec.file, _whole(table, spec.names), spec)


def _whole(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    flags = [name for name in ("found", "by_chance") if name in names]
    return table.astype(dict.fromkeys(flags, "Int64"))


def _summary(result: Detectability) -> str:
    shown = result.shares[result.shares["by"] == "all"].iloc[0]
    text = f"{shown['n_found']} of {shown['n_lesions']} lesions found"
    if np.isfinite(shown["threshold"]):
        text += f" at t = {shown['threshold']:g}"
    if len(result.false):
        free = result.false.iloc[0]
        text += f", {free['n_false_lesions']} false lesions in {free['n_scans']} scans without lesions"
    return f"{text}; intervals resample {shown['units']}"
