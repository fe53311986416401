"""Bundle and scan in, probability map in the scan's own space out (Hussein et al. 2023, section 2.5)."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import from_las
from cordlesion.io.volume import Volume, read_grid, write_volume
from cordlesion.model.bundle import AnyBundle, Bundle, SctBundle
from cordlesion.model.hardware import Hardware, choose_hardware, give_back_memory
from cordlesion.model.standardize import standardize_patches
from cordlesion.patches.grid import extract_patch, patch_grid, stitch_patches
from cordlesion.preprocess.cord_stack import StackGeometry, map_back, sample_stack
from cordlesion.preprocess.region import place_stack
from cordlesion.preprocess.stack_file import read_stack
from cordlesion.sct.stack import make_sct_stack, map_sct_stack_back, place_sct_stack

_BATCH = 8
_SPATIAL = (2, 3, 4)
_MIRRORED = [axes for n in range(4) for axes in itertools.combinations(_SPATIAL, n)]
"""The eight ways to mirror a batch of patches, not at all being the first."""


def predict_scan(bundle: AnyBundle, scan: Volume, centerline: Centerline | None) -> npt.NDArray[np.float32]:
    """Predict the lesion probability of every voxel of a scan; 0 outside the stack.

    Args:
        bundle: The trained model.
        scan: The image.
        centerline: The cord's centre; not needed by a model of the foreground.

    Returns:
        Probabilities in [0, 1] on the scan's own grid and in its own index order.

    Raises:
        CordlesionError: The network gives no numbers.
    """
    if isinstance(bundle, SctBundle):
        las = _predict_sct(bundle, scan, centerline)
    else:
        geometry = place_stack(scan, centerline, bundle.card.preprocess)
        probability = predict_stack(bundle, sample_stack(scan, geometry), geometry)
        las = map_back(_require_finite(probability, scan.path), geometry)
    give_back_memory()
    # A view: of the zeros beyond the stack's box, no memory is taken until they are copied.
    return np.asarray(from_las(las, scan), np.float32)


def predict_to_file(bundle: Bundle, image: Path, stack: Path, output: Path) -> None:
    """Predict from a scan's stack file and write the probability map on the scan's grid.

    Args:
        bundle: The trained model.
        image: The scan; only its header is read.
        stack: The scan's stack.
        output: Path of the map, ``.nii.gz``.
    """
    grid, part = read_grid(image), read_stack(stack)
    probability = predict_stack(bundle, part.image, part.geometry)
    write_volume(output, from_las(map_back(_require_finite(probability, image), part.geometry), grid), grid)


def predict_stack(bundle: Bundle, stack: npt.NDArray[np.float32], geometry: StackGeometry) -> npt.NDArray[np.float32]:
    """Predict a stack: the probability over overlapping patches, averaged as the bundle says.

    Args:
        bundle: Network, intensity landmarks, blending and mirroring.
        stack: The scan's own intensities, shape (X, Y, N).
        geometry: The stack's place; tells padding and background from what is measured.

    Returns:
        Probabilities, shape (X, Y, N).
    """
    card = bundle.card
    standard = card.landmarks.apply(stack, geometry.measured(stack))
    grid = patch_grid(stack.shape, card.patches.shape(card.preprocess), card.patches.overlap_fraction)
    # Cut when needed: overlapping along three axes, all patches together take many times the memory of the stack.
    patches = (extract_patch(standard, start, grid.patch_shape) for start in grid)
    # SCT's network is not treated so: its results change when a patch is mirrored, and are to be compared with SCT's.
    mirrored = _MIRRORED if card.prediction.mirror else _MIRRORED[:1]
    hardware = choose_hardware().at(card.prediction.precision)
    maps = _probabilities(bundle.predictor, patches, standardize_patches, hardware, mirrored)
    return stitch_patches(maps, grid, card.prediction.blending)


def _predict_sct(bundle: SctBundle, scan: Volume, centerline: Centerline | None) -> npt.NDArray[np.float32]:
    """Predict a scan, in LAS order, by a network of SCT: as SCT does, or from overlapping patches and without a cut."""
    assert centerline is not None
    constants, cut = bundle.card.preprocess, bundle.card.prediction.cut
    geometry = place_sct_stack(scan, centerline, constants)
    probability = _require_finite(_predict_sct_stack(bundle, make_sct_stack(scan, geometry, constants)), scan.path)
    if cut is None:
        return map_sct_stack_back(probability, geometry)
    mask = (probability > cut).astype(np.float32)
    return (map_sct_stack_back(mask, geometry) >= cut).astype(np.float32)


def _predict_sct_stack(bundle: SctBundle, stack: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    constants, overlap, length = bundle.card.preprocess, bundle.card.prediction.overlap_fraction, stack.shape[2]

    def normalize(patches: Tensor) -> Tensor:
        return (patches - constants.mean) / constants.deviation

    size = constants.crop_voxels
    # Zeros are added before the mean is taken off, as SCT does it.
    whole = max(size, length) if overlap else size * math.ceil(length / size)
    padded = np.pad(stack, [(0, 0), (0, 0), (0, whole - length)])
    grid = patch_grid(padded.shape, (size, size, size), overlap)
    blocks = [extract_patch(padded, start, grid.patch_shape) for start in grid]
    # bfloat16 moves SCT's probabilities by up to 0.07, which a comparison with SCT should not contain.
    hardware = choose_hardware().at("float32")
    predicted = _probabilities(bundle.network, blocks, normalize, hardware)
    # What the network makes of nothing but slices without cord is no lesion.
    maps = (p if block.any() else np.zeros_like(p) for p, block in zip(predicted, blocks, strict=True))
    return stitch_patches(maps, grid)[..., :length]


def _require_finite(probability: npt.NDArray[np.float32], scan: Path | None) -> npt.NDArray[np.float32]:
    """Refuse a map that would pass for one without lesions: no comparison with NaN is true."""
    if not np.isfinite(probability).all():
        raise CordlesionError(
            f"{scan or 'the scan'}: the network gives values that are no numbers, so no map is written; weights "
            "and intensities that it can compute with are needed. Check the scan, or train the model again."
        )
    return probability


def _probabilities(
    network: nn.Module,
    patches: Iterable[npt.NDArray[np.float32]],
    normalize: Callable[[Tensor], Tensor],
    hardware: Hardware,
    mirrored: Sequence[tuple[int, ...]] = _MIRRORED[:1],
) -> Iterator[npt.NDArray[np.float32]]:
    """Predict patches by the batch, on the device from the normalisation to the probability."""
    network.to(hardware.device)
    remaining = iter(patches)
    while chunk := list(itertools.islice(remaining, _BATCH)):
        batch = torch.from_numpy(np.stack(chunk))[:, None].to(hardware.device)
        yield from _mean_probability(network, normalize(batch), hardware, mirrored)[:, 0].cpu().numpy()


def _mean_probability(
    network: nn.Module, batch: Tensor, hardware: Hardware, mirrored: Sequence[tuple[int, ...]]
) -> Tensor:
    """Average over mirrored copies of a batch, each prediction mirrored back."""
    with torch.inference_mode(), hardware.autocast():
        logits = [network(hardware.place(batch.flip(axes))).flip(axes) for axes in mirrored]
        return torch.stack([torch.sigmoid(z.float()) for z in logits]).mean(dim=0)
