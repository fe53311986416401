import sys

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import import_object, is_import_path, source_hash


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    sys.modules.pop("mine_alone", None)


@pytest.mark.parametrize("name", ["a:b", "my_module:MyNet", "pkg.nets:Net2"])
def test_names_of_modules_and_objects_are_import_paths(name):
    assert is_import_path(name)


@pytest.mark.parametrize("name", ["dice", "a:", ":b", "a.b", "a:b.c", "a b:c", "/tmp/a.py:b", "2a:b", "a:b\n"])
def test_other_names_are_none(name):
    assert not is_import_path(name)


def test_an_object_is_found_next_to_the_study_and_followed_when_its_file_changes(tmp_path):
    file = tmp_path / "mine_alone.py"
    file.write_text("answer = 41\n")
    assert import_object("mine_alone:answer", tmp_path) == 41
    before = source_hash("mine_alone:answer", tmp_path)
    file.write_text("answer = 42\n")
    assert import_object("mine_alone:answer", tmp_path) == 42
    assert source_hash("mine_alone:answer", tmp_path) != before
    assert import_object("mine_alone:answer", tmp_path) is import_object("mine_alone:answer", tmp_path)


def test_a_class_of_an_installed_package_is_hashed_by_the_file_that_defines_it(tmp_path):
    assert source_hash("json:JSONDecoder", tmp_path) == source_hash("json.decoder:JSONDecoder")
    assert source_hash("json:JSONDecoder") != source_hash("json:JSONEncoder")


@pytest.mark.parametrize(
    ("text", "path", "fault"),
    [
        ("", "mine_alone:MyNet", "has no MyNet"),
        ("import surely_absent", "mine_alone:MyNet", "cannot be imported .ModuleNotFoundError.*surely_absent"),
        ("def (", "mine_alone:MyNet", "cannot be imported .SyntaxError"),
        ("1 / 0", "mine_alone:MyNet", "cannot be imported .ZeroDivisionError"),
        ("", "surely_absent:MyNet", "A module surely_absent in .* is needed"),
    ],
)
def test_what_cannot_be_imported_gets_a_sentence(tmp_path, text, path, fault):
    (tmp_path / "mine_alone.py").write_text(text)
    with pytest.raises(CordlesionError, match=fault) as error:
        import_object(path, tmp_path)
    assert "\n" not in str(error.value)
    assert "mine_alone" not in sys.modules or text == ""


def test_a_file_with_the_name_of_a_module_in_use_is_refused(tmp_path):
    (tmp_path / "json.py").write_text("MyNet = 1")
    with pytest.raises(CordlesionError, match="which is in use"):
        import_object("json:MyNet", tmp_path)
