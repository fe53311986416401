import pytest

from cordlesion.model.bundle import GlobalThreshold
from cordlesion.model.cut import describe_cut

TUNED = GlobalThreshold(value=0.35, objective="median_voxel_f1", interval=(0.2, 0.5))


SET_ASIDE = "the model's own, tuned on scans set aside for that (objective: median voxel F1"


@pytest.mark.parametrize(
    ("threshold", "cut", "said"),
    [
        (TUNED, 0.35, f"{SET_ASIDE}, 95 % interval 0.2 to 0.5)"),
        (TUNED.model_copy(update={"interval": None}), 0.35, f"{SET_ASIDE})"),
        (TUNED, 0.5, "given by the user; the model's own is 0.35"),
        (None, 0.5, "given by the user; the model has none of its own"),
        (
            GlobalThreshold(value=0.1, objective="none: SCT's own", interval=None),
            0.1,
            "the model's own, as it was published; it was not tuned",
        ),
    ],
)
def test_where_a_threshold_comes_from(threshold, cut, said):
    assert describe_cut(threshold, cut) == said
