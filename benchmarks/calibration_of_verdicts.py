"""Are verdicts and intervals calibrated? Simulates studies with known truth and prints the shares of errors.

python benchmarks/calibration_of_verdicts.py [--studies N] [--seed K] [--only verdicts|intervals|ranks|choice]

Every figure is a percentage with its standard error in brackets; an asterisk marks one that misses its target by more
than two of them. Targets: false verdicts at most 5 %, coverage at least 93 %, power at a gap of 0.2 at least 80 %. Of
the choice on the threshold set, figures are hundredths of F1.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from calibration import choice, intervals, ranks, verdicts
from calibration.rows import Row, print_rows

PARTS: dict[str, Callable[[np.random.Generator, int], list[Row]]] = {
    "verdicts": verdicts.rows,
    "intervals": lambda rng, n: intervals.rows(rng, max(n * 3 // 8, 20)),
    "ranks": lambda rng, n: ranks.rows(rng, max(n // 4, 10)),
    "choice": lambda rng, n: choice.rows(rng, max(n // 20, 5)),
}
"""What is measured, from the generator and the number of studies: some parts take longer per study."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000, help="studies per design of the verdicts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=tuple(PARTS))
    given = parser.parse_args()
    started = time.perf_counter()
    rows: list[Row] = []
    for place, (name, measure) in enumerate(PARTS.items()):
        if given.only in (None, name):
            rows += measure(np.random.default_rng([given.seed, place]), given.studies)
    print(print_rows(rows))
    missed = [row for row in rows if row.is_met is False]
    print(f"\n{len(rows)} figures, {len(missed)} miss their target; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
