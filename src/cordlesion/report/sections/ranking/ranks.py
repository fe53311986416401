"""Ranks on the test set with intervals, and the probability of being the best: of losses, and of single runs."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray
from cordlesion.io.formats import MISSING, format_number, format_percent
from cordlesion.pictures.style import loss_name
from cordlesion.report.losses import run_scores
from cordlesion.report.summary_tables import RANKS
from cordlesion.report.table import Cell, Group, Table
from cordlesion.statistics import rank_methods
from cordlesion.study_folder.results import StudyResults, learned_runs
from cordlesion.study_folder.runs import Run, of_run

_SCORE = "voxel_f1"
_COLUMNS = ("Ranked", "Method", "Seeds", "Mean V-F1", "Rank", "95 % interval", "Probability of being the best")
LOSS, RUN = "loss", "run"
_MIN_METHODS, _NEVER = 2, 0.005


def summarize_ranks(results: StudyResults) -> pd.DataFrame:
    """Rank losses over subjects and seeds, and single runs over subjects, by V-F1 on the test set at tuned thresholds.

    Returns:
        A row per loss (or method without seeds) and, where any loss has several seeds, per run, in their order; see
        :data:`RANKS`. Without two methods no row.
    """
    runs = learned_runs(results)
    losses = list(dict.fromkeys(run.loss for run in runs))
    by_run = _subject_means(results, runs) if len(losses) >= _MIN_METHODS else np.empty((0, 0))
    if not by_run.size:
        return pd.DataFrame(columns=list(RANKS.names)).astype({"seed": "Int64"})
    of_losses = [np.stack([by_run[place] for place, run in enumerate(runs) if run.loss == loss]) for loss in losses]
    n_seeds = [sum(run.loss == loss and run.seed is not None for run in runs) for loss in losses]
    members = {
        losses.index(name): [losses.index(loss) for loss in ensemble.losses if loss in losses]
        for name, ensemble in results.ensembles.items()
        if name in losses
    }
    tables = [_rank_all(LOSS, [Run(loss, None) for loss in losses], n_seeds, of_losses, members)]
    if len(runs) > len(losses):
        tables.append(_rank_all(RUN, runs, [int(run.seed is not None) for run in runs], list(by_run[:, None])))
    return pd.concat(tables, ignore_index=True).assign(n_subjects=by_run.shape[1]).astype({"seed": "Int64"})


def ranks_table(results: StudyResults, ranks: pd.DataFrame) -> Table:
    """Lay out the ranks; no rows where there is one method only."""
    titles = {LOSS: "Losses", RUN: "Single models"}
    return Table(
        columns=_COLUMNS,
        groups=tuple(
            Group(title, tuple(_row(results, row) for _, row in rows.sort_values("rank", kind="stable").iterrows()))
            for kind, title in titles.items()
            if len(rows := ranks[ranks["of"] == kind])
        ),
        n_words=2,
        lead="By V-F1 on the test set, tuned thresholds, in the mean over subjects (and seeds).",
        note=(
            "Intervals and probabilities: true means drawn from the model of the tests, over subjects and seeds; of "
            "single models, and of losses with one seed, over subjects only. Of nearly equal methods the first one’s "
            "probability is too high."
        ),
    )


def name_rank(ranks: pd.DataFrame, loss: str) -> str:
    """Name the rank of a loss with its interval, and its probability of being the best; empty where it is unknown."""
    losses = ranks[ranks["of"] == LOSS]
    mine = losses[(losses["loss"] == loss) & losses["p_best"].notna()]
    if mine.empty:
        return ""
    row = mine.iloc[0]
    between = f"{row['rank_low']} to {row['rank_high']}"
    probability = _percent(float(row["p_best"]))
    return (
        f"rank {row['rank']} of {len(losses)} (95 % interval {between}), the best with a probability of {probability}"
    )


def _subject_means(results: StudyResults, runs: Sequence[Run]) -> FloatArray:
    """Return the mean score of every run over each subject's scans, shape (runs, subjects).

    Scans without a score of every run are left out, as in the comparisons.
    """
    rows = run_scores(results, "test", tuned=True)
    scores = [of_run(rows, run).set_index(["subject", "scan_id"])[_SCORE] for run in runs]
    wide = pd.concat(dict(enumerate(scores)), axis=1).dropna()
    means: FloatArray = wide.groupby(level="subject").mean().to_numpy(float).T
    return means


def _rank_all(
    kind: str,
    runs: Sequence[Run],
    n_seeds: Sequence[int],
    scores: Sequence[FloatArray],
    members: Mapping[int, Sequence[int]] = MappingProxyType({}),
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "of": kind,
            "loss": run.loss,
            "seed": run.seed,
            "n_seeds": seeds,
            "mean": one.mean,
            "rank": one.rank,
            "rank_low": one.low,
            "rank_high": one.high,
            "p_best": one.p_best,
        }
        for run, seeds, one in zip(runs, n_seeds, rank_methods(scores, members=members), strict=True)
    )


def _row(results: StudyResults, row: pd.Series) -> tuple[Cell, ...]:
    run = Run(str(row["loss"]), None if pd.isna(row["seed"]) else int(row["seed"]))
    return (
        Cell(loss_name(run.loss) if row["of"] == LOSS else results.label(run)),
        Cell(str(row["n_seeds"] or MISSING)),
        Cell(format_number(row["mean"])),
        Cell(str(row["rank"])),
        Cell(f"{row['rank_low']} to {row['rank_high']}"),
        Cell(_percent(float(row["p_best"]))),
    )


def _percent(share: float) -> str:
    # Draws are finite: none of them, or all, shows no certainty.
    return "< 1 %" if share < _NEVER else "> 99 %" if share > 1 - _NEVER else format_percent(share)
