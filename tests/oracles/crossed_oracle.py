"""The crossed test once more, with plain lists and loops, scipy for Student's t; nothing of the package is used."""

import math
import statistics

from scipy import optimize, stats


def mean(values):
    return sum(values) / len(values)


def variance(values):
    return statistics.variance(values) if len(set(values)) > 1 else 0.0


def subject_table(scores, subjects):
    """One row per seed: the mean over the scans of each subject, subjects by name."""
    names = sorted(set(subjects))
    return [
        [mean([row[scan] for scan, owner in enumerate(subjects) if owner == name]) for name in names] for row in scores
    ]


def rest(table):
    """The variance of what is left when subject means and seed means are taken off."""
    n_seeds, n_subjects = len(table), len(table[0])
    grand = mean([value for row in table for value in row])
    total = 0.0
    for row in table:
        for place, value in enumerate(row):
            of_subject = mean([other[place] for other in table])
            total += (value - mean(row) - of_subject + grand) ** 2
    return total / ((n_seeds - 1) * (n_subjects - 1))


def seed_noise(tables):
    """(variance of the mean over seeds, its freedom, the rest's part) of each loss."""
    own = [variance([mean(row) for row in table]) for table in tables]
    freedom = [len(table) - 1 for table in tables]
    total = sum(freedom)
    floor = sum(n * v for n, v in zip(freedom, own, strict=True)) / total if len(tables) >= 3 else 0.0
    result = []
    for table, v, n in zip(tables, own, freedom, strict=True):
        used = max(v, floor)
        alone = min(2 * len(table) - 3, total) if len(tables) >= 3 else n
        free = alone if v > floor else total
        result.append((used / len(table), free, rest(table) / (len(table) * len(table[0])), total, len(tables) >= 3))
    return result


def test(first, second, noise):
    """Difference, variance, freedom and p-value of two tables of subject means."""
    n = len(first[0])
    gains = [mean([row[g] for row in second]) - mean([row[g] for row in first]) for g in range(n)]
    difference = round(mean(gains), 12)
    subjects = variance(gains) / n
    seeds = sum(one[0] for one in noise)
    total = max(subjects, seeds, subjects + seeds - sum(one[2] for one in noise))
    if not noise or not total:
        free = n - 1.0
    else:
        of_seeds = noise[0][3]
        if seeds:
            of_seeds = min(of_seeds, seeds**2 / sum(one[0] ** 2 / one[1] for one in noise))
        free = max(1.0, total**2 / (subjects**2 / (n - 1) + seeds**2 / of_seeds))
    if difference == 0:
        return difference, total, free, 1.0
    t = abs(difference) / math.sqrt(total) if total else math.inf
    p = 2 * stats.t.sf(t, free)
    if noise and not noise[0][4] and total:
        p = p_apart(t, (subjects, n - 1), (seeds, of_seeds))
    return difference, total, free, max(p, 2 / 2**n)


def p_apart(t, subjects, seeds):
    """Two-sided p of a squared critical value that is the mean of two, weighted by their variances."""

    def excess(tail):
        squares = [v * stats.t.isf(tail, free) ** 2 for v, free in (subjects, seeds)]
        return sum(squares) / (subjects[0] + seeds[0]) - t**2

    return 2 * optimize.brentq(excess, 1e-12, 0.5, xtol=1e-15) if excess(1e-12) > 0 else 0.0
