"""The stored calibration of lesions: fitted on tables, its numbers in plain formulas, and for which masks it holds."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.threshold import THRESHOLD_RULES, GlobalThreshold, LesionCalibration
from cordlesion.threshold.lesion_calibration import cross_fitted_chances, shortage, why_uncalibrated

RULE = GlobalThreshold.given(0.3)


def table(n_real=14, n_false=30, n_subjects=11, seed=0):
    """Predicted lesions; real ones are larger, and more probable."""
    rng = np.random.default_rng(seed)
    is_real = np.arange(n_real + n_false) < n_real
    peak = np.clip(rng.normal(0.5 + 0.2 * is_real, 0.12), 0.31, 0.99)
    lesions = {"peak_probability": peak, "mean_probability": peak * rng.uniform(0.7, 0.9, len(peak)),
               "volume_mm3": rng.lognormal(3 + is_real), "is_real": is_real.astype(int)}  # fmt: skip
    return pd.DataFrame(lesions).assign(subject=[f"sub-{n % n_subjects}" for n in range(len(peak))])


def test_the_chance_is_the_formula_and_survives_json():
    lesions = table()
    fitted = LesionCalibration.fit(lesions, RULE, "anima")
    assert (fitted.n_lesions, fitted.n_real, fitted.n_subjects, fitted.lesion_rule) == (44, 14, 11, "anima")
    again = LesionCalibration.model_validate(json.loads(json.dumps(fitted.model_dump(mode="json"))))
    assert again == fitted
    for chance, row in zip(again.chances(lesions), lesions.itertuples(), strict=True):
        linear = (
            fitted.peak * math.log(row.peak_probability / (1 - row.peak_probability))
            + fitted.mean * math.log(row.mean_probability / (1 - row.mean_probability))
            + fitted.volume * math.log(row.volume_mm3)
            + fitted.shift
        )
        assert chance == pytest.approx(1 / (1 + math.exp(-linear)))


def test_chances_of_the_threshold_set_come_from_other_subjects():
    lesions = table()
    found = cross_fitted_chances(lesions)
    changed = lesions.assign(is_real=lesions["is_real"].where(lesions["subject"] != "sub-3", 0))
    mine = (lesions["subject"] == "sub-3").to_numpy()
    assert lesions.loc[mine, "is_real"].any()
    np.testing.assert_array_equal(cross_fitted_chances(changed)[mine], found[mine])
    assert (cross_fitted_chances(changed)[~mine] != found[~mine]).any()


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((9, 30, 11), "the masks of its 11 subjects hold 9 real and 30 false lesions; 10 of each kind"),
        ((30, 9, 11), "30 real and 9 false lesions; 10 of each kind, of 5 subjects, are needed"),
        ((14, 30, 4), "the masks of its 4 subjects hold 14 real and 30 false"),
        ((0, 0, 1), "the masks of its 0 subjects hold 0 real and 0 false lesions"),
    ],
)
def test_too_few_lesions_get_a_sentence_and_no_chance(counts, told):
    few = table(*counts)
    assert told in shortage(few)
    with pytest.raises(CordlesionError, match="cannot be calibrated"):
        LesionCalibration.fit(few, RULE)
    assert np.isnan(cross_fitted_chances(few)).all()
    assert not shortage(table(10, 10, 5))


def test_it_holds_for_the_masks_of_its_own_rule_only():
    calibration = LesionCalibration.fit(table(), RULE)
    same = GlobalThreshold(value=0.3, objective="mean_lesion_f1", interval=(0.1, 0.5))
    assert why_uncalibrated(calibration, same) == ""
    peak = THRESHOLD_RULES["peak"].model_construct(
        rule="peak", value=0.3, objective="x", interval=None, peak=0.5, minimum_volume_mm3=0.0
    )
    for other in (GlobalThreshold.given(0.35), peak):
        assert "calibrated for another threshold or threshold rule" in why_uncalibrated(calibration, other)
    assert "no calibration of lesions is stored" in why_uncalibrated(None, RULE)
