"""What does it cost to choose on few scans? Half of the threshold set is left out at random, again and again.

python benchmarks/regret.py STUDY [--halvings 10] [--out regret]
python benchmarks/regret.py --simulated 50

The model and its threshold are chosen on the other half, by the rule of earlier versions (the run with the highest
median of voxel F1) and by the present rule (the mean of F1, the middle between a run and its loss), and scored on the
whole test set. Printed, written and drawn: how the two rules compare, and whether the optimism that the report would
state covers what the chosen model's score loses on the test set. Reads the tables of any finished study with one split,
or simulates studies: 7 losses, 5 seeds, 40 threshold scans of 30 subjects, 80 test scans of 60.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from calibration.choice import FORMER, PRESENT, Chosen, Rule, choose
from calibration.curves import Array, Design, Places, as_scans, draw_curves, draw_trainings
from calibration.generators import owners
from matplotlib.figure import Figure

from cordlesion.pictures.style import style
from cordlesion.study_folder.recommendation import number_losses
from cordlesion.study_folder.results import StudyResults, read_results
from cordlesion.study_folder.runs import Run
from cordlesion.threshold import OBJECTIVES, ThresholdScans, arrange_scans, correct_selection

_MEAN = "mean_voxel_f1"
_OBJECTIVES = {rule.objective for rule in (FORMER, PRESENT)}


@dataclass(frozen=True, eq=False)
class Tables:
    """The curves of every run on both sets."""

    runs: tuple[Run, ...]
    threshold: list[ThresholdScans]
    test: dict[str, Array]
    """Each rule's objective over the test scans, shape (runs, thresholds)."""

    @property
    def losses(self) -> Places:
        """The number of each run's loss."""
        return number_losses(self.runs)


def read_tables(results: StudyResults) -> Tables:
    """Read the sweeps of the runs that learned."""
    runs = results.ranked

    def scans(run: Run, name: str) -> ThresholdScans:
        return arrange_scans(results.rows("sweep", run, set=name).drop(columns="set"), OBJECTIVES[_MEAN])

    tested = [scans(run, "test").measures for run in runs]
    return Tables(runs, [scans(run, "threshold") for run in runs], _test_curves(tested))


def simulate_tables(rng: np.random.Generator) -> Tables:
    """Simulate the curves of a study."""
    design = Design(n_losses=7, n_seeds=5, losses_sd=0.3, seeds_sd=0.4)
    trainings, runs = draw_trainings(rng, design), [Run(f"loss-{k}", s) for k in range(7) for s in range(5)]
    threshold, test = owners(40, 30), owners(80, 60)
    scans = as_scans(draw_curves(rng, trainings, threshold), threshold)
    tested = [one.measures for one in as_scans(draw_curves(rng, trainings, test), test)]
    return Tables(tuple(runs), scans, _test_curves(tested))


def _test_curves(measures: Sequence[Array]) -> dict[str, Array]:
    return {name: np.stack([OBJECTIVES[name].summarize(one) for one in measures]) for name in _OBJECTIVES}


def halve(scans: ThresholdScans, subjects: Places) -> ThresholdScans:
    """Return the scans of some subjects."""
    kept = np.isin(scans.subjects, subjects)
    numbers = np.unique(scans.subjects[kept], return_inverse=True)[1]
    return replace(
        scans, measures=scans.measures[:, kept], subjects=numbers, lesion_free=scans.lesion_free[kept], n_left_out=0
    )


def measure(tables: Tables, n_halvings: int, seed: int = 0) -> pd.DataFrame:
    """Choose on random halves: a row per halving and rule."""
    rng = np.random.default_rng(seed)
    n = int(tables.threshold[0].subjects.max()) + 1
    rows = []
    for halving in range(n_halvings):
        kept = rng.permutation(n)[: (n + 1) // 2]
        half = [halve(scans, kept) for scans in tables.threshold]
        for name, rule in (("former", FORMER), ("present", PRESENT)):
            chosen = choose(half, tables.losses, rule)
            rows.append({"halving": halving, "rule": name, **_outcome(tables, half, chosen, rule)})
    return pd.DataFrame(rows)


def _outcome(tables: Tables, half: list[ThresholdScans], chosen: Chosen, rule: Rule) -> dict[str, object]:
    """Score a choice on the test set: both rules in mean F1, and what each loses in its own objective."""
    goal, place = OBJECTIVES[rule.objective], (chosen.run, chosen.cell)
    loss = tables.test[_MEAN][tables.losses == tables.losses[chosen.run]].max(axis=1).mean()
    corrected = correct_selection(half, rule.losses(tables.losses), goal)
    return {
        "method": tables.runs[chosen.run].name,
        "threshold": float(half[0].grid.thresholds[chosen.cell]),
        "tested": float(tables.test[_MEAN][place]),
        "loss_tested": float(loss),
        "apparent": chosen.score,
        "lost": chosen.score - float(tables.test[rule.objective][place]),
        "stated": np.nan if corrected is None else corrected.optimism,
        "held": np.nan if corrected is None else corrected.low <= tables.test[rule.objective][place] <= corrected.high,
    }


def summarize(table: pd.DataFrame) -> str:
    """Describe the outcome in a Markdown table and two sentences."""
    columns = ["tested", "loss_tested", "apparent", "lost", "stated"]
    means = table.groupby("rule", sort=False)[columns].mean()
    lines = ["| rule | mean F1 on the test set | of its loss | objective on the half that chose | lost | stated |"]
    lines.append("|---|---|---|---|---|---|")
    lines += [f"| {rule} | {' | '.join(f'{value:.3f}' for value in row)} |" for rule, row in means.iterrows()]
    tested = table.pivot(index="halving", columns="rule", values="tested")
    gain = tested["present"] - tested["former"]
    lines.append(
        f"\nPresent less former rule on the test set: {gain.mean():+.4f} (standard deviation {gain.std():.4f}) in "
        f"{len(gain)} halvings; better in {(gain > 0).sum()}, worse in {(gain < 0).sum()}."
    )
    mine = means.loc["present"]
    if np.isnan(mine["stated"]):
        lines.append("No optimism can be stated: a half has too few subjects.")
    else:
        verb = "covers" if mine["stated"] >= mine["lost"] else "does not cover"
        held = table.loc[table["rule"] == "present", "held"].astype(float).mean()
        lines.append(
            f"The stated optimism, {mine['stated']:.3f}, {verb} what is lost, {mine['lost']:.3f}; the interval of the "
            f"corrected score holds the test score in {100 * held:.0f} % of the halvings."
        )
    return "\n".join(lines)


def harder(tables: Tables) -> float:
    """Return by how much the test set is harder than the threshold set: all models at t = 0.5, without any choice."""
    cell = int(np.flatnonzero(np.isclose(tables.threshold[0].grid.thresholds, 0.5))[0])
    chosen_on = np.mean([OBJECTIVES[_MEAN].summarize(scans.measures)[cell] for scans in tables.threshold])
    return float(chosen_on - tables.test[_MEAN][:, cell].mean())


def draw(table: pd.DataFrame) -> Figure:
    """Draw both rules on the test set, halving by halving, and stated optimism against what is lost."""
    with style():
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        tested = table.pivot(index="halving", columns="rule", values="tested")
        ends = (tested.to_numpy().min() - 0.02, tested.to_numpy().max() + 0.02)
        left.plot(ends, ends, color="0.6", linewidth=0.8)
        left.plot(tested["former"], tested["present"], "o", color="#0072B2", markersize=4, alpha=0.5)
        left.set(title="Mean F1 on the test set", xlabel="former rule", ylabel="present rule", xlim=ends, ylim=ends)
        mine = table[table["rule"] == "present"].dropna(subset="stated")
        right.set(title="Optimism", xlabel="stated", ylabel="lost on the test set")
        if mine.empty:
            return figure
        # Below the line the stated optimism covers what is lost.
        most = float(mine["stated"].max()) + 0.02
        right.plot((0, most), (0, most), color="0.6", linewidth=0.8)
        right.plot(mine["stated"], mine["lost"], "o", color="#D55E00", markersize=4, alpha=0.5)
        right.plot(mine["stated"].mean(), mine["lost"].mean(), "D", color="black", markersize=6, label="mean")
        right.set_xlim(0, most)
        right.legend(frameon=False)
        return figure


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, nargs="?", help="folder of a finished study with one split")
    parser.add_argument("--simulated", type=int, default=0, help="simulate as many studies instead")
    parser.add_argument("--halvings", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("regret"), help="path without suffix of the .tsv and the .svg")
    given = parser.parse_args()
    if not given.simulated and given.study is None:
        parser.error("the folder of a finished study, or --simulated N, is needed")
    if given.simulated:
        studies = [simulate_tables(np.random.default_rng([given.seed, k])) for k in range(given.simulated)]
    else:
        studies = [read_tables(read_results(given.study))]
    tables = [
        measure(one, given.halvings, given.seed + k).assign(halving=lambda t, k=k: t["halving"] + k * given.halvings)
        for k, one in enumerate(studies)
    ]
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(given.out.with_suffix(".tsv"), sep="\t", index=False, na_rep="n/a")
    draw(table).savefig(given.out.with_suffix(".svg"))
    print(summarize(table))
    print(f"The test set is harder by {np.mean([harder(one) for one in studies]):+.3f} (all models at t = 0.5).")


if __name__ == "__main__":
    main()
