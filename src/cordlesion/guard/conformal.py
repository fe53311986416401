"""Conformal p-values of a new scan among the subjects of a training set (Vovk, Gammerman & Shafer 2005).

A score says how unlike the others a scan is. The p-value is the share of scans, the new one among them, with a score at
least as high, each scored against all the others. If the new subject and those of the training set are exchangeable,
p <= a has a probability of at most a, whatever the distribution and however good the score.
"""

import numpy as np

from cordlesion.io.arrays import FloatArray, IntArray

SHRINKAGE = 0.5
"""Weight of the identity in the correlation matrix of features: some tens of subjects do not determine it."""
SAME_VOXEL = float(np.log(1.25))
"""Voxel edges that differ by less than a quarter are the same: scanners of one protocol differ by as much."""


def look_scores(points: FloatArray) -> FloatArray:
    """Return how far each point lies from the mean of all the others: the shrunk Mahalanobis distance.

    Args:
        points: A row of features for each subject, shape (N, F).

    Returns:
        Shape (N,); for a point of the same distribution about 1.
    """
    n, n_features = points.shape
    means = (points.sum(axis=0) - points) / (n - 1)
    # Not by taking a point out of the sums of all: with one far from all others, nothing of the rest would be left.
    others = points[None] - means[:, None]
    others[np.arange(n), np.arange(n)] = 0
    covariances = np.swapaxes(others, 1, 2) @ others / (n - 1)
    deviations = np.sqrt(np.maximum(np.diagonal(covariances, axis1=1, axis2=2), 1e-12))
    correlations = covariances / (deviations[:, :, None] * deviations[:, None, :])
    shrunk = (1 - SHRINKAGE) * correlations + SHRINKAGE * np.eye(n_features)
    standard = (points - means) / deviations
    solved = np.linalg.solve(shrunk, standard[..., None])[..., 0]
    distances: FloatArray = np.sqrt((standard * solved).sum(axis=1) / n_features)
    return distances


def look_parts(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what makes the last point unlike the others, feature by feature.

    Args:
        points: As for :func:`look_scores`.

    Returns:
        The part of each feature in the square of the distance, whose mean is the square of the last score; and the
        value of each feature that the others let expect from its other features (the conditional mean of a Gaussian
        distribution with the correlations of the score). Shape (F,) each.
    """
    others = points[:-1]
    deviations = np.sqrt(np.maximum(others.var(axis=0), 1e-12))
    standard = (others - others.mean(axis=0)) / deviations
    n_features = points.shape[1]
    shrunk = (1 - SHRINKAGE) * standard.T @ standard / len(others) + SHRINKAGE * np.eye(n_features)
    precision, own = np.linalg.inv(shrunk), (points[-1] - others.mean(axis=0)) / deviations
    pull = precision @ own
    expected = others.mean(axis=0) + deviations * (own - pull / np.diagonal(precision))
    return own * pull, expected


def voxel_scores(edges_mm: FloatArray, subjects: IntArray, drawn: IntArray) -> FloatArray:
    """Return how far the voxels of each subject's drawn scan are from those of the most similar other subject.

    Args:
        edges_mm: Voxel edges of all scans, shape (S, 3): left to right, front to back, up and down.
        subjects: The subject of each scan, shape (S,).
        drawn: The scan that represents each subject, as index, shape (N,).

    Returns:
        Shape (N,): the logarithm of the largest ratio of edges beyond :data:`SAME_VOXEL`; 0 for similar voxels.
    """
    logs = np.log(edges_mm)
    ratios = np.abs(logs[drawn][:, None] - logs[None]).max(axis=2)
    ratios[subjects[drawn][:, None] == subjects[None]] = np.inf
    beyond: FloatArray = np.maximum(ratios.min(axis=1) - SAME_VOXEL, 0.0)
    return beyond


def p_value(scores: FloatArray) -> float:
    """Return the conformal p-value of the last of some scores: the share that is at least as high."""
    return float((scores >= scores[-1]).mean())
