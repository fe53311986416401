"""The chance that a lesion of the masks of any tool's maps is real, fitted on the scans of `tune` (no torch)."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from cordlesion.dataset.matching import MapPair
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.io.mask_values import MaskReader
from cordlesion.io.progress import show_message
from cordlesion.lesions.judged import judge_predicted, judged_table
from cordlesion.metrics import RULES
from cordlesion.nnunet.predictions import read_map
from cordlesion.threshold.lesion_calibration import LesionCalibration, shortage
from cordlesion.threshold.mask_rule import MaskRule


def calibrate_lesions(
    pairs: Sequence[MapPair], masks: MaskRule, lesion_rule: str, references: MaskReader, lesion_class: int | None = None
) -> LesionCalibration | None:
    """Fit the chance that a lesion of the masks is real, on the scans that their rule was tuned on.

    Args:
        pairs: References and maps.
        masks: The tuned rule.
        lesion_rule: Decides which predicted lesions are real; a name in :data:`cordlesion.metrics.RULES`.
        references: Reads the references.
        lesion_class: As for :func:`cordlesion.tune_files`.

    Returns:
        The calibration; None where lesions or subjects are too few, which is reported.

    Raises:
        CordlesionError: A file that could be read before cannot be read now.
    """
    judge = partial(_judge, masks=masks, lesion_rule=lesion_rule, references=references, lesion_class=lesion_class)
    outcomes = map_scans(judge, pairs, "judge lesions")
    if faults := [outcome.fault for outcome in outcomes if outcome.fault]:
        raise CordlesionError(faults[0])
    lesions = pd.concat([outcome.result for outcome in outcomes if outcome.result is not None], ignore_index=True)
    if fault := shortage(lesions):
        show_message(f"lesions get no probability of being real: {fault}")
        return None
    return LesionCalibration.fit(lesions, masks.rule, lesion_rule)


def _judge(
    pair: MapPair, masks: MaskRule, lesion_rule: str, references: MaskReader, lesion_class: int | None
) -> pd.DataFrame:
    """Return the lesions of the mask of a map, a row each."""
    reference = references.read(pair.reference)
    probability = read_map(pair.prediction, reference, lesion_class=lesion_class)
    mask, _ = masks.make_mask(probability)
    found = judge_predicted(reference, mask, probability.data.astype(np.float32, copy=False), RULES[lesion_rule])
    return judged_table(found).assign(scan_id=pair.scan_id, subject=pair.subject)
