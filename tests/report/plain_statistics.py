"""Numbers as the tables print them, and their statistics once more with numpy and scipy alone."""

import numpy as np
import pandas as pd
from scipy import stats

RATES = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
"""False lesions per scan at which sensitivities are averaged."""


def number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.2f}".replace("-", "−")


def brackets(low: float, high: float, sign: str = "") -> str:
    return f"[{number(low, sign)}, {number(high, sign)}]"


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def fine(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}".replace("-", "−")


def fine_brackets(values: pd.Series, subjects: pd.Series, sign: str = "") -> str:
    low, high = bootstrap(values, subjects)
    return f"[{fine(low, sign)}, {fine(high, sign)}]"


def spread(values: pd.Series) -> str:
    return f"{values.median():.2f} ({values.mean():.2f} ± {values.std():.2f})"


def subgroup_cell(values: pd.Series, subjects: pd.Series, n_subjects: int) -> str:
    if len(values) == 1:
        return f"{values.iloc[0]:.2f} (one scan)"
    return spread(values) + (f" {brackets(*bootstrap(values, subjects))}" if n_subjects >= 5 else "")


def wilcoxon(difference: pd.Series) -> float:
    """All signs of the ranks are tried out: exact with ties."""
    difference = difference.round(12)
    difference = difference[difference != 0].to_numpy()
    return (
        stats.wilcoxon(difference, method=stats.PermutationMethod(n_resamples=np.inf)).pvalue
        if len(difference)
        else 1.0
    )


def holm(p: dict) -> dict:
    ordered = sorted(p, key=lambda key: p[key])
    steps = [min(1.0, (len(p) - rank) * p[key]) for rank, key in enumerate(ordered)]
    return dict(zip(ordered, np.maximum.accumulate(steps), strict=True)) if p else {}


def rank_biserial(difference: pd.Series) -> float:
    difference = difference.round(12)
    ranks = difference[difference != 0].abs().rank()
    return (ranks * np.sign(difference[difference != 0])).sum() / ranks.sum() if len(ranks) else 0.0


def bootstrap_share(found: pd.Series, of: pd.Series, subjects: pd.Series) -> tuple[float, float]:
    """As :func:`bootstrap`, of a share pooled over scans; exact where all or none count."""
    if found.sum() in (0, of.sum()):
        return tuple(stats.binomtest(int(found.sum()), int(of.sum())).proportion_ci())
    drawn = draws(subjects)
    shares = [(times @ found.to_numpy()) / (times @ of.to_numpy()) for times in drawn if times @ of.to_numpy()]
    return tuple(np.percentile(shares, [2.5, 97.5]))


def froc_score(rows: pd.DataFrame) -> str:
    """Mean sensitivity at the rates, pooled over the scans of a sweep; the interval draws subjects 2000 times."""
    counts = ["n_detected_lesions", "n_reference_lesions", "n_predicted_lesions", "n_true_predicted_lesions"]
    subjects = list(rows.groupby("subject"))
    table = np.array([part.groupby("threshold")[counts].sum().to_numpy() for _, part in subjects])
    n_scans = [part["scan_id"].nunique() for _, part in subjects]

    def score(times: np.ndarray) -> float:
        detected, of, predicted, true = np.tensordot(times, table, 1).T
        allowed = [(predicted - true) / np.dot(times, n_scans) <= rate for rate in RATES]
        return np.mean([max(detected[inside] / of[inside], default=0) for inside in allowed])

    n = len(subjects)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=2000)
    return f"{score(np.ones(n)):.2f} {brackets(*np.percentile([score(times) for times in drawn], [2.5, 97.5]))}"


def bootstrap(values: pd.Series, subjects: pd.Series) -> tuple[float, float]:
    return tuple(np.percentile(medians(values, subjects), [2.5, 97.5]))


def medians(values: pd.Series, subjects: pd.Series) -> np.ndarray:
    return np.array([np.median(np.repeat(values.to_numpy(), times)) for times in draws(subjects)])


def draws(subjects: pd.Series) -> np.ndarray:
    """How often each scan is drawn, 10 000 times: subjects with all their scans, from the generator with seed 0."""
    codes = pd.factorize(subjects, sort=True)[0]
    n = codes.max() + 1
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=10_000)[:, codes]
