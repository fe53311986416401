from pathlib import Path

import pytest

from cordlesion.config import PreprocessConfig
from cordlesion.stages.marks import stack_mark

HASHES = {"image": "i", "reference": "r", "cord_mask": "m", "centerline": "c", "centerline_network": "n"}


@pytest.mark.parametrize(
    ("config", "used"),
    [
        (PreprocessConfig(centerline="file"), {"image", "reference", "centerline"}),
        (PreprocessConfig(centerline="cord_mask"), {"image", "reference", "cord_mask"}),
        (PreprocessConfig(centerline=Path("t2_ctr.h5")), {"image", "reference", "centerline_network"}),
        (PreprocessConfig(region="foreground", centerline=Path("t2_ctr.h5")), {"image", "reference"}),
    ],
    ids=["centerline", "cord mask", "network", "foreground"],
)
def test_a_stack_depends_on_the_files_it_was_cut_from_and_no_others(config, used):
    before = stack_mark(config, HASHES)
    assert {kind for kind in HASHES if stack_mark(config, HASHES | {kind: "changed"}) != before} == used
    assert stack_mark(config.model_copy(update={"spacing_mm": 0.7}), HASHES) != before


def test_a_stack_around_a_curve_of_ours_depends_on_the_detector(monkeypatch):
    config = PreprocessConfig(centerline="auto")
    before = stack_mark(config, HASHES)
    assert {kind for kind in HASHES if stack_mark(config, HASHES | {kind: "changed"}) != before} == {
        "image",
        "reference",
    }
    given = [PreprocessConfig(centerline=source) for source in ("file", "sct")]
    others = [stack_mark(source, HASHES) for source in given]
    monkeypatch.setattr("cordlesion.stages.marks.shipped_weights_hash", lambda: "other weights")
    assert stack_mark(config, HASHES) != before
    assert [stack_mark(source, HASHES) for source in given] == others


def test_where_the_network_lies_makes_no_other_stack():
    here, there = (PreprocessConfig(centerline=Path(folder, "t2_ctr.h5")) for folder in ("a", "b"))
    assert stack_mark(here, HASHES) == stack_mark(there, HASHES)
    assert stack_mark(here, HASHES) != stack_mark(PreprocessConfig(centerline="sct"), HASHES)
