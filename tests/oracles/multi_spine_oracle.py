"""The score of MS-Multi-Spine in plain loops, image by image and pair by pair, from the challenge's definition."""

import math
from itertools import pairwise

import numpy as np

RATES = (0.25, 0.5, 1, 2, 3)


def sensitivity_and_rate(images, threshold):
    """Both at one threshold of (reference, prediction, probabilities by the number of the predicted lesion)."""
    sensitivities, false_lesions = [], []
    for reference, prediction, p in images:
        detected, true = set(), set()
        lesions = [n for n in np.unique(reference) if n > 0]
        for lesion in lesions:
            for candidate in p:
                a, b = reference == lesion, prediction == candidate
                iou = (a & b).sum() / (a | b).sum()
                if iou >= 0.2:
                    true.add(candidate)
                    if p[candidate] >= threshold:
                        detected.add(lesion)
        kept = [candidate for candidate in p if p[candidate] >= threshold]
        false_lesions.append(sum(candidate not in true for candidate in kept))
        if lesions:
            sensitivities.append(len(detected) / len(lesions))
    return (np.mean(sensitivities) if sensitivities else math.nan), np.mean(false_lesions)


def sensitivities(images):
    """The sensitivity at each rate of false lesions."""
    thresholds = sorted({0.0, 1.0, *(value for _, _, p in images for value in p.values())})
    points = [sensitivity_and_rate(images, t) for t in thresholds]
    found = []
    for wanted in RATES:
        if points[0][1] <= wanted:  # all predicted lesions
            found.append(points[0][0])
        elif points[-1][1] > wanted:
            found.append(points[-1][0])
        else:
            for (s_low, r_low), (s_high, r_high) in pairwise(points):
                if r_low == wanted:
                    found.append(s_low)
                    break
                if r_low > wanted > r_high:
                    found.append(s_high + (s_low - s_high) * (wanted - r_high) / (r_low - r_high))
                    break
            else:
                found.append(points[-1][0])
    return found
