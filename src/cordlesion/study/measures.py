"""The user's own objective and metrics in a study: tried before it starts, and the same until it ends."""

from collections.abc import Mapping
from typing import Any

from cordlesion.config import StudyConfig
from cordlesion.config.runs import imported_code
from cordlesion.errors import CordlesionError, RunError
from cordlesion.evaluation import load_metrics
from cordlesion.threshold import require_columns, study_goal
from cordlesion.threshold.study_rules import study_rules


def try_measures(config: StudyConfig) -> None:
    """Try the objective, the threshold rules and the user's own metrics: faults are found before anything is trained.

    Raises:
        CordlesionError: There is no such objective, rule or metric, it does not work, or the objective reads a column
            that no metric has.
    """
    own = [metric.name for metric in load_metrics(config.evaluation, config.code)]
    require_columns(study_goal(config), own)
    study_rules(config)
    named = config.threshold.objective
    lower = [one.title for one in config.evaluation.metrics if not one.higher_is_better]
    if wrong := [name for name in lower if named in (f"mean_{name}", f"median_{name}")]:
        raise CordlesionError(
            f"`threshold.objective` {named} would choose the threshold with the highest {wrong[0]}, of which a lower "
            "value is better. Write a function of it that is 1 at best."
        )


def require_same_measures(config: StudyConfig, opened: Mapping[str, Any]) -> None:
    """Check that the code of the objective and of the metrics is that with which the study was opened.

    Args:
        config: The study.
        opened: Its hashes then.

    Raises:
        RunError: A file changed since.
    """
    if imported_code(config.measures, config.code) != opened:
        raise RunError(
            f"the code of {' or '.join(config.measures)} changed while the study was running, so no more is measured; "
            "the same command goes on with the code as it is now."
        )
