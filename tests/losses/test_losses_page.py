"""Each row of the table of losses is complete, and docs/losses.md is made from it."""

import re
import runpy
from pathlib import Path

import pytest

from cordlesion.losses import LOSSES
from cordlesion.pictures.style import loss_name

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "losses.md").read_text(encoding="utf-8")
every_loss = pytest.mark.parametrize("name", list(LOSSES))


@every_loss
def test_what_a_row_states_is_what_is_computed(name):
    row, defaults = LOSSES[name], LOSSES[name].defaults
    assert row.parameters.items() <= defaults.items()
    assert set(row.stated) <= row.parameters.keys()
    assert (row.overlap is not None) == ("per_patch" in defaults)
    assert (row.overlap == "smoothed") == ("smooth" in defaults)
    assert {key for key, value in defaults.items() if isinstance(value, float)} <= {*row.parameters, "smooth"}


def test_no_two_losses_look_alike():
    named = [loss_name(name) for name in LOSSES]
    colors = [row.color for row in LOSSES.values() if row.color]
    assert len(set(named)) == len(named)
    assert len(set(colors)) == len(colors)


@pytest.fixture(scope="module")
def site():
    return runpy.run_path(str(DOCS / "generate.py"))


@every_loss
def test_every_loss_is_described(site, name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", site["losses"](), flags=re.MULTILINE)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 4
    assert cells[1]
    assert all(f"`{key}`" in cells[2] for key in LOSSES[name].parameters)
    assert cells[3].count(",") + 1 == max(1, len(LOSSES[name].references))


def test_the_page_has_the_table_and_describes_losses_that_exist(site):
    assert "<!-- generated: losses -->" in PAGE
    assert site["sources"]().count("\n* ") > 10
    described = re.findall(r"`(\w+)`", "".join(re.findall(r"(?m)^\|([^|]*`[^|]*)\|", PAGE)))
    assert set(described) <= set(LOSSES)


@pytest.mark.parametrize("picture", ["loss_empty_patches.svg", "loss_small_lesion.svg"])
def test_every_loss_has_a_panel(picture):
    """`python docs/plot_losses.py` draws them."""
    assert f"(images/{picture})" in PAGE
    drawn = (DOCS / "images" / picture).read_text(encoding="utf-8")
    assert [name for name in LOSSES if f">{name}<" not in drawn] == []
