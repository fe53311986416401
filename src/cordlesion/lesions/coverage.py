"""Which part of a scan was searched for lesions, and why the search ended there (no torch)."""

from dataclasses import dataclass

from cordlesion.cord.centerline import Centerline, slices_of
from cordlesion.cord.ends import END_WORDS
from cordlesion.io.orient import file_slice, to_las
from cordlesion.io.volume import Volume
from cordlesion.lesions.measure import cord_ruler


@dataclass(frozen=True)
class Coverage:
    """The part of a scan in which lesions were looked for: along the cord, from end to end of its centerline.

    Examples:
        >>> import cordlesion
        >>> found = cordlesion.segment("scan.nii.gz", "bundle", centerline="centerline.nii.gz").coverage
        >>> print(found.describe())
        36 of 40 axial slices, 22 mm of cord: from k = 37 (as drawn) to 2 (as drawn)
    """

    searched_slices: int
    """Axial slices with a centerline."""
    scan_slices: int
    """Axial slices of the scan."""
    searched_mm: float
    """Length of the centerline, including its first and last slice."""
    slice_axis: str
    """Axis of the axial slices in the scan's file: i, j or k."""
    superior_slice: int
    """Index of the uppermost searched slice in the file, from 0."""
    superior_end: str
    """Why it is the uppermost: ``border``, ``brainstem``, ``lost``, or ``drawn`` (the end of a curve drawn by hand)."""
    inferior_slice: int
    """Index of the lowest searched slice in the file, from 0."""
    inferior_end: str
    """Why it is the lowest: ``border``, ``conus``, ``lost`` or ``drawn``."""
    cord_confidence: float | None
    """Probability of the cord along the least sure 10 mm of the centerline; None for a drawn one."""

    @property
    def is_partial(self) -> bool:
        """Whether the cord was lost at an end, so that a part of it was not searched."""
        return "lost" in (self.superior_end, self.inferior_end)

    def describe(self) -> str:
        """Say which slices were searched, from superior to inferior, and why the search ended there."""
        above, below = END_WORDS[self.superior_end], END_WORDS[self.inferior_end]
        return (
            f"{self.searched_slices} of {self.scan_slices} axial slices, {self.searched_mm:.0f} mm of cord: from "
            f"{self.slice_axis} = {self.superior_slice} ({above}) to {self.inferior_slice} ({below})"
        )


def measure_coverage(scan: Volume, centerline: Centerline) -> Coverage:
    """Return what is searched by a model that looks for lesions along the cord.

    Args:
        scan: The scan.
        centerline: Centerline of the cord in the scan.
    """
    las = to_las(scan)
    z = slices_of(centerline, las.data.shape[2])
    (axis, lower), (_, upper) = (file_slice(scan, las, int(at)) for at in (z[0], z[-1]))
    ends, confidence = centerline.ends, centerline.confidence
    return Coverage(
        searched_slices=len(z),
        scan_slices=las.data.shape[2],
        searched_mm=round(cord_ruler(las, centerline).length_mm or 0.0, 2),
        slice_axis=axis,
        superior_slice=upper,
        superior_end=ends.superior if ends else "drawn",
        inferior_slice=lower,
        inferior_end=ends.inferior if ends else "drawn",
        cord_confidence=None if confidence is None else round(confidence, 4),
    )
