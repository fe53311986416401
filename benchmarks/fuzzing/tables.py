"""Tables: splits, those of a finished study, metrics to compare, participants, lesions."""

from pathlib import Path

import numpy as np

from fuzzing import mutate, valid
from fuzzing.case import Case

_TABLES = ("splits.tsv", "sweep.tsv", "evaluation.tsv", "thresholds.tsv", "rules.tsv", "strata.tsv", "froc.tsv",
           "calibration.tsv", "reliability.tsv", "runs/dice_seed-0/history.tsv")  # fmt: skip
_LESIONS = "scan_id\tlesion\tvolume_mm3\tlength_mm\n"


def of_a_study(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A finished study with a damaged table: read as the report does, shown as the explorer does, or reported."""
    place = valid.linked(valid.finished_study(common), folder / "study")
    name = mutate.pick(rng, _TABLES)
    content, done = mutate.damage_table(rng, (place / name).read_text())
    valid.replace(place / name, content)
    done = f"{name}: {done}"
    if rng.random() < 0.04:  # a report takes seconds
        return Case(done, ("report", str(place), "-q"))
    reader = mutate.pick(rng, ("cordlesion.study_folder.results:read_results", "fuzzing.tables:explore"))
    return Case(done, (str(place),), reader)


def explore(folder: Path) -> None:
    """Read what the explorer shows before the first scan."""
    from cordlesion.explorer.site import Site

    site = Site(folder)
    site.read("data/study.js")


def status(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """The status of a study whose split is damaged."""
    place = valid.linked(valid.finished_study(common), folder / "study")
    content, done = mutate.damage_table(rng, (place / "splits.tsv").read_text())
    valid.replace(place / "splits.tsv", content)
    return Case(done, ("study", "status", str(place)))


def export(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A split for nnU-Net."""
    content, done = mutate.damage_table(rng, (valid.finished_study(common) / "splits.tsv").read_text())
    file = valid.replace(folder / "splits.tsv", content)
    return Case(done, ("export", "split", str(file), "-o", str(folder / "out" / "splits.json")))


def compare(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """Two tables of metrics."""
    text = (valid.finished_study(common) / "evaluation.tsv").read_text()
    content, done = mutate.damage_table(rng, text)
    file = valid.replace(folder / "metrics.tsv", content)
    run = ("set=test,loss=dice,threshold=0.5", "set=test,loss=bce,threshold=0.5")
    return Case(done, ("compare", str(file), str(valid.finished_study(common) / "evaluation.tsv"),
                       "--first-run", run[0], "--second-run", run[1], "-o", str(folder / "out" / "c.tsv")))  # fmt: skip


def participants(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A dataset with a damaged participants.tsv."""
    place = valid.linked(valid.cohort(common) / "cohort", folder / "cohort")
    content, done = mutate.damage_table(rng, (place / "participants.tsv").read_text())
    valid.replace(place / "participants.tsv", content)
    return Case(done, ("split", str(place), "-o", str(folder / "out" / "splits.tsv"), "-q"))


def lesions(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A folder of segmentations with damaged tables."""
    scan, cord = valid.scan(common)
    made = _segmented(common)
    out = valid.linked(made, folder / "out")
    name = mutate.pick(rng, ("lesions.tsv", "lesion_load.tsv"))
    content, done = mutate.damage_table(rng, (out / name).read_text())
    valid.replace(out / name, content)
    return Case(f"{name}: {done}", ("segment", str(scan), "-m", str(valid.bundle(common)), "-o", str(out),
                                    "--cord-mask", str(cord), "--no-pictures", "-q"))  # fmt: skip


def _segmented(common: Path) -> Path:
    return common / "segmented"


def prepare(common: Path) -> None:
    """Segment a scan once, and make a finished study."""
    from cordlesion.scan.segment import segment_files

    scan, cord = valid.scan(common)
    valid.finished_study(common)
    segment_files([scan], valid.bundle(common), _segmented(common), cord_masks=[cord], pictures=False)


GENERATORS = {
    "table of study": of_a_study,
    "table status": status,
    "table split": export,
    "table compare": compare,
    "table participants": participants,
    "table lesions": lesions,
}
