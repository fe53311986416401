"""Are verdicts and intervals calibrated? Simulates studies with known truth and prints the shares of errors.

python benchmarks/calibration_of_verdicts.py [--studies N] [--seed K] [--only verdicts|intervals]

Every figure is a percentage with its standard error in brackets; an asterisk marks one that misses its target by more
than two of them. Targets: false verdicts at most 5 %, coverage at least 93 %, power at a gap of 0.2 at least 80 %.
"""

import argparse
import time

import numpy as np
from calibration import intervals, verdicts
from calibration.rows import Row, print_rows

PARTS = ("verdicts", "intervals")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000, help="studies per design of the verdicts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    started = time.perf_counter()
    rows: list[Row] = []
    if given.only != "intervals":
        rows += verdicts.rows(np.random.default_rng([given.seed, 0]), given.studies)
    if given.only != "verdicts":
        rows += intervals.rows(np.random.default_rng([given.seed, 1]))
    print(print_rows(rows))
    missed = [row for row in rows if row.is_met is False]
    print(f"\n{len(rows)} figures, {len(missed)} miss their target; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
