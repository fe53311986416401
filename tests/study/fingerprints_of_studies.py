"""What fingerprints are made of, as hashes: of the studies that come with the package and of the cord finder."""

from pathlib import Path

from cordlesion.config import PreprocessConfig, StudyConfig, builtin_study, read_study
from cordlesion.dataset.scan import Scan
from cordlesion.io.fingerprints import digest
from cordlesion.study.finder_fingerprint import finder_fingerprint
from cordlesion.study.fingerprints import map_fingerprints, train_fingerprint
from cordlesion.study.sets import ClosedTest, FoldSets, Study
from cordlesion.study.stack_fingerprint import stack_fingerprint
from cordlesion.study_folder.folder import StudyFolder

STUDIES = ("demo", "extended", "isbi2023", "seven_losses")
HASHES = {"image": "i", "reference": "r", "cord_mask": "m", "centerline": "c", "centerline_network": "n"}
SOURCES = {
    "auto": PreprocessConfig(centerline="auto"),
    "file": PreprocessConfig(centerline="file"),
    "cord_mask": PreprocessConfig(centerline="cord_mask"),
    "network": PreprocessConfig(centerline=Path("t2_ctr.h5")),
    "foreground": PreprocessConfig(region="foreground"),
}


def study_hashes(name: str) -> dict[str, str]:
    """Return hashes of what a study's results depend on, section by section and run by run."""
    study = read_study(builtin_study(name))
    parts = {
        "decisive": study.decisive,
        "split": study.split.decisive,
        "preprocess": study.preprocess.decisive,
        **{run.name: run.learned_from for run in study.runs},
    }
    return {part: digest(content) for part, content in parts.items()}


def finder_hashes() -> dict[str, str]:
    """Return a hash of what each source of curves depends on beside the scan."""
    return {source: digest(finder_fingerprint(config)) for source, config in SOURCES.items()}


def stack_fingerprints() -> dict[str, str]:
    """Return the fingerprint of a stack by where its curve comes from."""
    return {source: stack_fingerprint(config, HASHES) for source, config in SOURCES.items()}


def marks_of_the_paper() -> dict[str, str]:
    """Return the fingerprints of a training of the paper's study on scans of three names, and of one of its maps."""
    config = read_study(builtin_study("isbi2023"))
    scans = tuple(Scan(f"sub-{n}", f"sub-{n}", "", "", Path(f"{n}.nii.gz")) for n in range(3))
    learning = {"train": scans[:1], "validation": scans[1:2], "threshold": scans[2:]}
    hashes = {scan.scan_id: {"image": scan.scan_id, "reference": "r"} for scan in scans}
    study = Study(config, StudyFolder(Path("x")), hashes, {None: FoldSets(None, learning, ClosedTest(()))}, {}, {})
    run = StudyConfig.model_validate(config).runs[0]
    return {"training": train_fingerprint(study, run), "map": map_fingerprints(study, run, scans)[scans[2]]}


def all_hashes() -> dict[str, dict[str, str]]:
    """Return everything that is pinned, by what it belongs to."""
    studies = {name: study_hashes(name) for name in STUDIES}
    return studies | {"finder": finder_hashes(), "stacks": stack_fingerprints(), "marks": marks_of_the_paper()}
