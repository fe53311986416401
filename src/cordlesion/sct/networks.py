"""The networks of the Spinal Cord Toolbox (Gros et al., NeuroImage 2019) as torch modules.

Modules are registered in the order in which the networks compute, which is the order of the layers in SCT's files.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-3
"""Of batch normalisation: Keras's default, a hundred times that of torch."""


class SctLesionNet(nn.Module):
    """The 3-D lesion network: nearest-neighbour upsampling, convolutions with bias; one logit per voxel.

    Args:
        filters: Filters of both convolutions of each level, finest first; every level but the first halves the
            resolution. On the way up, both convolutions of a level are as wide as its second one.
    """

    def __init__(self, filters: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        passed = [widths[-1] for widths in filters]
        before = [1, *passed[:-1]]
        self.down = nn.ModuleList(_block(nn.Conv3d, n, widths) for n, widths in zip(before, filters, strict=True))
        skips = passed[-2::-1]
        below = [passed[-1], *skips[:-1]]
        self.up = nn.ModuleList(
            _block(nn.Conv3d, coarse + fine, (fine, fine)) for coarse, fine in zip(below, skips, strict=True)
        )
        self.last = nn.Conv3d(passed[0], 1, kernel_size=1)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (B, 1, X, Y, Z) to logits of the same shape; edges must be multiples of ``2 ** (levels - 1)``.

        The axes must point to left, anterior and superior: mirrored patches give other results.
        """
        features = self.down[0](patches)
        skips = []
        for block in self.down[1:]:
            skips.append(features)
            features = block(nn.functional.max_pool3d(features, 2))
        for block in self.up:
            doubled = nn.functional.interpolate(features, scale_factor=2, mode="nearest")
            features = block(torch.cat([doubled, skips.pop()], dim=1))
        logits: Tensor = self.last(features)
        return logits


class SctCenterlineNet(nn.Module):
    """The 2-D centerline network: dilated convolutions on the way down; one logit per pixel.

    Args:
        filters: Filters of each level, finest first.
        dilations: Of the convolutions on the way down, the same for each level.
    """

    def __init__(self, filters: Sequence[int], dilations: Sequence[int]) -> None:
        super().__init__()
        before = [1, *filters[:-1]]
        self.down = nn.ModuleList(
            _block(nn.Conv2d, n, [width] * len(dilations), dilations) for n, width in zip(before, filters, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ModuleList([nn.ConvTranspose2d(coarse, fine, 2, stride=2), _block(nn.Conv2d, 2 * fine, (fine, fine))])
            for coarse, fine in zip(filters[:0:-1], filters[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(filters[0], 1, kernel_size=1)
        self.multiple = 2 ** (len(filters) - 1)
        """Of which the edges of a slice must be multiples."""

    def forward(self, slices: Tensor) -> Tensor:
        """Map axial slices (B, 1, X, Y), in LAS order, to logits of the same shape."""
        features = self.down[0](slices)
        skips = []
        for block in self.down[1:]:
            skips.append(features)
            features = block(nn.functional.max_pool2d(features, 2))
        for step in self.up:
            doubled, block = step.children()
            features = block(torch.cat([doubled(features), skips.pop()], dim=1))
        logits: Tensor = self.last(features)
        return logits


def _block(
    convolution: type[nn.Conv2d | nn.Conv3d], channels: int, filters: Sequence[int], dilations: Sequence[int] = (1, 1)
) -> nn.Sequential:
    normalization = nn.BatchNorm3d if convolution is nn.Conv3d else nn.BatchNorm2d
    layers: list[nn.Module] = []
    for n, width, dilation in zip([channels, *filters[:-1]], filters, dilations, strict=True):
        layers += [
            convolution(n, width, kernel_size=3, padding=dilation, dilation=dilation),
            normalization(width, eps=EPSILON),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
