"""The two sides of a scan, whatever their files hold: a mask, a map that is cut, or an instance map (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from cordlesion.dataset.matching import MapPair
from cordlesion.evaluation import compare_lesions
from cordlesion.io.formats import plural
from cordlesion.io.mask_values import MaskReader
from cordlesion.io.volume import Volume
from cordlesion.lesions.instance_maps import InstanceMap, LesionRanks, read_instances, read_ranks
from cordlesion.lesions.ranking import LesionRanking, rank_lesions
from cordlesion.maps.files import CutMaps
from cordlesion.metrics import Components, MatchedInstances, match_components
from cordlesion.metrics.instances import match_given
from cordlesion.metrics.lesion import CheckedLesions, every_component
from cordlesion.metrics.own import OwnMetric

Instances: TypeAlias = Literal["prediction", "reference", "both"]
"""Which files are instance maps."""
_CORNERS = 26


@dataclass(frozen=True, eq=False)
class Side:
    """The lesions of one file."""

    mask: Volume
    """Which voxels are lesion; shape (X, Y, Z)."""
    lesions: CheckedLesions
    """The same voxels, or the lesions of an instance map."""
    probability: Volume | None = None
    """The map that the mask was made of."""
    ranks: LesionRanks | None = None
    """How probable each lesion of an instance map is."""


@dataclass(frozen=True, eq=False)
class MeasuredScan:
    """What is known of one scan."""

    row: dict[str, object]
    """Its row of ``metrics.tsv``."""
    matched: MatchedInstances | None = None
    """Its lesions with their probabilities, where predicted ones have some."""
    unranked: str = ""
    """Why the lesions of an instance map have no probability, half a sentence."""


@dataclass(frozen=True)
class InstanceMaps:
    """Reads instance maps, as masks or as lesions."""

    kind: str
    """Name of this kind of files, in the plural."""
    ranked_by: str | None = None
    """The column of their tables that holds the probability of each lesion; None: not needed."""
    _pieces: dict[Path, int | None] = field(default_factory=dict)
    """Of each file: pieces of its only lesion; None where it has several."""

    def read(self, path: Path, like: Volume | None = None) -> Volume:
        """Return which voxels are lesion."""
        return read_instances(path, like).mask

    def read_side(self, path: Path, like: Volume | None = None) -> Side:
        """Return the lesions.

        Raises:
            CordlesionError: Image or table is damaged, or they are not of the same lesions.
        """
        found = read_instances(path, like)
        self._note(path, found)
        ranks = None if self.ranked_by is None else read_ranks(path, found.numbers, self.ranked_by)
        return Side(found.mask, found.lesions, ranks=ranks)

    def require_one(self) -> None:
        """Accept any numbers: each is a lesion."""

    def _note(self, path: Path, found: InstanceMap) -> None:
        is_one = len(found.numbers) <= 1
        self._pieces[path] = len(every_component(found.lesions.mask, _CORNERS).sizes) if is_one else None

    def remark(self) -> list[str]:
        """Remark that files look like masks: none holds two lesions, and the lesion of some is in several pieces."""
        apart = {path: n for path, n in sorted(self._pieces.items()) if n is not None and n > 1}
        if not apart or None in self._pieces.values():
            return []
        path, n = next(iter(apart.items()))
        remark = (
            f"{path}: its only lesion is in {n} pieces, and none of the {self.kind} holds a second lesion, as if they "
            f"were masks. If they are, leave the {self.kind} out of --instances."
        )
        return [remark]


def read_side(reader: MaskReader, path: Path, like: Volume | None = None) -> Side:
    """Read the lesions of a file.

    Args:
        reader: Reads files of this kind.
        path: The file.
        like: The grid it must share.

    Raises:
        CordlesionError: The file cannot be used.
    """
    if isinstance(reader, InstanceMaps):
        return reader.read_side(path, like)
    mask, probability = reader.read_both(path, like) if isinstance(reader, CutMaps) else (reader.read(path, like), None)
    return Side(mask, mask.data.astype(np.bool_, copy=False), probability)


def measure_sides(
    pair: MapPair, rule: str, own: Sequence[OwnMetric], references: MaskReader, predictions: MaskReader
) -> MeasuredScan:
    """Compare a prediction with its reference, and match their lesions where predicted ones have a probability.

    Raises:
        CordlesionError: A file cannot be used, the grids differ, or a metric of the user fails.
    """
    reference = read_side(references, pair.reference)
    prediction = read_side(predictions, pair.prediction, reference.mask)
    row = compare_lesions(pair, reference.lesions, prediction.lesions, reference.mask.spacing_mm, rule, own)
    if prediction.probability is not None:
        return MeasuredScan(row, match_components(reference.lesions, prediction.lesions, prediction.probability.data))
    if prediction.ranks is None:
        return MeasuredScan(row)
    if prediction.ranks.values is None:
        return MeasuredScan(row, unranked=prediction.ranks.missing)
    assert isinstance(prediction.lesions, Components)
    return MeasuredScan(row, match_given(reference.lesions, prediction.lesions, prediction.ranks.values))


def rank_scans(scans: Sequence[MeasuredScan]) -> tuple[LesionRanking | None, list[str]]:
    """Return the score of MS-Multi-Spine, where the lesions of all scans have a probability; or why there is none.

    Without the scans that have none it would be the score of other scans.
    """
    missing = [scan.unranked for scan in scans if scan.unranked]
    if missing:
        remark = (
            f"No MS-Multi-Spine score (n/a): the lesions of {len(missing)} of {plural(len(scans), 'scan')} have no "
            f"probability (first: {missing[0]}). Give the table of each image, or another column (--ranked-by)."
        )
        return None, [remark]
    matched = [scan.matched for scan in scans if scan.matched is not None]
    return (rank_lesions(matched, [str(scan.row["subject"]) for scan in scans]) if matched else None), []


def remark_masks(*readers: MaskReader) -> list[str]:
    """Remark that what was given as instance maps looks like masks."""
    return [remark for reader in readers if isinstance(reader, InstanceMaps) for remark in reader.remark()]
