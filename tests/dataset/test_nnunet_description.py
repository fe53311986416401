"""``dataset.json`` of nnU-Net as people write it: numbers first or last, as texts, in lists, by version 1 or 2."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordlesion.dataset.recognition.nnunet import nnunet_layout
from cordlesion.errors import CordlesionError

CHANNELS, LABELS = {"0": "T2"}, {"background": 0, "lesion": 1}


def described(folder, about):
    for name in ("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


@pytest.mark.parametrize(
    ("channels", "image"),
    [
        ({"0": "T2"}, "0000"), ({"T2": "0"}, "0000"), ({"T2": 0}, "0000"), (["T2"], "0000"),
        ({"0": "T1", "1": "T2w"}, "0001"), ({"T1": 0, "T2": 1}, "0001"), (["T1", "T2"], "0001"),
        ({"T2": "1", "T1": "0"}, "0001"), ({}, "0000"), (None, "0000"), ({"0": "a", "1": "T2"}, "0001"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["channel_names", "modality"])
def test_the_channel_is_found_wherever_its_number_stands(tmp_path, key, channels, image):
    found = nnunet_layout(described(tmp_path, {key: channels, "labels": LABELS}))
    assert found.patterns.image == (f"imagesTr/*_{image}.nii.gz",)


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        (LABELS, None), ({"background": 0, "cord": 1, "lesion": 2}, 2),
        ({"background": "0", "cord": "1", "Lesion": "2"}, 2),
        ({"0": "background", "1": "cord", "2": "MS lesion"}, 2), (["background", "lesion", "cord"], 1),
        ({"background": 0, "cord": [1, 2], "lesion": [2]}, 2), ({"background": 0, "cord": [1, 2], "lesion": 2}, 2),
        ({"background": 0, "lesion": 1, "Ignore": 2}, None), ({"background": 0, "lesion": [1]}, None), ({}, None),
    ],
)  # fmt: skip
def test_the_label_of_lesions_is_found_wherever_it_stands(tmp_path, labels, value):
    found = nnunet_layout(described(tmp_path, {"channel_names": CHANNELS, "labels": labels, "file_ending": None}))
    assert found.patterns.lesion_value == value


@pytest.mark.parametrize(
    ("about", "fault"),
    [
        ({"channel_names": {"T2": "zero"}}, r'"channel_names" are \{"T2": "zero"\}; names with whole numbers'),
        ({"channel_names": {"T2": -1}}, '"channel_names" are'),
        ({"channel_names": "T2"}, '"channel_names" are "T2"; names with whole numbers from 0 on are needed'),
        ({"labels": {"background": 0, "lesion": True}}, '"labels" are'),
        ({"labels": {"background": 0, "lesion": {}}}, '"labels" are'),
        ({"labels": {"background": 0, "lesion": [1, 2], "cord": 3}}, r"has the labels lesion 1\+2, cord 3; the one of"),
    ],
)  # fmt: skip
def test_what_has_no_numbers_gets_a_sentence(tmp_path, about, fault):
    with pytest.raises(CordlesionError, match=rf"dataset\.json: .*{fault}.*--image"):
        nnunet_layout(described(tmp_path, {"channel_names": CHANNELS, "labels": LABELS} | about))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["0", "1", "T2", "²"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["0", "1", "T2", "lesion"]), inner),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["channel_names", "modality", "labels", "file_ending"]), VALUES))
def test_any_description_is_a_layout_or_gets_a_sentence(tmp_path_factory, about):
    folder = described(tmp_path_factory.mktemp("raw"), about)
    try:
        value = nnunet_layout(folder).patterns.lesion_value
    except CordlesionError as error:
        assert str(error).startswith(f"{folder / 'dataset.json'}: ")  # noqa: PT017 - either is fine
    else:
        assert value is None or value > 0
