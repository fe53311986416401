"""One scan: the centerline of its cord, as a curve to check, to edit and to use again."""

from dataclasses import dataclass
from pathlib import Path

from cordlesion.centerlines import CordSource, cord_finder, network_file
from cordlesion.cord.centerline import Centerline, centerline_mask, coverage_remark, lost_remark
from cordlesion.cord.ends import END_WORDS
from cordlesion.dataset.scan_names import file_stem
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.outputs import check_output_file
from cordlesion.io.progress import bar
from cordlesion.io.volume import Volume, read_scan, write_volume
from cordlesion.io.writing import atomic_path

BY_HAND = "Try another --source, or draw the curve yourself: one voxel in each axial slice that shows the cord."


@dataclass(frozen=True)
class LocatedCord:
    """What was found in a scan, for the user."""

    summary: str
    """Where the curve lies, and what it covers."""
    partial: tuple[str, ...]
    """A warning if the cord was lost at an end."""


def centerline_file(scan: Path, output: Path, source: CordSource = "auto", *, overwrite: bool = False) -> LocatedCord:
    """Find the cord of one scan; write the curve, one voxel in each axial slice that holds cord, and a picture of it.

    Args:
        scan: NIfTI file.
        output: Path of the curve (.nii.gz), on the scan's own grid; the picture has the same name (.png).
        source: ``auto`` (our own detector), ``sct`` (the Spinal Cord Toolbox) or the file of SCT's centerline network.
        overwrite: Replace a curve and a picture that are there; without it they are refused, as they may be edited.

    Returns:
        Sentences that describe what was found.

    Raises:
        CordlesionError: The scan or the network cannot be used, the output is there already, or no cord is found.
    """
    from cordlesion.pictures.centerline import curve_picture
    from cordlesion.pictures.overlay import save_png

    picture = output.with_name(f"{file_stem(output)}.png")
    for written in (output, picture):
        check_output_file(written, scan, network_file(source))
    if not overwrite:
        _check_absent(output, picture)
    find, image = cord_finder(source, BY_HAND), read_scan(scan)
    with bar("find the cord", 1) as advance:
        curve = find(image)
        advance()
    # Both files are complete before either gets its name: after a full disk, the same command can be run again.
    with atomic_path(output) as curve_file, atomic_path(picture) as picture_file:
        write_volume(curve_file, centerline_mask(curve, image), image)
        save_png(curve_picture(image, curve), picture_file)
    summary = f"{output}: {_found(curve, image)}; look at {picture}, and give it to `segment --centerline`."
    doubt, lost = coverage_remark(curve, image), lost_remark(curve, image)
    return LocatedCord(f"{summary}\n{doubt}" if doubt else summary, (lost,) if lost else ())


def _check_absent(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise CordlesionError(
                f"{path}: exists already, and may have been edited; another name is needed. Choose one with --output, "
                "or replace it with --overwrite."
            )


def _found(curve: Centerline, image: Volume) -> str:
    las = to_las(image)
    n_slices = round(curve.z[-1] - curve.z[0]) + 1
    found = f"cord in {n_slices} of {las.data.shape[2]} axial slices ({n_slices * las.spacing_mm[2]:.0f} mm)"
    if curve.confidence is not None:
        found += f", confidence {curve.confidence:.2f} in the least sure 10 mm"
    if curve.ends is None:
        return found
    return f"{found}; superior end: {END_WORDS[curve.ends.superior]}, inferior end: {END_WORDS[curve.ends.inferior]}"
