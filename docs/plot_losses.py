"""Draw the pictures of docs/losses.md: how hard each loss pulls on an empty batch and on a small lesion.

python docs/plot_losses.py          (a minute or two)
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator
from torch import Tensor

from cordlesion.losses import LOSSES
from cordlesion.pictures.style import INK, MUTED, SLATE, WIDTH_INCHES, loss_colors, save_figure, style

IMAGES = Path(__file__).parent / "images"
COLUMNS = 5
SHAPE = (8, 1, 48, 48, 48)
BACKGROUND = 1e-5
"""Probability outside the lesions: nine of the batch's 885 000 voxels."""
FOUND = 0.99
"""Probability in the large lesion."""
HINGES = (-1.001, -0.999, 0.999, 1.001)
"""Logits around the margins of the Lovasz hinge, where its curves drop."""


class Picture(NamedTuple):
    """One panel per loss: two curves of the gradient over the probability."""

    name: str
    probabilities: npt.NDArray[np.float64]
    solid: Callable[[str, float], float]
    dashed: Callable[[str, float], float]
    labels: tuple[str, str]
    x_label: str
    y_label: str
    x_scale: str
    y_limits: tuple[float, float]


def sigmoid(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the probabilities of network outputs."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(logits, dtype=float))))


def logit(probability: float) -> float:
    """Return the network output that the sigmoid turns into ``probability``."""
    return float(np.log(probability / (1 - probability)))


def pull(name: str, logits: Tensor, lesion: Tensor, where: Tensor, **parameters: object) -> float:
    """Return the sum of the absolute gradient of a loss over some voxels' logits."""
    logits = logits.requires_grad_()
    LOSSES[name](logits, lesion, **parameters).backward()
    return float(logits.grad[where].abs().sum()) if logits.grad is not None else 0.0


def pull_on_empty_batch(name: str, probability: float, **parameters: object) -> float:
    """Pull of the whole batch, all of it at one probability, none of it lesion."""
    logits = torch.full(SHAPE, logit(probability))
    return pull(name, logits, torch.zeros(SHAPE), torch.ones(SHAPE, dtype=torch.bool), **parameters)


def pull_on_empty_patches(name: str, probability: float) -> float:
    """Return the same where the losses of patches are averaged, or nothing where that makes no difference."""
    has_patches = "per_patch" in LOSSES[name].defaults
    return pull_on_empty_batch(name, probability, per_patch=True) if has_patches else np.nan


def pull_on_small_lesion(name: str, probability: float, *, beside_large: bool = False) -> float:
    """Pull of the 10 voxels of a lesion, alone in the batch or together with one of 1000 voxels that is found."""
    small, large = torch.zeros(SHAPE), torch.zeros(SHAPE)
    small[0, 0, 8, 8:10, 8:13] = 1
    if beside_large:
        large[0, 0, 30:40, 30:40, 30:40] = 1
    logits = torch.full(SHAPE, logit(BACKGROUND))
    logits[small == 1], logits[large == 1] = logit(probability), logit(FOUND)
    return pull(name, logits, small + large, small == 1)


PICTURES = (
    Picture(
        name="loss_empty_patches.svg",
        probabilities=np.union1d(np.geomspace(1e-6, 0.9, 19), sigmoid(HINGES)),
        solid=pull_on_empty_batch,
        dashed=pull_on_empty_patches,
        labels=("sums over the batch", "per patch"),
        x_label="probability of every voxel",
        y_label="pull towards background",
        x_scale="log",
        y_limits=(1e-7, 10),
    ),
    Picture(
        name="loss_small_lesion.svg",
        probabilities=np.union1d(sigmoid(np.linspace(-4.5, 4.5, 19)), sigmoid(HINGES)),
        solid=pull_on_small_lesion,
        dashed=lambda name, probability: pull_on_small_lesion(name, probability, beside_large=True),
        labels=("alone", "beside a found lesion of 1000 voxels"),
        x_label="probability in the lesion of 10 voxels",
        y_label="pull towards lesion",
        x_scale="linear",
        y_limits=(1e-8, 10),
    ),
)


def draw(picture: Picture) -> Figure:
    """Draw one panel per loss, with cross-entropy in grey for comparison."""
    rows = -(-len(LOSSES) // COLUMNS)
    figure = Figure(figsize=(WIDTH_INCHES, 1.35 * rows + 0.5), facecolor="white", layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).flat
    colors = loss_colors(name for name, row in LOSSES.items() if row.group != "other")
    curves = {name: [[f(name, p) for p in picture.probabilities] for f in picture[2:4]] for name in LOSSES}
    for axes, (name, (solid, dashed)) in zip(panels, curves.items(), strict=False):
        color = colors.get(name, SLATE)
        axes.plot(picture.probabilities, curves["bce"][0], color=MUTED, linewidth=0.8, alpha=0.6)
        axes.plot(picture.probabilities, dashed, color=color, linestyle=(0, (3, 1.5)))
        axes.plot(picture.probabilities, solid, color=color)
        axes.set_title(name, fontsize=7)
        finish(axes, picture)
    figure.supxlabel(picture.x_label, fontsize=8)
    figure.supylabel(picture.y_label, fontsize=8)
    add_legend(figure, picture.labels)
    return figure


def finish(axes: Axes, picture: Picture) -> None:
    """Set the scales that all panels share."""
    axes.set(xscale=picture.x_scale, yscale="log", ylim=picture.y_limits)
    for axis in (axes.xaxis, axes.yaxis) if picture.x_scale == "log" else (axes.yaxis,):
        axis.set_major_locator(LogLocator(numticks=5))
        axis.set_major_formatter(FuncFormatter(power_of_ten))
    axes.minorticks_off()
    axes.grid(visible=True)


def power_of_ten(value: float, _position: int) -> str:
    """Write 0.001 as 10⁻³; the style leaves formulas alone."""
    exponent = f"{np.log10(value):.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{exponent}"


def add_legend(figure: Figure, labels: tuple[str, str]) -> None:
    """Explain the line styles above the panels."""
    lines = [
        Line2D([], [], color=INK, label=labels[0]),
        Line2D([], [], color=INK, linestyle=(0, (3, 1.5)), label=labels[1]),
        Line2D([], [], color=MUTED, linewidth=0.8, alpha=0.6, label="bce, for comparison"),
    ]
    figure.legend(handles=lines, loc="outside upper left", ncols=3)


if __name__ == "__main__":
    for picture in PICTURES:
        with style():
            save_figure(draw(picture), IMAGES / picture.name)
