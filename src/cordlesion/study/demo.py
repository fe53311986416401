"""A whole study on simulated scans: cohort, networks, report."""

from pathlib import Path

from cordlesion.config import builtin_study, read_study
from cordlesion.io.progress import show_message
from cordlesion.simulate import simulate_cohort
from cordlesion.simulate.domain import Domain
from cordlesion.study.run import StudyOutcome, run_study

SCANS = 400
SEED = 2023
DOMAIN: Domain = "reduced"


def run_demo(folder: Path) -> StudyOutcome:
    """Simulate a cohort into ``folder/cohort`` and run ``studies/demo.yaml`` on it into ``folder/study``.

    Returns:
        What :func:`cordlesion.study.run.run_study` returns.
    """
    folder = Path(folder)
    simulate_cohort(folder / "cohort", scans=SCANS, seed=SEED, domain=DOMAIN)
    study = read_study(builtin_study("demo"))
    study = study.model_copy(update={"dataset": (folder / "cohort").resolve(), "output": (folder / "study").resolve()})
    outcome = run_study(study)
    show_message(f"open {folder / 'study' / 'report.html'} in a browser")
    return outcome
