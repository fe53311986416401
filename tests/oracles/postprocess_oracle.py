"""Small components removed one by one."""

import math

import numpy as np
from scipy import ndimage


def naive_removal(mask, spacing, minimum):
    labels, n = ndimage.label(mask)
    kept = np.zeros_like(mask)
    for k in range(1, n + 1):
        if (labels == k).sum() * math.prod(spacing) > minimum * (1 + 1e-6):
            kept |= labels == k
    return kept
