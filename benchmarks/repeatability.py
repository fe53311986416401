"""How often do the intervals of the smallest detectable change hold the true value? Simulated studies, normal errors.

python benchmarks/repeatability.py [--studies 4000]

Each study has two scans of each person. True standard deviations: 12 between scans of a person, 60 between persons.
"""

import argparse

import numpy as np

from cordlesion.statistics import repeatability, repeatability_intervals

N_PERSONS = (10, 20, 40)
WITHIN, BETWEEN = 12.0, 60.0
_RESAMPLES = 2000
_N_FURTHER = 200


def main() -> None:
    """Print a row for each number of persons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000)
    n_studies = parser.parse_args().studies
    print("| persons | intervals that hold the true value | further differences below the estimate |\n|---|---|---|")
    for n in N_PERSONS:
        rng = np.random.default_rng(n)
        covered, below = np.mean([simulate(n, rng) for _ in range(n_studies)], axis=0)
        print(f"| {n} | {covered:.1%} | {below:.1%} |", flush=True)


def simulate(n_persons: int, rng: np.random.Generator) -> tuple[bool, float]:
    """Simulate a study.

    Returns:
        Whether the interval holds the true smallest detectable change, and the share of further differences without a
        change that are below the estimate.
    """
    person = np.repeat(np.arange(n_persons), 2)
    values = 300 + rng.normal(0, BETWEEN, n_persons)[person] + rng.normal(0, WITHIN, len(person))
    spread = np.sqrt(2) * WITHIN
    low, high = repeatability_intervals(values, person, person, n_resamples=_RESAMPLES)["smallest_detectable_change"]
    further = np.abs(rng.normal(0, spread, _N_FURTHER))
    estimate = repeatability(values, person).smallest_detectable_change
    return bool(low <= 1.96 * spread <= high), float((further < estimate).mean())


if __name__ == "__main__":
    main()
