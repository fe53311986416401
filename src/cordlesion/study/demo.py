"""The main job on simulated scans: cohort, study, report."""

from collections.abc import Mapping
from pathlib import Path

from cordlesion.config import builtin_study, read_study
from cordlesion.io.progress import say
from cordlesion.simulate import simulate_cohort
from cordlesion.study.run import run_study

SCANS = 120
SEED = 2023


def run_demo(folder: Path) -> Mapping[str, str]:
    """Simulate a cohort into ``folder/cohort`` and run ``studies/demo.yaml`` on it into ``folder/study``.

    Returns:
        Scans that were left out, each with the reason.
    """
    folder = Path(folder)
    simulate_cohort(folder / "cohort", scans=SCANS, seed=SEED)
    study = read_study(builtin_study("demo"))
    study = study.model_copy(update={"dataset": (folder / "cohort").resolve(), "output": (folder / "study").resolve()})
    excluded = run_study(study)
    say(f"open {folder / 'study' / 'report.html'} in a browser")
    return excluded
