"""Error-retention curves: does an uncertainty point at the errors?

The most certain share of the predictions is kept, and the others are replaced by the reference, as if an expert looked
at them. The better the order, the earlier the errors are gone: the area under the curve of the score is large.

References:
    Malinin et al., "Shifts 2.0", arXiv 2206.15407 (voxels); Molchanova et al., Comput. Biol. Med. 2025, arXiv
    2311.08931 (lesions).
"""

import numpy as np

from cordlesion.io.arrays import FloatArray, Mask

_N_SHARES = 100
VOXEL_SHARES: FloatArray = np.concatenate([[0.0], np.log(np.arange(2, _N_SHARES + 1)) / np.log(_N_SHARES)])
"""Shares of retained voxels, from 0 to 1: logarithmic as in Shifts 2.0, since few voxels of a scan are in doubt."""
LESION_SHARES: FloatArray = np.linspace(0.0, 1.0, 21)
"""Shares of retained lesions, from 0 to 1."""


def voxel_retention(
    mask: Mask, reference: Mask, uncertainty: FloatArray, shares: FloatArray = VOXEL_SHARES
) -> FloatArray:
    """Return the F1 (Dice) of a mask in which only the most certain share of the voxels is the prediction's.

    Voxels of equal uncertainty are taken in random order; the curve is that of the expected counts.

    Args:
        mask: Predicted, shape (V,).
        reference: Shape (V,); some voxel must be lesion.
        uncertainty: The more the less certain, shape (V,).
        shares: Of retained voxels, from 0 to 1.

    Returns:
        At each share; that of 1 is the F1 of the mask as it is.
    """
    missed, false = _kept([reference & ~mask, mask & ~reference], uncertainty, shares)
    found = np.count_nonzero(reference) - missed
    score: FloatArray = 2 * found / (2 * found + false + missed)
    return score


def lesion_retention(
    true: Mask, n_reference: int, n_detected: int, uncertainty: FloatArray, shares: FloatArray = LESION_SHARES
) -> FloatArray:
    """Return the lesion F1 of a mask in which only the most certain share of the lesions is the prediction's.

    A false lesion that is not retained is gone; a true one stays. Lesions that were missed stay missed: they have no
    uncertainty.

    Args:
        true: Which of the predicted lesions are true, shape (L,), L > 0.
        n_reference: Lesions of the reference, at least one.
        n_detected: Those of them that are detected.
        uncertainty: The more the less certain, shape (L,).
        shares: Of retained lesions, from 0 to 1.

    Returns:
        At each share; that of 1 is the lesion F1 of the mask as it is.
    """
    (false,) = _kept([~true], uncertainty, shares)
    n_true, sensitivity = np.count_nonzero(true), n_detected / n_reference
    kept = n_true + false
    precision = np.divide(n_true, kept, out=np.zeros_like(kept), where=kept > 0)
    total = sensitivity + precision
    score: FloatArray = np.divide(2 * sensitivity * precision, total, out=np.zeros_like(total), where=total > 0)
    return score


def area_under(shares: FloatArray, scores: FloatArray) -> float:
    """Return the area under a retention curve, from 0 to 1."""
    return float(np.trapezoid(scores, shares))


def random_order(n: int) -> FloatArray:
    """Return an uncertainty that knows nothing: all equal."""
    return np.zeros(n)


def ideal_order(wrong: Mask) -> FloatArray:
    """Return the best uncertainty that there could be: 1 for every error, 0 elsewhere."""
    order: FloatArray = wrong.astype(np.float64)
    return order


def _kept(errors: list[Mask], uncertainty: FloatArray, shares: FloatArray) -> list[FloatArray]:
    """Return how many errors of each kind are among the most certain share of all, in expectation over ties."""
    order = np.argsort(uncertainty, kind="stable")
    ranked = uncertainty[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)) + 1, len(ranked))
    n_kept, knots = shares * len(ranked), np.concatenate([[0], ends])
    sums = [np.concatenate([[0], wrong[order].cumsum()]) for wrong in errors]
    return [np.interp(n_kept, knots, one[knots]) for one in sums]
