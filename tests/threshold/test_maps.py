import pandas as pd
import pytest

from cordlesion.threshold import describe_cut, describe_maps, find_cut


def sweep(*scans, thresholds=(0.0, 0.05, 0.1, 0.15, 0.5, 0.55)):
    """A row per scan and threshold with the volume that is marked."""
    rows = [
        {"scan_id": f"scan-{n}", "threshold": t, "predicted_volume_mm3": volume}
        for n, scan in enumerate(scans)
        for t, volume in zip(thresholds, scan, strict=True)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("scans", "cut"),
    [
        ([(99, 9, 9, 9, 9, 5), (99, 0, 0, 0, 0, 0)], 0.5),
        ([(99, 9, 9, 9, 9, 9), (99, 4, 4, 4, 4, 3)], 0.5),
        ([(99, 9, 9, 9, 8, 5)], 0.15),
        ([(99, 9, 9, 8, 8, 5)], None),
        ([(99, 9, 9, 9, 9, 5), (99, 9, 8, 8, 8, 8)], None),
        ([(99, 0, 0, 0, 0, 0)], None),
    ],
)
def test_a_cut_is_where_all_lower_thresholds_give_the_same_masks(scans, cut):
    rows = sweep(*scans)
    assert find_cut(rows) == cut
    assert find_cut(rows.sample(frac=1, random_state=0)) == cut
    # Where minimum volumes are tuned, the lowest removes least.
    more = pd.concat([rows.assign(minimum_volume_mm3=0.0), rows.assign(minimum_volume_mm3=50, predicted_volume_mm3=0)])
    assert find_cut(more) == cut


def test_what_a_cut_means_is_said():
    said = describe_cut(sweep((99, 9, 9, 9, 9, 5)), 0.5)
    assert said.startswith("no map has a value from 0.05 to below 0.5, ")
    assert said.endswith("every threshold up to 0.5 gives the same masks, and lower ones could not be tried")


def test_what_is_apparent_of_maps_without_a_threshold():
    assert describe_maps(sweep((99, 0, 0, 0, 0, 0))) == "no map has a value of 0.05 or more"
    background = describe_maps(sweep((100, 98, 97, 97, 96, 96), (100, 90, 90, 90, 90, 90)))
    assert background == "t = 0.05 marks 90 % of the voxels of every map or more: the background's probability?"
    assert describe_maps(sweep((100, 98, 97, 97, 96, 96), (100, 9, 9, 9, 9, 9))) == ""
