"""Where the cord is in a scan of the gallery: how far along it a slice lies, and which lesions lie outside."""

from dataclasses import dataclass

import numpy as np

from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Int32Array, Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_mask
from cordlesion.lesions.measure import CordRuler, cord_ruler
from cordlesion.preprocess.cord_stack import StackGeometry
from cordlesion.preprocess.stack_file import read_stack
from cordlesion.study_folder.results import StudyResults

FAR_MM = 8.0
"""Where there is no cord mask, what is farther from the centre of the cord lies outside: the cervical enlargement is 13
to 14 mm wide (Frostell et al., Front Neurol 2016)."""
MOSTLY = 0.5


@dataclass(frozen=True, eq=False)
class CordPlace:
    """The cord in a scan in LAS order, as far as the study knows it."""

    ruler: CordRuler
    centerline: Centerline | None
    mask: Mask | None

    def level(self, z: int) -> str:
        """Describe how far below the upper end of the cord in the scan an axial slice lies."""
        depth_mm = float(self.ruler.at(np.array([float(z)]))[0])
        if self.ruler.length_mm is None:
            return f"{depth_mm:.0f} mm below the top of the image"
        return f"{depth_mm:.0f} mm down the cord ({100 * depth_mm / self.ruler.length_mm:.0f} %)"

    def is_outside(self, voxels: Int32Array, spacing_mm: tuple[float, float, float]) -> bool:
        """Return whether most voxels of a lesion lie outside the cord; False where nothing is known of the cord.

        Args:
            voxels: Indices of the lesion's voxels, shape (V, 3).
            spacing_mm: Voxel size of the scan in LAS order.
        """
        if self.mask is not None:
            return bool(self.mask[tuple(voxels.T)].mean() < MOSTLY)
        if self.centerline is None:
            return False
        x, y = self.centerline.at(voxels[:, 2].astype(np.float64))
        away_mm = np.hypot((voxels[:, 0] - x) * spacing_mm[0], (voxels[:, 1] - y) * spacing_mm[1])
        return bool((away_mm <= FAR_MM).mean() < MOSTLY)


def find_cord_place(results: StudyResults, scan_id: str, scan: Volume) -> CordPlace:
    """Read the cord mask of a scan and the centre of its stack; each is unknown where the study has none."""
    las, centerline = to_las(scan), None
    if results.config.preprocess.region == "cord" and results.folder.stack(scan_id).is_file():
        centerline = stack_centerline(read_stack(results.folder.stack(scan_id)).geometry)
    return CordPlace(cord_ruler(las, centerline), centerline, _cord_mask(results, scan_id, scan))


def stack_centerline(geometry: StackGeometry) -> Centerline:
    """Return the middle of each slice of a stack, in voxel indices of the scan in LAS order."""
    starts = (geometry.start_x, geometry.start_y, geometry.first_slice + np.arange(geometry.n_slices))
    middles = (*((size - 1) / 2 for size in geometry.crop_voxels), 0.0)
    x, y, z = (
        (start.astype(np.float64) + middle + 0.5) * step - 0.5
        for start, middle, step in zip(starts, middles, geometry.step, strict=True)
    )
    return Centerline(x, y, z)


def _cord_mask(results: StudyResults, scan_id: str, scan: Volume) -> Mask | None:
    path = results.manifest.get("scans", {}).get(scan_id, {}).get("cord_mask")
    if not path:
        return None
    try:
        mask = read_mask(results.folder.root / path, like=scan)
    except CordlesionError:  # the mask may have been moved since; pictures do without it
        return None
    return to_las(mask).data.astype(np.bool_, copy=False)
