"""What commands share: options, and the exit status for excluded scans."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

Quiet: TypeAlias = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", help="No progress, no messages.")]
Output: TypeAlias = Annotated[Path, Parameter(name=["--output", "-o"], help="Where to write.")]
Bundle: TypeAlias = Annotated[Path, Parameter(name=["--model", "-m"], help="Folder of a trained model.")]
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
    bool, Parameter(negative="", help="Accept a scan that looks unlike the scans that the model was trained on.")
]
Repeated: TypeAlias = Annotated[Sequence[Path], Parameter(negative="")]
StudyFile: TypeAlias = Annotated[Path, Parameter(help="The study: a YAML file.")]


def report_excluded(excluded: Mapping[str, str]) -> int:
    """Print why scans were excluded; returns the exit status: 2 if there are any."""
    for reason in excluded.values():
        print(f"cordlesion: left out: {reason}", file=sys.stderr)
    return 2 if excluded else 0
