"""The data of one scan for the page: image, reference, geometry, and the results of a model at every threshold."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.explorer.catalog import Application, Catalog, Model, ShownScan
from cordlesion.explorer.lesion_lists import (
    ReferenceLesions,
    ThresholdedMap,
    evaluate_thresholds,
    find_reference_lesions,
)
from cordlesion.explorer.pack import numbers, pack_array, pack_part
from cordlesion.io.arrays import AnyArray, Float32Array, FloatArray, IntArray, Mask, UInt8Array
from cordlesion.io.orient import to_las
from cordlesion.io.probability import count_reached
from cordlesion.io.volume import Volume, read_mask, read_probability, read_scan
from cordlesion.metrics import LesionRule, binarize, resolve_rule
from cordlesion.metrics.columns import METRIC_COLUMNS
from cordlesion.metrics.voxel import voxel_volume_mm3
from cordlesion.preprocess.cord_stack import StackGeometry
from cordlesion.preprocess.stack_file import CordStack, read_stack
from cordlesion.study_folder.derivatives import mask_path
from cordlesion.study_folder.stages import run_stage
from cordlesion.threshold.postprocess import postprocess, read_cord

MARGIN_MM = 6.0
"""Margin in plane around the crops of the cord stack."""
_GREY_PERCENTILES = (0.2, 99.9)
_WINDOW_PERCENTILES = (1.0, 99.0)
# Tables contain all digits, so values that are read from them differ only by rounding.
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class ScanData:
    """The data of one scan; places are voxel indices in left-anterior-superior order."""

    catalog: Catalog
    scan: ShownScan
    files: dict[str, Path]
    """Paths by kind: image, reference, cord_mask."""
    image: Volume
    """The scan in its own orientation."""
    reference: Volume
    stack: CordStack
    """The cord stack, the input of the network."""
    rule: LesionRule
    lesions: ReferenceLesions

    @classmethod
    def read(cls, catalog: Catalog, scan: ShownScan) -> "ScanData":
        """Read a scan, its reference and its stack.

        Raises:
            CordlesionError: One of them is missing or damaged.
        """
        files = _files(catalog, scan)
        image = read_scan(files["image"])
        reference = read_mask(files["reference"], like=image, value=catalog.config.patterns.lesion_value)
        stack = read_stack(catalog.results.folder.stack(scan.scan_id))
        rule = resolve_rule(catalog.config.evaluation.rule)
        lesions = find_reference_lesions(reference.data.astype(bool, copy=False), rule, _voxel_mm3(reference))
        return cls(catalog, scan, files, image, reference, stack, rule, lesions)

    def describe(self) -> dict[str, Any]:
        """Return the scan around the cord, its reference and the geometry."""
        las, box = to_las(self.image), self._cord_box
        grey = self._grey(las.data[box])
        low, high = np.percentile(grey, _WINDOW_PERCENTILES)
        return {
            "shape": list(las.data.shape),
            "affine": las.affine.round(6).tolist(),
            "spacing_mm": [round(length, 6) for length in las.spacing_mm],
            "voxel_mm3": _voxel_mm3(self.reference),
            "window": [float(low), float(max(high, low + 1))],
            "intensities": list(self._grey_range),
            "files": {kind: self.catalog.path_text(path) for kind, path in self.files.items()},
            "cord": {"start": [edge.start for edge in box], **pack_array(grey)},
            "stack": _describe_stack(self.stack.geometry, self.catalog.config.preprocess.spacing_mm),
            "reference": self._describe_reference(),
            "lesions": self._describe_lesions(),
        }

    def full_image(self) -> dict[str, Any]:
        """Return the whole scan, with the grey values of the part around the cord."""
        return pack_array(self._grey(to_las(self.image).data))

    def stack_image(self) -> dict[str, Any]:
        """Return the cord stack with the same grey values."""
        return pack_array(self._grey(self.stack.image))

    def describe_model(self, model: Model) -> dict[str, Any]:
        """Return the results of a model: the highest threshold that each voxel reaches, metrics and lesions.

        Raises:
            CordlesionError: The map is missing, or its metrics differ from the tables of the study.
        """
        applied = self.catalog.apply(model, self.scan)
        probability = self._read_map(model, applied)
        thresholds = self.catalog.thresholds
        cord = read_cord(self.files.get("cord_mask"), self.reference, applied.removal)
        processed = postprocess(probability, thresholds, applied.removal, cord)
        raw = probability.data.astype(np.float32, copy=False)
        results = evaluate_thresholds(self.lesions, processed, raw, thresholds, self.rule, _voxel_mm3(self.reference))
        self._require_agreement(model, applied, results)
        levels = to_las(Volume(_levels(processed, thresholds), self.image.affine)).data
        return {
            "map": self.catalog.path_text(self._map_path(model, applied)),
            "threshold": applied.threshold,
            "training": applied.training.name,
            "levels": pack_part(levels, levels.astype(bool)),
            "metrics": _columns(results),
            "detected": _detected_codes(results, len(self.lesions.counted)),
            "peaks": numbers(self._peaks(raw), 4),
            "predicted": [self._describe_predicted(result) for result in results],
        }

    def _grey(self, data: AnyArray) -> UInt8Array:
        low, high = self._grey_range
        scaled: Float32Array = (data.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
        grey: UInt8Array = np.rint(scaled.clip(0, 255)).astype(np.uint8)
        return grey

    @cached_property
    def _grey_range(self) -> tuple[float, float]:
        """The intensities that are shown as black and white, from the part around the cord."""
        shown = to_las(self.image).data[self._cord_box].astype(np.float32)
        low, high = np.percentile(shown, _GREY_PERCENTILES)
        return float(low), float(high)

    @cached_property
    def _cord_box(self) -> tuple[slice, slice, slice]:
        """The part of the scan (LAS) with the stack, a margin around it, and all reference lesions."""
        geometry, spacing = self.stack.geometry, to_las(self.image).spacing_mm
        starts = (geometry.start_x, geometry.start_y, np.array([geometry.first_slice]))
        edges = []
        marked = np.argwhere(to_las(self.reference).data.astype(bool, copy=False))
        for axis, (start, size) in enumerate(zip(starts, geometry.shape, strict=True)):
            margin = MARGIN_MM / spacing[axis] if axis < 2 else 0.0
            low = start.min() * geometry.step[axis] - margin
            high = (start.max() + size) * geometry.step[axis] + margin
            if len(marked):
                low, high = min(low, marked[:, axis].min()), max(high, marked[:, axis].max() + 1)
            edges.append(slice(max(int(low), 0), min(int(np.ceil(high)), geometry.native_shape[axis])))
        return edges[0], edges[1], edges[2]

    def _describe_reference(self) -> dict[str, Any]:
        labels = to_las(Volume(self.lesions.components.labels.astype(np.uint16), self.image.affine)).data
        return pack_part(labels, labels.astype(bool))

    def _describe_lesions(self) -> list[dict[str, Any]]:
        sizes, counted = self.lesions.components.sizes, self.lesions.counted
        places = self._in_las(self.lesions.places)
        voxel_mm3 = _voxel_mm3(self.reference)
        return [
            {"volume_mm3": round(float(size) * voxel_mm3, 2), "place": place, "counted": bool(counts)}
            for size, place, counts in zip(sizes, places, counted, strict=True)
        ]

    def _describe_predicted(self, result: ThresholdedMap) -> list[list[Any]]:
        """Return ``[x, y, z, volume, peak, true]`` for each predicted lesion."""
        lesions = result.predicted
        volumes = (lesions.sizes * _voxel_mm3(self.reference)).round(2).tolist()
        peaks, true = numbers(lesions.peaks.tolist(), 4), lesions.true.astype(int).tolist()
        return [
            [*place, *facts] for place, *facts in zip(self._in_las(lesions.places), volumes, peaks, true, strict=True)
        ]

    def _peaks(self, probability: Float32Array) -> list[float]:
        """Return the highest probability in each reference lesion."""
        labels = self.lesions.components.labels
        highest = np.zeros(len(self.lesions.counted) + 1, np.float32)
        np.maximum.at(highest, labels[labels > 0], probability[labels > 0])
        return [float(p) for p in highest[1:]]

    def _in_las(self, places: IntArray) -> list[list[int]]:
        moved: list[list[int]] = np.rint(nib.affines.apply_affine(self._to_las_index, places)).astype(int).tolist()
        return moved

    @cached_property
    def _to_las_index(self) -> FloatArray:
        """Matrix from voxel indices of the scan to those in left-anterior-superior order, shape (4, 4)."""
        matrix: FloatArray = np.linalg.inv(to_las(self.image).affine) @ self.image.affine
        return matrix

    def _map_path(self, model: Model, applied: Application) -> Path:
        """Return the path of a model's map, or of its mask where it has no map."""
        results = self.catalog.results
        path = results.folder.probability(self.scan.scan_id, results.maps_name(applied.training))
        return mask_path(path) if model.kind == "mask" else path

    def _read_map(self, model: Model, applied: Application) -> Volume:
        path = self._map_path(model, applied)
        if model.kind == "mask":
            return _as_map(read_mask(path, like=self.reference))
        if not path.is_file():
            raise CordlesionError(f"{path}: no such probability map; the explorer needs it. {run_stage('evaluate')}")
        return read_probability(path, like=self.reference)

    def _require_agreement(self, model: Model, applied: Application, results: list[ThresholdedMap]) -> None:
        """Require that the metrics are equal to those in the tables of the study."""
        written = self.catalog.written_rows(model, self.scan)
        # Masks are the same at any threshold above 0; tables contain no published thresholds.
        given = [applied.threshold or 1.0] * len(written) if model.kind != "tuned" else written["threshold"].tolist()
        shown = [list(asdict(results[self.catalog.level(t)].metrics).values()) for t in given]
        table = written[list(METRIC_COLUMNS)].to_numpy(float)
        if not np.allclose(np.array(shown, float), table, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True):
            raise CordlesionError(
                f"{self.scan.scan_id}: the metrics of {applied.training.name} differ from its tables; maps, references "
                "and tables must be from one study. Run `cordlesion study run` again."
            )


def _files(catalog: Catalog, scan: ShownScan) -> dict[str, Path]:
    written = catalog.results.manifest.get("scans", {}).get(scan.scan_id) or {}
    kinds = ("image", "reference", "cord_mask")
    found = {kind: catalog.results.folder.root / written[kind] for kind in kinds if written.get(kind)}
    if missing := {"image", "reference"} - found.keys():
        raise CordlesionError(
            f"{catalog.results.folder.manifest}: has no path of {' and '.join(sorted(missing))} of {scan.scan_id}; "
            f"the explorer needs it. {run_stage('split')}"
        )
    return found


def _voxel_mm3(reference: Volume) -> float:
    # From the reference, as in the evaluation; the headers of image and reference may differ in the last digits.
    return voxel_volume_mm3(reference.spacing_mm)


def _levels(processed: Float32Array, thresholds: tuple[float, ...]) -> UInt8Array:
    """Return the index of the highest threshold that each voxel reaches: level >= k means p >= thresholds[k]."""
    levels = np.zeros(processed.shape, np.uint8, order="F" if processed.flags.f_contiguous else "C")
    reached = binarize(processed, thresholds[1])  # the others reach only the first
    levels[reached] = count_reached(processed[reached], thresholds) - 1
    return levels


def _as_map(mask: Volume) -> Volume:
    inside: Mask = mask.data.astype(bool, copy=False)
    return Volume(inside.astype(np.float32), mask.affine, mask.header, mask.path)


def _columns(results: list[ThresholdedMap]) -> dict[str, list[float | None]]:
    rows = [asdict(result.metrics) for result in results]
    return {name: numbers(row[name] for row in rows) for name in METRIC_COLUMNS}


def _detected_codes(results: list[ThresholdedMap], n_lesions: int) -> list[str]:
    """Return a text for each reference lesion, with 1 for each threshold at which it is detected, else 0."""
    return ["".join("01"[int(result.detected[i])] for result in results) for i in range(n_lesions)]


def _describe_stack(geometry: StackGeometry, spacing_mm: float) -> dict[str, Any]:
    return {
        "shape": list(geometry.shape),
        "spacing_mm": spacing_mm,
        "step": list(geometry.step),
        "first_slice": geometry.first_slice,
        "start_x": geometry.start_x.tolist(),
        "start_y": geometry.start_y.tolist(),
    }
