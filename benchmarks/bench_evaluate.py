"""1000 probability maps and references from disk: all metrics at 21 thresholds, compared with only reading the files.

python benchmarks/bench_evaluate.py [hundreds of scans]
"""

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from _memory import in_own_process, peak_growth_mib
from _rows import Figure, Row, run
from _targets import EVALUATION, EVALUATION_MEMORY
from _timing import seconds, version
from bench_sweep import panoptica_sweep
from scipy import ndimage

from cordlesion.dataset.matching import PROBABILITY_NAMES, MapPair, pair_files
from cordlesion.evaluation import sweep_map
from cordlesion.execution.local import map_scans
from cordlesion.io.tables import write_table
from cordlesion.io.volume import Volume, read_volume, write_volume
from cordlesion.threshold import THRESHOLDS

SHAPE, SPACING_MM, CROP = (320, 256, 19), (0.6875, 0.6875, 7.5), 35
DIFFERENT, PARTS = 20, ("seg", "probseg")
"""Number of different scans; the others are copies in separate files."""


def write_pairs(folder: Path, scans: int) -> None:
    """Write references and maps: up to six lesions around the cord; maps are blurred and noisy, 0 elsewhere."""
    grid = Volume(np.zeros(SHAPE, np.uint8), np.diag([*SPACING_MM, 1.0]))
    for number in range(min(scans, DIFFERENT)):
        for part, data in zip(PARTS, _pair(np.random.default_rng(number)), strict=True):
            write_volume(_file(folder, number, part), data, grid)
    for number in range(DIFFERENT, scans):
        for part in PARTS:
            shutil.copyfile(_file(folder, number % DIFFERENT, part), _file(folder, number, part))


def _file(folder: Path, number: int, part: str) -> Path:
    return folder / part / f"sub-{number:04d}_label-lesion_{part}.nii.gz"


def _pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    reference, crop = np.zeros(SHAPE, np.uint8), (slice(140, 140 + CROP), slice(110, 110 + CROP))
    for _ in range(rng.integers(7)):
        x, y, z = rng.integers((145, 115, 1), (165, 135, SHAPE[2] - 2))
        reference[x : x + rng.integers(3, 7), y : y + rng.integers(3, 7), z : z + rng.integers(1, 3)] = 1
    p = np.zeros(SHAPE, np.float32)
    blurred = ndimage.gaussian_filter(reference[crop].astype(np.float32), (1, 1, 0.3))
    p[crop] = (0.9 * blurred + 0.03 * rng.random(blurred.shape)).clip(0, 1)
    return reference, p


def evaluate(pairs: Sequence[MapPair], output: Path) -> None:
    """Sweep the maps and write the table, as in a study."""
    outcomes = map_scans(partial(sweep_map, thresholds=THRESHOLDS), pairs, "sweep")
    write_table(output, pd.concat([o.result for o in outcomes if o.result is not None], ignore_index=True))


def merely_read(pair: MapPair) -> None:
    """Read both files with cordlesion."""
    for path in (pair.reference, pair.prediction):
        read_volume(path)


def read_by_nibabel(pair: MapPair) -> None:
    """Read the arrays of both files with nibabel."""
    for path in (pair.reference, pair.prediction):
        np.asanyarray(nib.load(path).dataobj)


def evaluate_by_panoptica(pair: MapPair) -> None:
    """Read both files with nibabel and evaluate them at all thresholds with panoptica."""
    reference, p = (np.asanyarray(nib.load(path).dataobj) for path in (pair.reference, pair.prediction))
    panoptica_sweep(reference, p)()


def peak(folder: str, scans: int) -> float:
    """Return the memory for evaluating some scans, without the memory for imports, in MiB."""
    pairs = _pairs(Path(folder))
    evaluate(pairs[:4], Path(folder) / "table.tsv")
    return peak_growth_mib(lambda: evaluate(pairs[:scans], Path(folder) / "table.tsv"))


def _pairs(folder: Path) -> list[MapPair]:
    return pair_files(folder / "seg", folder / "probseg", PROBABILITY_NAMES)[0]


def measure(hundreds: int) -> list[Row]:
    """Evaluate and read a hundred scans alternately, then measure the peak memory of 100 and of all."""
    scans, with_peer = 100 * hundreds, version("panoptica") is not None
    ours = reading = nibabel = panoptica = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder, scans)
        pairs = _pairs(folder)
        evaluate(pairs[:4], folder / "table.tsv")
        for first in range(0, scans, 100):
            part = pairs[first : first + 100]
            ours += seconds(partial(evaluate, part, folder / "table.tsv"))
            reading += seconds(partial(map_scans, merely_read, part, ""))
            nibabel += seconds(partial(map_scans, read_by_nibabel, part, ""))
            if with_peer:
                panoptica += 100 * seconds(partial(evaluate_by_panoptica, part[first // 100 % DIFFERENT]))
        few, many = (in_own_process(__file__, f"peak({name!r}, {n})") for n in (100, scans))
    note = f"Maps and references of {SHAPE} voxels, compressed, in the file cache; {len(THRESHOLDS)} thresholds."
    floor = Figure("only reading the files, as ours and with as many threads", reading)
    others = (Figure("only reading the files with nibabel, with as many threads", nibabel),)
    peers = (Figure("panoptica (DSC, IoU), extrapolated from one scan in a hundred", panoptica),) if with_peer else ()
    return [
        Row(EVALUATION, Figure(f"cordlesion, {scans} scans", ours), peers, floor, others, note),
        Row(EVALUATION_MEMORY, Figure(f"{scans} scans", many), (), Figure("100 scans", few), note="The same files."),
    ]


if __name__ == "__main__":
    run(measure, 10, __doc__)
