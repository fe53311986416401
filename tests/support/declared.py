"""Tables on disk compared with the declaration of their columns."""

from pathlib import Path

from cordlesion.io.columns import TableSpec
from cordlesion.study_folder.tables import SPECS, SWEEP


def header(path: Path) -> list[str]:
    """Return the columns of a table as they are written."""
    return path.read_text(encoding="utf-8").splitlines()[0].split("\t")


def declared(spec: TableSpec, *lacking: str) -> list[str]:
    """Return the declared columns in their order, without the optional ones that a table lacks."""
    assert set(lacking) <= set(spec.names) - set(spec.required_names)
    return [name for name in spec.names if name not in lacking]


def written_tables(study: Path) -> dict[str, tuple[list[str], TableSpec]]:
    """Return the columns and the declaration of every table of a study folder and of its runs, by path."""
    files = sorted([*study.glob("*.tsv"), *study.glob("runs/*/*.tsv")])
    return {
        str(path.relative_to(study)): (header(path), SPECS.get(path.name, SWEEP)) for path in files
    }  # sweep_test.tsv is a sweep
