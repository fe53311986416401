"""Wrong values of every key of a study: each gets a sentence of this program that names the key."""

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import pytest
from pydantic import BaseModel, ValidationError

from cordlesion.config import ComparatorConfig, StudyConfig
from cordlesion.io.yaml import located_faults

SOUND = {"name": "tiny", "dataset": "cohort", "output": "study", "losses": [{"name": "bce"}]}
WRONG = (
    5, -1, 0, 2.5, 1e300, float("nan"), float("inf"), True, "no such", "", [], [1], ["x", 2], [[1]], list(range(40)),
    {"no such": 1}, {},
)  # fmt: skip
RAW = re.compile(
    r"Input |Field required|[Ss]hould |\b[Vv]alid\b|instance|after validation|lax-or|constrained|\bTuple\b|\bint\b|"
    r"\bstr\b|pathlib|<class|literal\[|\[key\]|True|False|Decimal"
)
"""What only pydantic and Python say."""


def sections(model: type[BaseModel], place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key of a section and of the sections inside it."""
    for name, field in model.model_fields.items():
        yield (*place, name)
        below = [one for one in within(field.annotation) if issubclass(one, BaseModel)]
        inside_list = "tuple" in str(field.annotation)
        for one in below:
            yield from sections(one, (*place, name, 0) if inside_list else (*place, name))


def within(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        yield annotation
    for part in get_args(annotation):
        yield from within(part)


KEYS = sorted(set(sections(StudyConfig)), key=str)


def fault(place: tuple[str | int, ...], value: object) -> str:
    """What is said of a study with a value at a key; empty if it is taken."""
    study = {**SOUND, "losses": [dict(SOUND["losses"][0])]}
    node = study
    for part, following in zip(place, (*place[1:], None), strict=True):
        if following is None:
            node[part] = value
        elif isinstance(node, dict):
            fresh = [{"name": "other", "maps": "maps"}] if following == 0 else {}
            node = node.setdefault(part, fresh)
        else:
            node = node[part]
    try:
        StudyConfig.model_validate(study)
    except ValidationError as error:
        return located_faults(Path("FILE"), study, error)
    return ""


def test_every_key_is_walked():
    named = {".".join(str(part) for part in place if part != 0) for place in KEYS}
    assert {"training.start_from", "preprocess.percentiles", "losses.optimizer", "comparators.npz"} <= named
    assert len(named) > 80
    assert len([name for name in named if name.startswith("comparators.")]) == len(ComparatorConfig.model_fields)


@pytest.mark.parametrize("place", KEYS, ids=lambda place: ".".join(map(str, place)))
def test_wrong_values_get_a_sentence_of_this_program(place):
    said = {repr(value): fault(place, value) for value in WRONG}
    assert any(said.values())
    key = ".".join(map(str, place))
    for value, text in said.items():
        for line in text.splitlines():
            quoted = re.sub(r"found .*", "", line)
            assert not RAW.search(quoted), (value, line)
            assert re.match(r"FILE:\d+:\d+ [\w.]+", line), (value, line)
            # A value may contradict another key, which is then named.
            assert key.split(".")[0] in line or "is taken by" in line, (value, line)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("training", "start_from"), 5, "training.start_from: 'packaged' or a path is needed, found 5"),
        (("training", "runs_per_device"), 0, "training.runs_per_device: 'auto' or a number above 0 is needed, found 0"),
        (("preprocess", "percentiles"), [1], "a list with 2 or more values is needed, found [1]"),
        (("preprocess", "percentiles"), [9, 3], "rising numbers are needed, found [9, 3]"),
        (("network", "filters"), [4] * 40, "a list with up to 8 values is needed, found a list of 40"),
        (("cluster", "options"), {"a": [1]}, "options.a: a text or a whole number or true or false is needed"),
        (("prediction", "mirror"), "x", "prediction.mirror: true or false is needed, found 'x'"),
        (
            ("threshold", "promises"),
            {"sensitive": 0.2},
            "threshold.promises.sensitive: is no limit of an operating point; missed, false_positives, certainty are",
        ),
        (("split", "seed"), True, ""),
        (("training", "optimizer"), True, "'adam' or 'adadelta' is needed, found true"),
        (("patches",), 3, "patches: a section with keys is needed, found 3"),
    ],
)
def test_sentences_say_what_was_found_and_what_is_needed(place, value, sentence):
    text = fault(place, value)
    assert sentence in text
    assert bool(text) == bool(sentence)
    assert len(text.splitlines()) <= 1


class Part(BaseModel):
    name: str
    losses: tuple[str, ...] = ()


class Choice(BaseModel):
    parts: Literal["all", "none"] | tuple[Part, ...] = "all"


@pytest.mark.parametrize(
    ("value", "sentences"),
    [
        (5, ["parts: 'all' or 'none' or a list is needed, found 5"]),
        ([{"losses": ["a"]}], ["parts.0.name: is missing; add this key"]),
        ([{"name": "a"}, {"name": 3, "losses": "b"}],
         ["parts.1.name: a text is needed, found 3", "parts.1.losses: a list is needed, found 'b'"]),
    ],
)  # fmt: skip
def test_a_value_of_several_types_gets_one_sentence_or_those_of_its_keys(value, sentences):
    with pytest.raises(ValidationError) as caught:
        Choice(parts=value)
    text = located_faults(Path("FILE"), {"parts": value}, caught.value)
    assert [line.removeprefix("FILE:1:1 ") for line in text.splitlines()] == sentences
