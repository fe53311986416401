"""The masks of a method at its operating points, from maps, masks or a trained model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cordlesion.config import PostprocessConfig
from cordlesion.dataset.scan import Scan
from cordlesion.detectability.operating import OperatingPoint
from cordlesion.io.arrays import Mask
from cordlesion.io.volume import Volume, read_mask, read_probability
from cordlesion.metrics import binarize
from cordlesion.threshold.postprocess import make_mask, postprocess, read_cord
from cordlesion.threshold.rules import GlobalThreshold, ThresholdRule


@dataclass(frozen=True, eq=False)
class Method:
    """The files of a method, and how they become masks."""

    files: Mapping[str, Path]
    """Its map or mask by scan."""
    are_maps: bool
    thresholds: tuple[float, ...] = ()
    """Of the grid, above 0."""
    rule: ThresholdRule | None = None
    """Its own; None if it has none."""
    removal: PostprocessConfig = field(default_factory=PostprocessConfig)

    @property
    def points(self) -> list[OperatingPoint]:
        """All operating points, its own first."""
        if not self.are_maps:
            return [OperatingPoint(None, "own")]
        own = [] if self.rule is None else [OperatingPoint(self.rule.fixed_threshold, "own")]
        return own + [OperatingPoint(t, "given") for t in self.thresholds]

    def masks(self, scan: Scan, like: Volume) -> Iterator[tuple[OperatingPoint, Mask]]:
        """Yield the mask of a scan at each operating point.

        Raises:
            CordlesionError: The file cannot be used, or is on another grid.
        """
        path = self.files[scan.scan_id]
        if not self.are_maps:
            yield self.points[0], read_mask(path, like=like).data.astype(bool, copy=False)
            return
        probability = read_probability(path, like=like)
        cord = read_cord(scan.cord_mask, like, self.removal)
        points = self.points
        if self.rule is not None:
            yield points.pop(0), make_mask(probability, self.rule, self.removal, cord)[0]
        kept = postprocess(probability, self.thresholds, self.removal, cord)
        for point in points:
            assert point.threshold is not None
            yield point, binarize(kept, point.threshold)


def map_method(files: Mapping[str, Path], thresholds: Sequence[float], own: float | None) -> Method:
    """Return the method of probability maps, with the threshold that its users apply, if there is one."""
    rule = None if own is None else GlobalThreshold.given(own)
    return Method(files, True, tuple(t for t in thresholds if t > 0), rule)
