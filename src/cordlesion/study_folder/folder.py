"""The folder of a study: where each of its files lies."""

from dataclasses import dataclass
from pathlib import Path

from cordlesion.config.names import file_label
from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json
from cordlesion.io.writing import is_partial
from cordlesion.study_folder.markers import DoneMarkers

_BEFORE_A_STUDY = {".lock", ".DS_Store", "jobs", "splits.tsv", "study.yaml"}
"""Files that may exist before a study starts: a split made by hand, its configuration, logs of jobs."""


def require_own_folder(root: Path) -> None:
    """Refuse a folder that holds anything but a study: files of others are never touched.

    Raises:
        CordlesionError: It holds other files.
    """
    if not root.is_dir() or (root / ".done").is_dir() or _is_manifest(root / "manifest.json"):
        return
    others = sorted(e.name for e in root.iterdir() if e.name not in _BEFORE_A_STUDY and not is_partial(e.name))
    if others:
        raise CordlesionError(
            f"{root}: holds {', '.join(others[:3])}{' ...' if len(others) > 3 else ''} and no study; a new or empty "
            "folder is needed. Choose another `output` folder."
        )


def _is_manifest(path: Path) -> bool:
    try:
        content = read_json(path)
    except CordlesionError:
        return False
    return isinstance(content, dict) and "cordlesion" in content


@dataclass(frozen=True)
class StudyFolder(DoneMarkers):
    """Where each file of a study lies, and what is done (:class:`DoneMarkers`)."""

    @property
    def configuration(self) -> Path:
        """The complete configuration."""
        return self.root / "study.yaml"

    @property
    def manifest(self) -> Path:
        """Versions, inputs, hardware, times."""
        return self.root / "manifest.json"

    @property
    def splits(self) -> Path:
        """Which scan is in which set."""
        return self.root / "splits.tsv"

    @property
    def sweep(self) -> Path:
        """Metrics at every threshold."""
        return self.root / "sweep.tsv"

    @property
    def thresholds(self) -> Path:
        """Tuned thresholds."""
        return self.root / "thresholds.tsv"

    @property
    def evaluation(self) -> Path:
        """Metrics at 0.5 and at the tuned threshold."""
        return self.root / "evaluation.tsv"

    def table(self, name: str) -> Path:
        """One of the tables of the analysis."""
        return self.root / f"{name}.tsv"

    @property
    def derivatives(self) -> Path:
        """Probability maps and masks, a BIDS derivative."""
        return self.root / "derivatives" / "cordlesion"

    def stack(self, scan_id: str) -> Path:
        """The cord stack of a scan."""
        return self.root / "stacks" / f"{scan_id}.safetensors"

    def run(self, name: str) -> Path:
        """The folder of one training."""
        return self.root / "runs" / name

    def bundle(self, name: str) -> Path:
        """The trained model of a run."""
        return self.run(name) / "bundle"

    def run_sweep(self, name: str, set_name: str) -> Path:
        """Metrics of one run on one set at every threshold."""
        return self.run(name) / ("sweep.tsv" if set_name == "threshold" else f"sweep_{set_name}.tsv")

    def probability(self, scan_id: str, run: str) -> Path:
        """The probability map of a scan by a run."""
        parts = [part for part in scan_id.split("_") if part.startswith(("sub-", "ses-"))]
        name = f"{scan_id}_label-lesion_desc-{file_label(run)}_probseg.nii.gz"
        return self.derivatives.joinpath(*parts, "anat", name)
