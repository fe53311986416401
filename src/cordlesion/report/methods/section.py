"""The methods section as a whole: paragraphs in the order of the work, references numbered as they are cited."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cordlesion.report.methods import data, measuring, networks
from cordlesion.report.methods.citing import Cite, MethodsContext
from cordlesion.report.methods.references import Reference, read_references
from cordlesion.study_folder.results import StudyResults

_PARAGRAPHS: dict[str, Callable[[MethodsContext], str]] = {
    "Design": data.design,
    "Data": data.scans,
    "Preprocessing": data.preprocessing,
    "Network and training": networks.training,
    "Loss functions": networks.losses,
    "Ensembles": networks.ensembles,
    "Comparators": networks.comparators,
    "Probability maps and masks": networks.masks,
    "Decision threshold": measuring.threshold,
    "Evaluation": measuring.evaluation,
    "Statistics": measuring.statistics,
    "Software": measuring.software,
}


@dataclass(frozen=True)
class Methods:
    """A methods section."""

    paragraphs: dict[str, str]
    """By heading."""
    cited: dict[str, Reference] = field(default_factory=dict)
    """In the order of their numbers."""

    @property
    def text(self) -> str:
        """As Markdown, which is plain text to everything else."""
        body = [f"**{heading}.** {text}" for heading, text in self.paragraphs.items()]
        listed = [f"{number}. {one.text}" for number, one in enumerate(self.cited.values(), start=1)]
        return "\n\n".join(["## Methods", *body, "## References", "\n".join(listed)]) + "\n"

    @property
    def bibtex(self) -> str:
        """The references as a BibTeX file."""
        return "\n".join(one.bibtex for one in self.cited.values())


def write_methods(results: StudyResults) -> Methods:
    """Describe in the words of a paper what was done, from the configuration, the split and the manifest.

    Args:
        results: The study.
    """
    cite = Cite()
    study = MethodsContext(results, cite)
    paragraphs = {heading: write(study) for heading, write in _PARAGRAPHS.items()}
    cited = {key: read_references()[key] for key in cite.keys}
    return Methods({heading: text for heading, text in paragraphs.items() if text}, cited)
