"""The file of a rule is read as strictly as a model: a damaged key is named, no two places contradict each other."""

import json

import pytest

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.threshold import GlobalThreshold, LesionCalibration
from cordlesion.threshold.components import PeakThreshold
from cordlesion.threshold.mask_rule import MaskRule, read_mask_rule, read_tuning_scans
from cordlesion.threshold.promise import Promise
from cordlesion.threshold.rule_file import RuleFile

SCANS = {"sub-1": "sub-1", "sub-2_ses-1": "sub-2", "sub-2_ses-2": "sub-2"}
PROMISE = Promise(risk="missed", limit=0.4, certainty=0.95, n=2, lesion_rule="study", lesion_free=False)
CALIBRATION = LesionCalibration(
    peak=1,
    mean=0.5,
    volume=0.2,
    shift=-2,
    threshold_rule=0.3,
    lesion_rule="study",
    n_lesions=30,
    n_real=15,
    n_subjects=5,
)
FACTS = {
    "objective": "mean_lesion_f1",
    "score": 0.7,
    "interval": [0.2, 0.4],
    "minimum_volume_interval": None,
    "plateau": [0.25, 0.35],
    "score_lost_at_0.05_below_and_above": [0.01, None],
    "area_under_curve": 0.5,
    "n_scans": 2,
    "n_subjects": 2,
    "n_lesion_free": 0,
    "n_left_out": 1,
    "rule": "study",
    "grid": "paper",
    "lesion_free_scans": "left out",
    "maps_cut_at": None,
    "left_out": {"sub-3": "sub-3.nii.gz: damaged."},
}
CURVE = [{"threshold": t, "score": score} for t, score in ((0.0, None), (0.3, 0.7), (0.5, 0.6))]


def plain(**changes):
    """What `tune` writes of one threshold with a promise."""
    kept = {"objective": FACTS["objective"], "interval": (0.2, 0.4), "promises": (PROMISE,)}
    rule = MaskRule(GlobalThreshold(value=0.3, **kept), PostprocessConfig(), SCANS, lesions=CALIBRATION)
    return {"threshold": 0.3, **rule.record(), **FACTS, "curve": CURVE, **changes}


def with_peak(**changes):
    rule = PeakThreshold(value=0.3, objective=FACTS["objective"], interval=(0.2, 0.4), peak=0.6, minimum_volume_mm3=6)
    curve = [{"peak": 0.6, "minimum_volume_mm3": v, "threshold": 0.3, "score": s} for v, s in ((0.0, 0.6), (6.0, 0.7))]
    return {"threshold": None, **MaskRule(rule, scans=SCANS).record(), **FACTS, "grid": None, "curve": curve, **changes}


def changed(record, place, value):
    """The same with another value at a place such as ``threshold_rule/value``."""
    copy = json.loads(json.dumps(record))
    *above, last = place.split("/")
    node = copy
    for key in above:
        node = node[int(key) if isinstance(node, list) else key]
    node[last] = value
    return copy


@pytest.fixture
def read(tmp_path):
    def read(record):
        (tmp_path / "thresholds.json").write_text(json.dumps(record))
        return read_mask_rule(tmp_path / "thresholds.json")

    return read


def refusal(read, record):
    with pytest.raises(CordlesionError) as error:
        read(record)
    assert "\n" not in str(error.value)
    return str(error.value).partition("thresholds.json: ")[2]


def places(content, above=""):
    """Every key of a record, with those of sections; a calibration may be of any other rule."""
    for key, value in content.items():
        if f"{above}{key}" != "lesion_calibration/threshold_rule":
            yield f"{above}{key}"
        if isinstance(value, dict) and key not in ("scans", "left_out"):
            yield from places(value, f"{above}{key}/")


@pytest.mark.parametrize("record", [plain(), with_peak()], ids=["global", "peak"])
def test_whatever_is_written_is_read_and_every_damaged_key_is_named(read, record):
    whole = read(record)
    assert whole.scans == SCANS
    assert {*record} <= {field.alias or name for name, field in RuleFile.model_fields.items()}
    for place in places(record):
        key = place.split("/")[0]
        for value in ("0.3", True, [1, "a"], {"a": []}, -1e9, float("nan")):
            if place.rpartition("/")[2] not in MAY_BE[type(value)]:
                assert key in refusal(read, changed(record, place, value)), (place, value)
        assert f"{key}s: unknown key" in refusal(read, {**record, f"{key}s": 1})


MAY_BE = {
    str: {"objective", "lesion_free_scans", "grid", "rule", "lesion_rule"},
    float: {"area_under_curve", "shift"},
    **{kind: set() for kind in (bool, list, dict)},
}


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("threshold", "0.3", "threshold: a number is needed, found '0.3'"),
        ("threshold", 0.5, "threshold: is 0.5, but `threshold_rule.value` is 0.3"),
        ("threshold", None, "threshold: is null, but `threshold_rule.value` is 0.3"),
        ("threshold_rule/value", True, "threshold_rule.value: a number is needed, found true"),
        ("threshold_rule/rule", "globl", "threshold_rule.rule: 'global', 'peak', 'top_components', "),
        ("threshold_rule/interval", [0.1, 0.4], "interval: is [0.2, 0.4], but `threshold_rule.interval` is [0.1, 0.4]"),
        ("threshold_rule/promises/0/limit", True, "threshold_rule.promises.0.limit: a number is needed, found true"),
        ("rule", "anima", 'rule: is "anima", but `threshold_rule.promises.0.lesion_rule` is "study"'),
        ("objective", "lesion_f1", 'objective: is "lesion_f1", but `threshold_rule.objective` is "mean_lesion_f1"'),
        ("postprocess", {}, "postprocess.minimum_volume_mm3: is missing"),
        ("postprocess/minimum_volume_mm3", 30.0, "curve: has no row at t = 0.3 with the chosen settings"),
        ("score", 0.8, "curve: has no row at t = 0.3 with the chosen settings and the score"),
        ("scans", ["sub-1"], "scans: a section with keys is needed, found ['sub-1']"),
        ("scans", {"sub-1": 3}, "scans.sub-1: a text is needed, found 3"),
        ("scans", None, "scans: is missing"),
        ("scans", {}, "scans: names 0 scans of 0 subjects, but the rule was tuned on 3 scans of 2 subjects"),
        ("scans", dict.fromkeys(SCANS, "x"), "scans: names 3 scans of 1 subjects, but"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_what_was_found(read, place, value, said):
    assert refusal(read, changed(plain(), place, value)).startswith(said)


@pytest.mark.parametrize("key", ["threshold_rule", "postprocess", "scans"])
def test_a_part_that_was_removed_is_missed(read, key):
    record = {name: value for name, value in plain().items() if name != key}
    assert refusal(read, record).startswith(f"{key}: is missing; add this key")


def test_a_threshold_that_was_changed_in_two_places_is_not_that_of_the_curve(read):
    """Its promise would be one that was never shown."""
    record = changed(plain(threshold=0.5), "threshold_rule/value", 0.5)
    assert refusal(read, record).startswith("curve: has no row at t = 0.5 with the chosen settings and the score")
    record = changed(with_peak(), "threshold_rule/minimum_volume_mm3", 0.0)
    assert refusal(read, record).startswith("curve: has no row at t = 0.3")


def test_files_of_earlier_versions_are_read(read, tmp_path):
    """The first had no rule; the next stated the threshold of every rule."""
    first = {"threshold": 0.3, **FACTS, "curve": CURVE}
    found = read(first)
    assert (found.rule.value, found.rule.objective, found.rule.interval) == (0.3, "mean_lesion_f1", (0.2, 0.4))
    with pytest.raises(CordlesionError, match="does not name the scans that the rule was tuned on"):
        read_tuning_scans(tmp_path / "thresholds.json")
    assert read({"threshold": 0.3}).rule.value == 0.3
    stated = read(with_peak(threshold=0.3))
    assert (stated.rule.peak, read_tuning_scans(tmp_path / "thresholds.json")) == (0.6, SCANS)
    assert refusal(read, with_peak(threshold=0.4)).startswith("threshold: is 0.4, but `threshold_rule.value` is 0.3")
