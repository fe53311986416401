"""JSON: the card of a model, sidecars, done-markers, the manifest, thresholds, folds of nnU-Net, jobs."""

import json
from pathlib import Path

import numpy as np

from fuzzing import mutate, valid
from fuzzing.case import Case


def card(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A model with a damaged card: used, or looked at."""
    place = valid.linked(valid.bundle(common), folder / "bundle")
    path = place / "model.json"
    tree = json.loads(path.read_text())
    if rng.random() < 0.7:
        tree["weights_sha256"] = None
    path.unlink()
    done = mutate.write_json(rng, path, tree)
    if rng.random() < 0.2:
        return Case(done, ("model", "info", str(place)))
    scan, cord = valid.scan(common)
    return Case(done, ("segment", str(scan), "-m", str(place), "-o", str(folder / "out"), "--cord-mask", str(cord),
                       "--no-pictures", "-q"))  # fmt: skip


def manifest(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A finished study with a damaged manifest."""
    place = valid.linked(valid.finished_study(common), folder / "study")
    tree = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").unlink()
    done = mutate.write_json(rng, place / "manifest.json", tree)
    if rng.random() < 0.04:
        return Case(done, ("report", str(place), "-q"))
    function = mutate.pick(rng, ("fuzzing.tables:explore", "cordlesion.study_folder.results:read_results", ""))
    return Case(done, (str(place),) if function else ("study", "status", str(place)), function)


def marker(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A study with damaged done-markers, asked for its status or run on."""
    place = valid.linked(common / "split", folder / "work")
    markers = sorted((place / "study" / ".done").rglob("*.json"))
    path = mutate.pick(rng, markers)
    tree = json.loads(path.read_text())
    path.unlink()
    done = f"{path.name}: {mutate.write_json(rng, path, tree)}"
    if rng.random() < 0.3:
        return Case(done, ("study", "status", str(place / "study")))
    return Case(done, ("study", "run", str(place / "study.yaml"), "--until", "split", "-q"))


def sidecar(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A dataset with damaged descriptions of its scans."""
    place = valid.linked(valid.cohort(common) / "cohort", folder / "cohort")
    tree = {"Manufacturer": "Siemens", "ManufacturersModelName": "Skyra", "MagneticFieldStrength": 3, "EchoTime": 0.1}
    done = mutate.write_json(rng, place / "sub-02" / "anat" / "sub-02_T2w.json", tree)
    description = {"Name": "x", "BIDSVersion": "1.9.0", "GeneratedBy": [{"Name": "cordlesion simulate"}]}
    mutate.write_json(rng, place / "dataset_description.json", description)
    return Case(done, ("split", str(place), "-o", str(folder / "out" / "splits.tsv"), "-q"))


def nnunet(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A dataset with damaged folds of nnU-Net."""
    names = [f"sub-{n:02d}" for n in range(1, 15)]
    tree = [{"train": names[:9], "val": names[9:]}, {"train": names[5:], "val": names[:5]}]
    done = mutate.write_json(rng, folder / "splits_final.json", tree)
    return Case(done, ("split", str(valid.cohort(common) / "cohort"), "--nnunet", str(folder / "splits_final.json"),
                       "-o", str(folder / "out" / "splits.tsv"), "-q"))  # fmt: skip


def jobs(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A study with damaged notes of its jobs on a cluster."""
    place = valid.linked(valid.finished_study(common), folder / "study")
    done = mutate.write_json(rng, place / "jobs" / "a.json", {"stage": "train", "units": {"1_0": ["tversky_seed-0"]}})
    return Case(done, ("study", "status", str(place)))


def prepare(common: Path) -> None:
    """Run a study up to its split, once."""
    from cordlesion.config import read_study
    from cordlesion.study.run import run_study

    place = valid.linked(valid.cohort(common), common / "split")
    run_study(read_study(place / "study.yaml"), until="split")
    valid.finished_study(common)
    valid.bundle(common)


GENERATORS = {
    "json card": card,
    "json manifest": manifest,
    "json marker": marker,
    "json sidecar": sidecar,
    "json nnunet": nnunet,
    "json jobs": jobs,
}
