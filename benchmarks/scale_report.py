"""Time and peak memory of the report of a study with very many runs and scans, from tables alone.

python benchmarks/scale_report.py STUDY [--runs 1000] [--scans 1000] [--folder FOLDER]

STUDY is a finished study with one split. Its tables are repeated: so many predicted scans, half of them in each set,
each a copy of one of its scans under another name; so many runs of losses under other names, with up to 50 seeds each
and slightly lower scores. Only the scans of STUDY itself have pictures: those of so many scans would take most of the
time, though no memory that grows.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from _memory import status_mib
from _scale_runs import many_runs
from _timing import header

from cordlesion.config import RunConfig, read_study, study_yaml
from cordlesion.config.names import file_label
from cordlesion.io.tables import read_table, table_in_parts
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.tables import SPECS

OF_SCANS, OF_RUNS = ("sweep", "evaluation", "rules", "strata"), ("thresholds", "froc", "calibration", "reliability")
"""Tables with rows for every scan and run, and for every run."""
SETS = ("threshold", "test")


@dataclass(frozen=True)
class Size:
    """Of a study."""

    runs: int
    scans: int
    """That are predicted."""


def write_tables(donor: Path, folder: Path, size: Size) -> None:
    """Write the tables of a study of a given size."""
    source, target = StudyFolder(donor), StudyFolder(folder)
    config = many_runs(read_study(source.configuration), folder, size.runs)
    folder.mkdir(parents=True)
    target.configuration.write_text(study_yaml(config), encoding="utf-8")
    original = read_study(source.configuration).runs[0]
    shutil.copyfile(source.manifest, target.manifest)
    _link_maps(source, target, original, config.runs)
    names = _write_splits(source, target, size.scans)
    rng = np.random.default_rng(0)
    for name in (*OF_SCANS, *OF_RUNS):
        rows = read_table(source.table(name))
        rows = rows[(rows["loss"] == original.loss.title) & (rows["seed"] == original.seed)]
        rows = _repeated(rows, names) if name in OF_SCANS else rows
        with table_in_parts(target.table(name), SPECS[f"{name}.tsv"]) as append:
            for part in _of_runs(rows, config.runs, rng):
                append(part)
    for run in config.runs:
        target.run(run.name).mkdir(parents=True)
        shutil.copyfile(source.run(original.name) / "history.tsv", target.run(run.name) / "history.tsv")


def _link_maps(source: StudyFolder, target: StudyFolder, original: RunConfig, runs: tuple[RunConfig, ...]) -> None:
    """Give every run the maps and masks of the donor's first run."""
    old = f"_desc-{file_label(original.name)}_"
    for path in source.derivatives.rglob(f"*{old}*"):
        for run in runs:
            link = target.derivatives / path.relative_to(source.derivatives)
            link = link.with_name(path.name.replace(old, f"_desc-{file_label(run.name)}_"))
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())


def _write_splits(source: StudyFolder, target: StudyFolder, scans: int) -> dict[str, pd.DataFrame]:
    """Write the split; return for each set which scan of the donor each scan repeats."""
    splits = read_table(source.splits)
    tables, names = [splits[~splits["set"].isin(SETS)]], {}
    for set_name in SETS:
        rows = splits[splits["set"] == set_name]
        copies = rows.iloc[np.arange(scans // 2) % len(rows)].assign(copy=np.arange(scans // 2) // len(rows))
        original = copies["scan_id"]
        for column in ("scan_id", "subject"):
            again = [f"{name}x{k}" if k else name for name, k in zip(copies[column], copies["copy"], strict=True)]
            copies = copies.assign(**{column: again})
        names[set_name] = copies[["scan_id", "subject"]].assign(original=original.to_numpy())
        tables.append(copies.drop(columns="copy"))
    with table_in_parts(target.splits, SPECS["splits.tsv"]) as append:
        append(pd.concat(tables, ignore_index=True))
    return names


def _repeated(rows: pd.DataFrame, names: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of one run for all scans."""
    parts = [
        names[set_name].merge(
            of_set.drop(columns="subject"), left_on="original", right_on="scan_id", suffixes=("", "_")
        )
        for set_name, of_set in rows.groupby("set", sort=False)
    ]
    return pd.concat(parts, ignore_index=True).drop(columns=["original", "scan_id_"])


def _of_runs(rows: pd.DataFrame, runs: tuple[RunConfig, ...], rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Yield the rows under the name of each run, with slightly lower scores."""
    scores = [name for name in rows if name.endswith(("_f1", "_sensitivity", "_precision"))]
    for run in runs:
        factor = 1 - 0.1 * rng.random()
        lower = {name: rows[name] * factor for name in scores}
        yield rows.assign(loss=run.loss.title, seed=run.seed, **lower)


def measure(folder: Path) -> dict[str, float]:
    """Read the tables and write the report; seconds and peak memory of each, in this process."""
    from cordlesion.report.page import write_report
    from cordlesion.study_folder.results import read_results

    found = {"MiB of Python and its libraries": status_mib("VmHWM")}
    for name, work in {"read and check": read_results, "report": write_report}.items():
        found |= _timed(name, lambda work=work: work(folder))
    tables = sum((folder / f"{name}.tsv").stat().st_size for name in OF_SCANS)
    return {**found, "GB of tables": tables / 1e9}


def _timed(name: str, work: Callable[[], object]) -> dict[str, float]:
    start, processor = time.perf_counter(), time.process_time()
    work()
    seconds = {f"{name}, s": time.perf_counter() - start, f"{name}, s of a processor": time.process_time() - processor}
    return {**seconds, f"{name}, peak MiB": status_mib("VmHWM")}


def main() -> None:
    """Write the tables, and the report in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a finished study, whose tables are repeated")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--scans", type=int, default=1000, help="that are predicted")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.study)))
        return
    with tempfile.TemporaryDirectory(prefix="scale-", dir=given.folder) as name:
        folder, start = Path(name) / "study", time.perf_counter()
        write_tables(given.study, folder, Size(given.runs, given.scans))
        print(header(["cordlesion", "pandas", "numpy"]))
        print(f"{given.runs} runs of {given.scans} scans; tables written in {time.perf_counter() - start:.0f} s")
        done = subprocess.run(
            [sys.executable, __file__, str(folder), "--measure"], stdout=subprocess.PIPE, text=True, check=True
        )
        for label, value in json.loads(done.stdout.splitlines()[-1]).items():
            print(f"{label}: {value:.4g}")


if __name__ == "__main__":
    main()
