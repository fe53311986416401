"""Which rule chooses the better model on the threshold set, and how well its score there is corrected.

A rule has an objective, and a way to weigh the runs: by their own scores, by the mean of their loss, or by the middle
of both. What it chooses is scored on other scans: the truth in simulated studies, the test set in real ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.curves import Array, Design, Places, as_scans, draw_curves, draw_trainings
from calibration.generators import owners
from calibration.rows import Row, measured
from cordlesion.threshold import OBJECTIVES, ThresholdScans, correct_selection, weigh_runs

Weigh = Literal["own", "loss", "middle"]

CHOICE = "The choice on the threshold set: true mean F1 (x 100) against the former rule"
CORRECTION = "Score of the chosen model on the threshold set (F1 x 100) less its truth, and cover of its 95 % interval"
COVERED = 0.93
_POPULATION = 1000
_RESAMPLES = 200


@dataclass(frozen=True)
class Rule:
    """How thresholds, and then a run, are chosen."""

    name: str
    objective: str
    weigh: Weigh

    def losses(self, losses: Places) -> Places:
        """Return the numbers of the losses for the package; where runs compete alone, each is a loss of its own."""
        return np.arange(len(losses)) if self.weigh == "own" else losses


FORMER = Rule("highest median of a run", "median_voxel_f1", "own")
PRESENT = Rule("mean F1, middle of run and loss", "mean_voxel_f1", "middle")
RULES = (
    FORMER,
    Rule("median F1, middle of run and loss", "median_voxel_f1", "middle"),
    Rule("highest mean of a run", "mean_voxel_f1", "own"),
    Rule("mean F1, mean of the loss, its best run", "mean_voxel_f1", "loss"),
    PRESENT,
)


@dataclass(frozen=True)
class Chosen:
    """A run and its threshold."""

    run: int
    cell: int
    score: float
    """The objective on the threshold set."""


def choose(runs: Sequence[ThresholdScans], losses: Places, rule: Rule) -> Chosen:
    """Choose as a study does."""
    goal = OBJECTIVES[rule.objective]
    curves = np.stack([goal.summarize(run.measures) for run in runs])
    cells = runs[0].grid.best_cells(curves, goal.tolerance)
    scores = curves[np.arange(len(runs)), cells]
    best = int(_weighed(scores, losses, rule).argmax())
    return Chosen(best, int(cells[best]), float(scores[best]))


def _weighed(scores: Array, losses: Places, rule: Rule) -> Array:
    weighed: Array = weigh_runs(scores, rule.losses(losses))
    if rule.weigh == "loss":
        # The mean of the loss alone, and within it the best run.
        weighed = 2 * weighed - scores + 1e-6 * scores
    return weighed


def designs() -> Iterator[tuple[str, Design, Places]]:
    """Return simulated designs with their threshold sets."""
    for n_losses, n_seeds in ((7, 5), (7, 3), (3, 1)):
        for n_scans, n_subjects in ((14, 10), (40, 30)):
            for name, losses_sd, seeds_sd in (("equal losses", 0.0, 0.4), ("unequal losses", 0.4, 0.4)):
                seeds = f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"
                title = f"{n_losses} {name}, {seeds}, {n_scans} scans of {n_subjects} subjects"
                yield title, Design(n_losses, n_seeds, losses_sd, seeds_sd), owners(n_scans, n_subjects)


def rows(rng: np.random.Generator, n_studies: int = 200) -> list[Row]:
    """Measure every rule, and the correction of the scores of the present and the former rule."""
    every = list(designs())
    parts = zip(rng.spawn(len(every)), every, strict=True)
    return [row for own, design in parts for row in measure_design(own, *design, n_studies)]


def measure_design(
    rng: np.random.Generator, name: str, design: Design, subject: Places, n_studies: int
) -> Iterator[Row]:
    """Measure one of :func:`designs`."""
    studies = [_Study.draw(rng, design, subject) for _ in range(n_studies)]
    former = np.array([study.truth_of(FORMER) for study in studies])
    for rule in RULES[1:]:
        gains = np.array([study.truth_of(rule) for study in studies]) - former
        yield measured(CHOICE, name, f"{rule.name}: the model", gains[:, 0], least=0 if rule == PRESENT else None)
        yield measured(CHOICE, name, f"{rule.name}: its loss", gains[:, 1])
    for rule in (PRESENT, FORMER):
        errors = np.array([study.corrected(rule) for study in studies])
        title = f"{CORRECTION}: {rule.name}"
        yield measured(title, name, "as it is", errors[:, 0])
        yield measured(title, name, "corrected", errors[:, 1])
        yield measured(title, name, "interval covers", errors[:, 2], least=COVERED if rule == PRESENT else None)


@dataclass(frozen=True, eq=False)
class _Study:
    runs: Sequence[ThresholdScans]
    losses: Places
    means: Array
    """True mean F1 of each run, shape (runs, thresholds)."""
    medians: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, design: Design, subject: Places) -> "_Study":
        trainings = draw_trainings(rng, design)
        truth = draw_curves(rng, trainings, np.arange(_POPULATION))
        truth = truth.reshape(-1, *truth.shape[2:])
        losses = np.repeat(np.arange(design.n_losses), design.n_seeds)
        runs = as_scans(draw_curves(rng, trainings, subject), subject)
        return cls(runs, losses, truth.mean(axis=1), np.median(truth, axis=1))

    def truth_of(self, rule: Rule) -> tuple[float, float]:
        """Return the true mean F1 of the chosen model, and that of its loss at the best thresholds."""
        chosen = choose(self.runs, self.losses, rule)
        loss = self.means[self.losses == self.losses[chosen.run]].max(axis=1).mean()
        return float(self.means[chosen.run, chosen.cell]), float(loss)

    def corrected(self, rule: Rule) -> tuple[float, float, bool]:
        """Return the errors of the apparent and of the corrected score, and whether the interval holds the truth."""
        chosen = choose(self.runs, self.losses, rule)
        truth = (self.medians if rule.objective.startswith("median") else self.means)[chosen.run, chosen.cell]
        goal = OBJECTIVES[rule.objective]
        found = correct_selection(self.runs, rule.losses(self.losses), goal, n_resamples=_RESAMPLES)
        assert found is not None
        return found.apparent - truth, found.corrected - truth, bool(found.low <= truth <= found.high)
