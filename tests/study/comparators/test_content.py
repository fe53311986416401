from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cordlesion.config import ComparatorConfig
from cordlesion.errors import CordlesionError
from cordlesion.study.comparators.content import FileContent, describe_content, require_findings

REFERENCE = np.zeros((3, 4, 5), bool)
REFERENCE[1, 1:3, 2:4] = True
MAPS = ComparatorConfig(name="soft", maps="maps")
MASKS = ComparatorConfig(name="hard", masks="masks")
SHIPPED = ComparatorConfig(name="shipped", maps="maps", threshold=0.5)
NPZ = ComparatorConfig(name="nnunet", npz="npz")
COPY = FileContent("mask", is_reference=True)


def named(*contents):
    return {Path(f"{number}.nii.gz"): content for number, content in enumerate(contents)}


@given(hnp.arrays(np.float32, (2, 2, 2), elements=st.sampled_from([np.float32(x) for x in (0, 0.25, 0.5, 1)])))
def test_a_mask_is_recognised_by_its_values(data):
    others = set(data[data != 0].tolist())
    expected = {0: "nothing", 1: "mask"}.get(len(others), "map")
    assert describe_content(MAPS, data, None).holds == expected


@pytest.mark.parametrize(
    ("config", "data", "same"),
    [
        (MASKS, REFERENCE, True),
        (MASKS, np.roll(REFERENCE, 1, axis=2), False),
        (MAPS, REFERENCE.astype(np.float32), True),
        (MAPS, REFERENCE * np.linspace(0.1, 0.9, 5, dtype=np.float32), True),
        (MAPS, REFERENCE + np.float32(0.1), False),
        (SHIPPED, 0.4 + 0.2 * REFERENCE, True),
        (SHIPPED, 0.4 * REFERENCE, False),
    ],
)
def test_a_copy_of_the_reference_is_recognised_by_its_voxels(config, data, same):
    assert describe_content(config, data, REFERENCE).is_reference is same
    assert describe_content(config, data, np.zeros_like(REFERENCE)).is_reference is None
    assert describe_content(config, data, None).is_reference is None


@pytest.mark.parametrize("config", [MASKS, MAPS, SHIPPED, NPZ])
def test_copies_of_the_references_are_refused(config):
    clean = FileContent("nothing", is_reference=None)
    with pytest.raises(
        CordlesionError, match=rf"{config.path}: its lesions are those of the references, .* every scan"
    ):
        require_findings(config, named(COPY, clean, COPY))


@pytest.mark.parametrize(
    ("config", "remedy"), [(MAPS, "Give them as `masks:`"), (NPZ, "Save them as NIfTI files and give them as `masks:`")]
)
def test_masks_are_no_maps(config, remedy):
    mask, nothing = FileContent("mask", is_reference=False), FileContent("nothing", is_reference=False)
    with pytest.raises(CordlesionError, match=rf"every file holds 0 and one other value, as masks do.*{remedy}"):
        require_findings(config, named(mask, nothing, COPY))


def test_what_may_have_been_found_is_accepted():
    mask, soft, nothing = (FileContent(holds, is_reference=False) for holds in ("mask", "map", "nothing"))
    require_findings(MAPS, named(mask, soft, COPY))
    require_findings(MAPS, named(nothing, nothing))
    require_findings(MASKS, named(mask, COPY))
    require_findings(SHIPPED, named(mask, mask))
    require_findings(MASKS, named(FileContent("nothing", is_reference=None)))
