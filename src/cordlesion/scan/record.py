"""What the record of a segmented scan states: model, centerline, remarks."""

from pathlib import Path
from typing import TYPE_CHECKING

from cordlesion.config import PACKAGED_BUNDLE
from cordlesion.cord.centerline import coverage_remark, lost_remark
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.outputs import portable_path
from cordlesion.io.volume import placement_remark
from cordlesion.model.architectures import Card

if TYPE_CHECKING:
    from cordlesion.scan.outputs import Segmentation


def bundle_record(result: "Segmentation", folder: Path) -> dict[str, str | None]:
    """Return where the model lies and what identifies its weights; a model given without a folder has no place."""
    if result.bundle is None:
        return {"Bundle": None, "WeightsSHA256": result.model.weights_sha256}
    weights = file_hash(result.bundle / "model.safetensors")
    place = "packaged" if result.bundle == PACKAGED_BUNDLE else portable_path(result.bundle, folder)
    return {"Bundle": place, "WeightsSHA256": weights}


def experience_record(card: Card) -> dict[str, object]:
    """Return what is known about a model's training and errors; null if nothing is known."""
    data, error = card.experience or (None, None)
    known = {"TrainingData": data, "TestError": error}
    return {name: None if one is None else one.model_dump(mode="json") for name, one in known.items()}


def list_remarks(result: "Segmentation") -> list[str]:
    """Return what a reader must know of a scan before its numbers."""
    scan, name = result.scan, result.scan.path.name if result.scan.path else ""
    curve = result.centerline if result.model.cord_settings.region == "cord" else None
    of_curve = [f"{name}: {remark}" for remark in curve.remarks] if curve else []
    of_coverage = [remark(curve, scan, name) for remark in (coverage_remark, lost_remark)] if curve else []
    return [remark for remark in (placement_remark(scan, name), *of_curve, *of_coverage) if remark]


def partial_remark(result: "Segmentation") -> str | None:
    """Return a warning if only a part of the cord was searched, because it was lost at an end; else None."""
    searched = None if result.coverage is None else result.centerline
    return None if searched is None else lost_remark(searched, result.scan)


def curve_record(result: "Segmentation") -> dict[str, object] | None:
    """Return where a centerline comes from: file names only, because folders are those of one machine."""
    curve, given = result.centerline, result.cord_input
    if curve is None:
        return None
    file = given.centerline or given.cord_mask
    return {"Source": given.origin, "File": file.name if file else None, "Confidence": curve.confidence}
