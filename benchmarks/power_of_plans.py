"""Is the power that `cordlesion plan` predicts right? Simulates studies with known truth and runs the verdicts.

python benchmarks/power_of_plans.py [--studies N] [--seed K] [--only beats|pilots|tuning|widths]

Standard errors in brackets; an asterisk marks a prediction that misses the simulation by more than 5 points and more
than two standard errors.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from calibration.generators import EXAMPLE_SDS, Array, Design, draw_luck, f1_scores, owners, subject_means
from calibration.verdicts import SIGNIFICANT, holm, judge
from threshold_rules import GRID, curves, draw_model

from cordlesion.planning.threshold import draw_width
from cordlesion.planning.tuning import tuning_power
from cordlesion.report.sections.thresholds.tuning import tuning_verdict
from cordlesion.statistics import ScoreComponents, estimate_components, median_interval, wilcoxon
from cordlesion.statistics import holm as correct
from cordlesion.threshold.objective import OBJECTIVES
from cordlesion.threshold.scans import ThresholdScans

N_LOSSES = 7
LIMIT = 0.05
"""Largest difference between predicted and simulated power."""
BEATS, PILOTS = "A beats B", "Needed subjects from pilots"
TUNING, WIDTHS = "Tuning helps", "Width of the interval of t"
_GAPS = (0.1, 0.2)
_LARGE = (600, 400)
"""Scans and subjects of the study from which true components are estimated."""


@dataclass(frozen=True)
class Row:
    """A predicted number beside a simulated one."""

    design: str
    predicted: float
    simulated: float
    se: float
    more: str = ""
    limit: float = LIMIT

    @property
    def misses(self) -> bool:
        """Whether the two differ by more than the limit and chance."""
        return abs(self.predicted - self.simulated) > max(self.limit, 2 * self.se)


def beats(rng: np.random.Generator, n_studies: int) -> Iterator[Row]:
    """Compare the planned power of one comparison, corrected for six, with that of simulated verdicts."""
    for sds, name in (
        ((0.05,) * N_LOSSES, "seed SD 0.05"),
        ((0.02,) * N_LOSSES, "seed SD 0.02"),
        (EXAMPLE_SDS, "unequal seed SDs"),
    ):
        known = {gap: true_components(rng, sds, gap) for gap in _GAPS}
        for n_seeds, sizes, gap in _designs():
            n_scans, n_subjects = sizes
            plan = known[gap].plan(n_losses=N_LOSSES, n_seeds=n_seeds, scans_per_subject=1)
            predicted = plan.power(gap, n_subjects, level=SIGNIFICANT / (N_LOSSES - 1))
            design = Design(owners(n_scans, n_subjects), sds, (0.0,) * N_LOSSES, n_seeds)
            # With unequal noise all pairs take a turn, because the plan is about a loss of average noise.
            one = np.concatenate([_found(rng, design, gap, n_studies, worse) for worse in range(1, N_LOSSES)])
            all_of_them = _found(rng, design, gap, n_studies, None)
            se = float(one.std() / np.sqrt(len(one)))
            label = f"{name}, {n_seeds} seeds, {n_subjects} subjects, gap {gap:g}"
            yield Row(label, predicted, float(one.mean()), se, f"{100 * all_of_them.mean():.0f}")


def true_components(rng: np.random.Generator, sds: tuple[float, ...], gap: float) -> ScoreComponents:
    """Estimate components from a very large study; every second loss is better: variances depend on the mean."""
    design = Design(owners(*_LARGE), sds, tuple(gap * (k % 2) for k in range(N_LOSSES)), 400)
    scores = f1_scores(rng, design, draw_luck(rng, 1, design))[0]
    return estimate_components(list(scores), design.owners)


def _designs() -> Iterator[tuple[int, tuple[int, int], float]]:
    for n_seeds in (3, 5, 10):
        for sizes in ((20, 20), (80, 80)):
            for gap in _GAPS:
                yield n_seeds, sizes, gap


def _found(rng: np.random.Generator, design: Design, gap: float, n_studies: int, worse: int | None) -> Array:
    """Return whether the first loss beats a worse one, or which share of the others if all are worse."""
    gaps = [0.0 if worse in (None, k) else gap for k in range(N_LOSSES)]
    gaps[0] = gap
    # Every turn compares two other losses, where their seed noise is unequal.
    sds = tuple(np.roll(design.seed_sds, 2 * (worse or 0)).tolist())
    made = Design(design.owners, sds, tuple(gaps), design.n_seeds)
    n = n_studies // (1 if worse is None else N_LOSSES - 1)
    means = subject_means(f1_scores(rng, made, draw_luck(rng, n, made)), made.owners)
    judged = judge(list(np.moveaxis(means, 1, 0)), trained=[True] * N_LOSSES)
    mine = judged.with_picked(np.zeros(n, dtype=np.int64))
    better = (holm(judged.p_value, mine) <= SIGNIFICANT) & (judged.difference < 0)
    shares: Array = better[:, : N_LOSSES - 1].mean(axis=1) if worse is None else better[:, worse - 1].astype(float)
    return shares


def pilots(rng: np.random.Generator, n_pilots: int) -> Iterator[Row]:
    """Show how often the interval of the needed subjects, from a small pilot, holds what the true components need."""
    sds, gap, level = (0.03,) * N_LOSSES, 0.15, SIGNIFICANT / (N_LOSSES - 1)
    wanted = true_components(rng, sds, 0.0).plan(n_losses=N_LOSSES, n_seeds=5).needed(gap, level=level)
    for n_scans, n_subjects, n_seeds in ((14, 10, 3), (26, 20, 3), (26, 20, 5), (60, 40, 5)):
        design = Design(owners(n_scans, n_subjects), sds, (0.0,) * N_LOSSES, n_seeds)
        held, numbers = [], []
        for _ in range(n_pilots):
            scores = f1_scores(rng, design, draw_luck(rng, 1, design))[0]
            found = estimate_components(list(scores), design.owners)
            low, middle, high = (
                one.plan(n_losses=N_LOSSES, n_seeds=5).needed(gap, level=level)
                for one in (found.at(0.1), found, found.at(0.9))
            )
            numbers.append(np.inf if middle is None else middle)
            held.append((low or np.inf) <= (wanted or np.inf) <= (high or np.inf))
        quartiles = ", ".join(f"{q:.0f}" for q in np.quantile(numbers, [0.25, 0.5, 0.75], method="inverted_cdf"))
        se = float(np.std(held) / np.sqrt(n_pilots))
        label = f"{n_seeds} seeds, {n_scans} scans of {n_subjects} subjects; {wanted} needed"
        yield Row(label, 0.8, float(np.mean(held)), se, quartiles, limit=1.0)


def tuning(rng: np.random.Generator, n_studies: int) -> Iterator[Row]:
    """Compare the planned power of "tuning helps" with that of simulated studies, three losses with unequal gains."""
    for n in (10, 20, 40, 80):
        pilot = _gains(rng, 20_000)  # so large that it is the population
        predicted = tuning_power(pilot, n)
        said = [_helps(_gains(rng, n)) for _ in range(n_studies)]
        small = pd.DataFrame([tuning_power(_gains(rng, 20), n) for _ in range(60)])
        for loss in pilot:
            hits = np.array([one[loss] for one in said], dtype=float)
            se = float(hits.std() / np.sqrt(n_studies))
            between = " to ".join(f"{100 * end:.0f}" for end in np.quantile(small[loss], [0.1, 0.9]))
            yield Row(f"{n} subjects, {loss}", predicted[loss], float(hits.mean()), se, between)


def _gains(rng: np.random.Generator, n_subjects: int) -> dict[str, list[list[float]]]:
    """Draw gains of one scan per subject: common and own effects, some exactly 0."""
    common = rng.standard_normal(n_subjects)
    found = {}
    for loss, mean in (("large gain", 0.08), ("medium gain", 0.04), ("small gain", 0.02)):
        latent = 0.5 * common + np.sqrt(0.75) * rng.standard_normal(n_subjects)
        gains = np.where(rng.random(n_subjects) < 0.15, 0, mean + 0.08 * latent + 0.02 * (latent**2 - 1))
        found[loss] = [[gain] for gain in gains.tolist()]
    return found


def _helps(gains: dict[str, list[list[float]]]) -> dict[str, bool]:
    """Return the verdicts of the report."""
    rows = {}
    for loss, of_loss in gains.items():
        values = np.concatenate(of_loss)
        test = wilcoxon(np.zeros(len(values)), values)
        low, high = median_interval(values, range(len(values)))
        row = {"n_subjects": test.n_subjects, "p_value": test.p_value, "effect": test.rank_biserial}
        rows[loss] = row | {"low": low, "high": high, "difference": test.median_difference}
    corrected = correct([row["p_value"] for row in rows.values()]).tolist()
    return {
        loss: tuning_verdict(pd.Series(row | {"p_holm": p})) == "helps"
        for (loss, row), p in zip(rows.items(), corrected, strict=True)
    }


def widths(rng: np.random.Generator, n_models: int) -> Iterator[Row]:
    """Compare planned widths of threshold intervals with those of simulated studies of the planned size."""
    for rule in ("mean_voxel_f1", "median_voxel_f1"):
        for n_pilot, n in ((10, 20), (10, 50), (20, 50), (40, 80)):
            pairs = np.array([_one_width(rng, rule, n_pilot, n) for _ in range(n_models)])
            gap = np.abs(pairs[:, 0] - pairs[:, 1]).mean()
            label = f"{rule}, pilot of {n_pilot} subjects, {n} planned"
            se = float((pairs[:, 0] - pairs[:, 1]).std() / np.sqrt(n_models))
            yield Row(label, float(pairs[:, 0].mean()), float(pairs[:, 1].mean()), se, f"{gap:.2f}")


def _one_width(rng: np.random.Generator, rule: str, n_pilot: int, n: int) -> tuple[float, float]:
    model = draw_model(rng)
    planned = draw_width(_arranged(curves(model, n_pilot, n_pilot, rng)), OBJECTIVES[rule], n, rng)
    studies = [draw_width(_arranged(curves(model, n, n, rng)), OBJECTIVES[rule], n, rng) for _ in range(2)]
    return planned, float(np.mean(studies))


def _arranged(f1: npt.NDArray[np.float64]) -> ThresholdScans:
    return ThresholdScans(GRID, f1[np.newaxis], np.arange(len(f1)), np.zeros(len(f1), bool), 0)


def print_rows(title: str, rows: list[Row], more: str, *, percent: bool = True) -> None:
    """Print a table in Markdown."""
    factor, digits = (100, 0) if percent else (1, 2)
    print(f"\n## {title}\n\n| design | planned | simulated | {more} |\n|---|---|---|---|")
    for row in rows:
        mark = " *" if row.misses else ""
        simulated = f"{factor * row.simulated:.{digits}f} ({factor * row.se:.{digits + 1}f}){mark}"
        print(f"| {row.design} | {factor * row.predicted:.{digits}f} | {simulated} | {row.more} |")
    worst = max(abs(row.predicted - row.simulated) for row in rows)
    print(
        f"\nLargest difference: {factor * worst:.{digits + 1}f}; {sum(row.misses for row in rows)} of {len(rows)} miss."
    )


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("beats", "pilots", "tuning", "widths"))
    given = parser.parse_args()
    parts = {
        "beats": (BEATS, beats, given.studies, "all others worse"),
        "pilots": (PILOTS, pilots, given.studies // 10, "quartiles of the number"),
        "tuning": (TUNING, tuning, given.studies, "planned from pilots of 20 subjects, 10 to 90 %"),
        "widths": (WIDTHS, widths, given.studies // 40, "mean absolute difference"),
    }
    for place, (part, (title, measure, n, more)) in enumerate(parts.items()):
        if given.only in (None, part):
            started = time.perf_counter()
            print_rows(
                title, list(measure(np.random.default_rng([given.seed, place]), n)), more, percent=part != "widths"
            )
            print(f"{time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
