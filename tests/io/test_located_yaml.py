"""Any text gives a study or, quickly, a clear error with the name of the file."""

import time

import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError


def aliases(levels: int, each: int) -> str:
    """Return YAML in which each key expands to ``each`` times the previous one."""
    first = "k0: &k0 [x]\n"
    return first + "".join(f"k{n}: &k{n} [{','.join([f'*k{n - 1}'] * each)}]\n" for n in range(1, levels))


HOSTILE = {
    "aliases that multiply": (aliases(12, 9), "because of aliases"),
    "aliases within aliases": (aliases(2000, 1), "because of aliases"),
    "a date that no calendar has": ("name: 2026-13-45\n", "month must be in 1..12"),
    "a merge of a number": ("<<: 3\nname: x\n", "for merging"),
    "an unknown tag": ("name: !foo bar\n", ":1:1 is no text, number, mapping or list"),
    "a tag of Python": ("name: !!python/object/apply:os.system ls\n", "is no text, number, mapping or list"),
    "400 brackets": (f"a: {'[' * 400}{']' * 400}", "nested too deep"),
    "100 000 brackets": ("[" * 100_000, "nested too deep"),
    "100 000 braces": ("{" * 100_000, "nested too deep"),
    "a number of 4 301 digits": (f"name: {'1' * 4301}", "4300 digits"),
    "a number of 65 bits": (f"seeds: [{2**64}]", "is a number that is too large"),
    "bytes": ("name: !!binary aGVsbG8=", "is no text"),
    "half a character": ('name: "\\ud800"', "half a character"),
    "a list as key": ("[1, 2]: 3", "is no text"),
    "too many bytes": (f"name: {'x' * 300_000}", "300006 bytes are more than any study has"),
    "a null byte": ("name: a\0b", "cannot be read"),
}


@pytest.mark.parametrize(("text", "fault"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_study_raises_a_clear_error(tmp_path, text, fault):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(CordlesionError, match=fault) as error:
        read_study(path)
    assert time.process_time() - start < 2
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_wrong_merged_key_is_named(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("split: {<<: {seed: x}}\n")
    with pytest.raises(CordlesionError, match=r"split\.seed"):
        read_study(path)


def test_a_parameter_that_is_not_a_number_is_named(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("name: a\ndataset: a\noutput: b\nlosses:\n- {name: tversky, parameters: {fn_weight: .nan}}\n")
    with pytest.raises(CordlesionError, match=r":5:\d+ losses\.0\.parameters\.fn_weight: a finite number is needed"):
        read_study(path)


def test_brackets_side_by_side_are_not_nested(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(f"notes: [{'[], {}, ' * 300}]\n")
    with pytest.raises(CordlesionError, match="notes: unknown key"):
        read_study(path)
