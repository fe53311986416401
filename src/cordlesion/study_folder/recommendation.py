"""Which run a study recommends: chosen on the threshold set, and replaced only by a simpler one that is as good."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cordlesion.config import StudyConfig
from cordlesion.losses.table import LOSSES
from cordlesion.statistics import SIGNIFICANT, compare_losses
from cordlesion.study_folder.runs import Run, lesion_bearing, list_runs
from cordlesion.threshold import weigh_runs

if TYPE_CHECKING:
    from cordlesion.study_folder.results import StudyResults

_SCORE = "voxel_f1"
_NEEDED = ("scan_id", "subject", "loss", "seed", "threshold", "reference_volume_mm3", _SCORE)
_ONE_NETWORK, _SEVERAL_NETWORKS, _COMPARATOR = range(3)


def rank_runs(thresholds: pd.DataFrame, left_out: Collection[Run] = ()) -> tuple[Run, ...]:
    """Return runs as they compete on the threshold set, the best first; the first listed of equals.

    Each competes by the middle between its own score and the mean over the seeds of its loss
    (:func:`cordlesion.threshold.weigh_runs`).

    Args:
        thresholds: A row per run.
        left_out: Runs that do not compete.
    """
    runs = [run for run in list_runs(thresholds) if run not in left_out]
    if not runs:
        return ()
    kept = [run not in left_out for run in list_runs(thresholds)]
    scores = thresholds.loc[kept, "score"].to_numpy(np.float64)
    order = np.argsort(-weigh_runs(scores, number_losses(runs)), kind="stable")
    return tuple(runs[place] for place in order)


def number_losses(runs: Sequence[Run]) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    """Return the number of each run's loss; a method without seeds is a loss of its own."""
    names = [(run.loss, run.seed is None) for run in runs]
    numbers: np.ndarray[tuple[int], np.dtype[np.intp]] = pd.factorize(pd.Series(names, dtype=object))[0]
    return numbers


def equivalent_methods(results: "StudyResults") -> tuple[str, ...]:
    """Return the methods that the test set shows to be as good as the leader's, in mean voxel F1 and within the margin.

    These are the two one-sided tests of the table of pairs (:func:`cordlesion.statistics.compare_losses`). They are
    valid because the leader was chosen on other scans. Masks have no threshold to tune and cannot be recommended.
    """
    runs = [run for run in results.runs if run not in results.unlearned]
    tables = [lesion_bearing(results.evaluated(run, "test", results.tuned.get(run), _NEEDED)) for run in runs]
    margin = results.config.evaluation.equivalence_margin
    joined = {name: ensemble.losses for name, ensemble in results.ensembles.items()}
    scans = pd.concat(tables).reset_index()
    pairs = compare_losses(scans, _SCORE, recommended=results.leader.loss, margin=margin, ensembles=joined)
    if pairs.empty:
        return ()
    ours = pairs[(pairs["family"] == "recommended") & (pairs["p_equivalent"] <= SIGNIFICANT)]
    found = {*ours["first"], *ours["second"]} - {results.leader.loss}
    return tuple(dict.fromkeys(run.loss for run in results.ranked if run.loss in found))


def simplest(names: Sequence[str], study: StudyConfig) -> str:
    """Return which of some equally good methods is recommended; the first one of equal cost.

    The order: one network before an ensemble of several, fewer hyper-parameters of the loss before more, then the order
    in the study. Comparators come last, because nothing is known of their cost.
    """
    return min(names, key=lambda name: _cost(name, study))


def _cost(name: str, study: StudyConfig) -> tuple[int, int, int]:
    """Return class, hyper-parameters and place of a method; lower is simpler."""
    for place, loss in enumerate(study.losses):
        if loss.title == name:
            published = LOSSES[loss.name].parameters if loss.name in LOSSES else {}
            return _ONE_NETWORK, len({**published, **loss.parameters}), place
    is_comparator = name in {one.name for one in study.comparators}
    return (_COMPARATOR if is_comparator else _SEVERAL_NETWORKS), 0, 0
