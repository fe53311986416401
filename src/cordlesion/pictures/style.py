"""Style, colours and file formats of all pictures of the report."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.config.names import ENSEMBLE
from cordlesion.io.writing import atomic_path
from cordlesion.losses.table import LOSSES
from cordlesion.metrics.table import METRIC_LABELS, SUBJECT_LABELS
from cordlesion.pictures.svg import shorten_svg

INK = "#222222"
"""Colour of text and axes. The HTML page replaces it with its text colour, for light and dark mode."""
MUTED = "#808080"
"""Colour of grid, points and notes; readable on white and on black."""

SLATE = "#5B7FA3"
"""Colour of data that belong to no loss."""
WIDTH_INCHES = 7.2
"""Width of two columns of a journal."""

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = "#1AA876", "#E8502A", "#FFFFFF"
"""Colours of agreement: green, red and white as in the paper, with different lightness for colour-blind readers."""
REFERENCE, SEGMENTED = "#F5E04A", "#35C4F0"
"""Colours of outlines: reference alone (yellow), segmentation alone (sky blue)."""

PALETTE = (
    # Okabe & Ito, "Color Universal Design" (2008); yellow is darker and black is grey, to show on white and on black.
    *("#0072B2", "#009E73", "#56B4E9", "#E69F00", "#CC79A7", "#A89400", "#D55E00", "#6A51A3", "#808080"),
    # Tol, "Colour schemes" (SRON 2021), muted; where many are shown, dashes help.
    *("#117733", "#3F7FBF", "#AA4499", "#44AA99", "#CC6677", "#8C7A2E", "#B0502F"),
)
"""Colours of methods. Losses have the colours of their rows in :data:`cordlesion.losses.table.LOSSES`; other methods
get the remaining colours in this order."""
_COMPARATORS = {"sct": "SCT", "sct_shipped": "SCT (shipped)", "sct_soft": "SCT (soft)"}
_COMPARATOR_COLORS = {"sct": "#808080"}

SET_NAMES = {"train": "training", "validation": "validation", "threshold": "threshold", "test": "test"}
"""Printed names of sets."""
METRIC_NAMES = {**METRIC_LABELS, **SUBJECT_LABELS}
"""Metrics in the order of the paper: lesion-wise, voxel-wise, and by subject."""

_RC: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # shipped with matplotlib: the same layout on every machine
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a dollar sign in a loss's or site's name is a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.facecolor": "none",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": MUTED,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "auto",
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "none",  # text stays text: searchable, editable by the journal
    "svg.hashsalt": "cordlesion",  # ids, and so whole files, are the same in every rerun
    "pdf.fonttype": 42,  # TrueType, which journals ask for
}
# No dates and versions. Level 3 packs a noisy scan in half the time of the default, into 7 % more bytes.
_SAVING: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Apply the matplotlib settings of the report inside this context, and restore those of the caller afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def loss_name(loss: str) -> str:
    """Return the printed name of a method: ``focal_tversky`` becomes ``Focal Tversky``, its ensemble has that name."""
    if (one := loss.removesuffix(ENSEMBLE)) != loss and one in LOSSES:
        return f"{LOSSES[one].label} ensemble"
    return LOSSES[loss].label if loss in LOSSES else _COMPARATORS.get(loss, loss)


def loss_colors(losses: Iterable[str]) -> dict[str, str]:
    """Return a colour per loss: those of the table have fixed colours, others get the remaining ones in order."""
    names = list(dict.fromkeys(losses))
    own = {name: color for name in names if (color := _own_color(name))}
    free = [color for color in PALETTE if color not in own.values()] or PALETTE
    others = [name for name in names if name not in own]
    extra = {name: free[k % len(free)] for k, name in enumerate(others)}
    return {name: own.get(name) or extra[name] for name in names}


def _own_color(name: str) -> str | None:
    # The ensemble of a loss has its colour: it stands in panels and rows of its own.
    name = name.removesuffix(ENSEMBLE) if name.removesuffix(ENSEMBLE) in LOSSES else name
    return LOSSES[name].color if name in LOSSES else _COMPARATOR_COLORS.get(name)


def panel_grid(
    n: int, *, row_inches: float, share_values: bool = True, n_columns: int = 2
) -> tuple[Figure, list[Axes]]:
    """Make a grid of ``n`` panels with shared axes."""
    n_columns = min(n, n_columns)
    n_rows = -(-n // n_columns)
    figure = Figure(figsize=(WIDTH_INCHES, 0.4 + row_inches * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=share_values, squeeze=False)
    panels = list(grid.flat)
    for spare in panels[n:]:
        spare.remove()
    for axes in panels[max(n - n_columns, 0) : n]:
        axes.tick_params(labelbottom=True)  # also where the panel below was removed
    return figure, panels[:n]


def save_figure(figure: Figure, path: Path) -> None:
    """Write ``figure`` atomically in the format of the suffix of ``path``; the same figure gives the same bytes.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    kind = path.suffix.removeprefix(".")
    with style(), atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, **_SAVING[kind])
        if kind == "svg":
            temporary.write_text(shorten_svg(temporary.read_text(encoding="utf-8")), encoding="utf-8")
