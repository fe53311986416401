"""Choose a decision threshold for the probability maps of any tool, then evaluate them on other scans. Needs no torch.

python examples/01_quick_start.py
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

import cordlesion

SPACING_MM = (0.5, 0.5, 0.5)
SHAPE = (48, 48, 120)


def load_scan(number: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return a reference and a probability map; read your own here: ``cordlesion.read_mask(path).data``.

    The map is that of a cautious tool: right about the place, but seldom above 0.5, and not equally so on every scan.
    """
    rng = np.random.default_rng(number)
    seeds = np.zeros(SHAPE)
    seeds[tuple(rng.integers(15, np.array(SHAPE) - 15, (4, 3)).T)] = 1
    smooth = ndimage.gaussian_filter(seeds, (2, 2, 4))
    reference = smooth > 0.3 * smooth.max()
    blurred = ndimage.gaussian_filter(reference.astype(float), 1.5) + rng.normal(0, 0.05, SHAPE)
    return reference, np.clip(rng.uniform(0.4, 0.9) * blurred, 0, 1)


def sweep_scans(numbers: range) -> pd.DataFrame:
    """Measure scans at every threshold: a row per scan and threshold."""
    references, probabilities = zip(*map(load_scan, numbers), strict=True)
    return cordlesion.sweep_maps(references, probabilities, SPACING_MM)


def main() -> None:
    """Tune on 14 scans, report on 10 others."""
    choice = cordlesion.choose_threshold(sweep_scans(range(14)))
    low, high = choice.interval
    print(f"threshold {choice.value:g} (95 % interval {low:g} to {high:g}), median voxel F1 {choice.score:.2f}")
    others = sweep_scans(range(14, 24))
    for t in (0.5, choice.value):
        at = others[others["threshold"] == t]
        print(f"other scans at {t:g}: voxel F1 {at['voxel_f1'].median():.2f}, lesion F1 {at['lesion_f1'].median():.2f}")


if __name__ == "__main__":
    main()
