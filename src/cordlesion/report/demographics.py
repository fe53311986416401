"""Who was scanned by what: ages, sexes, brands and voxels, as far as the dataset records them."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cordlesion.dataset.participants import Participants, read_participants
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import read_grid
from cordlesion.study_folder.results import StudyResults

_WOMEN, _MEN = {"f", "female", "w", "woman"}, {"m", "male", "man"}


@dataclass(frozen=True, eq=False)
class Demographics:
    """What is known of the subjects and scans of a study."""

    ages: dict[str, float]
    """In years, by subject; of several visits the first that is listed."""
    women: frozenset[str]
    men: frozenset[str]
    """Subjects."""
    brands: dict[str, str]
    """Of the scanner, by scan."""
    voxels_mm: dict[str, tuple[float, float, float]]
    """Edges, shortest first, by scan."""

    def age(self, subjects: Iterable[str]) -> str:
        """Return mean and standard deviation in years: ``35.8 ± 10.4``; empty where no age is known."""
        return _mean_and_deviation([self.ages[one] for one in subjects if one in self.ages], 1)

    def n_women(self, subjects: Iterable[str]) -> tuple[int, int]:
        """Return how many subjects are women, and of how many the sex is known."""
        subjects = set(subjects)
        women = len(subjects & self.women)
        return women, women + len(subjects & self.men)

    def brands_of(self, scans: Iterable[str]) -> list[str]:
        """Return the brands of scanners, those of most scans first."""
        counts = Counter(self.brands[scan] for scan in scans if scan in self.brands)
        return sorted(counts, key=lambda brand: (-counts[brand], brand))

    def voxel(self, scans: Iterable[str]) -> str:
        """Return mean and standard deviation of the edges in mm: ``0.58 ± 0.12 × 0.58 ± 0.12 × 2.81 ± 0.20``."""
        edges = np.array([self.voxels_mm[scan] for scan in scans if scan in self.voxels_mm])
        return " × ".join(_mean_and_deviation(list(column), 2) for column in edges.T) if len(edges) else ""


def read_demographics(results: StudyResults) -> Demographics:
    """Read what the dataset records about its subjects (participants.tsv) and scans (headers, ``splits.tsv``).

    What is missing, or lies elsewhere by now, is unknown: a report is written from the study's folder alone.
    """
    splits = results.splits.drop_duplicates("scan_id")
    people = _participants(results)
    rows = {subject: people.rows.get(_prefixed(subject), ()) for subject in splits["subject"].astype(str)}
    sexes = {subject: _first(row.get("sex", "") for row in found).casefold() for subject, found in rows.items()}
    ages = {subject: _number(_first(row.get("age", "") for row in found)) for subject, found in rows.items()}
    return Demographics(
        ages={subject: age for subject, age in ages.items() if not math.isnan(age)},
        women=frozenset(subject for subject, sex in sexes.items() if sex in _WOMEN),
        men=frozenset(subject for subject, sex in sexes.items() if sex in _MEN),
        brands={str(row["scan_id"]): brand for _, row in splits.iterrows() if (brand := _brand(row))},
        voxels_mm=_voxels(results),
    )


def _participants(results: StudyResults) -> Participants:
    path = results.config.dataset / "participants.tsv"
    try:
        return read_participants(path)
    except CordlesionError:
        return Participants(path)


def _voxels(results: StudyResults) -> dict[str, tuple[float, float, float]]:
    found = {}
    for scan, files in results.manifest.get("scans", {}).items():
        try:
            shortest, middle, longest = sorted(read_grid(results.folder.root / files["image"]).spacing_mm)
        except (CordlesionError, KeyError, TypeError):
            continue
        found[scan] = (shortest, middle, longest)
    return found


def _brand(scan: pd.Series) -> str:
    """Return a scan's brand: the manufacturer, or else the first word of the scanner."""
    for column in ("manufacturer", "scanner"):
        value = scan.get(column, "")
        if isinstance(value, str) and value.strip():
            return value.split()[0]
    return ""


def _prefixed(subject: str) -> str:
    return "sub-" + subject.removeprefix("sub-")


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _mean_and_deviation(values: list[float], digits: int) -> str:
    if not values:
        return ""
    deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"
