"""Studies as YAML files: read with the position of every fault, written with all defaults."""

from pathlib import Path

from pydantic import ValidationError

from cordlesion.config.study import StudyConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.yaml import located_faults, parse_yaml, plain
from cordlesion.metrics.rules import row_name


def read_study(path: Path | str) -> StudyConfig:
    """Read and check a study's YAML file; its relative paths are resolved against the file's folder.

    Raises:
        CordlesionError: Every fault of the file, one per line, as ``file:line:column key: reason``.

    Examples:
        >>> import cordlesion
        >>> study = cordlesion.read_study("study.yaml")
        >>> [loss.name for loss in study.losses], study.training.epochs
        (['bce', 'tversky'], 3)
    """
    path = Path(path)
    document = parse_yaml(path)
    try:
        study = StudyConfig.model_validate(plain(document))
    except ValidationError as error:
        raise CordlesionError(located_faults(path, document, error)) from None
    folder = path.resolve().parent
    comparators = tuple(comparator.below(folder) for comparator in study.comparators)
    preprocess = study.preprocess.below(folder)
    training = study.training.below(folder)
    patterns = study.patterns.below(folder)
    places = {"dataset": folder / study.dataset, "output": folder / study.output, "comparators": comparators}
    code = folder / (study.code or ".") if study.code or study.imported else None
    sections = {"patterns": patterns, "preprocess": preprocess, "training": training}
    return study.model_copy(update=places | sections | {"code": code})


def study_of_text(text: str) -> StudyConfig:
    """Return a study written as YAML by this program, whose paths are absolute or not used."""
    from ruamel.yaml import YAML

    return StudyConfig.model_validate(YAML(typ="safe").load(text))


def builtin_study(name: str) -> Path:
    """Return the path of a study that comes with the package, such as ``isbi2023`` (or ``hussein2023``) or ``demo``."""
    packaged = Path(__file__).parents[1] / "studies"
    # An editable installation reads them from the repository.
    folder = packaged if packaged.is_dir() else Path(__file__).parents[3] / "studies"
    shipped = sorted(found.stem for found in folder.glob("*.yaml"))
    path = folder / f"{row_name(name, shipped)}.yaml"
    if not path.is_file():
        raise CordlesionError(f"{path}: no such study; one of {', '.join(shipped)} is needed.")
    return path


def study_yaml(study: StudyConfig) -> str:
    """Return the complete configuration as YAML, defaults included."""
    import io

    from ruamel.yaml import YAML

    stream = io.StringIO()
    writer = YAML()
    writer.default_flow_style = None
    writer.width = 120
    writer.dump(study.explicit.model_dump(mode="json"), stream)
    return stream.getvalue()
