import pytest

from cordlesion.config import PreprocessConfig
from cordlesion.stages.marks import stack_mark

HASHES = {"image": "i", "reference": "r", "cord_mask": "m", "centerline": "c"}


@pytest.mark.parametrize(
    ("config", "used"),
    [
        (PreprocessConfig(centerline="file"), {"image", "reference", "centerline"}),
        (PreprocessConfig(centerline="cord_mask"), {"image", "reference", "cord_mask"}),
        (PreprocessConfig(region="foreground"), {"image", "reference"}),
    ],
    ids=["centerline", "cord mask", "foreground"],
)
def test_a_stack_depends_on_the_files_it_was_cut_from_and_no_others(config, used):
    before = stack_mark(config, HASHES)
    assert {kind for kind in HASHES if stack_mark(config, HASHES | {kind: "changed"}) != before} == used
    assert stack_mark(config.model_copy(update={"spacing_mm": 0.7}), HASHES) != before
