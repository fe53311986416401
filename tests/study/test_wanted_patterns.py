"""Options of `study init`: a value that means nothing is refused; the study that is printed is made once."""

from functools import partial

import numpy as np
import pytest

from cordlesion.config import FilePatterns, ReducedConfig, builtin_study
from cordlesion.errors import CordlesionError
from cordlesion.io.mask_values import MaskValues
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.study import initial
from cordlesion.study.initial import Cut, InitialStudy, start_study, wanted_patterns
from support.images import write_image

wanted = partial(wanted_patterns, image=(), reference=(), subjects=None, lesion_value=None)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"lesion_value": -1}, "--lesion-value: a number above 0 is needed, found -1"),
        ({"lesion_value": 0}, "--lesion-value: a number above 0 is needed, found 0"),
        ({"image": ("",)}, "--image: is empty; a pattern"),
        ({"reference": ("*_lesion.nii.gz", " ")}, "--reference: is empty; a pattern"),
        ({"subjects": ""}, "--subjects: is empty; a pattern"),
    ],
)
def test_an_option_that_means_nothing_is_refused(given, fault):
    with pytest.raises(CordlesionError, match=fault):
        wanted(**given)


def test_what_is_not_given_has_its_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert wanted() == FilePatterns()
    chosen = wanted(image=["a/*.nii"], subjects="who.tsv", lesion_value=2)
    assert chosen == FilePatterns(image=("a/*.nii",), subjects=str(tmp_path / "who.tsv"), lesion_value=2)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_no_lesion_has_the_value_of_the_background(tmp_path, value):
    with pytest.raises(CordlesionError, match=rf"the value {value:g} was given as that of lesions in the references"):
        MaskValues("references", value)
    write_image(tmp_path / "a.nii.gz", np.ones((4, 4, 4), np.uint8))
    with pytest.raises(CordlesionError, match="a number above 0 is needed"):
        evaluate_files(tmp_path / "a.nii.gz", tmp_path / "a.nii.gz", lesion_value=value)


@pytest.fixture
def study(tmp_path):
    for name in ("P1_T2", "P1_lesion", "P2_T2", "P2_lesion"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / f"data/{name}.nii.gz").touch()
    return start_study(tmp_path / "data")


def test_the_study_is_written_once(study, monkeypatch):
    read = []
    monkeypatch.setattr(initial, "builtin_study", lambda name: read.append(name) or builtin_study(name))
    assert study.text is study.text
    assert study.config is study.config
    assert read == ["isbi2023"]


@pytest.mark.parametrize("phrase", ["centerline: auto", "../isbi2023", "filters: [16, 32, 64]", "BIDS folder in"])
@pytest.mark.parametrize("times", [0, 2])
def test_a_phrase_that_the_template_lacks_is_no_silent_default(study, tmp_path, monkeypatch, phrase, times):
    text = builtin_study("isbi2023").read_text()
    line = next(line for line in text.splitlines() if phrase in line)
    (tmp_path / "template.yaml").write_text(text.replace(line, "\n".join([line] * times)))
    monkeypatch.setattr(initial, "builtin_study", lambda _: tmp_path / "template.yaml")
    cut = Cut(("bce",), ReducedConfig(scans=12), is_light=True)
    with pytest.raises(ValueError, match=f"occurs {times} times in the built-in study"):
        print(InitialStudy(study.found, cut).text)
