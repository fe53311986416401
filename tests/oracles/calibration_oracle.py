"""Calibration scores written a second time, voxel by voxel."""

import math


def bins(p, y, n_bins):
    """Lists of (probability, label) per bin of equal width."""
    found = [[] for _ in range(n_bins)]
    for probability, label in zip(p, y, strict=True):
        k = n_bins - 1
        while k > 0 and probability * n_bins < k:
            k -= 1
        found[k].append((probability, label))
    return found


def expected_calibration_error(p, y, n_bins):
    total = 0.0
    for members in bins(p, y, n_bins):
        if members:
            confidence = sum(probability for probability, _ in members) / len(members)
            accuracy = sum(label for _, label in members) / len(members)
            total += len(members) / len(p) * abs(confidence - accuracy)
    return total


def brier_score(p, y):
    return sum((probability - label) ** 2 for probability, label in zip(p, y, strict=True)) / len(p)


def negative_log_likelihood(p, y, temperature, max_logit):
    total = 0.0
    for probability, label in zip(p, y, strict=True):
        if probability in (0, 1):
            logit = max_logit if probability else -max_logit
        else:
            logit = max(-max_logit, min(max_logit, math.log(probability / (1 - probability))))
        calibrated = 1 / (1 + math.exp(-logit / temperature))
        total -= math.log(calibrated if label else 1 - calibrated)
    return total / len(p)
