"""What a user gives about the cord of each scan that is segmented into one folder."""

from collections.abc import Sequence
from pathlib import Path

from cordlesion.centerlines import CordInput, CordSource
from cordlesion.errors import CordlesionError
from cordlesion.scan.earlier import output_name


def cord_inputs(
    scans: Sequence[Path], centerlines: Sequence[Path], cord_masks: Sequence[Path], source: CordSource
) -> list[CordInput]:
    """Return the cord input of each scan; first check that the scans can be segmented into one folder."""
    names = [output_name(scan) for scan in scans]
    for scan in scans:
        if scan.is_dir():
            raise CordlesionError(f"{scan}: is a folder; scans are needed. Give the scans in it, one by one.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        first, second = [scan for scan, name in zip(scans, names, strict=True) if name == twice][:2]
        raise CordlesionError(
            f"{second}: its outputs would get the same name ({twice}) as those of {first}; names must "
            "differ. Segment them into two folders."
        )
    for option, files in (("--centerline", centerlines), ("--cord-mask", cord_masks)):
        if files and len(files) != len(scans):
            raise CordlesionError(
                f"{option} was given {len(files)} times for {len(scans)} scans; one for each scan, in their order, is "
                "needed. Repeat the option."
            )
    none: Sequence[Path | None] = [None] * len(scans)
    return [CordInput(*given, source) for given in zip(centerlines or none, cord_masks or none, strict=True)]
