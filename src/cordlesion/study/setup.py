"""The configuration that a study starts from: written for a dataset, read, reduced, checked."""

from pathlib import Path

from pydantic import ValidationError

from cordlesion.config import ReducedConfig, StudyConfig, read_study, study_yaml
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message
from cordlesion.io.yaml import parse_yaml, plain
from cordlesion.study.initial import start_study
from cordlesion.study_folder.folder import StudyFolder

_FORMER_OBJECTIVE = "median_voxel_f1"
"""The default of ``threshold.objective`` in earlier versions."""


def initial_study(dataset: Path | str) -> str:
    """Return the study of Hussein et al. for a dataset, as YAML to start from; thresholds maximise the mean F1.

    Files are recognised as by ``cordlesion study init``.

    Examples:
        >>> import cordlesion
        >>> text = cordlesion.initial_study("cohort")
        >>> print(text.splitlines()[0])
        # 14 scans of 14 subjects, 14 with a reference.
    """
    return start_study(Path(dataset)).text


def read_study_to_run(path: Path) -> StudyConfig:
    """Read a study's YAML file.

    Raises:
        CordlesionError: As :func:`cordlesion.config.read_study`, or running it would overwrite the file with its
            complete form, which has no comments.
    """
    study = read_study(path)
    overwritten = StudyFolder(study.output).configuration
    if overwritten.resolve() == path.resolve() and path.read_text(encoding="utf-8") != study_yaml(study):
        raise CordlesionError(
            f"{path}: `output` is this file's folder, so it would be overwritten. Choose a folder below."
        )
    return study


def reduce_study(study: StudyConfig, n_scans: int | None, epochs: int | None) -> StudyConfig:
    """Return a reduced study, to try out that everything works; the study itself if neither number is given."""
    given = {name: value for name, value in (("scans", n_scans), ("epochs", epochs)) if value is not None}
    if not given:
        return study
    return study.model_copy(update={"reduced": ReducedConfig(**given)})


def keep_objective(study: StudyConfig) -> StudyConfig:
    """Keep the former default objective where the study names none and its folder was made with it.

    The default is the mean of voxel F1; in earlier versions it was the median. A finished study must not get other
    thresholds by an update.
    """
    recorded = StudyFolder(study.output).configuration
    if "objective" in study.threshold.model_fields_set or not recorded.is_file():
        return study
    section = plain(parse_yaml(recorded)).get("threshold") or {}
    if section.get("objective") != _FORMER_OBJECTIVE:
        return study
    show_message(
        f"threshold.objective: not named, so {_FORMER_OBJECTIVE} of the results in {study.output} is kept; name "
        f"{study.threshold.objective}, the default of new studies, to choose the thresholds again"
    )
    threshold = study.threshold.model_copy(update={"objective": _FORMER_OBJECTIVE})
    return study.model_copy(update={"threshold": threshold})


def require_same_extent(config: StudyConfig, folder: StudyFolder) -> None:
    """Refuse to mix a reduced study with the full study, or with another reduced one, in one folder.

    Raises:
        CordlesionError: The folder holds another one.
    """
    if not folder.configuration.is_file():
        return
    # Not read_study: only this key matters, whatever else an older version wrote.
    held = plain(parse_yaml(folder.configuration)).get("reduced")
    try:
        reduced = ReducedConfig.model_validate(held) if held else None
    except ValidationError:
        raise CordlesionError(
            f"{folder.configuration}: its section `reduced` is none of this program's; the configuration of this study "
            "is needed. Choose another `output` folder."
        ) from None
    wanted = config.reduced.model_dump(mode="json") if config.reduced else None
    if held != wanted:
        extent, ours = (f"a {one.description}" if one else "the full study" for one in (reduced, config.reduced))
        raise CordlesionError(
            f"{folder.root}: holds {extent}; this is {ours}, and nothing is overwritten. "
            "Choose another `output` folder."
        )
