"""Threshold rules of a model beside its own: in its card by name, and applied by `segment` where they are asked for."""

import json
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from cordlesion.config import PostprocessConfig, PredictionConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import import_object
from cordlesion.model.bundle import load_bundle, read_card, save_bundle
from cordlesion.model.bundle_updates import (
    forget_threshold,
    set_experience,
    set_further_rules,
    set_inference,
    set_threshold,
)
from cordlesion.model.experience import TestError, TrainingData
from cordlesion.scan.segment import segment, segment_files
from cordlesion.threshold import GlobalThreshold
from cordlesion.threshold.components import PeakThreshold
from cordlesion.threshold.further import FurtherRule, find_further
from cordlesion.threshold.postprocess import make_mask
from cordlesion.threshold.rules import ForeignRule
from support.models import THRESHOLD, untrained_bundle
from support.sct_models import sct_bundle
from support.tiny import write_scan

TUNED = {"objective": "mean_lesion_f1", "interval": (0.1, 0.4)}
PEAK = FurtherRule(rule=PeakThreshold(value=0.2, peak=0.6, **TUNED), minimum_volume_mm3=0.0)
SENSITIVE = FurtherRule(rule=GlobalThreshold(value=0.1, **TUNED))
RULES = {"peak": PEAK, "sensitive": SENSITIVE}


@pytest.fixture
def bundle(tmp_path):
    save_bundle(tmp_path / "bundle", untrained_bundle())
    return tmp_path / "bundle"


def content(bundle):
    return json.loads((bundle / "model.json").read_text())


def test_rules_are_kept_by_name_and_the_card_of_a_model_without_any_stays_as_it_was(bundle):
    before = (bundle / "model.json").read_bytes()
    assert b"further_rules" not in before
    set_further_rules(bundle, RULES)
    assert read_card(bundle).further_rules == RULES
    assert read_card(bundle).threshold == THRESHOLD
    assert content(bundle)["further_rules"]["peak"]["rule"]["peak"] == 0.6
    set_further_rules(bundle, {})
    assert (bundle / "model.json").read_bytes() == before


def test_a_model_of_the_spinal_cord_toolbox_keeps_rules_too(tmp_path):
    save_bundle(tmp_path, sct_bundle("soft"))
    assert "further_rules" not in content(tmp_path)
    set_further_rules(tmp_path, RULES)
    assert read_card(tmp_path).further_rules == RULES


def mirror(bundle):
    set_inference(bundle, PredictionConfig(mirror=True), PostprocessConfig())


@pytest.mark.parametrize("change", [mirror, forget_threshold])
def test_they_go_with_the_threshold_when_what_they_were_tuned_for_changes(bundle, change):
    set_further_rules(bundle, RULES)
    change(bundle)
    assert (read_card(bundle).threshold, read_card(bundle).further_rules) == (None, {})


def test_another_threshold_leaves_them(bundle):
    set_further_rules(bundle, RULES)
    set_threshold(bundle, GlobalThreshold.given(0.5))
    assert read_card(bundle).further_rules == RULES


@pytest.mark.parametrize("minimum", [-1.0, float("nan")])
def test_a_volume_below_zero_is_refused(minimum):
    with pytest.raises(ValidationError):
        FurtherRule(rule=THRESHOLD, minimum_volume_mm3=minimum)


def test_a_rule_of_a_users_code_is_resolved_only_with_its_folder(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "further_own.py").write_text(
        "from typing import Literal\nfrom cordlesion import ThresholdRule\n\n\nclass Half(ThresholdRule):\n"
        '    rule: Literal["further_own:Half"] = "further_own:Half"\n\n'
        '    @property\n    def summary(self):\n        return "half"\n\n'
        "    @classmethod\n    def fit(cls, table, objective, lesion_rule=None):\n        return cls()\n\n"
        "    def threshold_in(self, probability, spacing_mm):\n        return 0.5\n\n"
        '    def describe(self):\n        return "half"\n'
    )
    own = import_object("further_own:Half", tmp_path)()
    set_further_rules(bundle, {"further_own:Half": FurtherRule(rule=own)})
    try:
        assert isinstance(load_bundle(bundle).card.further_rules["further_own:Half"].rule, ForeignRule)
        resolved = load_bundle(bundle, tmp_path).card.further_rules["further_own:Half"].rule
        assert resolved.threshold_in(np.zeros((2, 2, 2), np.float32), (1, 1, 1)) == 0.5
    finally:
        sys.modules.pop("further_own", None)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_scan(folder, "sub-01", seed=1, lesions=1)
    return folder / "sub-01/anat/sub-01_T2w.nii.gz", next(folder.rglob("*label-centerline_seg.nii.gz"))


def test_segment_makes_the_mask_of_the_named_rule(bundle, scan):
    image, curve = scan
    # The volume was tuned together with the model's own threshold, and 0 with the peak.
    set_threshold(bundle, THRESHOLD, minimum_volume_mm3=40.0)
    set_further_rules(bundle, RULES)
    own = segment(image, bundle, centerline=curve)
    volume = own.scan.__class__(own.probability, own.scan.affine)
    for name, kept in (("peak", 0.0), ("sensitive", 40.0)):
        found = segment(image, bundle, centerline=curve, threshold_rule=name)
        expected, _ = make_mask(volume, RULES[name].rule, PostprocessConfig(minimum_volume_mm3=kept), None)
        assert found.mask.sum() > own.mask.sum()
        np.testing.assert_array_equal(found.mask, expected)
        assert found.rule == RULES[name].rule
        assert found.model.postprocess.minimum_volume_mm3 == kept
    named = segment(image, bundle, centerline=curve, threshold_rule="global")
    np.testing.assert_array_equal(named.mask, own.mask)


def test_files_say_which_rule_made_the_mask_and_give_no_errors_of_another(bundle, scan, tmp_path, cli):
    image, curve = scan
    measured = TestError(
        threshold=0.2, rule="study", n_scans=3, n_subjects=3, n_lesions=4, n_found=2, false_lesions_per_scan=1.0,
        n_lesion_free=0, n_lesion_free_marked=0,
    )  # fmt: skip
    set_experience(bundle, TrainingData(simulated=True, n_scans=3, n_subjects=3), measured)
    set_further_rules(bundle, RULES)
    options = ("--centerline", curve, "--threshold-rule", "peak", "--quiet")
    assert cli("segment", image, "--model", bundle, "-o", tmp_path / "out", *options).status == 0
    sidecar = json.loads(next((tmp_path / "out").glob("*_mask.json")).read_text())
    assert sidecar["ThresholdRule"]["rule"] == "peak"
    assert sidecar["Model"]["TestError"] is None
    page = next((tmp_path / "out").glob("*_report.html")).read_text()
    assert "by the rule peak (0.2 in lesions that reach 0.6), the model" in page
    assert "2 of 4 lesions found" not in page
    segment_files([image], bundle, tmp_path / "own", centerlines=[curve], pictures=False)
    assert json.loads(next((tmp_path / "own").glob("*_mask.json")).read_text())["Model"]["TestError"]["n_found"] == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"threshold_rule": "peaks"}, r"bundle: has no threshold rule 'peaks'; it has global, peak, sensitive\. Name"),
        ({"threshold_rule": "peak", "threshold": 0.3}, r"a threshold \(0\.3\) and a threshold rule \(peak\) are given"),
    ],
)
def test_mistakes_get_a_sentence(bundle, scan, options, sentence):
    set_further_rules(bundle, RULES)
    with pytest.raises(CordlesionError, match=sentence):
        segment(scan[0], bundle, centerline=scan[1], **options)


def test_a_rule_that_finds_nothing_makes_no_mask(bundle, scan):
    nothing = PEAK.rule.model_copy(update={"learned": False})
    set_further_rules(bundle, {"peak": FurtherRule(rule=nothing)})
    with pytest.raises(CordlesionError, match="learned too little"):
        segment(scan[0], bundle, centerline=scan[1], threshold_rule="peak")


def test_the_name_of_the_models_own_rule_is_its_own():
    own = GlobalThreshold.given(0.4)
    assert find_further(own, {"global": SENSITIVE}, "global") is None
    assert find_further(own, {"balanced": SENSITIVE}, "balanced") is None  # as reports name its operating point
    assert find_further(None, {"global": SENSITIVE}, "global") == SENSITIVE
