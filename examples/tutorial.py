"""Choose a decision threshold for probability maps step by step, in cells; docs/tutorial.md is made from this.

python examples/tutorial.py
"""

# %% [markdown]
# # Tutorial: a threshold, step by step
#
# A tool gives every voxel a probability. Above which value is it lesion? This tutorial chooses this threshold, shows
# how sure the choice is, and tests it on other subjects. It takes a minute or two and needs no torch.
#
# It is a script in cells (`examples/tutorial.py`): run it as it is, or cell by cell in an editor that knows `# %%`.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import ndimage

import cordlesion

COHORT = Path("demo/tutorial")

# %% [markdown]
# ## Scans
#
# Simulated scans, so that everybody can follow. The same seed gives the same files. For your own scans, set `COHORT`
# to your BIDS folder and leave out the first line.

# %%
cordlesion.simulate_cohort(COHORT, scans=40, seed=7)
scans, _ = cordlesion.find_scans(COHORT)
print(len(scans), "scans of", len({scan.subject for scan in scans}), "subjects")

# %% [markdown]
# Each scan has three files: the image, the reference (a manual lesion mask) and a cord mask. Files store their axes in
# many orders; here all are reoriented to left, anterior, superior.

# %%
volumes = {}
for scan in scans:
    files = [cordlesion.read_scan(scan.image)]
    files += [cordlesion.read_mask(path) for path in (scan.reference, scan.cord_mask)]
    volumes[scan.scan_id] = [cordlesion.to_las(volume) for volume in files]
lesion_mm3 = {}
for name, (_, reference, _) in volumes.items():
    lesion_mm3[name] = reference.data.sum() * np.prod(reference.spacing_mm)
shown = max(lesion_mm3, key=lesion_mm3.get)
print(f"{shown} has {lesion_mm3[shown]:.0f} mm3 of lesion;", end=" ")
print(sum(volume == 0 for volume in lesion_mm3.values()), "scans have none")

# %% [markdown]
# ## A tool
#
# Any tool is fine. Here is one in a few lines: a voxel is suspicious when it is much brighter than the rest of the
# cord. The logistic curve turns the distance from three standard deviations into a number between 0 and 1. Three is a
# guess. This is the point: the number looks like a probability, but the meaning of 0.5 is unknown.


# %%
def probability_map(image: np.ndarray, cord: np.ndarray, spacing_mm: tuple) -> np.ndarray:
    """Return how suspicious each voxel is; 0 outside the cord and within 1.5 mm of its surface."""
    inner = ndimage.distance_transform_edt(cord, sampling=spacing_mm) > 1.5
    typical = np.median(image[inner])
    deviation = 1.4826 * np.median(np.abs(image[inner] - typical))
    z = np.where(inner, (image - typical) / deviation, 0)
    smooth = ndimage.gaussian_filter(z, [1.0 / step for step in spacing_mm])
    return np.where(inner, 1 / (1 + np.exp(3 - smooth)), 0).astype(np.float32)


maps = {}
for name, (image, _, cord) in volumes.items():
    box = ndimage.find_objects(cord.data.astype(int))[0]  # the cord only: less to compute
    maps[name] = np.zeros(image.data.shape, np.float32)
    maps[name][box] = probability_map(image.data[box], cord.data[box], image.spacing_mm)

# %%
image, reference, cord = volumes[shown]
x = int(reference.data.sum(axis=(1, 2)).argmax())  # the sagittal slice with most lesion
_, y, z = np.nonzero(cord.data)
near = (x, slice(max(y.min() - 20, 0), y.max() + 20), slice(z.min(), z.max()))
aspect = image.spacing_mm[2] / image.spacing_mm[1]
pictures = {"scan": image.data, "reference": reference.data, "map": maps[shown]}
fig, axes = plt.subplots(1, 3, figsize=(7, 6), layout="constrained")
for axis, (title, data) in zip(axes, pictures.items(), strict=True):
    axis.imshow(data[near].T, cmap="gray", origin="lower", aspect=aspect)
    axis.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Cut at 0.5
#
# The usual threshold, on this scan:

# %%
metrics = cordlesion.evaluate(reference.data, maps[shown] >= 0.5, reference.spacing_mm)
print(f"voxel F1 {metrics.voxel_f1:.2f}, lesion F1 {metrics.lesion_f1:.2f}")
print(metrics.n_reference_lesions, "lesions,", metrics.n_detected_lesions, "of them found;")
print(metrics.n_predicted_lesions, "components predicted,", metrics.n_true_predicted_lesions, "of them true")

# %% [markdown]
# ## Two halves
#
# A threshold that was chosen on a scan looks too good on that scan. So the subjects are divided: one half to choose,
# the other half to test. Subjects, not scans, because two scans of one subject are similar.

# %%
subjects = sorted({scan.subject for scan in scans})
threshold_set = [scan for scan in scans if scan.subject in subjects[::2]]
test_set = [scan for scan in scans if scan.subject in subjects[1::2]]
print(len(threshold_set), "scans to choose,", len(test_set), "to judge")

# %% [markdown]
# ## Choose
#
# `sweep_maps` scores the maps at every threshold, each map in one pass. `choose_threshold` takes the table of all scans
# and, by default, returns the threshold with the highest median voxel F1.


# %%
def sweep_scans(some: list) -> pd.DataFrame:
    """Return a row per scan and threshold."""
    references = [volumes[scan.scan_id][1] for scan in some]
    return cordlesion.sweep_maps(
        [reference.data for reference in references],
        [maps[scan.scan_id] for scan in some],
        [reference.spacing_mm for reference in references],
        subjects=[scan.subject for scan in some],
        scan_ids=[scan.scan_id for scan in some],
    )


tuning = sweep_scans(threshold_set)
choice = cordlesion.choose_threshold(tuning)
print(f"t = {choice.value:g}, median voxel F1 {choice.score:.2f}; {choice.basis}")
print("95 % interval of t:", choice.interval)
print("plateau, within 5 % of the best:", choice.stability.plateau)

# %% [markdown]
# The interval shows how t varies with other subjects: it is a bootstrap that draws subjects and chooses t again. The
# plateau shows how much this matters.

# %%
cordlesion.plot_threshold_curve(choice, tuning)

# %% [markdown]
# ## Judge
#
# On the other half, which took no part in the choice:

# %%
judged = sweep_scans(test_set)
half = judged[judged["threshold"] == 0.5].set_index("scan_id")
tuned = judged[judged["threshold"] == choice.value].set_index("scan_id")
for title, rows in (("0.5", half), ("tuned", tuned)):
    print(f"{title:6} voxel F1 {rows['voxel_f1'].median():.2f}, lesion F1 {rows['lesion_f1'].median():.2f}")
gain = tuned["voxel_f1"] - half["voxel_f1"]
low, high = cordlesion.median_interval(gain, tuned["subject"])
p = cordlesion.wilcoxon(half["voxel_f1"], tuned["voxel_f1"], half["subject"]).p_value
print(f"gain within scans: {gain.median():+.2f} (95 % interval {low:+.2f} to {high:+.2f}; p = {p:.2g})")

# %% [markdown]
# Interval and test count subjects, because two scans of one subject are not two independent observations. Scans without
# lesions have no F1 and are left out here. They come next.
#
# ## What F1 does not see
#
# Every lesion found in a scan without lesions is false.

# %%
for title, rows in (("0.5", half), ("tuned", tuned)):
    free = rows[rows["reference_volume_mm3"] == 0]
    n_false = (free["n_predicted_lesions"] > 0).sum()
    print(f"{title:6} {n_false} of {len(free)} lesion-free scans have false positives")

# %% [markdown]
# A lower threshold gives a higher F1 and more false positives in lesion-free scans. Which one is better depends on the
# use of the masks. Other objectives choose other thresholds; some count lesion-free scans:

# %%
objectives = ("median_voxel_f1", "f_beta:2", "lesion_sensitivity:1", "joint_f1_specificity")
for objective in objectives:
    other = cordlesion.choose_threshold(tuning, objective)
    print(f"{objective:22} t = {other.value:<5g} {other.basis}")

# %% [markdown]
# ## When is a lesion found?
#
# Everybody computes the same voxel F1. Lesion F1 depends on the rule by which a lesion counts as found. The same masks
# of the test set under six rules:

# %%
by_rule = []
for scan in test_set:
    reference = volumes[scan.scan_id][1]
    mask = maps[scan.scan_id] >= choice.value
    by_rule.append(cordlesion.evaluate_rules(reference.data, mask, reference.spacing_mm))
for name in by_rule[0]:
    found = sum(scan[name].n_detected_lesions for scan in by_rule)
    lesions = sum(scan[name].n_reference_lesions for scan in by_rule)
    print(f"{name:12} {found} of {lesions} lesions found")

# %% [markdown]
# ## The same on files
#
# `cordlesion tune`, `evaluate` and `compare` do this for folders of NIfTI files: [A threshold for maps of another
# tool](threshold_for_maps.md). A whole study, with your own networks, is in [First study in ten
# minutes](first_study.md).
