"""Subjects as units in plain loops: all ways to give them a sign, and sums over them."""

import itertools
import math
import statistics

from scipy import stats


def p_of_sums(sums: list[float]) -> float:
    """Two-sided p of the sum when every one of ``sums`` has its sign by a coin."""
    total = sum(sums)
    flipped = [sum(s * abs(x) for s, x in zip(signs, sums, strict=True)) for signs in _signs(len(sums))]
    low, high = (
        sum(beyond) / len(flipped) for beyond in ([x <= total for x in flipped], [x >= total for x in flipped])
    )
    return min(1.0, 2 * min(low, high))


def by_subject(values, subjects) -> dict[object, list[float]]:
    groups: dict[object, list[float]] = {}
    for value, subject in zip(values, subjects, strict=True):
        groups.setdefault(subject, []).append(float(value))
    return groups


def subject_means(values, subjects) -> list[float]:
    return [statistics.mean(group) for group in by_subject(values, subjects).values()]


def median_interval(values, subjects, tail: float) -> tuple[float, float]:
    return _end(values, subjects, tail), -_end([-x for x in values], subjects, tail)


def _end(values, subjects, tail: float) -> float:
    ordered = sorted(zip(values, map(str, subjects), strict=True), key=lambda pair: pair[0])
    x, n = [value for value, _ in ordered], len(values)
    chance = []
    for k in range(n + 1):  # the lowest k scans are at or below the candidate
        sums = []
        for subject in sorted(set(map(str, subjects))):
            own = [place for place, (_, owner) in enumerate(ordered) if owner == subject]
            sums.append(sum(0.5 if place < k else -0.5 for place in own))
        flipped = [sum(s * abs(u) for s, u in zip(signs, sums, strict=True)) for signs in _signs(len(sums))]
        chance.append(sum(total <= sum(sums) + 1e-9 for total in flipped) / len(flipped))
        if chance[-1] > tail:
            break
    if k == 0:
        return x[0]
    part = (tail - chance[-2]) / (chance[-1] - chance[-2])
    weight = (n - k) * part / (k + (n - 2 * k) * part)
    return (1 - weight) * x[k - 1] + weight * x[min(k, n - 1)]


def _signs(n: int) -> list[tuple[int, ...]]:
    return list(itertools.product([-1, 1], repeat=n))


def ratio_and_variance(events, units, subjects) -> tuple[float, float, int]:
    """The ratio of two sums, its cluster-robust variance, and the number of subjects that have units."""
    pairs = [(sum(e), sum(u)) for e, u in zip(*map(_groups(subjects), (events, units)), strict=True) if sum(u) > 0]
    total_events, total_units, n = sum(e for e, _ in pairs), sum(u for _, u in pairs), len(pairs)
    ratio = total_events / total_units
    residuals = sum((e - ratio * u) ** 2 for e, u in pairs)
    return ratio, n / (n - 1) * residuals / total_units**2, n


def _groups(subjects):
    return lambda values: by_subject(values, subjects).values()


def share_interval(successes, trials, subjects) -> tuple[float, float]:
    """Clopper and Pearson of the effective number of trials."""
    share, variance, n_subjects = ratio_and_variance(successes, trials, subjects)
    n = float(sum(trials))
    if n == n_subjects or share in (0, 1):
        found = stats.binomtest(round(share * n_subjects), n_subjects).proportion_ci(method="exact")
        return found.low, found.high
    independent = share * (1 - share) / (n - 1)
    few = (stats.t(n - 1).ppf(0.975) / stats.t(n_subjects - 1).ppf(0.975)) ** 2
    effective = min(n, n * independent / variance * few)
    hits = share * effective
    return stats.beta(hits, effective - hits + 1).ppf(0.025), stats.beta(hits + 1, effective - hits).ppf(0.975)


def rate_interval(events, subjects) -> tuple[float, float]:
    rate, variance, n = ratio_and_variance(events, [1] * len(list(events)), subjects)
    if rate == 0:
        return 0.0, math.log(40) / n
    error = math.sqrt(variance) / rate
    t = stats.t(n - 1).ppf(0.975)
    return math.exp(math.log(rate) - t * error), math.exp(math.log(rate) + t * error + error**2)


def change_interval(differences, units, subjects, *, is_share: bool) -> tuple[float, float]:
    """Gains and losses apart, their distances squared and added."""
    gains, losses = [max(x, 0) for x in differences], [max(-x, 0) for x in differences]
    ends = []
    for some in (gains, losses):
        if is_share:
            ends.append((sum(some) / sum(units), *share_interval(some, units, subjects)))
        else:
            ends.append((sum(some) / sum(units), *rate_interval(some, subjects)))
    (gain, gain_low, gain_high), (loss, loss_low, loss_high) = ends
    low = gain - loss - math.sqrt((gain - gain_low) ** 2 + (loss_high - loss) ** 2)
    return low, gain - loss + math.sqrt((gain_high - gain) ** 2 + (loss - loss_low) ** 2)


def change_of_shares(differences, subjects) -> tuple[float, float]:
    """Agresti and Min: a scan more on either side, as large as the scans of a subject together."""
    groups = by_subject(differences, subjects).values()
    added = sum(len(group) ** 2 for group in groups) / sum(len(group) for group in groups)
    n, k = sum(len(group) for group in groups) + 2 * added, len(groups)
    center = sum(sum(group) for group in groups) / n
    squares = k / (k - 1) * sum((sum(group) - center * len(group)) ** 2 for group in groups) + added**2
    half = stats.t(k - 1).ppf(0.975) * math.sqrt(squares) / n
    return max(-1, center - half), min(1, center + half)
