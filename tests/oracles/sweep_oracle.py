"""The sweep written a second time: every threshold on its own, voxel by voxel, labelled from scratch."""

import numpy as np

from oracles import lesion_oracle


def sweep(reference, probability, spacing_mm, thresholds, rule):
    """A dictionary of metrics per threshold."""
    results = []
    for threshold in thresholds:
        mask = np.zeros(probability.shape, dtype=bool)
        for voxel in np.ndindex(probability.shape):
            mask[voxel] = np.float32(probability[voxel]) >= np.float32(threshold)
        results.append(lesion_oracle.evaluate(reference, mask, spacing_mm, rule))
    return results
