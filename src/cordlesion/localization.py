"""One scan: where its cord is, as a curve to look at, to edit and to give back."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cordlesion.artifacts import check_output_file
from cordlesion.preprocess.centerline import Centerline, centerline_mask
from cordlesion.preprocess.cord_finder import find_cord
from cordlesion.preprocess.orient import to_las
from cordlesion.preprocess.sct_centerline import centerline_from_sct
from cordlesion.volume import Volume, read_scan, write_volume

Finder = Literal["auto", "sct"]
FINDERS: dict[Finder, Callable[[Volume], Centerline]] = {"auto": find_cord, "sct": centerline_from_sct}


def centerline_file(scan: Path, output: Path, source: Finder = "auto") -> str:
    """Find the cord of one scan; write the curve, one voxel in each axial slice that holds cord, and a picture of it.

    Args:
        scan: NIfTI file.
        output: Path of the curve (.nii.gz), on the scan's own grid; the picture lies beside it (.png).
        source: Our own detector, or the Spinal Cord Toolbox.

    Returns:
        What was found, in a sentence.

    Raises:
        CordlesionError: The scan cannot be used, or no cord is found in it.
    """
    from cordlesion.report.curve_picture import curve_picture
    from cordlesion.report.overlay import save_png

    check_output_file(output, scan)
    image = read_scan(scan)
    curve = FINDERS[source](image)
    write_volume(output, centerline_mask(curve, image), image)
    picture = output.with_name(f"{output.name.split('.nii')[0]}.png")
    save_png(curve_picture(image, curve), picture)
    return f"{output}: {_found(curve, to_las(image))}; look at {picture}."


def _found(curve: Centerline, las: Volume) -> str:
    n_slices = round(curve.z[-1] - curve.z[0]) + 1
    said = f"cord in {n_slices} of {las.data.shape[2]} axial slices ({n_slices * las.spacing_mm[2]:.0f} mm)"
    return said if curve.confidence is None else f"{said}, confidence {curve.confidence:.2f}"
