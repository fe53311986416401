"""Are promises kept? Random halves of a finished study, its scans as a population, and simulated subjects.

python benchmarks/promises.py halves STUDY [--draws 1000] [--methods bce_ensemble ...]
python benchmarks/promises.py chosen STUDY [--draws 1000] [--methods ...]
python benchmarks/promises.py simulated [--draws 1000]
python benchmarks/promises.py enough [--draws 1000]

`halves`: the subjects with lesions of the threshold and the test set are divided at random; a promise is made on one
half and looked up on the other. The other half has sampling noise of its own, and what one half lacks the other has, so
that 95 % is not what the method guarantees here. Therefore the same subjects are taken as a population, too, from which
threshold sets of half their number are drawn with replacement: there the true risk is known, the mean over all of them,
and promises may be broken in at most 5 % of the draws. `chosen`: the promise is that of the method with the highest
score on the drawn subjects, as that of the recommended model of a study. `simulated`: subjects of a known law.
`enough`: how many subjects get a promise on missed lesions in 4 of 5 studies, by their true risk. Nothing is
written.
"""

import argparse
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from cordlesion.io.arrays import FloatArray, IndexArray
from cordlesion.io.tables import read_in_parts
from cordlesion.threshold import RiskName, SubjectRisks, ThresholdChoice, certify, choose_threshold, measure_risks
from cordlesion.threshold.promises import kept_cell

OBJECTIVE = "mean_voxel_f1"
MADE_OF_STUDY: Mapping[RiskName, tuple[float, ...]] = {
    "missed": (0.1, 0.2, 0.6, 0.65, 0.7, 0.8),
    "false_positives": (1.0, 2.0, 3.0),
}
SIMULATED: Mapping[RiskName, tuple[float, ...]] = {"missed": (0.1, 0.2), "false_positives": (1.0, 2.0)}
THRESHOLDS = np.round(np.linspace(0, 1, 21), 2)
N_SUBJECTS = (20, 40, 80)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("halves", "chosen", "simulated", "enough"))
    parser.add_argument("study", type=Path, nargs="?")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--methods", nargs="+", help="names of losses or ensembles, first seeds; by default all")
    given = parser.parse_args()
    if given.what == "simulated":
        rows = [row for n in N_SUBJECTS for row in simulated(n, given.draws)]
    elif given.what == "enough":
        rows = [*enough(given.draws)]
    elif given.what == "chosen":
        pools = [_Pool(table) for _, table in methods(given.study, given.methods)]
        rows = [*chosen(pools, given.draws)]
    else:
        rows = [row for name, table in methods(given.study, given.methods) for row in halves(name, table, given.draws)]
    print(_markdown(rows))


def methods(study: Path, wanted: list[str] | None) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the first seed of each loss, and what has no seed, with its scans of subjects with lesions."""
    for rows in read_in_parts(study / "sweep.tsv", ["loss", "seed"]):
        for (loss, seed), mine in rows.groupby(["loss", "seed"], sort=False, dropna=False):
            if (pd.isna(seed) or seed == mine["seed"].min() == 0) and (not wanted or loss in wanted):
                yield str(loss), mine[mine["n_reference_lesions"] > 0].drop(columns="set")


def halves(name: str, table: pd.DataFrame, n_draws: int) -> Iterator[dict[str, object]]:
    """Count the promises of a method that are kept: on the other half, and in the population of all subjects."""
    rng, pool = np.random.default_rng(0), _Pool(table)
    n = len(pool.places) // 2
    split = (rng.permutation(len(pool.places)) for _ in range(n_draws))
    drawn = (rng.integers(len(pool.places), size=n) for _ in range(n_draws))
    other = _count(pool, ((one[:n], one[n:]) for one in split), MADE_OF_STUDY)
    whole = np.arange(len(pool.places))
    known = _count(pool, ((one, whole) for one in drawn), MADE_OF_STUDY)
    for key, (made, kept, price) in other.items():
        yield {
            "method": name,
            "promise": _words(*key),
            "subjects": n,
            "made": made / n_draws,
            "kept on the other half": kept / made if made else np.nan,
            "made, population": known[key][0] / n_draws,
            "broken, of all draws": (known[key][0] - known[key][1]) / n_draws,
            "price": price,
        }


def chosen(pools: list["_Pool"], n_draws: int) -> Iterator[dict[str, object]]:
    """Count the promises of whichever method scores highest on the drawn subjects that are kept in the population."""
    rng, n = np.random.default_rng(0), len(pools[0].places) // 2
    found = _none_yet(MADE_OF_STUDY)
    for _ in range(n_draws):
        drawn = rng.integers(len(pools[0].places), size=n)
        choices = [choose_threshold(pool.table_of(drawn), OBJECTIVE, n_resamples=1) for pool in pools]
        best = int(np.argmax([choice.score for choice in choices]))
        _add(found, keep_all(pools[best].risks_of(drawn), choices[best], MADE_OF_STUDY), pools[best].risks.means)
    for key, (made, kept, _) in found.items():
        broken = (made - kept) / n_draws
        yield {"of": len(pools), "promise": _words(*key), "made": made / n_draws, "broken, of all draws": broken}


def simulated(n: int, n_draws: int) -> Iterator[dict[str, object]]:
    """Count the promises that are kept by subjects of a known law; the true risk is that of 20 000 of them."""
    rng = np.random.default_rng(n)
    truth = _means(_simulate(rng, 20_000))
    found = _none_yet(SIMULATED)
    for _ in range(n_draws):
        table = _simulate(rng, n)
        choice = choose_threshold(table, OBJECTIVE, n_resamples=1)
        _add(found, keep_all(measure_risks(table), choice, SIMULATED), truth)
    for key, (made, kept, price) in found.items():
        yield {
            "promise": _words(*key),
            "subjects": n,
            "made": made / n_draws,
            "broken, of all draws": (made - kept) / n_draws,
            "price": price / made if made else np.nan,
        }


def enough(n_draws: int) -> Iterator[dict[str, object]]:
    """Find how many subjects are enough in 4 of 5 studies, where the risk is the same at both starts."""
    sizes = range(20, 2001, 5)
    for limit in SIMULATED["missed"]:
        found: dict[str, object] = {}
        for part in (0.25, 0.5, 0.75):
            risk = part * limit
            bias = _bias_of(risk)
            place = bisect_left(sizes, True, key=lambda n: _power(n, bias, limit, n_draws) >= 0.8)
            found[f"true risk {part:g} of it"] = sizes[place] if place < len(sizes) else "more than 2000"
        yield {"promise": _words("missed", limit), **found}


def _power(n: int, bias: float, limit: float, n_draws: int) -> float:
    """Return in which share of the draws of n subjects a promise is made."""
    rng, made = np.random.default_rng(n), 0
    for _ in range(n_draws):
        losses = np.tile(_missed(rng, n, bias)[:, np.newaxis], 2)
        made += bool(certify(losses, limit, [[0, 1]], starts=[0, 1]).valid)
    return made / n_draws


def _missed(rng: np.random.Generator, n: int, bias: float) -> FloatArray:
    """Draw the shares of 1 to 6 lesions that are missed, of subjects who differ."""
    n_lesions = rng.integers(1, 7, n)
    shares: FloatArray = rng.binomial(n_lesions, 1 / (1 + np.exp(-bias - rng.normal(0, 1, n)))) / n_lesions
    return shares


def _bias_of(risk: float) -> float:
    """Return the bias at which the mean share missed of 100 000 subjects is a risk."""
    found: float = brentq(
        lambda bias: _missed(np.random.default_rng(0), 100_000, bias).mean() - risk, -12, 2, xtol=1e-3
    )
    return found


class _Pool:
    """All subjects of a method, from whom threshold sets are drawn."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table.reset_index(drop=True)
        self.places: list[IndexArray] = [*self.table.groupby("subject").indices.values()]
        self.risks = measure_risks(self.table)

    def table_of(self, drawn: IndexArray) -> pd.DataFrame:
        """Return the rows of subjects, of whom some may be drawn several times."""
        rows = np.concatenate([self.places[one] for one in drawn])
        number = np.repeat(np.arange(len(drawn)), [len(self.places[one]) for one in drawn])
        names = np.char.add(np.char.zfill(number.astype(str), 4), "-")
        chosen = self.table.iloc[rows]
        return chosen.assign(
            subject=names + chosen["subject"].to_numpy(str), scan_id=names + chosen["scan_id"].to_numpy(str)
        )

    def risks_of(self, drawn: IndexArray) -> SubjectRisks:
        """Return what was measured in subjects."""
        losses = {name: values[drawn] for name, values in self.risks.losses.items()}
        return replace(self.risks, losses=losses, subjects=dict.fromkeys(losses, np.arange(len(drawn))))


def _count(
    pool: _Pool, pairs: Iterator[tuple[IndexArray, IndexArray]], limits: Mapping[RiskName, tuple[float, ...]]
) -> dict[tuple[RiskName, float], tuple[int, int, float]]:
    """Return of each promise how often it was made and kept, and the mean of its price where it was looked up."""
    found = _none_yet(limits)
    for tuning, test in pairs:
        choice = choose_threshold(pool.table_of(tuning), OBJECTIVE, n_resamples=1)
        _add(found, keep_all(pool.risks_of(tuning), choice, limits), pool.risks_of(test).means)
    return {key: (made, kept, price / made if made else np.nan) for key, (made, kept, price) in found.items()}


def keep_all(
    risks: SubjectRisks, choice: ThresholdChoice, limits: Mapping[RiskName, tuple[float, ...]]
) -> dict[tuple[RiskName, float], int | None]:
    """Return the cell that each promise is made at."""
    return {(name, limit): kept_cell(risks, choice, {name: limit}) for name, some in limits.items() for limit in some}


def _none_yet(limits: Mapping[RiskName, tuple[float, ...]]) -> dict[tuple[RiskName, float], list[float]]:
    """Return of each promise how often it was made and kept, and the sum of its price."""
    return {(name, limit): [0, 0, 0.0] for name, some in limits.items() for limit in some}


def _add(
    found: dict[tuple[RiskName, float], list[float]],
    cells: Mapping[tuple[RiskName, float], int | None],
    truth: Mapping[RiskName, FloatArray],
) -> None:
    for (name, limit), cell in cells.items():
        if cell is not None:
            other = next(one for one in truth if one != name)
            entry = found[name, limit]
            entry[0] += 1
            entry[1] += truth[name][cell] <= limit + 1e-12
            entry[2] += truth[other][cell]


def _simulate(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Draw subjects of 1 or 2 scans with 1 to 6 lesions each, which are missed and marked falsely as at thresholds."""
    of_scan = np.repeat(np.arange(n), rng.integers(1, 3, n))
    ease, lesions = rng.normal(0, 1, n)[of_scan], rng.integers(1, 7, len(of_scan))
    cut = np.log((THRESHOLDS + 1e-3) / (1 - THRESHOLDS + 1e-3))
    seen = rng.logistic(1.5 + ease[:, None], 1, (len(of_scan), 6))
    seen[np.arange(6) >= lesions[:, None]] = -np.inf
    false = rng.logistic(-3 - rng.normal(0, 1, n)[of_scan][:, None], 1.5, (len(of_scan), 10))
    found, marked = ((scores[:, None] > cut[:, None]).sum(axis=2) for scores in (seen, false))
    scan, cell = (axis.ravel() for axis in np.indices(found.shape))
    found, marked, n_lesions = found.ravel(), marked.ravel(), lesions[scan]
    return pd.DataFrame(
        {
            "scan_id": scan,
            "subject": of_scan[scan],
            "threshold": THRESHOLDS[cell],
            "voxel_f1": 2 * found / (n_lesions + found + marked),
            "n_reference_lesions": n_lesions,
            "n_detected_lesions": found,
            "n_predicted_lesions": found + marked,
            "n_true_predicted_lesions": found,
            "reference_volume_mm3": 10.0 * n_lesions,
        }
    )


def _means(table: pd.DataFrame) -> dict[RiskName, FloatArray]:
    return measure_risks(table).means


def _markdown(rows: list[dict[str, object]]) -> str:
    lines = [[*rows[0]], ["---"] * len(rows[0])]
    lines += [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _words(name: RiskName, limit: float) -> str:
    return f"missed ≤ {limit:.0%}" if name == "missed" else f"false positives ≤ {limit:g}"


if __name__ == "__main__":
    main()
