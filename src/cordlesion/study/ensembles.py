"""Ensembles in a study: their maps are means of maps that lie on disk, and their bundles hold copies of networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cordlesion.config import EnsembleRun
from cordlesion.dataset.scan import Scan
from cordlesion.guard.profile import FILE as PROFILE
from cordlesion.io.arrays import Float32Array
from cordlesion.io.fingerprints import file_hash, fingerprint
from cordlesion.io.volume import Volume, read_probability, write_volume
from cordlesion.study.comparators.maps import MapOf
from cordlesion.study.fingerprints import predict_key, train_fingerprint
from cordlesion.study.sets import Study
from cordlesion.study_folder.derivatives import describe_mean_map
from cordlesion.study_folder.folder import StudyFolder


@dataclass(frozen=True)
class EnsembleMaps:
    """The probability maps of an ensemble in a study folder, and how they are written: no network predicts again."""

    run: EnsembleRun
    folder: StudyFolder

    def load(self) -> MapOf:
        """Return a function that writes the map of a scan."""
        return self._write

    def is_done(self, scan: Scan, fingerprint: str) -> bool:
        """Return whether the map of a scan exists, made from these networks."""
        return self.folder.is_done(predict_key(scan, self.run), fingerprint, self._path(scan))

    def _path(self, scan: Scan) -> Path:
        return self.folder.probability(scan.scan_id, self.run.maps_name)

    def _write(self, scan: Scan, fingerprint: str, hashes: Mapping[str, str]) -> None:  # noqa: ARG002 - the scan itself is not read
        paths = member_maps(self.folder, self.run, scan.scan_id)
        with self.folder.stage(predict_key(scan, self.run), fingerprint, self._path(scan)):
            mean, grid = mean_map(paths)
            write_volume(self._path(scan), mean, grid)
            describe_mean_map(self._path(scan), paths, self.folder.derivatives, self.run.name)


def member_maps(folder: StudyFolder, run: EnsembleRun, scan_id: str) -> list[Path]:
    """Return the paths of the maps of a scan whose mean is that of the ensemble."""
    return [folder.probability(scan_id, member.maps_name) for member in run.members]


def mean_map(paths: list[Path]) -> tuple[Float32Array, Volume]:
    """Return the mean of probability maps on one grid, and the first of them for its place in space.

    Raises:
        CordlesionError: A map is missing or damaged, or lies on another grid.
    """
    first = read_probability(paths[0])
    total = first.data.astype(np.float64)
    for path in paths[1:]:
        np.add(total, read_probability(path, like=first).data, out=total)
    mean: Float32Array = (total / len(paths)).astype(np.float32)
    return mean, first


def write_bundle(study: Study, run: EnsembleRun) -> Path:
    """Write the bundle of an ensemble with the networks of its members, unless that is done.

    Its threshold is absent until it is tuned. Members share everything but their weights: the landmarks of intensities
    are those of the training set, which is that of the fold.

    Returns:
        The bundle.
    """
    from cordlesion.model.bundle_updates import set_inference
    from cordlesion.model.ensemble import join_bundles

    folder, bundle = study.folder, study.folder.bundle(run.name)
    members = [folder.bundle(member.name) for member in run.members]
    trained = [train_fingerprint(study, member) for member in run.members]
    profile = members[0] / PROFILE
    made_from = fingerprint(
        "ensemble",
        trained,
        run.members[0].prediction.hashed(),
        run.postprocess.hashed(),
        file_hash(profile) if profile.is_file() else None,
    )
    weights = bundle / "model.safetensors"
    if not ((bundle / "model.json").is_file() and folder.is_done(f"ensemble/{run.name}", made_from, weights)):
        with folder.stage(f"ensemble/{run.name}", made_from, weights):
            join_bundles(bundle, run.ensemble.name, members, run.postprocess, run.members[0].code)
    set_inference(bundle, run.members[0].prediction, run.postprocess, study.config.threshold.minimum_volumes_mm3)
    return bundle
