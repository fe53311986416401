"""Does the 95 % interval of a detection limit hold the true limit in 95 % of datasets? Simulated with known truth.

Lesions are spread evenly over 5 to 500 mm3 on a log scale; whether one is found is drawn from a known curve, in some
rows with a random effect for each scan, which makes lesions of one scan alike. A line per design: the share of
datasets whose interval of the size at 50 % holds the true size, and the share whose interval has no upper end.

python benchmarks/calibration_of_limits.py [datasets]
"""

import sys
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from cordlesion.statistics.detection_curve import CurveFamily

SIZES_MM3 = (5.0, 500.0)


@dataclass(frozen=True)
class Design:
    """A detector and a dataset."""

    scans: int
    lesions: int
    """Per scan."""
    half_mm3: float
    """True size at which half of the lesions are found."""
    slope: float = 2.5
    ceiling: float = 0.95
    scan_sd: float = 0.0
    """SD of the effect of a scan, in log-odds; the limit of all scans together is then only about ``half_mm3``."""


DESIGNS = (
    Design(30, 2, 80),
    Design(30, 4, 80),
    Design(100, 2, 80),
    Design(100, 2, 200, slope=1.5, ceiling=0.9),
    Design(10, 4, 80),
    Design(30, 4, 80, scan_sd=1.0),
)


def interval(design: Design, seed: int) -> tuple[float, float]:
    """Simulate one dataset and return the interval of its limit."""
    rng = np.random.default_rng(seed)
    n = design.scans * design.lesions
    low, high = np.log(SIZES_MM3)
    log_sizes = low + (high - low) * (rng.permutation(n) + rng.random(n)) / n
    scans = np.arange(n) // design.lesions
    middle = np.log(design.half_mm3) - np.log(0.5 / (design.ceiling - 0.5)) / design.slope
    effect = rng.normal(0, design.scan_sd, design.scans)[scans]
    found = rng.random(n) < design.ceiling * expit(design.slope * (log_sizes - middle) + effect)
    limit = CurveFamily(np.exp(log_sizes), scans, seed=seed).fit(found).limit(0.5)
    return limit.low, limit.high


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{count} datasets each\n{'':<78}holds the truth   no upper end")
    for design in DESIGNS:
        ends = np.array([interval(design, seed) for seed in range(count)])
        holds = (ends[:, 0] <= design.half_mm3) & (design.half_mm3 <= ends[:, 1])
        print(f"{design!s:<78}{holds.mean():>15.1%}{np.isinf(ends[:, 1]).mean():>15.1%}", flush=True)


if __name__ == "__main__":
    main()
