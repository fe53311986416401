"""docs/losses.md and its pictures keep up with the table of losses."""

import inspect
import re
from pathlib import Path

import pytest

from cordlesion.losses import LOSSES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "losses.md").read_text(encoding="utf-8")
every_loss = pytest.mark.parametrize("name", list(LOSSES))


@every_loss
def test_every_loss_is_described_and_its_gradient_too(name):
    tables = PAGE.split("### In words")
    assert len(tables) == 2
    assert all(re.search(rf"^\| [^|]*`{name}`", table, flags=re.MULTILINE) for table in tables)


@every_loss
def test_every_published_parameter_is_on_the_page(name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", PAGE.split("### In words")[0], flags=re.MULTILINE)
    numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", row.split("|")[3])}
    for parameter in inspect.signature(LOSSES[name]).parameters.values():
        shared = parameter.name in ("smooth", "per_patch")
        if not shared and isinstance(parameter.default, float):
            assert parameter.default in numbers, parameter.name


@pytest.mark.parametrize("picture", ["loss_empty_patches.svg", "loss_small_lesion.svg"])
def test_every_loss_has_a_panel(picture):
    assert f"(images/{picture})" in PAGE
    drawn = (DOCS / "images" / picture).read_text(encoding="utf-8")
    assert [name for name in LOSSES if f">{name}<" not in drawn] == []
