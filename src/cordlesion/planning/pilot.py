"""What is known from a pilot study: variance components, gains by tuning, and how wide threshold intervals are."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from cordlesion.errors import CordlesionError
from cordlesion.io.formats import plural
from cordlesion.io.reading import read_json
from cordlesion.io.writing import write_text
from cordlesion.planning.threshold import widths_by_subjects
from cordlesion.planning.tuning import Gains, gains_by_tuning
from cordlesion.report.losses import run_scores
from cordlesion.statistics import MIN_PAIRS, ScoreComponents, estimate_components
from cordlesion.study_folder.results import StudyResults, read_results

EXAMPLE = Path(__file__).parent / "example_pilot.json"
"""The pilot in the package: see its ``origin``."""
_DIGITS = 6


@dataclass(frozen=True)
class Pilot:
    """The numbers of a pilot study that a plan is made from."""

    name: str
    """Title of the study."""
    origin: str
    """Which scans, trainings and version the numbers come from."""
    metric: str
    """Score of the components and gains, at tuned thresholds on the test set."""
    components: ScoreComponents
    gains: dict[str, Gains]
    """For each loss the gain of each test scan by tuning, grouped by subject: a mean over seeds."""
    threshold_widths: dict[str, dict[int, float]]
    """For each loss the width of the 95 % interval of t, by subjects of the threshold set: a mean over seeds."""
    n_threshold_subjects: int
    """Subjects of the pilot's threshold set."""

    @property
    def n_losses(self) -> int:
        """Losses of the pilot."""
        return self.components.n_losses


def read_pilot(source: Path | None = None, metric: str = "voxel_f1") -> Pilot:
    """Read a pilot from a finished study, from a file of :func:`save_pilot`, or the one in the package.

    Args:
        source: Folder of the study, or the file; None for the pilot in the package.
        metric: Score that is planned for; a file holds one.

    Raises:
        CordlesionError: The study is not finished, has fewer than two trained losses or too few test subjects, or the
            file is not a pilot or holds another score.
    """
    path = EXAMPLE if source is None else Path(source)
    if path.is_dir():
        return measure_pilot(read_results(path), metric)
    if not path.exists():
        raise CordlesionError(
            f"{path}: no such file or folder; the folder of a finished study, or a file that `cordlesion plan "
            "--save-components` wrote, is needed. Check the path."
        )
    pilot = _read_file(path)
    if pilot.metric != metric:
        raise CordlesionError(
            f"{path}: is a pilot for {pilot.metric}; one for {metric} is needed. Give the folder of the study, or "
            f"--metric {pilot.metric}."
        )
    return pilot


def measure_pilot(results: StudyResults, metric: str = "voxel_f1") -> Pilot:
    """Measure what a plan needs in a finished study: its trained losses that learned, on scans with lesions.

    Raises:
        CordlesionError: Fewer than two losses, or too few test subjects.
    """
    scores = run_scores(results, "test", tuned=True)
    components = _components(scores[scores["seed"].notna()], metric, results)
    return Pilot(
        name=results.name,
        origin=_origin(results, components),
        metric=metric,
        components=components,
        gains=gains_by_tuning(results, metric),
        threshold_widths=widths_by_subjects(results),
        n_threshold_subjects=int(results.written_thresholds["n_subjects"].max()),
    )


def save_pilot(pilot: Pilot, path: Path) -> None:
    """Write a pilot as JSON, for plans without the study.

    Raises:
        CordlesionError: The file cannot be written.
    """
    lines = (f"{json.dumps(key)}: {json.dumps(_rounded(value))}" for key, value in asdict(pilot).items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _read_file(path: Path) -> Pilot:
    content = read_json(path, dict)
    try:
        return TypeAdapter(Pilot).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise CordlesionError(
            f"{path}: not a pilot ({place}: {first['msg'].lower()}); a file that `cordlesion plan --save-components` "
            "wrote is needed. Write it again."
        ) from error


def _components(scores: pd.DataFrame, metric: str, results: StudyResults) -> ScoreComponents:
    wide = scores.pivot(index=["subject", "scan_id"], columns=["loss", "seed"], values=metric).dropna()
    losses = list(dict.fromkeys(wide.columns.get_level_values("loss")))
    subjects, names = pd.factorize(wide.index.get_level_values("subject"))
    if len(losses) < 2 or len(names) < MIN_PAIRS:
        raise CordlesionError(
            f"{results.folder.root}: has {len(losses)} trained losses and {len(names)} test subjects with lesions; at "
            f"least 2 and {MIN_PAIRS} are needed to plan from. Use a larger pilot, or none for the one in the package."
        )
    return estimate_components([wide[loss].to_numpy(dtype=float).T for loss in losses], subjects)


def _origin(results: StudyResults, components: ScoreComponents) -> str:
    version = results.manifest.get("cordlesion", "")
    return (
        f"{results.name}: {components.n_losses} losses, {plural(components.n_seeds, 'seed')} of each, "
        f"{components.n_scans} test scans of {components.n_subjects} subjects; cordlesion {version}"
    )


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Round all numbers, so that a file is short and the same on every machine."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
