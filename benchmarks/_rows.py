"""Rows of the page: the measurements of a stage, printed and as JSON."""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from _targets import Stage


@dataclass(frozen=True)
class Figure:
    """Median of one candidate."""

    name: str
    value: float
    """In the unit of the stage."""
    is_stated: bool = False
    """Whether it is from another source, not measured in this run."""


@dataclass(frozen=True)
class Row:
    """The measurements of one stage."""

    stage: Stage
    ours: Figure
    peers: tuple[Figure, ...] = ()
    floor: Figure | None = None
    others: tuple[Figure, ...] = ()
    """Parts and variants for information, without comparison."""
    note: str = ""
    """Description of the measurement in one or two sentences."""

    @property
    def fastest_peer(self) -> Figure | None:
        """The peer with the smallest value."""
        return min(self.peers, key=lambda peer: peer.value, default=None)

    @property
    def ratio(self) -> float | None:
        """The ratio of the target: peer / ours, ours / floor or ours / limit."""
        if self.stage.against == "limit":
            return self.ours.value / self.stage.bound
        other = self.fastest_peer if self.stage.against == "peer" else self.floor
        if other is None:
            return None
        return other.value / self.ours.value if self.stage.against == "peer" else self.ours.value / other.value

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None if the value for comparison is missing."""
        if self.ratio is None:
            return None
        if self.stage.against == "limit":
            return self.ratio <= 1
        return self.ratio >= self.stage.bound if self.stage.against == "peer" else self.ratio <= self.stage.bound

    @property
    def figures(self) -> list[tuple[str, Figure]]:
        """All measurements with their role."""
        floor = [("floor", self.floor)] if self.floor else []
        return [
            ("ours", self.ours),
            *(("peer", peer) for peer in self.peers),
            *floor,
            *(("besides", other) for other in self.others),
        ]


def figures(
    medians: Mapping[str, float], ours: str, peers: Iterable[str] = (), floor: str | None = None
) -> tuple[Figure, tuple[Figure, ...], Figure | None]:
    """Return the arguments of :class:`Row` after the stage, from medians by name."""
    found = tuple(Figure(name, medians[name]) for name in peers)
    return Figure(ours, medians[ours]), found, None if floor is None else Figure(floor, medians[floor])


@dataclass(frozen=True)
class Arguments:
    """Options that all benchmarks have."""

    rounds: int
    json: Path | None


def arguments(rounds: int, description: str | None) -> Arguments:
    """Read ``[rounds] [--json FILE]``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", nargs="?", type=int, default=rounds, help=f"how often each is timed, {rounds}")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    given = parser.parse_args()
    return Arguments(given.rounds, given.json)


def run(measure: Callable[[int], Sequence[Row]], rounds: int, description: str | None) -> None:
    """Measure, print the rows, and write them if an output is given."""
    given = arguments(rounds, description)
    rows = measure(given.rounds)
    print("\n\n".join(map(printed, rows)))
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")


def read(path: Path) -> list[Row]:
    """Read the rows that another process wrote."""
    return [parse(values) for values in json.loads(path.read_text(encoding="utf-8"))]


def printed(row: Row) -> str:
    """Return a row as lines of text: each candidate and its ratio to ours."""
    lines = [f"{row.stage.name}. {row.note}"]
    for part, figure in row.figures:
        times = f"{figure.value / row.ours.value:8.2f} x" if row.ours.value else ""
        lines.append(f"  {part:<8}{figure.name:<52}{quantity(figure.value, row.stage.unit):>12}{times}")
    verdict = {True: "met", False: f"missed: {row.stage.if_missed}", None: "nothing to compare with"}[row.is_met]
    return "\n".join([*lines, f"  target: {row.stage.target}; {verdict}"])


def quantity(value: float, unit: str) -> str:
    """Return a value with three digits and its unit."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{digits}f} {unit}"


def parse(values: dict[str, Any]) -> Row:
    """Return a row from what JSON holds of it."""
    floor = values["floor"]
    return Row(
        Stage(**values["stage"]),
        Figure(**values["ours"]),
        tuple(Figure(**peer) for peer in values["peers"]),
        Figure(**floor) if floor else None,
        tuple(Figure(**other) for other in values["others"]),
        values["note"],
    )
