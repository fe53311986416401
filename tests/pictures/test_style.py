import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from cordlesion.pictures.style import loss_colors, loss_name, save_figure, style

STUDY_LOSSES = (
    *("bce", "dice", "combo", "focal_tversky", "generalized_dice", "log_cosh_dice", "tversky"),
    *("sct_dice", "sct"),
    *("dice_bce", "focal", "f_beta", "unified_focal", "lovasz_hinge", "blob_dice", "cc_dice_ce"),
)


def test_style_leaves_the_callers_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    with style():
        assert matplotlib.rcParams["svg.fonttype"] == "none"
        matplotlib.rcParams["lines.linewidth"] = 12
    assert dict(matplotlib.rcParams) == before


def test_style_does_not_depend_on_the_callers_settings() -> None:
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.titlesize": 30}), style():
        assert matplotlib.rcParams["lines.linewidth"] == 1.3
        assert matplotlib.rcParams["axes.titlesize"] == 9


def test_every_loss_of_the_study_has_its_own_colour() -> None:
    colors = loss_colors(STUDY_LOSSES)
    assert len(set(colors.values())) == len(STUDY_LOSSES)


@pytest.mark.parametrize("others", [[], ["bce"], ["mine", "bce", "dice"]])
def test_a_loss_keeps_its_colour_whatever_is_beside_it(others: list[str]) -> None:
    assert loss_colors([*others, "tversky"])["tversky"] == "#D55E00"


def test_unknown_losses_take_colours_that_are_free() -> None:
    colors = loss_colors(["bce", "mine", "yours"])
    assert len(set(colors.values())) == 3


@pytest.mark.parametrize(
    ("loss", "printed"),
    [
        ("bce", "BCE"),
        ("focal_tversky", "Focal Tversky"),
        ("log_cosh_dice", "Log-Cosh Dice"),
        ("unified_focal", "Unified Focal"),
        ("my_loss", "my_loss"),
    ],
)
def test_loss_name(loss: str, printed: str) -> None:
    assert loss_name(loss) == printed


def test_coordinates_of_an_svg_are_short_and_right_to_a_hundredth_of_a_point(tmp_path: Path) -> None:
    x, y = np.linspace(0, 1, 50), np.sin(np.linspace(0, 9, 50)) / 3
    with style():
        figure = Figure()
        figure.add_subplot().plot(x, y, gid="curve")
    save_figure(figure, tmp_path / "a.svg")
    (drawn,) = re.findall(r'<g id="curve">\s*<path d="([^"]*)"', (tmp_path / "a.svg").read_text())
    found = np.array([pair.split() for pair in re.findall(r"[ML] ([-\d. ]+)", drawn)], dtype=float)
    assert all(len(number.partition(".")[2]) <= 2 for number in re.findall(r"[-\d.]+", drawn))
    pixels = figure.axes[0].transData.transform(np.column_stack([x, y])) * 72 / figure.dpi
    height = figure.get_figheight() * 72
    expected = np.column_stack([pixels[:, 0], height - pixels[:, 1]])
    assert np.abs(found - expected).max() <= 0.005 + 1e-6


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        with style():
            figure = Figure()
            figure.add_subplot().plot([0, 1], [0, 1], label="cost in $ and $")
            figure.axes[0].legend()
        save_figure(figure, tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(first) > 500
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]
