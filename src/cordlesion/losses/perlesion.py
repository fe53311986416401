"""Losses with a term of their own for each lesion, so that no lesion is outvoted by a larger one.

Lesions are the connected components of the reference of a patch (voxels that touch by faces, edges or corners). Around
each lesion a *domain* is cut out of the patch, and a plain loss is computed inside it; a domain holds one lesion, all
of it. The mean over all lesions of the batch is added to the same loss of the whole batch, which alone sees patches
without lesion. Domains come from the reference only, so gradients flow through the plain losses and nothing else.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from cordlesion.io.arrays import Mask
from cordlesion.losses.entropy import cross_entropies
from cordlesion.losses.overlap import plain_dice
from cordlesion.losses.precision import Loss, in_float32

Domains: TypeAlias = Callable[[Mask], Iterator[Mask]]


@in_float32
def blob_dice(
    logits: Tensor,
    lesion: Tensor,
    *,
    global_weight: float,
    per_lesion_weight: float,
    smooth: float = 1.0,
    per_patch: bool = False,
) -> Tensor:
    """Blob loss of the plain Dice loss: the Dice of the batch plus the mean of the Dice of each lesion.

    The Dice of a lesion is taken over its patch without the other lesions: it also pays for every false voxel of the
    patch.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        global_weight: Factor of the Dice loss of the batch (alpha of the paper).
        per_lesion_weight: Factor of the mean over the lesions (beta of the paper).
        smooth: Smoothing of every Dice loss.
        per_patch: Average over the lesions of each patch, then over the patches with lesions, as the authors do; and
            the global Dice losses of the patches.

    Returns:
        Scalar, 0 is best. A batch without lesion has the global term only.

    References:
        Kofler et al., blob loss, IPMI 2023.
    """

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return plain_dice(z, y, smooth=smooth, per_patch=False)

    whole = plain_dice(logits, lesion, smooth=smooth, per_patch=per_patch).mean()
    each = mean_over_lesions(loss, without_other_lesions, logits, lesion, per_patch=per_patch)
    return global_weight * whole + per_lesion_weight * each


@in_float32
def cc_dice_ce(
    logits: Tensor,
    lesion: Tensor,
    *,
    global_weight: float,
    per_lesion_weight: float,
    smooth: float = 1.0,
    per_patch: bool = False,
) -> Tensor:
    """CC-DiceCE: Dice + cross-entropy of the batch plus the mean of Dice + cross-entropy around each lesion.

    The domain of a lesion is its Voronoi region: the voxels nearer to it than to any other lesion of the patch. A false
    voxel is charged to the nearest lesion only.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        global_weight: Factor of Dice + cross-entropy of the batch.
        per_lesion_weight: Factor of the mean over the lesions.
        smooth: Smoothing of every Dice loss.
        per_patch: As in :func:`blob_dice`.

    Returns:
        Scalar, 0 is best. A batch without lesion has the global term only.

    References:
        Bouteille et al., Learning to look closer, arXiv:2511.17146, 2025, with the regions of CC-Metrics (Jaus et al.,
        Every component counts, AAAI 2025).
    """

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return plain_dice(z, y, smooth=smooth, per_patch=False) + cross_entropies(z, y).mean()

    whole = plain_dice(logits, lesion, smooth=smooth, per_patch=per_patch).mean()
    whole = whole + cross_entropies(logits, lesion).mean()
    each = mean_over_lesions(loss, voronoi_regions, logits, lesion, per_patch=per_patch)
    return global_weight * whole + per_lesion_weight * each


def mean_over_lesions(loss: Loss, domains: Domains, logits: Tensor, lesion: Tensor, *, per_patch: bool) -> Tensor:
    """Compute a loss inside the domain of each lesion and average; 0 where there is no lesion.

    Args:
        loss: Loss of the voxels of one domain, shape (N,), giving shape (1,).
        domains: How a patch is cut into domains.
        logits: Shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        per_patch: Average the patches' averages, instead of all lesions alike.
    """
    patches = [
        torch.cat([loss(z.masked_select(inside), y.masked_select(inside)) for inside in _on_device(domains, y)])
        for z, y in zip(logits, lesion, strict=True)
        if y.any()
    ]
    if not patches:
        return logits.new_zeros(())
    return torch.stack([values.mean() for values in patches]).mean() if per_patch else torch.cat(patches).mean()


def without_other_lesions(lesion: Mask) -> Iterator[Mask]:
    """Cut the domain of each lesion of a patch: all of the patch but the other lesions."""
    labels, count = _label(lesion)
    for number in range(1, count + 1):
        yield (labels == 0) | (labels == number)


def voronoi_regions(lesion: Mask) -> Iterator[Mask]:
    """Cut the domain of each lesion of a patch: the voxels that are nearest to it.

    Voxels as near to two lesions go to the first. Distances are in voxels, which are isotropic in a cord stack.
    """
    labels, count = _label(lesion)
    nearest = _nearest_label(labels, count)
    for number in range(1, count + 1):
        yield nearest == number


def _nearest_label(labels: npt.NDArray[np.signedinteger], count: int) -> npt.NDArray[np.signedinteger]:
    """Return the label nearest to each voxel, the smallest of those that are equally near.

    One exact distance transform for all labels, axis by axis (Saito & Toriwaki, Pattern Recognition 1994), of squared
    distances that are integers: their last digit, to the base of the number of labels, is the label. So the smallest
    number is the nearest label, and of equals the first. scipy's transform leaves open which of equals it returns.

    Args:
        labels: 0 outside, else 1 to ``count``, at least one voxel each.
        count: How many there are.
    """
    base = count + 1
    far = sum(n * n for n in labels.shape) * base
    nearest = np.where(labels > 0, labels, far).astype(np.int64)
    for axis in range(labels.ndim):
        line = np.ascontiguousarray(np.moveaxis(nearest, axis, 0))
        best = line.copy()
        for step in range(1, len(line)):
            if (cost := step * step * base) > best.max():
                break
            np.minimum(best[step:], line[:-step] + cost, out=best[step:])
            np.minimum(best[:-step], line[step:] + cost, out=best[:-step])
        nearest = np.moveaxis(best, 0, axis)
    return nearest % base


def _label(lesion: Mask) -> tuple[npt.NDArray[np.signedinteger], int]:
    # Edges and corners connect, as in the authors' code: else each stray voxel of a diagonal rim would be a lesion.
    labels, count = ndimage.label(lesion, structure=np.ones((3,) * lesion.ndim))
    return labels, count


def _on_device(domains: Domains, lesion: Tensor) -> Iterator[Tensor]:
    """Cut one patch of shape (1, X, Y, Z), whose domains have that shape too."""
    for domain in domains(lesion[0].detach().cpu().numpy() > 0):
        yield torch.from_numpy(domain[None]).to(lesion.device)
