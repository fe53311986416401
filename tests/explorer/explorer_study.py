"""A finished study of seconds: one training, maps and masks of others, minimum lesion volume."""

from pathlib import Path

from comparator_files import write_comparators
from cordlesion.config import read_study
from cordlesion.study import run_study
from tiny import make_cohort

COMPARATORS = """\
postprocess: {minimum_volume_mm3: 4}
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
