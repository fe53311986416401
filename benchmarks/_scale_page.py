"""Creates the tables of docs/scaling.md, between markers; the rest of the page is written by hand."""

import re
from collections.abc import Sequence
from pathlib import Path

from _scale_costs import EPOCHS, Costs, Study, maps_of

EXTRAPOLATED = ((161, 50), (1_000, 100), (10_000, 1_000))
_STAGES = ("open", "preprocess", "train", "tune", "evaluate", "analyze", "report")


def write_page(page: Path, of_scans: Sequence[Study], of_runs: Sequence[Study], step_s: float, machine: str) -> None:
    """Replace the tables on the page."""
    costs = Costs(of_scans, of_runs, step_s)
    tables = {
        "machine": "Measured with " + machine.replace("\n", ", ") + ".",
        "scans": _scans_table(of_scans),
        "runs": _runs_table(of_runs),
        "units": _units_table(costs, of_runs[-1]),
        "extrapolated": _extrapolated_table(costs),
    }
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        marked = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, n_places = marked.subn(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
        if n_places != 1:
            raise SystemExit(f"{page}: has {n_places} places for the table {name}; one is needed.")
    page.write_text(text, encoding="utf-8")


def _scans_table(studies: Sequence[Study]) -> str:
    rows = [["scans", *(f"{one.scans}" for one in studies)]]
    rows += [[f"{name}, s", *(f"{one.stages[name]['seconds']:.1f}" for one in studies)] for name in _STAGES]
    rows.append(
        ["`study run` when all is done, up to tune, s", *(f"{one.stages['again']['all']:.1f}" for one in studies)]
    )
    for name in ("train", "evaluate", "report"):
        rows.append([f"peak memory of {name}, MiB", *(f"{one.stages[name]['mib']:.0f}" for one in studies)])
    rows.append(["disk, MB", *(f"{_megabytes(one):.0f}" for one in studies)])
    rows.append(["files", *(f"{_files(one)}" for one in studies)])
    return _markdown(rows)


def _runs_table(studies: Sequence[Study]) -> str:
    rows = [["runs × predicted scans", *(f"{one.runs} × {one.measured_scans}" for one in studies)]]
    names = {
        "tune": "tune (of maps that are measured)",
        "evaluate": "evaluate (tables)",
        "analyze": "analyze (tables)",
        "report": "report",
    }
    rows += [
        [f"{label}, s", *(f"{one.stages[name]['seconds']:.1f}" for one in studies)] for name, label in names.items()
    ]
    rows.append(
        ["`study run` when all is done, up to tune, s", *(f"{one.stages['tune']['all']:.1f}" for one in studies)]
    )
    rows += [[f"{name}, s", *(f"{one.stages[name]['seconds']:.2f}" for one in studies)] for name in ("status", "view")]
    for name in ("evaluate", "analyze", "report", "view"):
        rows.append([f"peak memory of {name}, MiB", *(f"{one.stages[name]['mib']:.0f}" for one in studies)])
    rows.append(["disk, MB", *(f"{_megabytes(one):.0f}" for one in studies)])
    rows.append(["files", *(f"{_files(one)}" for one in studies)])
    return _markdown(rows)


def _units_table(costs: Costs, runs: Study) -> str:
    size, maps = costs.bytes, maps_of(runs)
    tables = sum(size[kind] for kind in ("tables of runs", "tables of the study"))
    rows = [
        ["", "seconds", "disk, kB", "files"],
        ["a scan: read, hashed, cut", f"{costs.scan_s[0]:.3f}", f"{size['stacks'] / 1e3:.0f}", "3"],
        ["a scan in a training, per epoch", f"{costs.epoch_s[0]:.3f}", "", ""],
        ["the same at the paper's settings", f"{costs.step_s * costs.steps_per_scan:.2f}", "", ""],
        ["a run: model, tables, markers", "", f"{size['models'] / 1e3:.0f}", "14"],
        [
            "a scan predicted by a run: map, mask, their descriptions, marker, all metrics",
            f"{costs.map_s[0]:.3f}",
            f"{(size['maps'] + size['masks'] + size['sidecars'] + size['marker'] + tables) / 1e3:.0f}",
            "5",
        ],
        ["of which in tables", f"{_table_seconds(costs, maps, runs.runs):.4f}", f"{tables / 1e3:.1f}", ""],
        ["the same in the report", f"{costs.tables_s['report'][0]:.4f}", "", ""],
        ["a run in the report", f"{costs.tables_s['report'][1]:.3f}", "", ""],
    ]
    return _markdown(rows)


def _table_seconds(costs: Costs, maps: float, runs: int) -> float:
    stages = ("tune", "evaluate", "analyze")
    return sum(costs.tables_s[name][0] + costs.tables_s[name][1] * runs / maps for name in stages)


def _extrapolated_table(costs: Costs) -> str:
    rows = [["scans × runs", *(f"{scans:,} × {runs:,}".replace(",", " ") for scans, runs in EXTRAPOLATED)]]
    disks, files = [costs.disk(*size) for size in EXTRAPOLATED], [costs.files(*size) for size in EXTRAPOLATED]
    rows += [[f"disk: {name}", *(_bytes(disk[name]) for disk in disks)] for name in disks[0]]
    rows.append(["**disk, all**", *(f"**{_bytes(sum(disk.values()))}**" for disk in disks)])
    rows.append(["**files**", *(f"**{_number(sum(found.values()))}**" for found in files)])
    hours = [costs.hours(*size) for size in EXTRAPOLATED]
    labels = {
        "scans": "reading and cutting all scans, once",
        "training": f"training, {EPOCHS} epochs",
        "maps": "prediction and metrics",
        "tables": "tables of the study",
        "report": "report",
        "again": "`study run` when all is done, up to tune",
    }
    rows += [[f"hours: {labels[name]}", *(_number(one[name]) for one in hours)] for name in labels]
    memory = [costs.memory_mib(*size) for size in EXTRAPOLATED]
    rows += [[f"peak memory of {name}", *(_bytes(one[name] * 2**20) for one in memory)] for name in memory[0]]
    return _markdown(rows)


def _megabytes(study: Study) -> float:
    return float(sum(kind["bytes"] for kind in study.disk.values())) / 1e6


def _files(study: Study) -> int:
    return int(sum(kind["files"] for kind in study.disk.values()))


def _bytes(number: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e6:.0f} MB"


def _number(number: float) -> str:
    """Format with two significant digits."""
    if number >= 1e6:
        return f"{number / 1e6:.1f} million"
    if number >= 100:
        return f"{round(number, 1 - len(str(int(number)))):,.0f}".replace(",", " ")
    return f"{number:.2g}" if number >= 0.01 else "< 0.01"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
