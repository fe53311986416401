"""A small finished study: one training, imported maps and masks, a minimum lesion volume, and the rule `peak`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cordlesion.config import read_study
from cordlesion.explorer.catalog import Catalog, Model
from cordlesion.study.run import run_study
from support.comparator_files import write_comparators
from support.tiny import make_cohort

COMPARATORS = """\
postprocess: {minimum_volume_mm3: 4}
threshold: {rules: [peak]}
comparators:
  - {name: soft, maps: maps}
  - {name: hard, masks: masks}
  - {name: shipped, maps: maps, threshold: 0.225}
"""


def make_finished_study(folder: Path) -> Path:
    file = make_cohort(folder)
    write_comparators(folder)
    file.write_text(file.read_text().replace("epochs: 3", "epochs: 1").replace("[bce, tversky]", "[bce]") + COMPARATORS)
    assert run_study(read_study(file), until="analyze") == {}
    return folder / "study"


def beside_peak(catalog: Catalog) -> dict[int, Model]:
    """The models of the page, by number, without those again with the rule `peak`."""
    return {number: model for number, model in enumerate(catalog.models) if model.kind != "peak"}


@contextlib.contextmanager
def few_scans() -> Iterator[None]:
    """A catalog with only two test scans and one scan of the threshold set, for speed."""
    every = Catalog.scans.func
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Catalog, "scans", property(lambda self: (*every(self)[:2], every(self)[-1])))
        yield
