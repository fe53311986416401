"""The plan of a study: power and widths for a grid of sizes, and the sizes that are enough."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.planning.pilot import Pilot
from cordlesion.planning.tables import BEATS, DECLARED, PLAN, THRESHOLD, TUNING
from cordlesion.planning.tuning import median_gain, needed_subjects, tuning_power
from cordlesion.statistics import SIGNIFICANT, PlannedTest, ScoreComponents

_LOWER_END, _UPPER_END = 0.1, 0.9
"""Of the 80 % interval of each variance of the pilot."""


@dataclass(frozen=True)
class Sizes:
    """The studies that are planned."""

    gaps: tuple[float, ...] = (0.05, 0.1, 0.2)
    """True differences between two losses, in the mean over subjects."""
    subjects: tuple[int, ...] = (10, 15, 20, 30, 40, 60, 80, 120, 200)
    """Subjects with lesions in the test set."""
    seeds: tuple[int, ...] = (3, 5, 10, 20)
    """Seeds of each loss; two or more, because one shows nothing about other trainings."""
    scans_per_subject: tuple[int, ...] = (1, 2)
    """Scans of each subject."""
    power: float = 0.8
    """Wanted power."""


@dataclass(frozen=True)
class Needed:
    """The number of subjects that is enough; None where it is above the largest that is planned."""

    subjects: int | None
    fewest: int | None
    """If the variances of the pilot are at the lower ends of their 80 % intervals."""
    most: int | None
    """If they are at the upper ends."""


@dataclass(frozen=True)
class Plan:
    """A pilot, and the studies that are planned from it."""

    pilot: Pilot
    components: ScoreComponents
    """Those of the pilot; with the noise between seeds of the example if the pilot has one seed of each loss."""
    n_losses: int
    """Losses of the study that is planned."""
    sizes: Sizes
    borrowed: str = ""
    """Where the noise between seeds comes from, if the pilot has one seed of each loss."""

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows of ``plan.tsv``."""
        rows = [*self._beats(), *self._tuning(), *self._threshold()]
        integers = dict.fromkeys(("scans_per_subject", "n_seeds", "n_losses"), "Int64")
        return pd.DataFrame(rows, columns=list(PLAN.names)).astype(integers)

    def level(self, *, declared: bool) -> float:
        """Return the significance level of a comparison: the first step of Holm's correction, or 0.05."""
        return SIGNIFICANT if declared else SIGNIFICANT / (self.n_losses - 1)

    def needed(self, gap: float, n_seeds: int, *, declared: bool = False) -> Needed:
        """Return the number of subjects, one scan each, with which a gap is found with the wanted power."""
        enough = [
            test.needed(gap, level=self.level(declared=declared), power=self.sizes.power)
            for test in self._tests(n_seeds, 1)
        ]
        return Needed(*enough)

    def needed_for_tuning(self) -> dict[str, int | None]:
        """Return for each loss the number of subjects with which tuning is found to help."""
        return needed_subjects(self.pilot.gains, self.sizes.subjects, self.sizes.power)

    def _tests(self, n_seeds: int, n_scans: int) -> tuple[PlannedTest, PlannedTest, PlannedTest]:
        """Return the planned comparison with the pilot's variances, and with their lower and upper ends."""
        found = self.components
        one, lower, upper = (
            each.plan(n_losses=self.n_losses, n_seeds=n_seeds, scans_per_subject=n_scans)
            for each in (found, found.at(_LOWER_END), found.at(_UPPER_END))
        )
        return one, lower, upper

    def _beats(self) -> Iterator[dict[str, object]]:
        sizes = self.sizes
        for n_scans, n_seeds in itertools.product(sizes.scans_per_subject, sizes.seeds):
            tests = self._tests(n_seeds, n_scans)
            for declared, gap, n in itertools.product((False, True), sizes.gaps, sizes.subjects):
                value, high, low = (test.power(gap, n, level=self.level(declared=declared)) for test in tests)
                yield {
                    "question": DECLARED if declared else BEATS,
                    "n_subjects": n,
                    "scans_per_subject": n_scans,
                    "n_seeds": n_seeds,
                    "n_losses": self.n_losses,
                    "gap": gap,
                    "value": value,
                    "low": low,
                    "high": high,
                }

    def _tuning(self) -> Iterator[dict[str, object]]:
        gains = self.pilot.gains
        for n in self.sizes.subjects if gains else ():
            for loss, value in tuning_power(gains, n).items():
                row = {"question": TUNING, "loss": loss, "n_subjects": n, "n_losses": len(gains)}
                yield {**row, "gap": median_gain(gains[loss]), "value": value}

    def _threshold(self) -> Iterator[dict[str, object]]:
        for loss, widths in self.pilot.threshold_widths.items():
            for n, width in widths.items():
                yield {"question": THRESHOLD, "loss": loss, "n_subjects": n, "value": width}


def make_plan(pilot: Pilot, example: Pilot, sizes: Sizes, n_losses: int | None = None) -> Plan:
    """Make the plan of a study.

    Args:
        pilot: What is known.
        example: The pilot whose noise between seeds is used if the pilot has one seed of each loss.
        sizes: The studies that are planned.
        n_losses: Losses of the planned study; by default those of the pilot.

    Raises:
        CordlesionError: A size is impossible.
    """
    losses = pilot.n_losses if n_losses is None else n_losses
    _check(sizes, losses)
    found, known = pilot.components, example.components
    if found.seed is not None:
        return Plan(pilot, found, losses, sizes)
    # Residuals of single trainings are part of the loss's own effects here, which more seeds are not planned to reduce.
    borrowed = replace(found, seed=known.seed, n_seeds=known.n_seeds, seed_inequality=known.seed_inequality)
    return Plan(pilot, borrowed, losses, sizes, borrowed=example.name)


def _check(sizes: Sizes, n_losses: int) -> None:
    if n_losses < 2:
        raise CordlesionError(f"{n_losses} losses; at least 2 are needed to compare. Give --losses 2 or more.")
    if min(sizes.seeds) < 2:
        raise CordlesionError("1 seed; at least 2 are needed, because one shows nothing about other trainings.")
    if wrong := [gap for gap in sizes.gaps if not 0 < gap <= 1]:
        raise CordlesionError(f"A gap of {wrong[0]:g}; gaps above 0 and at most 1 are needed, such as 0.1.")
    if not 0 < sizes.power < 1:
        raise CordlesionError(f"A power of {sizes.power:g}; a share between 0 and 1 is needed, such as 0.8.")
