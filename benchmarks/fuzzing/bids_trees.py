"""Datasets in which files are missing, doubled, linked, renamed, empty, or not what they seem."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fuzzing import mutate, valid
from fuzzing.case import Case

_NAMES = ("sub-01_T2w.nii.gz", "sub-_T2w.nii.gz", "sub-01_ses-_T2w.nii.gz", "_T2w.nii.gz", "sub-01_acq-a_T2w.nii",
          "sub-ä_T2w.nii.gz", "sub-01_T2w.nii.gz.nii.gz", "sub-01_ses-01_ses-02_T2w.nii.gz", "sub-a b_T2w.nii.gz",
          "sub-01_label-lesion_seg.nii.gz", "sub-\x01_T2w.nii.gz", "sub-01_T2w.nii.gz\n",
          "sub-" + "9" * 200 + "_T2w.nii.gz", "sub-=cmd_T2w.nii.gz", "sub-<b>_T2w.nii.gz",
          ".sub-01_T2w.nii.gz", "sub-01_T1w.nii.gz")  # fmt: skip


def _rename(rng: np.random.Generator, path: Path) -> None:
    path.rename(path.with_name(mutate.pick(rng, _NAMES)))


def _rename_bytes(_rng: np.random.Generator, path: Path) -> None:
    path.rename(path.with_name(os.fsdecode(b"sub-\xff_T2w.nii.gz")))


def _move(rng: np.random.Generator, path: Path) -> None:
    target = path.parents[int(rng.integers(1, 3))] / "sub-77" / "anat" / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)


def _copy(rng: np.random.Generator, path: Path) -> None:
    shutil.copy(path, path.with_name(mutate.pick(rng, _NAMES)))


def _loop(_rng: np.random.Generator, path: Path) -> None:
    (path.parent / "loop").symlink_to(path.parent.parent)


def _dangling(_rng: np.random.Generator, path: Path) -> None:
    path.unlink()
    path.symlink_to("../../.git/annex/objects/none")


def _folder(_rng: np.random.Generator, path: Path) -> None:
    path.unlink()
    path.mkdir()


def _damage(rng: np.random.Generator, path: Path) -> None:
    valid.replace(path, mutate.damage_bytes(rng, path.read_bytes())[0])


def _other(rng: np.random.Generator, path: Path) -> None:
    others = [p for p in path.parents[4].rglob("*.nii.gz") if p.is_file() and p != path]
    valid.replace(path, mutate.pick(rng, others).read_bytes())


def _pipe(_rng: np.random.Generator, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


_WAYS: dict[str, Callable[[np.random.Generator, Path], None]] = {
    "rename": _rename,
    "rename to bytes": _rename_bytes,
    "move": _move,
    "copy": _copy,
    "loop": _loop,
    "dangling link": _dangling,
    "folder": _folder,
    "damage": _damage,
    "other content": _other,
    "remove": lambda _rng, path: path.unlink(),
    "named pipe": _pipe,
}


def tree(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A damaged dataset, split or run up to its stacks."""
    place = valid.linked(valid.cohort(common) / "cohort", folder / "here" / "cohort")
    done = []
    for _ in range(int(rng.integers(1, 3))):
        files = sorted(p for p in place.rglob("*.nii.gz") if p.is_file() and not p.is_symlink())
        path, way = mutate.pick(rng, files), mutate.pick(rng, _WAYS)
        try:
            _WAYS[way](rng, path)
        except OSError:
            continue
        done.append(f"{way} {path.name}")
    what = ", ".join(done).encode("utf-8", "replace").decode()
    command = mutate.pick(rng, ("split", "init", "study", "study"))
    if command == "split":
        return Case(what, ("split", str(place), "-o", str(folder / "out" / "splits.tsv"), "-q"))
    if command == "init":
        return Case(what, ("study", "init", str(place)))
    study = folder / "here" / "study.yaml"
    shutil.copy(valid.cohort(common) / "study.yaml", study)
    return Case(what, ("study", "run", str(study), "--until", "preprocess", "-q"))


GENERATORS = {"bids tree": tree}
