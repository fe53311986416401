"""Tables with very many rows: the rows of one model of every loss, and all of them folded."""

import re

import pytest

from cordlesion.pictures.html_page import page_environment
from cordlesion.report.latex import latex
from cordlesion.report.page import TEMPLATES
from cordlesion.report.table import Cell, Group, Table


def rendered(n_models: int, leading: set[str]) -> str:
    groups = tuple(Group(f"model {n}", ((Cell("tuned"),), (Cell("usual"),))) for n in range(n_models))
    table = Table(("Loss", "Cut"), groups, label="Table 1.", lead="What.", note="How.")
    environment = page_environment(TEMPLATES)
    environment.globals["latex"] = latex
    given = {"tables": {"scores": table}, "figures": {}, "refs": {}, "leading": leading}
    return str(environment.get_template("macros.html.j2").make_module(given).table("scores"))


def names(text: str) -> list[str]:
    return re.findall(r'<th scope="rowgroup"[^>]*>([^<]*)</th>', text)


@pytest.mark.parametrize("n_models", [3, 20])
def test_a_short_table_is_shown_as_a_whole(n_models: int) -> None:
    text = rendered(n_models, {"model 1"})
    assert names(text) == [f"model {n}" for n in range(n_models)]
    assert "rows</summary>" not in text


def test_of_a_long_one_the_leading_models_are_shown_and_all_are_folded() -> None:
    shown, folded = rendered(21, {"model 1", "model 20", "other"}).split("<details><summary>All 42 rows</summary>")
    assert names(shown) == ["model 1", "model 20"]
    assert names(folded) == [f"model {n}" for n in range(21)]


def test_where_no_row_leads_all_are_folded() -> None:
    shown, folded = rendered(21, set()).split("<details><summary>All 42 rows</summary>")
    assert names(shown) == []
    assert len(names(folded)) == 21


def test_how_to_read_a_table_is_folded_and_files_have_it_whole() -> None:
    text = rendered(3, set())
    caption = text.split("<figcaption>")[1].split("</figcaption>")[0]
    assert "What." in caption
    assert "How." not in caption
    assert '<details class="note"><summary>How to read it</summary><p>How.</p></details>' in text
    assert "What. How." in text.split("Copy LaTeX")[1]
