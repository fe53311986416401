"""Numbers as the tables print them, and their statistics once more with numpy and scipy alone."""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

RATES = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
"""False lesions per scan at which sensitivities are averaged."""


def number(value: float, sign: str = "", digits: int = 2) -> str:
    text = f"{value:{sign}.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


def brackets(low: float, high: float, sign: str = "") -> str:
    return f"[{number(low, sign)}, {number(high, sign)}]"


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def fine(value: float, sign: str = "") -> str:
    return number(value, sign, 3)


def fine_brackets(values: pd.Series, subjects: pd.Series, sign: str = "") -> str:
    low, high = median_interval(values, subjects)
    return f"[{fine(low, sign)}, {fine(high, sign)}]"


def spread(values: pd.Series) -> str:
    return f"{values.median():.2f} ({values.mean():.2f} ± {values.std():.2f})"


def subgroup_cell(values: pd.Series, subjects: pd.Series, n_subjects: int) -> str:
    if len(values) == 1:
        return f"{values.iloc[0]:.2f} (one scan)"
    return spread(values) + (f" {brackets(*median_interval(values, subjects))}" if n_subjects >= 5 else "")


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


def alone(subjects: pd.Series, *values: pd.Series) -> list[list[float]]:
    """Sums of each subject, in lists."""
    return [list(pd.Series(one.to_numpy(float)).groupby(subjects.to_numpy()).sum()) for one in values]


def ratio(events: pd.Series, units: pd.Series, subjects: pd.Series) -> tuple[float, float, int]:
    """A ratio of sums, its cluster-robust variance, and how many subjects have units."""
    pairs = [(e, u) for e, u in zip(*alone(subjects, events, units), strict=True) if u]
    value, n = sum(e for e, _ in pairs) / sum(u for _, u in pairs), len(pairs)
    squares = sum((e - value * u) ** 2 for e, u in pairs)
    return value, n / (n - 1) * squares / sum(u for _, u in pairs) ** 2, n


def share(found: pd.Series, of: pd.Series, subjects: pd.Series) -> tuple[float, float]:
    """Clopper and Pearson's interval, of as many trials as clustered ones are worth."""
    p, variance, n_subjects = ratio(found, of, subjects)
    n = of.sum()
    if p in (0, 1) or n == n_subjects:
        return tuple(stats.binomtest(round(p * n_subjects), n_subjects).proportion_ci())
    few = (stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, n_subjects - 1)) ** 2
    worth = min(n, n * p * (1 - p) / (n - 1) / variance * few)
    k = p * worth
    return stats.beta.ppf(0.025, k, worth - k + 1), stats.beta.ppf(0.975, k + 1, worth - k)


def rate(events: pd.Series, subjects: pd.Series) -> tuple[float, float]:
    """Events per scan, on the log scale; without any, a bound as of one scan per subject."""
    mean, variance, n = ratio(events, events * 0 + 1, subjects)
    if mean == 0:
        return 0.0, -np.log(0.025) / n
    error, t = variance**0.5 / mean, stats.t.ppf(0.975, n - 1)
    return mean * np.exp(-t * error), mean * np.exp(t * error + error**2)


def change_of_ratio(moved: pd.Series, units: pd.Series, subjects: pd.Series, *, is_share: bool) -> tuple[float, float]:
    """Gains and losses apart; the squares of their distances add up."""
    ends = []
    for some in (moved.clip(lower=0), (-moved).clip(lower=0)):
        interval = share(some, units, subjects) if is_share else rate(some, subjects)
        ends.append((some.sum() / units.sum(), *interval))
    (gain, low, high), (loss, least, most) = ends
    return gain - loss - np.hypot(gain - low, most - loss), gain - loss + np.hypot(high - gain, loss - least)


def change_of_scans(moved: pd.Series, subjects: pd.Series) -> tuple[float, float]:
    """Agresti and Min's interval; here every subject has one scan."""
    assert subjects.is_unique
    n, gained, lost = len(moved), (moved > 0).sum(), (moved < 0).sum()
    center = (gained - lost) / (n + 2)
    squares = sum((x - center) ** 2 for x in moved)
    half = stats.t.ppf(0.975, n - 1) * (n / (n - 1) * squares + 1) ** 0.5 / (n + 2)
    return max(-1, center - half), min(1, center + half)


def flipped(moved: pd.Series, subjects: pd.Series) -> float:
    """Each subject's sum with either sign, all ways."""
    (sums,) = alone(subjects, moved)
    if len(sums) < 6:
        return np.nan
    sums = np.array([x for x in sums if x])
    signs = np.array(list(itertools.product([-1, 1], repeat=len(sums)))).reshape(-1, len(sums))
    totals = signs @ np.abs(sums)
    return min(1.0, 2 * min((totals <= sums.sum()).mean(), (totals >= sums.sum()).mean()))


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


def median_interval(values: pd.Series, subjects: pd.Series) -> tuple[float, float]:
    """Sign test of subjects turned round, all signs tried out, ends interpolated; every subject has one scan."""
    values, subjects = values[values.notna()], subjects[values.notna()]
    if subjects.nunique() < 5:
        return np.nan, np.nan
    x = np.sort(values.to_numpy())
    assert subjects.is_unique
    n = len(x)
    chance = np.cumsum([stats.binom.pmf(k, n, 0.5) for k in range(n + 1)])
    k = int(np.argmax(chance > 0.025))
    if k == 0:
        return x[0], x[-1]
    part = (0.025 - chance[k - 1]) / (chance[k] - chance[k - 1])
    weight = (n - k) * part / (k + (n - 2 * k) * part)
    return x[k - 1] + weight * (x[k] - x[k - 1]), x[n - k] - weight * (x[n - k] - x[n - k - 1])


def medians(values: pd.Series, subjects: pd.Series) -> np.ndarray:
    return np.array([np.median(np.repeat(values.to_numpy(), times)) for times in draws(subjects)])


def draws(subjects: pd.Series) -> np.ndarray:
    """How often each scan is drawn, 10 000 times: subjects with all their scans, from the generator with seed 0."""
    codes = pd.factorize(subjects, sort=True)[0]
    n = codes.max() + 1
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=10_000)[:, codes]


def as_good(change: pd.Series, margin: float = 0.05) -> float:
    """The larger p-value of two one-sided tests that the mean lies within the margin."""
    sides = ((-margin, "greater"), (margin, "less"))
    tests = [stats.ttest_1samp(change, end, alternative=side).pvalue for end, side in sides]
    return float(max(*tests, 1 / 2 ** len(change)))


def drawn_ranks(people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of the 95 % intervals of the ranks and the shares of first ranks, (subjects, methods), draw by draw."""
    rng, n = np.random.default_rng(0), len(people)
    weights, scales = rng.standard_normal((4000, n)), rng.chisquare(n - 1, 4000)
    ranks = []
    for weight, scale in zip(weights, scales, strict=True):
        error = sum(w * (row - people.mean(axis=0)) for w, row in zip(weight, people, strict=True))
        means = people.mean(axis=0) + error / np.sqrt(n * scale)
        ranks.append([1 + sum(other > mine for other in means) for mine in means])
    ordered = np.sort(ranks, axis=0)
    return ordered[99], ordered[3899], np.mean(np.array(ranks) == 1, axis=0)


def chance(share: float) -> str:
    return "< 1 %" if share < 0.005 else "> 99 %" if share > 0.995 else f"{100 * share:.0f} %"
