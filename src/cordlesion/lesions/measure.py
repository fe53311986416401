"""The lesions of one scan as numbers: size, and position along and across the cord (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
from scipy import ndimage

from cordlesion.cord.centerline import Centerline
from cordlesion.io.arrays import AnyArray, Float32Array, FloatArray, IndexArray, Int32Array, Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume
from cordlesion.lesions.members import LesionDoubt, MemberMaps
from cordlesion.metrics import RULES, LesionRule
from cordlesion.metrics.lesion import CheckedLesions, Components, components_of, mask_of
from cordlesion.metrics.voxel import Box, bounding_box
from cordlesion.threshold.lesion_calibration import LesionCalibration

STUDY_RULE = RULES["study"]
CORD_SMOOTHING_MM = 40.0
"""The centerline is smoothed before anything is measured along it: waves shorter than this lose more than half of their
amplitude. An unsmoothed curve on voxels is longer than the cord."""


@dataclass(frozen=True)
class Lesion:
    """One lesion of a mask."""

    lesion: int
    """Number, from the largest."""
    volume_mm3: float
    length_mm: float
    """Length of the centerline between the ends of the axial slices that it spans."""
    position_mm: float
    """Distance of the middle of that length from the upper face of the first axial slice with a centerline, along it;
    without one, from the top of the uppermost axial slice straight down."""
    left_mm: float | None
    """Distance of its centre of mass from the centerline to the left, in the axial plane; negative: to the right."""
    anterior_mm: float | None
    """Distance of its centre of mass from the centerline to the front, in the axial plane; negative: behind."""
    peak_probability: float | None
    mean_probability: float | None
    n_voxels: int
    x_mm: float
    """Centre of mass in the scanner's coordinates (RAS+): to the right."""
    y_mm: float
    """Centre of mass, to the front."""
    z_mm: float
    """Centre of mass, upwards."""
    i: float
    """Centre of mass as voxel index of the scan's file, from 0, first axis."""
    j: float
    """Centre of mass, second axis."""
    k: float
    """Centre of mass, third axis."""
    spread: float | None = None
    """Mean over the lesion of the standard deviation of the probability over the networks of an ensemble; absent for a
    single network."""
    disagreement: float | None = None
    """1 - the mean over the networks of the intersection over union with the network's own lesion; absent likewise."""
    probability: float | None = None
    """Calibrated probability that the lesion is real; absent where the model's lesions are not calibrated."""


@dataclass(frozen=True)
class LesionLoad:
    """The lesions of one mask as a whole."""

    n_lesions: int
    volume_mm3: float
    affected_mm: float
    """Length of the cord with a lesion in its cross-section; lesions beyond the ends of the centerline do not count."""
    cord_mm: float | None
    """Length of the cord in the scan, between the ends of the centerline's axial slices; absent without one."""
    n_too_small: int
    """Components of the mask that are too small to count as a lesion."""


@dataclass(frozen=True)
class LesionList:
    """The measurements of one mask."""

    lesions: tuple[Lesion, ...]
    load: LesionLoad


@dataclass(frozen=True, eq=False)
class NumberedLesions:
    """The numbered lesions of a mask, from the largest; lesions of equal size in scan order.

    Those of an instance map have their own numbers and the order of these.
    """

    voxels: tuple[Int32Array, ...]
    """Indices of the voxels of each lesion, shape (V, 3)."""
    order: IndexArray
    """Which of the lesions, in scan order from 0, has each number."""
    n_too_small: int
    """Components that are too small to count as a lesion."""
    numbers: tuple[int, ...]


def number_lesions(given: CheckedLesions, voxel_mm3: float, rule: LesionRule = STUDY_RULE) -> NumberedLesions:
    """Number the lesions of a mask in index order LAS: tables and pictures use the same numbers."""
    box = bounding_box(mask_of(given))
    # Only the box of the lesions: labels of the whole image would take four times the memory of the mask.
    found = components_of(_inside(given, box), rule.connectivity)
    lesions = np.flatnonzero(found.sizes >= rule.min_voxels(voxel_mm3))
    order = np.argsort(-found.sizes[lesions], kind="stable") if found.numbers is None else np.arange(len(lesions))
    places = ndimage.find_objects(found.labels) if len(lesions) else []
    corner = [part.start for part in box]
    voxels = []
    for component in lesions[order]:
        place = places[component]
        start = np.add([part.start for part in place], corner)
        voxels.append((np.argwhere(found.labels[place] == component + 1) + start).astype(np.int32))
    numbers = np.arange(1, len(lesions) + 1) if found.numbers is None else found.numbers[lesions]
    return NumberedLesions(tuple(voxels), order, len(found.sizes) - len(lesions), tuple(numbers.tolist()))


def _inside(lesions: CheckedLesions, box: Box) -> CheckedLesions:
    return replace(lesions, labels=lesions.labels[box]) if isinstance(lesions, Components) else lesions[box]


def label_image(voxels: Sequence[Int32Array], shape: tuple[int, ...]) -> Int32Array:
    """Return an image of numbered lesions: 0 outside, the number of the lesion inside.

    Args:
        voxels: Of each lesion, in the order of their numbers, as of :class:`NumberedLesions`.
        shape: Of the image.
    """
    labels = np.zeros(shape, np.int32)
    for number, index in enumerate(voxels, start=1):
        labels[tuple(index.T)] = number
    return labels


def measure_lesions(
    scan: Volume,
    mask: Mask,
    probability: Float32Array | None = None,
    centerline: Centerline | None = None,
    rule: LesionRule = STUDY_RULE,
    members: MemberMaps | None = None,
    threshold: float = 0.5,
    calibration: LesionCalibration | None = None,
    numbered: NumberedLesions | None = None,
) -> LesionList:
    """Measure the lesions of a mask.

    Args:
        scan: The scan, for its grid.
        mask: On the scan's grid.
        probability: The probability map of the mask, on the same grid; None if there is only a mask.
        centerline: Centerline of the cord in the scan.
        rule: Connectivity and minimum volume of a lesion.
        members: The maps of the networks of an ensemble; None for a single network.
        threshold: Where the map was cut; for ``members`` only.
        calibration: Gives the probability that each lesion is real, from ``probability``.
        numbered: The lesions, in index order LAS; by default those of the mask.
    """
    las = to_las(scan)
    if numbered is None:
        inside = to_las(Volume(mask, scan.affine)).data.astype(np.bool_, copy=False)
        numbered = number_lesions(inside, float(np.prod(las.spacing_mm)), rule)
    map_las = None if probability is None else to_las(Volume(probability, scan.affine)).data
    ruler = cord_ruler(las, centerline)
    lesions = []
    for number, index in zip(numbered.numbers, numbered.voxels, strict=True):
        values = None if map_las is None else map_las[tuple(index.T)]
        lesion = _lesion(number, index, values, scan, las, ruler)
        if calibration is not None and values is not None:
            lesion = _calibrated(lesion, index, values, las, calibration)
        lesions.append(lesion)
    if members is not None:
        doubts = members.doubts(numbered.voxels, threshold, rule.connectivity)
        lesions = [_doubted(lesion, doubt) for lesion, doubt in zip(lesions, doubts, strict=True)]
    return LesionList(tuple(lesions), _load(lesions, numbered, ruler))


@dataclass(frozen=True, eq=False)
class CordRuler:
    """Depth along the cord: length of the centerline from the upper face of its first slice, in mm; negative above."""

    z: FloatArray
    """Axial positions (LAS index), increasing."""
    depth_mm: FloatArray
    curve: Centerline | None
    """The smoothed centerline."""

    def at(self, z: FloatArray) -> FloatArray:
        """Return the depth at axial positions (LAS index)."""
        return np.interp(z, self.z, self.depth_mm)

    @property
    def length_mm(self) -> float | None:
        """Length of the cord in the scan: of the centerline, including its first and last slice."""
        return None if self.curve is None else float(self.at(self.curve.z[:1] - 0.5)[0])

    def within_mm(self, slices: FloatArray) -> float:
        """Return the length of the cord in different axial slices; without a curve, their height."""
        lower, upper = self.at(slices - 0.5), self.at(slices + 0.5)
        return float((lower.clip(0, self.length_mm) - upper.clip(0, self.length_mm)).sum())


def cord_ruler(las: Volume, centerline: Centerline | None) -> CordRuler:
    """Make the ruler of a scan in LAS order; without a centerline it is straight and starts at the uppermost slice.

    Beyond its ends, so also in the outer halves of its first and last slice, the curve continues along the slice axis.
    """
    n_slices = las.data.shape[2]
    curve = None if centerline is None else centerline.smoothed(las.spacing_mm, CORD_SMOOTHING_MM)
    straight = Centerline(np.zeros(1), np.zeros(1), np.array([n_slices - 1.0]))
    x_of_z = curve or straight
    faces = np.arange(n_slices + 1) - 0.5
    z = np.unique(np.concatenate([faces, x_of_z.z]))
    x, y = x_of_z.at(z)
    steps = np.diff(np.stack([x, y, z], axis=1), axis=0) @ las.affine[:3, :3].T
    down = -np.concatenate([[0.0], np.linalg.norm(steps, axis=1).cumsum()])
    return CordRuler(z, down - np.interp(x_of_z.z[-1] + 0.5, z, down), curve)


def _lesion(
    number: int,
    index: Int32Array,
    values: AnyArray | None,
    scan: Volume,
    las: Volume,
    ruler: CordRuler,
) -> Lesion:
    center = index.mean(axis=0)
    top, bottom = (float(depth) for depth in ruler.at(np.array([index[:, 2].max() + 0.5, index[:, 2].min() - 0.5])))
    world = nib.affines.apply_affine(las.affine, center)
    x, y, z = (round(float(value), 2) for value in world)
    i, j, k = (round(float(value), 2) for value in nib.affines.apply_affine(np.linalg.inv(scan.affine), world))
    left, anterior = _offset(index, las, ruler.curve)
    return Lesion(
        lesion=number,
        volume_mm3=round(len(index) * float(np.prod(las.spacing_mm)), 2),
        length_mm=round(bottom - top, 2),
        position_mm=round((top + bottom) / 2, 2),
        left_mm=left,
        anterior_mm=anterior,
        peak_probability=None if values is None else round(float(values.max()), 4),
        mean_probability=None if values is None else round(float(values.mean()), 4),
        n_voxels=len(index),
        x_mm=x, y_mm=y, z_mm=z, i=i, j=j, k=k,
    )  # fmt: skip


def _calibrated(
    lesion: Lesion, index: Int32Array, values: AnyArray, las: Volume, calibration: LesionCalibration
) -> Lesion:
    """Add the probability that a lesion is real, from the numbers before they are rounded, as it was fitted."""
    volume_mm3 = len(index) * float(np.prod(las.spacing_mm))
    chance = calibration.chance(float(values.max()), float(values.mean()), volume_mm3)
    return replace(lesion, probability=round(float(chance), 4))


def _doubted(lesion: Lesion, doubt: LesionDoubt) -> Lesion:
    return replace(lesion, spread=round(doubt.spread, 4), disagreement=round(doubt.disagreement, 4))


def _offset(index: Int32Array, las: Volume, curve: Centerline | None) -> tuple[float, float] | tuple[None, None]:
    """Return the mean distance of the voxels to the left and front of the cord's centre, each in its own slice."""
    if curve is None:
        return None, None
    x, y = curve.at(index[:, 2].astype(np.float64))
    left, anterior = (index[:, 0] - x).mean() * las.spacing_mm[0], (index[:, 1] - y).mean() * las.spacing_mm[1]
    return round(float(left), 2), round(float(anterior), 2)


def _load(lesions: Sequence[Lesion], numbered: NumberedLesions, ruler: CordRuler) -> LesionLoad:
    slices = np.unique(np.concatenate([np.empty(0), *(index[:, 2] for index in numbered.voxels)]))
    return LesionLoad(
        n_lesions=len(lesions),
        volume_mm3=round(sum(lesion.volume_mm3 for lesion in lesions), 2),
        affected_mm=round(ruler.within_mm(slices), 2),
        cord_mm=None if ruler.length_mm is None else round(ruler.length_mm, 2),
        n_too_small=numbered.n_too_small,
    )
