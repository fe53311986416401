"""The command ``implant``: copies of healthy scans with known lesions, as a BIDS dataset (no torch)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cordlesion.cord.centerline import Centerline, centerline_mask
from cordlesion.detectability.appearance import Appearance, appearance
from cordlesion.detectability.cord_input import cord_mask_of
from cordlesion.detectability.cord_space import CordSpace, cord_space
from cordlesion.detectability.design import Design, implant_lesions, lesions_per_copy, wishes
from cordlesion.detectability.drawing import DrawnLesion
from cordlesion.detectability.implanted_dataset import CopyName, ImplantedDataset
from cordlesion.detectability.sources import Source, find_sources
from cordlesion.errors import CordlesionError
from cordlesion.execution.outcome import attempt_short
from cordlesion.io.arrays import Array, Float32Array, Mask, UInt8Array
from cordlesion.io.formats import plural
from cordlesion.io.nifti_file import open_nifti
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.outputs import check_new_folder, new_folder, require_finished
from cordlesion.io.progress import bar, show_message
from cordlesion.io.volume import Volume, read_scan
from cordlesion.simulate.randomness import NoiseTile, keyed_rng
from cordlesion.simulate.true_lesions import TrueLesion

FILLED = 0.5
"""Voxels of which at least this share is lesion belong to the reference."""


@dataclass(frozen=True, eq=False)
class Implanted:
    """One copy of a scan, on the scan's grid and in its index order."""

    image: Array
    """Of the type of the scan's file."""
    fill: Float32Array
    """Share of each voxel that is lesion."""
    numbered: UInt8Array
    """Number of the lesion in the voxels of the reference, from 1; 0 elsewhere."""
    lesions: tuple[DrawnLesion, ...]
    n_without_room: int = 0
    """Lesions that were wanted too, but had no room along the cord."""


def implant_files(
    scans: Sequence[Path],
    output: Path,
    *,
    cord_masks: Sequence[Path] = (),
    centerlines: Sequence[Path] = (),
    copies: int = 10,
    lesions: int | None = None,
    design: Design | None = None,
    edge_mm: float | None = None,
) -> dict[str, str]:
    """Put known lesions into copies of healthy scans and write them as a BIDS dataset with exact masks.

    The dataset also holds an unchanged copy of every scan, byte for byte, for the count of false lesions. With a
    strength of 0 all copies are of this kind.

    Args:
        scans: NIfTI files of healthy cords, or BIDS datasets of them.
        output: A new folder.
        cord_masks: One for each file, in their order.
        centerlines: The same; the width of the cord is then estimated. Without either, the cord is found.
        copies: Copies of each scan with lesions.
        lesions: Lesions of each copy; by default one per 40 mm of cord.
        design: Sizes, contrasts and columns.
        edge_mm: 10-90 % width of edges in the scans; by default it is measured.

    Returns:
        The scans that could not be used, each with the reason.

    Raises:
        CordlesionError: No scan can be used, two would get the same name, or the folder is not new.
    """
    design = design or Design()
    check_new_folder(output)
    # Copies that an earlier command left would count as scans without lesions.
    require_finished(output, "Delete it, or choose another folder.")
    sources = find_sources(scans, cord_masks, centerlines)
    faults: dict[str, str] = {}
    rows: list[TrueLesion] = []
    no_room: dict[str, int] = {}
    with new_folder(output), bar("implant lesions", len(sources)) as advance:
        dataset = ImplantedDataset(output, design)
        for number, source in enumerate(sources):
            outcome = attempt_short(
                lambda item: _implant_into(item[1], dataset, item[0], copies, lesions, design, edge_mm),
                (number, source),
            )
            if outcome.fault:
                faults[source.name] = outcome.fault
            found, left_out = outcome.result or ([], {})
            rows += found
            no_room |= left_out
            _report_no_room(source, left_out, len(found))
            advance()
        if len(faults) == len(sources):
            raise CordlesionError(next(iter(faults.values())))
        dataset.finish(rows, no_room)
    show_message(f"{output}: {plural(len(rows), 'lesion')} in copies of {plural(len(sources) - len(faults), 'scan')}")
    return faults


def _implant_into(
    source: Source, dataset: ImplantedDataset, number: int, copies: int, lesions: int | None, design: Design,
    edge_mm: float | None,
) -> tuple[list[TrueLesion], dict[str, int]]:  # fmt: skip
    """Write all copies of a scan; returns the rows of their lesions, and how many had no room in each copy."""
    scan = read_scan(source.image)
    source.require_healthy(scan)
    cord, is_estimated = cord_mask_of(scan, source.cord)
    space = cord_space(scan, cord)
    look = appearance(space, edge_mm)
    if is_estimated:
        show_message(f"{source.image}: its cord mask was estimated from the edge to the fluid; look at it.")
    line = _centerline(space, scan)
    empty = np.zeros(cord.shape, np.uint8)
    dataset.copy(CopyName(source, "unchanged"), scan, empty, empty.astype(np.float32), cord, line)
    rows, no_room = list[TrueLesion](), dict[str, int]()
    for copy, one in enumerate(_copies(space, look, scan, number, copies, lesions, design), start=1):
        name = CopyName(source, f"implant{copy:0{len(str(copies))}d}")
        image = one.image if one.lesions and design.strength else None
        dataset.copy(name, scan, one.numbered, one.fill, cord, line, image)
        rows += _rows(name, one, space, look)
        no_room |= {name.scan_id: one.n_without_room} if one.n_without_room else {}
    return rows, no_room


def _report_no_room(source: Source, no_room: Mapping[str, int], n_implanted: int) -> None:
    if lost := sum(no_room.values()):
        show_message(
            f"{source.image}: {lost} of {plural(lost + n_implanted, 'lesion')} had no room and were left "
            f"out, in {plural(len(no_room), 'copy', 'copies')}. Ask for fewer --lesions per copy, or smaller ones."
        )


def _copies(
    space: CordSpace, look: Appearance, scan: Volume, number: int, copies: int, lesions: int | None, design: Design
) -> Iterator[Implanted]:
    wanted = wishes(design, number, copies, lesions or lesions_per_copy(space.length_mm))
    texture = NoiseTile((design.seed, number))
    for copy in range(copies):
        rng = keyed_rng("implanted copy", design.seed, number, copy)
        mine = [wish for wish in wanted if wish.copy == copy]
        drawn = implant_lesions(mine, space, look, texture, rng, design.strength) if design.strength else []
        yield replace(put_into(scan, drawn), n_without_room=len(mine) - len(drawn) if design.strength else 0)


def put_into(scan: Volume, drawn: Sequence[DrawnLesion]) -> Implanted:
    """Add drawn lesions to a scan; the values keep the type of its file.

    Args:
        scan: As it was read.
        drawn: Its lesions, in the order of their numbers.
    """
    shape = to_las(scan).data.shape
    added, fill = np.zeros((2, *shape), np.float32)
    numbered = np.zeros(shape, np.uint8)
    for number, one in enumerate(drawn, start=1):
        added[one.box] += one.added
        fill[one.box] = np.maximum(fill[one.box], one.fill)
        numbered[one.box][one.fill >= FILLED] = number
    image: Array = scan.data + np.asarray(from_las(added, scan))
    return Implanted(
        _as_stored(image, scan), np.asarray(from_las(fill, scan)), np.asarray(from_las(numbered, scan)), tuple(drawn)
    )


def _as_stored(image: Array, scan: Volume) -> Array:
    """Return the values in the type of the scan's file; scaled files become float32."""
    file = None if scan.path is None else open_nifti(scan.path)
    dtype = np.dtype(np.float32) if file is None or file.is_scaled else file.proxy.dtype.newbyteorder("=")
    if dtype.kind == "f":
        return np.asarray(image, dtype)
    limits = np.iinfo(dtype)
    stored: Array = np.rint(image).clip(limits.min, limits.max).astype(dtype)
    return stored


def _centerline(space: CordSpace, scan: Volume) -> Mask:
    """Draw the centre of the cord in each axial slice of its mask."""
    z = np.flatnonzero(space.inside.any(axis=(0, 1))).astype(np.float64)
    x, y = (np.interp(z * space.spacing_mm[2], space.curve[:, 2], space.curve[:, axis]) for axis in (0, 1))
    return centerline_mask(Centerline(x / space.spacing_mm[0], y / space.spacing_mm[1], z), scan)


def _rows(name: CopyName, one: Implanted, space: CordSpace, look: Appearance) -> list[TrueLesion]:
    return [_row(name, number, drawn, space, look) for number, drawn in enumerate(one.lesions, start=1)]


def _row(name: CopyName, number: int, drawn: DrawnLesion, space: CordSpace, look: Appearance) -> TrueLesion:
    start = np.array([edge.start for edge in drawn.box])
    index = np.argwhere(drawn.fill > 0)
    weight = drawn.fill[drawn.fill > 0]
    u, v, s = (
        float(np.average(axis, weights=weight)) for axis in space.coordinates((index + start) * space.spacing_mm)
    )
    lesion, inside = drawn.lesion, space.inside[drawn.box]
    peak = float((look.tissue[drawn.box] + drawn.added / look.signal[drawn.box].clip(1e-6))[inside].max())
    return TrueLesion(
        scan_id=name.scan_id,
        subject=name.subject,
        lesion=number,
        volume_mm3=round(drawn.volume_mm3, 3),
        mask_volume_mm3=round(float((drawn.fill >= FILLED).sum() * np.prod(space.spacing_mm)), 3),
        length_mm=round(lesion.length_mm, 2),
        contrast=round(lesion.contrast, 4),
        peak_contrast=round(peak, 4),
        column=lesion.column,
        level="",
        position_mm=round(s, 2),
        distance_mm=round(float(np.hypot(u, v)), 2),
        left_mm=round(-u, 2),
        anterior_mm=round(v, 2),
    )
