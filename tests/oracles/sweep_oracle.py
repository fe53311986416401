"""The sweep written a second time: every threshold on its own, voxel by voxel, labelled from scratch."""

import numpy as np

from oracles import lesion_oracle


def reaches(p, threshold):
    """Whether p >= threshold, where two units in the last place of float32 do not count; they count by number."""
    p, t = (int(np.float32(value).view(np.int32)) for value in (p, threshold))  # float32 above 0 are numbered by bits
    return p >= (t - 2 if t > 2 else min(t, 1))


def sweep(reference, probability, spacing_mm, thresholds, rule):
    """A dictionary of metrics per threshold."""
    results = []
    for threshold in thresholds:
        mask = np.zeros(probability.shape, dtype=bool)
        for voxel in np.ndindex(probability.shape):
            mask[voxel] = reaches(probability[voxel], threshold)
        results.append(lesion_oracle.evaluate(reference, mask, spacing_mm, rule))
    return results
