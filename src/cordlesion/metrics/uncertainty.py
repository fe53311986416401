"""Uncertainty of a lesion probability: of one network's map, and of several networks that may disagree.

Of M networks with probabilities p_m, the ensemble's is their mean p. Entropy is in nats.

References:
    Lakshminarayanan, Pritzel & Blundell, NeurIPS 2017 (deep ensembles); Malinin et al., "Shifts 2.0", arXiv 2206.15407
    (measures of ensembles of lesion networks); Molchanova et al., Comput. Biol. Med. 2025, arXiv 2311.08931 (lesion
    structural uncertainty).
"""

from collections.abc import Sequence

import numpy as np

from cordlesion.io.arrays import Float32Array, FloatArray, Int32Array, Mask
from cordlesion.metrics.lesion import every_component

OF_ONE = ("entropy", "margin")
"""Measures that one probability has."""
OF_SEVERAL = (*OF_ONE, "spread", "mutual_information")
"""Measures of each voxel of an ensemble."""


def voxel_uncertainty(probabilities: Float32Array, threshold: float) -> dict[str, FloatArray]:
    """Return the uncertainty of each voxel by every measure, the more the less certain.

    ``entropy``: of the mean probability; ``margin``: minus the distance of the mean probability from the threshold;
    ``spread``: standard deviation over the networks; ``mutual_information``: entropy of the mean less the mean entropy.

    Args:
        probabilities: Of each network, shape (M, V).
        threshold: A voxel is lesion when the mean probability is at least this.

    Returns:
        By name, shape (V,): :data:`OF_ONE` for one network, else :data:`OF_SEVERAL`.
    """
    mean = probabilities.mean(axis=0, dtype=np.float64)
    total = binary_entropy(mean)
    found = {"entropy": total, "margin": -np.abs(mean - threshold)}
    if len(probabilities) > 1:
        within = np.mean([binary_entropy(p.astype(np.float64)) for p in probabilities], axis=0)
        # By Jensen's inequality never below 0; rounding may be.
        found |= {
            "spread": spread(probabilities).astype(np.float64),
            "mutual_information": np.maximum(total - within, 0),
        }
    return found


def spread(probabilities: Float32Array) -> Float32Array:
    """Return the standard deviation over networks, from 0 to 0.5; the networks are all that there are (ddof 0).

    Args:
        probabilities: Of each network, shape (M, ...).
    """
    deviation: Float32Array = probabilities.std(axis=0, dtype=np.float64).astype(np.float32)
    return deviation


def binary_entropy(p: FloatArray) -> FloatArray:
    """Return the entropy of lesion or not, in nats; 0 where p is 0 or 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(q > 0, -q * np.log(q), 0.0) for q in (p, 1 - p)]
    entropy: FloatArray = parts[0] + parts[1]
    return entropy


def entropy_map(probability: Float32Array) -> Float32Array:
    """Return the entropy of every voxel of a map; only voxels above 0 are computed, which are few."""
    entropy = np.zeros(probability.shape, np.float32)
    inside = probability > 0
    entropy[inside] = binary_entropy(probability[inside].astype(np.float64))
    return entropy


def lesion_disagreement(lesions: Sequence[Int32Array], masks: Sequence[Mask], connectivity: int) -> FloatArray:
    """Return how far the networks of an ensemble disagree about each lesion of its mask, from 0 to 1.

    This is the lesion structural uncertainty of Molchanova et al.: 1 - the mean over networks of the intersection over
    union of the lesion with the component of the network's own mask that fits it best; 0 overlap where none touches it.

    Args:
        lesions: Indices of the voxels of each lesion, shape (V, 3).
        masks: The mask of each network, cut at the threshold of the ensemble, shape (X, Y, Z).
        connectivity: Of components: 6, 18 or 26.

    Returns:
        Shape (L,).
    """
    fits = np.zeros((len(masks), len(lesions)))
    for row, mask in zip(fits, masks, strict=True):
        found = every_component(mask, connectivity)
        for k, voxels in enumerate(lesions):
            numbers = found.labels[tuple(voxels.T)]
            touched, common = np.unique(numbers[numbers > 0], return_counts=True)
            row[k] = np.max(common / (len(voxels) + found.sizes[touched - 1] - common), initial=0.0)
    disagreement: FloatArray = 1 - fits.mean(axis=0)
    return disagreement
