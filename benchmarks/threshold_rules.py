"""Simulation with known truth: which objective chooses the better threshold, and is the interval of t correct?

python benchmarks/threshold_rules.py [studies] [seed]

Every model is a family of curves of F1 over t. The lesion voxels of a scan have logits around a centre of the scan's
own, its background has a tail that reaches above the threshold, and both move with the model. A threshold is chosen on
few scans, as in a study, by the program's own objectives and its own rule for ties; how good it is, a large number of
further scans shows. The spread over scans, the best median and the gap to the best threshold of each scan are printed
with the figures, for comparison with real maps.
"""

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from cordlesion.threshold import OBJECTIVES, THRESHOLDS
from cordlesion.threshold.grid import Grid
from cordlesion.threshold.scans import ThresholdScans

FloatArray = npt.NDArray[np.float64]

SIZES = {7: 5, 14: 10, 28: 20, 56: 40}
"""Scans of the threshold set, and their subjects."""
RULES = ("median_voxel_f1", "mean_voxel_f1", "plateau_voxel_f1")
N_POPULATION = 4000
GRID = Grid(np.array(THRESHOLDS))
# At t = 0 all voxels are lesion; at t = 1 the logit is infinite.
_T = np.clip(GRID.thresholds, 1e-9, 1 - 1e-9)
_LOGIT = np.log(_T / (1 - _T))


@dataclass(frozen=True)
class Model:
    """One training: the distribution of its logits."""

    lesion: float
    """Mean logit of lesion voxels in a scan of medium difficulty."""
    background: float
    """Mean logit of the background."""
    own: int
    """Seed of the effects of scans on this model only."""


def draw_model(rng: np.random.Generator) -> Model:
    """Draw a training; trainings differ in their confidence."""
    timid = rng.normal(0, 1.2)
    return Model(-0.6 + timid, -7.4 + timid, int(rng.integers(2**32)))


def curves(model: Model, n_subjects: int, n_scans: int, rng: np.random.Generator) -> FloatArray:
    """Return F1 of random scans, shape (n_scans, thresholds); scans of one subject are correlated."""
    subject = np.arange(n_scans) % n_subjects
    ease = rng.normal(0, 0.6, n_subjects)[subject] + rng.normal(0, 0.7, n_scans)
    reach = rng.normal(0, 0.7, n_subjects)[subject] + rng.normal(0, 0.7, n_scans)
    # In one of eight scans, lesions are so faint that almost no voxel is found.
    ease = np.where(rng.random(n_scans) < 0.12, ease - 5, ease)
    # Ratio of background voxels to lesion voxels.
    ratio = np.exp(rng.normal(4.6, 0.8, n_scans))
    found = norm.sf((_LOGIT - (model.lesion + 1.1 * ease)[:, None]) / 2.4)
    false = ratio[:, None] * norm.sf((_LOGIT - (model.background + reach)[:, None]) / 2.6)
    f1: FloatArray = 2 * found / (1 + found + false)
    return f1


def choose(f1: FloatArray, rule: str) -> int:
    """Choose a threshold as in the package; returns its index in the grid."""
    goal = OBJECTIVES[rule]
    return GRID.best(goal.summarize(f1[np.newaxis]), goal.tolerance)[1]


def held_out(n_studies: int, seed: int) -> None:
    """Print the median F1 of the threshold of each rule on new scans."""
    print("Median F1 on further scans of the threshold that is chosen (standard error of the difference)\n")
    print("| scans (subjects) | t = 0.5 | best t | " + " | ".join(RULES) + " | mean less median | plateau less mean |")
    print("|---|" + "---|" * (len(RULES) + 4))
    for n_scans, n_subjects in SIZES.items():
        rng = np.random.default_rng((seed, n_scans))
        scores = np.array([_one_study(n_scans, n_subjects, rng) for _ in range(n_studies)])
        means, gains = scores.mean(axis=0), np.diff(scores[:, 2:], axis=1)
        errors = gains.std(axis=0, ddof=1) / np.sqrt(n_studies)
        gained = (f"{gain:+.4f} ({error:.4f})" for gain, error in zip(gains.mean(axis=0), errors, strict=True))
        print(f"| {n_scans} ({n_subjects}) | " + " | ".join([*(f"{mean:.4f}" for mean in means), *gained]) + " |")


def _one_study(n_scans: int, n_subjects: int, rng: np.random.Generator) -> tuple[float, ...]:
    model = draw_model(rng)
    population = np.median(curves(model, N_POPULATION, N_POPULATION, rng), axis=0)
    tuning = curves(model, n_subjects, n_scans, rng)
    half = population[GRID.thresholds.tolist().index(0.5)]
    return half, population.max(), *(population[choose(tuning, rule)] for rule in RULES)


def coverage(n_studies: int, seed: int) -> None:
    """Print how often the 95 % interval of t contains the best t, and a t from new scans."""
    print("\nHow often the interval of t (nominal 95 %) holds ...\n")
    print("| scans (subjects) | the best t of all scans | the t of as many further scans | its mean width |")
    print("|---|---|---|---|")
    for n_scans, n_subjects in SIZES.items():
        rng = np.random.default_rng((seed, n_scans, 1))
        found = np.array([_one_interval(n_scans, n_subjects, rng) for _ in range(n_studies)])
        best, again, width = found.mean(axis=0)
        print(f"| {n_scans} ({n_subjects}) | {100 * best:.0f} % | {100 * again:.0f} % | {width:.2f} |")


def _one_interval(n_scans: int, n_subjects: int, rng: np.random.Generator) -> tuple[bool, bool, float]:
    model, rule = draw_model(rng), RULES[0]
    best, again = (
        GRID.thresholds[choose(curves(model, n, m, rng), rule)]
        for n, m in ((N_POPULATION, N_POPULATION), (n_subjects, n_scans))
    )
    f1 = curves(model, n_subjects, n_scans, rng)
    order = np.argsort(np.arange(n_scans) % n_subjects, kind="stable")
    scans = ThresholdScans(
        GRID, f1[order][np.newaxis], np.sort(np.arange(n_scans) % n_subjects), np.zeros(n_scans, bool), 0
    )
    resampled = scans.resampled_curves(OBJECTIVES[rule], 1000, rng)
    drawn = GRID.thresholds[[GRID.best(one)[1] for one in resampled]]
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    return bool(low <= best <= high), bool(low <= again <= high), float(high - low)


def describe(seed: int) -> None:
    """Print properties of the simulated curves."""
    rng = np.random.default_rng(seed)
    medians, spreads, gaps, best = [], [], [], []
    for _ in range(100):
        f1 = curves(draw_model(rng), N_POPULATION, N_POPULATION, rng)
        t = int(np.median(f1, axis=0).argmax())
        medians.append(np.median(f1[:, t]))
        spreads.append(f1[:, t].std())
        gaps.append(np.median(f1.max(axis=1)) - medians[-1])
        best.append(GRID.thresholds[t])
    print(f"Best median {np.mean(medians):.3f}, standard deviation over scans {np.mean(spreads):.3f}, ", end="")
    print(f"median of each scan's best {np.mean(gaps):+.3f}, best t {np.mean(best):.2f} +- {np.std(best):.2f}\n")


def main() -> None:
    n_studies, seed = (int(sys.argv[k]) if len(sys.argv) > k else default for k, default in ((1, 2000), (2, 0)))
    print(f"{n_studies} studies per line, seed {seed}\n")
    describe(seed)
    held_out(n_studies, seed)
    coverage(max(n_studies // 5, 1), seed)


if __name__ == "__main__":
    main()
