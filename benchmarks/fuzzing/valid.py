"""Valid files that generators start from: the small ones of the tests."""

import shutil
import sys
from pathlib import Path

_TESTS = Path(__file__).parents[2] / "tests"
if str(_TESTS) not in sys.path:
    sys.path.append(str(_TESTS))


def cohort(common: Path) -> Path:
    """Return a folder with ``cohort`` (14 subjects) and ``study.yaml``, made once."""
    from support.tiny import make_cohort

    folder = common / "tiny"
    if not folder.is_dir():
        make_cohort(folder)
    return folder


def bundle(common: Path) -> Path:
    """Return a small untrained model, made once."""
    from cordlesion.model.bundle import save_bundle
    from support.models import untrained_bundle

    folder = common / "bundle"
    if not folder.is_dir():
        save_bundle(folder, untrained_bundle(filters=(2, 2), edge_voxels=8, overlap_fraction=0.0))
    return folder


def finished_study(common: Path) -> Path:
    """Return a small finished study with all of its tables, made once."""
    from support.fake_study import write_fake_study

    folder = common / "finished" / "study"
    if not folder.is_dir():
        write_fake_study(folder, {"train": 2, "validation": 1, "threshold": 3, "test": 3}, n_free=1)
        shutil.copytree(cohort(common) / "cohort", folder.parent / "bids")
    return folder


def scan(common: Path) -> tuple[Path, Path]:
    """Return a scan and its cord mask."""
    anat = cohort(common) / "cohort" / "sub-01" / "anat"
    labels = cohort(common) / "cohort" / "derivatives" / "labels" / "sub-01" / "anat"
    return anat / "sub-01_T2w.nii.gz", labels / "sub-01_label-cord_seg.nii.gz"


def linked(source: Path, target: Path) -> Path:
    """Copy a folder with hard links: its files must be replaced, never written into."""
    shutil.copytree(source, target, copy_function=lambda a, b: Path(b).hardlink_to(a))
    return target


def replace(path: Path, content: bytes) -> Path:
    """Put a new file in the place of a linked one."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
