"""What commands share: options, and the exit status for scans that were excluded or searched in part."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

Quiet: TypeAlias = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", help="No progress, no messages.")]
Output: TypeAlias = Annotated[Path, Parameter(name=["--output", "-o"], help="Where to write.")]
Bundle: TypeAlias = Annotated[
    Path | None,
    Parameter(
        name=["--model", "-m"], help="Folder of a trained model; by default, or for `packaged`, the one in the package."
    ),
]
CordSource: TypeAlias = Annotated[
    str, Parameter(help="What finds the cord where it is not given: auto, sct, or the file t2_ctr.h5 of SCT.")
]
Code: TypeAlias = Annotated[
    Path | None,
    Parameter(help="Folder of the module of a network that is not part of cordlesion. Its code is run: trust it."),
]
Count: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
Flag: TypeAlias = Annotated[bool, Parameter(negative="")]
Force: TypeAlias = Annotated[
    bool,
    Parameter(
        negative="",
        help="Segment a scan that would be refused because it looks unlike the scans that the model was trained on.",
    ),
]
Repeated: TypeAlias = Annotated[Sequence[Path], Parameter(negative="")]
Globs: TypeAlias = Annotated[Sequence[str], Parameter(negative="")]
AllowPartial: TypeAlias = Annotated[
    bool,
    Parameter(
        negative="",
        help="End with status 0 even if the cord is lost inside a scan, so that only a part of it is searched.",
    ),
]
StudyFile: TypeAlias = Annotated[Path, Parameter(help="The study: a YAML file.")]
_ACCEPT = "Look at the scan and draw the whole cord, or accept this with --allow-partial."


def report_partial(remarks: Iterable[str], allowed: bool) -> int:
    """Say which scans were searched in part; returns the exit status: 2 if there are any and that is not allowed."""
    from cordlesion.io.progress import show_message

    found = list(remarks)
    for remark in found:
        if allowed:
            show_message(remark)
        else:
            print(f"cordlesion: {remark} {_ACCEPT}", file=sys.stderr)
    return 2 if found and not allowed else 0


def report_remarks(remarks: Iterable[str]) -> None:
    """Print what makes a result doubtful."""
    for remark in remarks:
        print(f"cordlesion: note: {remark}", file=sys.stderr)


def report_excluded(excluded: Mapping[str, str]) -> int:
    """Print why scans were excluded; returns the exit status: 2 if there are any."""
    for reason in excluded.values():
        print(f"cordlesion: left out: {reason}", file=sys.stderr)
    return 2 if excluded else 0
