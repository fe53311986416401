"""Bootstraps once more, with plain lists and loops, given who is drawn; nothing of the package is used."""

import math
import statistics


def quantile(values, share):
    """Linear between the two nearest values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def drawn_scans(subjects, counts):
    """Numbers of the scans of the drawn subjects; ``counts`` go with the subjects' sorted names."""
    names = sorted(set(subjects))
    return [
        scan
        for name, count in zip(names, counts, strict=True)
        for _ in range(count)
        for scan, owner in enumerate(subjects)
        if owner == name
    ]


def medians(values, subjects, draws):
    """The median of each sample of subjects."""
    return [statistics.median(values[scan] for scan in drawn_scans(subjects, counts)) for counts in draws]


def best_cell(scores, thresholds, tolerance=0):
    """The cell (volume, threshold) with the highest of the scores; ties as documented, looked at one by one."""
    highest = max(scores.values())
    tied = {cell for cell, score in scores.items() if score == highest}
    volume = min(v for v, _ in tied)
    for (v, t), score in scores.items():
        marking_all = max(scores.get((volume, 0), 0), 0)
        if v == volume and tolerance and highest > 0 and score > marking_all and 2 * score >= highest:
            tied |= {(v, t)} if score >= highest - tolerance else set()
    runs, run = [], []
    for t in thresholds:
        run = [*run, t] if (volume, t) in tied else []
        if run:
            runs.append(run)
    # Prefixes of longer runs are in the list too; they are narrower, or as wide only if alone.
    widest = max(run[-1] - run[0] for run in runs)
    run = next(run for run in runs if math.isclose(run[-1] - run[0], widest, abs_tol=1e-9))
    nearest = min(abs(t - (run[0] + run[-1]) / 2) for t in run)
    return volume, next(t for t in run if math.isclose(abs(t - (run[0] + run[-1]) / 2), nearest, abs_tol=1e-9))


def empirical_interval(values, tail):
    """The values below which, and above which, lies at most the share ``tail``."""
    ordered = sorted(values)
    return tuple(ordered[math.ceil(share * len(ordered) - 1e-9) - 1] for share in (tail, 1 - tail))
