"""Box plots that show every value."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from cordlesion.io.arrays import FloatArray
from cordlesion.pictures.style import INK


def draw_boxes(
    axes: Axes,
    samples: Sequence[FloatArray],
    positions: FloatArray,
    *,
    width: float,
    color: str,
    point_size: float,
) -> None:
    """Draw box plots (quartiles, whiskers to 1.5 interquartile ranges) and every value as a jittered point.

    Points of no size are left out.
    """
    for sample, position in zip(samples, positions, strict=True) if point_size else ():
        # The golden ratio spreads points evenly and, unlike a random generator, always in the same way.
        jitter = (np.arange(len(sample)) * 0.618034 % 1 - 0.5) * 0.8 * width
        axes.scatter(position + jitter, sample, s=point_size, color=color, alpha=0.45, linewidths=0)
    axes.boxplot(
        samples,
        positions=positions,
        widths=width,
        manage_ticks=False,
        showfliers=False,
        showcaps=False,
        patch_artist=True,
        boxprops={"facecolor": color + "30", "edgecolor": color, "linewidth": 0.7},
        medianprops={"color": INK, "linewidth": 1.1},
        whiskerprops={"color": color, "linewidth": 0.7},
    )
