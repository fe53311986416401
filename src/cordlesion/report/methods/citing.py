"""What the methods section is written from, and the numbers of its references, given as they are first cited."""

from dataclasses import dataclass

from cordlesion.config import StudyConfig
from cordlesion.report.methods.references import read_references
from cordlesion.study_folder.results import StudyResults


class Cite:
    """Returns the number of a reference in brackets, the next free one at its first citation."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, *keys: str) -> str:
        """Cite references by their keys; one that is not in the bibliography is a mistake in the text."""
        for key in keys:
            if key not in read_references():
                raise KeyError(key)
            if key not in self.keys:
                self.keys.append(key)
        return f"[{', '.join(str(number) for number in sorted(self.keys.index(key) + 1 for key in keys))}]"


@dataclass(frozen=True, eq=False)
class MethodsContext:
    """A study, and the numbering of its references."""

    results: StudyResults
    cite: Cite

    @property
    def config(self) -> StudyConfig:
        """The study's configuration."""
        return self.results.config
