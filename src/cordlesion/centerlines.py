"""Where a scan's centerline comes from: a file drawn by hand, or a finder that looks for the cord in the scan.

It is in the layer of prediction because one of the finders is a torch network. Torch is imported on its use only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from cordlesion.config import DRAWN, PreprocessConfig
from cordlesion.cord.centerline import Centerline, Finder
from cordlesion.cord.finder import find_cord
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import Volume
from cordlesion.sct.centerline_program import centerline_from_sct

CordSource: TypeAlias = Path | str
"""A row of :data:`FINDERS`, or the file of SCT's centerline network (``t2_ctr.h5``)."""
FINDERS: Mapping[str, Finder] = MappingProxyType({"auto": find_cord, "sct": centerline_from_sct})
"""Finders without a file of their own, by the name that configurations and options take."""
IN_A_STUDY = "Look whether it shows the cord, or draw the curves and set `preprocess.centerline: file`."
BY_OPTION = "Give the cord with --centerline or --cord-mask, or try another --centerline-source."


@dataclass(frozen=True)
class CordInput:
    """What a user knows about the cord of a scan, and what finds it otherwise.

    Examples:
        >>> import cordlesion
        >>> result = cordlesion.segment("scan.nii.gz", "bundle", centerline="centerline.nii.gz")
        >>> result.cord_input.centerline.name, result.cord_input.origin
        ('centerline.nii.gz', 'file')
    """

    centerline: Path | None = None
    """A curve drawn on a NIfTI grid."""
    cord_mask: Path | None = None
    """A cord mask on the scan's grid; its centre is the centerline where there is no curve."""
    source: CordSource = "auto"
    """What finds the cord where neither is given: ``auto``, ``sct`` or the file of SCT's centerline network."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are given."""
        return tuple(path for path in (self.centerline, self.cord_mask) if path is not None)

    @property
    def origin(self) -> str:
        """Where the centerline comes from, as ``preprocess.centerline`` names it; a network by its file name."""
        drawn = "file" if self.centerline else "cord_mask" if self.cord_mask else None
        return drawn or Path(self.source).name

    @property
    def options(self) -> Mapping[str, Path]:
        """The same as options of the command line; only those that differ from the defaults."""
        source = None if self.source == "auto" else Path(self.source)
        given = {"--centerline": self.centerline, "--cord-mask": self.cord_mask, "--centerline-source": source}
        return {option: place for option, place in given.items() if place is not None}


def network_file(source: CordSource) -> Path | None:
    """Return the file that a source is, or None for one that needs no file."""
    return None if str(source) in FINDERS else Path(source)


def cord_finder(source: CordSource, advice: str) -> Finder:
    """Return the finder of a source.

    Args:
        source: What finds the cord.
        advice: What the user can do about a scan in which no cord is found, a sentence.

    Raises:
        CordlesionError: There is no such source, or the file cannot be used.
    """
    if source == "sct":
        # Its errors quote SCT's programs and advise the user themselves.
        return FINDERS["sct"]
    find = FINDERS[source] if isinstance(source, str) and source in FINDERS else _network_finder(Path(source))

    def find_or_advise(scan: Volume) -> Centerline:
        try:
            return find(scan)
        except CordlesionError as error:
            raise CordlesionError(f"{error} {advice}") from None

    return find_or_advise


def study_finder(config: PreprocessConfig) -> Finder | None:
    """Return the finder for the scans of a study; None where curves are drawn in files, or not needed.

    Raises:
        CordlesionError: The file of SCT's network cannot be used.
    """
    if config.region != "cord" or config.centerline in DRAWN:
        return None
    return cord_finder(config.centerline, IN_A_STUDY)


def _network_finder(file: Path) -> Finder:
    if file.suffix.casefold() != ".h5":
        raise CordlesionError(
            f"{str(file)!r} is no source of centerlines; one of {', '.join(FINDERS)} or the file of SCT's centerline "
            "network (t2_ctr.h5) is needed."
        )
    from cordlesion.sct.centerline_network import sct_cord_finder

    return sct_cord_finder(file)
