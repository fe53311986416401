"""Run every benchmark of the page, each in a separate process, and write `docs/benchmarks.md`.

python benchmarks/run.py [--quick] [--only NAME ...] [--json FOLDER]
python benchmarks/run.py --page FILE ...

On a processor with bfloat16, the benchmarks of networks are run twice, the second time with instructions newer than
AVX2 switched off; the page has both, side by side. `--json FOLDER` keeps the figures in a file for each. The second
form measures nothing: it writes the page from such files, of one machine or of several.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from _page import page
from _results import HERE, UP_TO_AVX2, Results, load, measure, save

PAGE = HERE.parent / "docs" / "benchmarks.md"
SCRIPTS = {
    "stack": 2,
    "training_step": 1,
    "busy": 3,
    "prediction": 1,
    "sweep": 2,
    "simulate": 4,
    "segment": 1,
    "evaluate": 2,
    "explorer": 10,
}
"""Benchmarks with the number of rounds of a quick run; the default numbers give more reliable figures."""
NETWORKS = ("training_step", "busy", "prediction", "segment")
"""Those that depend on the instructions of the processor."""


def measure_all(names: Sequence[str], *, quick: bool) -> list[Results]:
    """Measure on this processor and, where networks compute in bfloat16 here, in float32 as well."""
    found = [measure({name: SCRIPTS[name] for name in names}, quick=quick)]
    networks = {name: SCRIPTS[name] for name in names if name in NETWORKS}
    if found[0].label == "bfloat16" and networks:
        print("=== again, with instructions newer than AVX2 switched off", flush=True)
        found.append(measure(networks, quick=quick, instructions=UP_TO_AVX2))
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS), help="print these, no page")
    parser.add_argument("--quick", action="store_true", help="few rounds: to try it, not for figures to quote")
    parser.add_argument(
        "--json", type=Path, metavar="FOLDER", help="folder for the figures, a file for each kind of processor"
    )
    parser.add_argument("--page", nargs="+", type=Path, metavar="FILE", help="write the page from such files only")
    given = parser.parse_args()
    found = [load(path) for path in given.page or ()] or measure_all(given.only, quick=given.quick)
    if len({results.label for results in found}) < len(found):
        raise SystemExit("Two files have the same label; change one of them, which names its columns.")
    if given.json:
        given.json.mkdir(parents=True, exist_ok=True)
        for results in found:
            save(results, given.json / f"{results.label}.json")
    if set(given.only) == set(SCRIPTS):
        PAGE.write_text(page(found), encoding="utf-8")
        print(f"{PAGE}: written")


if __name__ == "__main__":
    main()
