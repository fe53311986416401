"""Which scans of a threshold set repeat each other, for an objective that compares them (no torch)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cordlesion.dataset.matching import MapPair
from cordlesion.dataset.repeats import Repeats, read_repeats
from cordlesion.dataset.scan_names import ScanFile, scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.formats import plural
from cordlesion.io.tables import REPEAT
from cordlesion.maps.repeats import dataset_of
from cordlesion.threshold import Objective


@dataclass(frozen=True)
class TunedRepeats:
    """The pairs of a threshold set, and which of their scans repeat each other."""

    pairs: Sequence[MapPair]
    """With the person of each scan, where the table of the user names it."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """The name of the group by scan, of those in one; empty where repeats are not compared."""
    remarks: Sequence[str] = ()
    """What makes the groups doubtful, as sentences."""

    def column(self, scan_id: str) -> dict[str, str | None]:
        """Return the column ``repeat`` of a scan's rows; none where repeats are not compared."""
        return {REPEAT: self.groups.get(scan_id)} if self.groups else {}


def find_repeats(
    pairs: Sequence[MapPair],
    goal: Objective,
    given: Path | str | None,
    reference: Path,
    subjects: Path | str | None = None,
) -> TunedRepeats:
    """Find which scans repeat each other, where the objective compares them.

    Args:
        pairs: References and maps.
        goal: What the threshold maximises.
        given: A table or a BIDS dataset that states it; by default the dataset that the references lie in.
        reference: The references.
        subjects: What names the person of each scan, where names do not show it.

    Raises:
        CordlesionError: It is given for an objective that compares no repeats, or fewer than two groups are found.
    """
    if not goal.compares_repeats:
        if given is None:
            return TunedRepeats(pairs)
        raise CordlesionError(
            f"--pairs is given, but the objective ({goal.title}) does not compare scans that repeat each other. Leave "
            "it out, or choose the objective repeatability."
        )
    repeats = read_repeats(dataset_of(reference) if given is None else Path(given))
    found = {pair.scan_id: group for pair in pairs if (group := _group_of(pair, repeats)) is not None}
    groups = {scan: name for scan, (name, _) in found.items()}
    if subjects is None:  # the table of repeats may name people
        pairs = [replace(pair, subject=found.get(pair.scan_id, ("", pair.subject))[1]) for pair in pairs]
    together = Counter((pair.subject, groups[pair.scan_id]) for pair in pairs if pair.scan_id in groups)
    unknown = _unknown(pairs, repeats)
    _require_two(sum(n > 1 for n in together.values()), len(pairs), repeats.source, goal, unknown)
    return TunedRepeats(pairs, groups, [*_remarks(pairs, groups, repeats, subjects)])


def _group_of(pair: MapPair, repeats: Repeats) -> tuple[str, str] | None:
    """Return group and person of a scan, which a table may list by the name of its map or of its reference."""
    named = (repeats.of(file, pair.subject, pair.session) for file in _files(pair))
    return next((group for group in named if group is not None), None)


def _files(pair: MapPair) -> Iterator[ScanFile]:
    reference = scan_file(pair.reference)
    yield from (reference, scan_file(pair.prediction))
    if not reference.entities:  # folders may name the scan
        yield replace(reference, base=pair.scan_id)


def _require_two(n_groups: int, n_scans: int, source: Path, goal: Objective, unknown: str) -> None:
    if n_groups < 2:
        raise CordlesionError(
            f"{source}: {plural(n_groups, 'group')} of the {plural(n_scans, 'scan')} of the threshold set repeat each "
            f"other; the objective ({goal.title}) needs at least 2. Name them in a column {REPEAT} of scans.tsv, "
            "sessions.tsv or participants.tsv of the BIDS dataset, or in a table for --pairs (columns scan and "
            f"repeat, and participant_id where names do not show the person).{f' {unknown}' if unknown else ''}"
        )


def _unknown(pairs: Sequence[MapPair], repeats: Repeats) -> str:
    """Return that a table lists scans that are not there, a sentence; empty where it lists none."""
    unknown = repeats.unmatched([file for pair in pairs for file in _files(pair)])
    if not unknown:
        return ""
    return (
        f"{repeats.source}: lists {plural(len(unknown), 'scan')} that the threshold set does not have (first: "
        f"{unknown[0]}). If it should, mend the names."
    )


def _remarks(
    pairs: Sequence[MapPair], groups: Mapping[str, str], repeats: Repeats, subjects: Path | str | None
) -> Iterator[str]:
    if unknown := _unknown(pairs, repeats):
        yield unknown
    bare = any(not scan_file(pair.reference).entities for pair in pairs if pair.scan_id in groups)
    if bare and subjects is None and not repeats.names_people:
        yield (
            f"{repeats.source}: names no people, so that each group of scans counts as one person; scans of two people "
            "in one group make the choice wrong. Add a column participant_id."
        )
