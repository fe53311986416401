"""A metric, an objective and a threshold rule of your own, in cells; docs/own_method.md is made from this.

python examples/own_method.py
"""

# %% [markdown]
# # Tutorial: your own metric, objective and rule
#
# You have probability maps, and an idea: another metric, another choice of the threshold, or another way from a map to
# a mask. This notebook tries the three on maps, shows them as figures, and compares them on scans that took no part in
# the choice. It takes some seconds and needs no torch.
#
# It is a script in cells (`examples/own_method.py`): run it as it is, or cell by cell in an editor that knows `# %%`.

# %%
from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from scipy import ndimage

import cordlesion

SPACING_MM = (0.5, 0.5, 0.5)
SHAPE = (40, 40, 90)

# %% [markdown]
# ## Maps
#
# Made up, so that everybody can follow: the tool is right about the place of lesions, and surer in some scans than in
# others. Read your own here: `cordlesion.read_mask(path).data`, `cordlesion.read_probability(path).data`.


# %%
def load_scan(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a reference and a probability map; in every fourth scan there is no lesion."""
    rng = np.random.default_rng(number)
    seeds = np.zeros(SHAPE)
    seeds[tuple(rng.integers(8, np.array(SHAPE) - 8, (4, 3)).T)] = number % 4 > 0
    smooth = ndimage.gaussian_filter(seeds, (2, 2, 4))
    reference = smooth > max(0.3 * smooth.max(), 1e-9)
    noise = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), 1.2)
    blurred = ndimage.gaussian_filter(reference.astype(float), 1.5) + 0.9 * noise
    return reference, np.clip(rng.uniform(0.3, 0.9) * blurred, 0, 1).astype(np.float32)


threshold_set = [load_scan(number) for number in range(16)]
test_set = [load_scan(number) for number in range(16, 32)]

# %% [markdown]
# ## A metric
#
# A function of two masks and the voxel size that returns one number, NaN where it is undefined. Here: the share of both
# surfaces that lies within half a millimetre of the other one.


# %%
def surface_dice(reference: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Share of both surfaces that lies within 0.5 mm of the other (Nikolov et al. 2021)."""
    if not reference.any():
        return float("nan")
    if not prediction.any():
        return 0.0
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (reference, prediction)]
    near = [ndimage.distance_transform_edt(~one, sampling=spacing_mm) <= 0.5 for one in surfaces]
    agreeing = (surfaces[0] & near[1]).sum() + (surfaces[1] & near[0]).sum()
    return float(agreeing / (surfaces[0].sum() + surfaces[1].sum()))


references, maps = zip(*threshold_set, strict=True)
table = cordlesion.sweep_maps(references, maps, SPACING_MM, metrics=[surface_dice])
table.loc[table["threshold"] == 0.3, ["scan_id", "voxel_f1", "surface_dice"]].head()

# %% [markdown]
# ## An objective
#
# A function whose parameters name columns of that table. It gets arrays of shape (..., scans, thresholds) and returns a
# number from 0 to 1 for each threshold. Here: the median surface Dice, times the share of lesion-free scans without a
# false lesion.


# %%
def close_and_clean(
    surface_dice: np.ndarray, n_predicted_lesions: np.ndarray, reference_volume_mm3: np.ndarray
) -> np.ndarray:
    """Return the median surface Dice times the share of clean lesion-free scans."""
    clean = np.where(reference_volume_mm3 == 0, n_predicted_lesions == 0, np.nan)
    return np.nanmedian(surface_dice, axis=-2) * np.nanmean(clean, axis=-2)


usual, own = cordlesion.choose_threshold(table), cordlesion.choose_threshold(table, close_and_clean)
for choice in (usual, own):
    print(f"{choice.objective}: t = {choice.value:g}, {choice.score:.2f}; 95 % interval {choice.interval}")

# %%
own.plot()

# %% [markdown]
# The curve falls to 0 on the left, where every lesion-free scan has false lesions. The interval shows how t varies with
# other scans: 12 with lesions and 4 without are few.
#
# ## A rule
#
# One threshold treats all scans alike, and the tool is surer in some than in others. This rule takes a share of
# the highest probability of each scan, and a floor below which nothing is lesion.


# %%
class OfHighest(cordlesion.ThresholdRule):
    """A voxel is lesion when p reaches a share of the highest p of its scan, and at least a floor."""

    rule: Literal["notebook:OfHighest"] = "notebook:OfHighest"
    share: float
    floor: float

    @classmethod
    def fit(cls, sweep: pd.DataFrame, objective: Callable[..., np.ndarray] | str) -> "OfHighest":
        """Take the tuned threshold as the floor; the share is a guess."""
        return cls(share=0.4, floor=cordlesion.choose_threshold(sweep, objective).value)

    def threshold_in(self, probability: np.ndarray, spacing_mm: tuple[float, ...]) -> float:  # noqa: ARG002
        """Return the threshold of one scan."""
        return max(self.floor, self.share * float(probability.max()))

    @property
    def summary(self) -> str:
        """The rule in a few words."""
        return f"{self.share:g} of the highest p, at least {self.floor:g}"

    def describe(self) -> str:
        """Return where it comes from."""
        return "a share of the highest probability, with a tuned floor"


rule = OfHighest.fit(table, close_and_clean)
print(rule.summary)

# %% [markdown]
# ## Judge
#
# On scans that took no part in any choice. Each row is one scan.


# %%
def judge(binarize: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
    """Return the metrics of the test scans, a row per scan."""
    rows = []
    for reference, p in test_set:
        mask = binarize(p)
        metrics = cordlesion.evaluate(reference, mask, SPACING_MM)
        rows.append(vars(metrics) | {"surface_dice": surface_dice(reference, mask, SPACING_MM)})
    return pd.DataFrame(rows)


judged = {
    "t = 0.5": judge(lambda p: p >= 0.5),
    "median F1": judge(lambda p: p >= usual.value),
    "own objective": judge(lambda p: p >= own.value),
    "own rule": judge(lambda p: rule.binarize(p, SPACING_MM)),
}
for name, rows in judged.items():
    free = rows[rows["reference_volume_mm3"] == 0]
    scores = rows[["voxel_f1", "surface_dice"]].median()
    print(f"{name:15} voxel F1 {scores['voxel_f1']:.2f}, surface Dice {scores['surface_dice']:.2f},", end=" ")
    print(f"false lesions in {(free['n_predicted_lesions'] > 0).sum()} of {len(free)} lesion-free scans")

# %% [markdown]
# Look at the scans, too: two of them lose by the higher thresholds, and no median shows it.

# %%
cordlesion.plot_scores(judged, ("voxel_f1", "surface_dice"))

# %% [markdown]
# ## In a study, and from the command line
#
# Put the functions into a file next to `study.yaml` and name them by their import paths: [your own
# objective](own_objective.md), [your own metric](own_metric.md), [your own threshold rule](own_rule.md). [Your own
# loss](own_loss.md) and [your own network](own_network.md) work the same way.
