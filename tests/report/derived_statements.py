"""The table of the paper's statements once more, of a study with one seed of each loss: t tests over subjects."""

import numpy as np
import pandas as pd
from derived import NAMES, Derived
from plain_statistics import fine, holm, p_text
from scipy import stats

from oracles.bootstrap_oracle import best_cell

N_DRAWS = 300
HEAD = ["Statement", "Effect", "Claimed", "Verdict", "Paper", "Here", "95 % interval", "p", "p (Holm)", "Subjects"]
ROWS = (
    ("1 Dice-based: precise", "V-precision − V-sensitivity at 0.5, Dice-based", "above 0", "+0.30"),
    ("2 Tversky-based: sensitive", "V-sensitivity at 0.5, Tversky- − Dice-based", "above 0", "+0.12"),
    ("3 Tuning lifts BCE", "V-F1 of BCE, tuned − at 0.5", "above 0", "+0.32"),
    ("4 Tuned t below 0.5", "Tuned t − 0.5, all but Generalized Dice", "below 0", "−0.31"),
    ("4 Tuned t below 0.5", "Tuned t − 0.5, Generalized Dice", "above 0", "+0.25"),
    ("5 Tversky is steady", "V-F1 of Tversky, tuned − at 0.5", "within", "+0.01"),
    ("5 Tversky is steady", "V-F1 changed by ±0.05 in t, others − Tversky", "above 0", "–"),
    ("6 Low t costs specificity", "P-specificity, tuned t below 0.5 − at 0.5", "below 0", "–"),
)


def statements(derived: Derived) -> list[list[str]]:
    effects = _effects(derived)
    tests = [None if one is None else _t_test(*one, claim=row[2]) for one, row in zip(effects, ROWS, strict=True)]
    names = list(dict.fromkeys(row[0] for row in ROWS))
    parts = {name: [test for test, row in zip(tests, ROWS, strict=True) if row[0] == name and test] for name in names}
    p = {name: _statement(found) for name, found in parts.items() if found}
    adjusted = holm(p)
    rows = []
    for test, (name, effect, claim, paper) in zip(tests, ROWS, strict=True):
        against = any(one["lead"] <= 0 for one in parts[name])
        decided = "contradicted" if against else "confirmed"
        verdict = f"{decided} (these trainings)" if adjusted[name] <= 0.05 and test else decided
        verdict = verdict if adjusted[name] <= 0.05 else "undecided"
        if test is None:
            cells = ["–", "–", "–", p_text(adjusted[name]), "–", "–"]
        else:
            ends = f"[{fine(test['low'], '+')}, {fine(test['high'], '+')}]"
            cells = [fine(test["mean"], "+"), ends, p_text(test["p"]), p_text(adjusted[name]), str(test["n"]), "1"]
        needed = "–" if adjusted[name] <= 0.05 else _needed(parts[name], 0.05 / len(p))
        rows.append([name, effect, claim, verdict, paper, *cells, needed])
    return [[*HEAD, "Seeds", "Would decide"], *rows]


def _effects(derived: Derived) -> list[tuple[float, float, int] | None]:
    """Mean, variance of the mean, and number of subjects of each effect."""
    trained = sorted(derived.trained, key=list(NAMES).index)
    half = {loss: derived.bearing(loss, "test", 0.5) for loss in trained}
    tuned = {loss: derived.bearing(loss, "test", derived.tuned[loss]) for loss in trained}
    gains = {loss: tuned[loss]["voxel_f1"] - half[loss]["voxel_f1"] for loss in trained}
    steps = {loss: _unsteady(derived, loss) for loss in trained}
    subject = half["dice"]["subject"]
    dice = half["dice"]
    others = (steps["bce"] + steps["dice"]) / 2
    return [
        _over_subjects(dice["voxel_precision"] - dice["voxel_sensitivity"], subject),
        _over_subjects(half["tversky"]["voxel_sensitivity"] - dice["voxel_sensitivity"], subject),
        _over_subjects(gains["bce"], subject),
        _thresholds(derived, trained),
        None,
        _over_subjects(gains["tversky"], subject),
        _over_subjects(others - steps["tversky"], subject),
        _specificity(derived, trained),
    ]


def _over_subjects(values: pd.Series, subject: pd.Series) -> tuple[float, float, int]:
    means = values.groupby(subject).mean()
    return means.mean(), means.sem() ** 2, len(means)


def _unsteady(derived: Derived, loss: str) -> pd.Series:
    t = derived.tuned[loss]
    here = derived.swept(loss, "test", t)
    sides = [derived.swept(loss, "test", t + shift) for shift in (-0.05, 0.05) if t + shift > 0.001]
    return pd.concat([(side - here).abs() for side in sides if len(side)], axis=1).mean(axis=1)


def _specificity(derived: Derived, trained: list[str]) -> tuple[float, float, int]:
    low = [loss for loss in trained if derived.tuned[loss] < 0.5]
    changes = []
    for loss in low:
        half, tuned = (derived.free(loss, "test", t) for t in (0.5, derived.tuned[loss]))
        changes.append((tuned["n_predicted_lesions"] == 0).astype(int) - (half["n_predicted_lesions"] == 0))
    return _over_subjects(sum(changes) / len(low), half["subject"])


def _thresholds(derived: Derived, trained: list[str]) -> tuple[float, float, int]:
    """Thresholds are chosen again on drawn subjects, the same for all losses."""
    drawn = []
    for loss in trained:
        rows = derived.sweep[(derived.sweep["loss"] == loss) & (derived.sweep["set"] == "threshold")]
        rows = rows[rows["reference_volume_mm3"] > 0]
        curves = rows.pivot(index="subject", columns="threshold", values="voxel_f1").sort_index()
        n, grid = len(curves), curves.columns.tolist()
        draws = np.random.default_rng(0).integers(n, size=(N_DRAWS, n))
        scores = [np.median(curves.to_numpy()[draw], axis=0).round(12) for draw in draws]
        drawn.append([best_cell({(0, t): s for t, s in zip(grid, one, strict=True)}, grid)[1] for one in scores])
    mean = sum(derived.tuned[loss] for loss in trained) / len(trained) - 0.5
    return mean, np.mean(drawn, axis=0).var() * n / (n - 1), n


def _t_test(mean: float, variance: float, n: int, *, claim: str) -> dict[str, float]:
    lead = {"above 0": mean, "below 0": -mean, "within": 0.025 - abs(mean)}[claim]
    error = variance**0.5
    p = max(2 * stats.t.sf(abs(lead) / error, n - 1), 2 / 2**n)
    half = stats.t.ppf(0.975, n - 1) * error
    return {"mean": mean, "low": mean - half, "high": mean + half, "p": p, "n": n, "lead": lead, "per": variance * n}


def _statement(tests: list[dict[str, float]]) -> float:
    against = [test["p"] for test in tests if test["lead"] <= 0]
    return min(1, len(tests) * min(against)) if against else max(test["p"] for test in tests)


def _needed(tests: list[dict[str, float]], level: float) -> str:
    """One by one, by the noncentral t."""
    against = [test for test in tests if test["lead"] <= 0]
    level = level / len(tests) if against else level
    numbers = []
    for test in against or tests:
        distances = {n: abs(test["lead"]) / (test["per"] / n) ** 0.5 for n in range(6, 2001) if 2 / 2**n <= level}
        enough = (
            n for n, d in distances.items() if d > 20 or stats.nct.sf(stats.t.isf(level / 2, n - 1), n - 1, d) >= 0.8
        )
        numbers.append(next(enough, 9999))
    n = min(numbers) if against else max(numbers)
    return "over 2000" if n == 9999 else str(n)
