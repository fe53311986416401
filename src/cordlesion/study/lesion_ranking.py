"""How well the maps of a method rank lesions of the test set: the score of MS-Multi-Spine (stage ``analyze``)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordlesion.config import Method
from cordlesion.execution.local import stream_scans
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.tables import write_table
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.lesions.ranking import LesionRanking, rank_lesions
from cordlesion.metrics import MatchedInstances, match_components
from cordlesion.study.calibration import MappedScan
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.repeat_tables import MULTI_SPINE, sensitivity_at


def rank_method(folder: StudyFolder, method: Method, scans: Sequence[MappedScan]) -> None:
    """Score the lesions of a method in its test scans and write its row into its folder, unless that is done.

    Args:
        folder: The study's.
        method: One that has probability maps; its lesions are those of its masks, each with its highest p.
        scans: Of its test set.

    Raises:
        CordlesionError: A file is missing or damaged.
    """
    path, key = folder.run(method.name) / MULTI_SPINE.file, f"multi_spine/{method.name}"
    people = [(scan.pair.scan_id, scan.pair.subject) for scan in scans]
    made_from = fingerprint(
        "analysis", "multi_spine", folder.finished(f"masks/{method.name}").get("fingerprint"), people
    )
    if folder.is_done(key, made_from, path):
        return
    with folder.stage(key, made_from, path):
        images = list(stream_scans(_match, scans, f"lesion ranking {method.name}"))
        row = _row(rank_lesions(images, [subject for _, subject in people]))
        write_table(path, pd.DataFrame([row]).assign(set="test", **method.columns), MULTI_SPINE)


def _match(scan: MappedScan) -> MatchedInstances:
    reference = read_mask(scan.pair.reference, value=scan.pair.lesion_value)
    mask, probability = read_mask(scan.mask, like=reference), read_probability(scan.pair.prediction, like=reference)
    return match_components(reference.data.astype(np.bool_), mask.data.astype(np.bool_), probability.data)


def _row(ranking: LesionRanking) -> dict[str, float | int | None]:
    low, high = ranking.interval or (None, None)
    return {
        "score": ranking.score,
        "score_low": low,
        "score_high": high,
        **{sensitivity_at(rate): value for rate, value in ranking.sensitivities.items()},
        "n_scans": ranking.n_scans,
        "n_lesion_bearing": ranking.n_lesion_bearing,
    }
