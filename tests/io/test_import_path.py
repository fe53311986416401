import sys

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.import_path import import_object, is_import_path, module_hash, source_hashes


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
    before = source_hashes("mine_alone:answer", tmp_path)
    file.write_text("answer = 42\n")
    assert import_object("mine_alone:answer", tmp_path) == 42
    assert source_hashes("mine_alone:answer", tmp_path) != before
    assert import_object("mine_alone:answer", tmp_path) is import_object("mine_alone:answer", tmp_path)


def test_a_class_of_another_file_is_hashed_by_both_files():
    named, definition = source_hashes("json:JSONDecoder")
    assert [definition] == source_hashes("json.decoder:JSONDecoder")
    assert named == module_hash("json:JSONDecoder") == source_hashes("json:JSONEncoder")[0]
    assert definition != source_hashes("json:JSONEncoder")[1]


def test_a_change_of_the_named_file_is_seen_though_another_file_makes_the_object(tmp_path):
    (tmp_path / "factory.py").write_text("def make(k):\n    def inner(): return k\n    return inner\n")
    named = tmp_path / "made_alone.py"
    named.write_text("from factory import make\nmade = make(1)\n")
    before = source_hashes("made_alone:made", tmp_path)
    assert len(before) == 2
    named.write_text("from factory import make\nmade = make(2)\n")
    after = source_hashes("made_alone:made", tmp_path)
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert import_object("made_alone:made", tmp_path)() == 2


def test_the_hash_of_a_module_is_known_before_it_runs(tmp_path):
    (tmp_path / "alarming.py").write_text("raise AssertionError('this ran')\n")
    assert module_hash("alarming:anything", tmp_path) == file_hash(tmp_path / "alarming.py")
    assert module_hash("surely_absent:anything", tmp_path) is None


@pytest.mark.parametrize("path", ["os:system", "sys:exit"])
def test_what_is_built_into_python_has_no_file_that_changes(path):
    with pytest.raises(CordlesionError, match="no file defines it"):
        source_hashes(path)


@pytest.mark.parametrize("text", ["import sys\nsys.exit(0)\n", "raise SystemExit\n"])
def test_a_module_that_exits_ends_no_command_silently(tmp_path, text):
    (tmp_path / "exiting.py").write_text(text)
    with pytest.raises(CordlesionError, match=r"cannot be imported .SystemExit"):
        import_object("exiting:anything", tmp_path)


def test_each_folder_has_its_own_neighbours(tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine_again.py").write_text("from neighbour_of_mine import answer\n")
        (folder / "neighbour_of_mine.py").write_text(f"answer = {name!r}\n")
    assert [import_object("mine_again:answer", tmp_path / name) for name in "aba"] == ["a", "b", "a"]


def test_a_package_in_the_folder_is_found_before_others(tmp_path, monkeypatch):
    for place in ("here", "elsewhere"):
        package = tmp_path / place / "my_package_alone"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"place = {place!r}\n")
        (package / "inner.py").write_text("from my_package_alone import place\n")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert import_object("my_package_alone:place", str(tmp_path / "here")) == "here"
    assert import_object("my_package_alone.inner:place", tmp_path / "here") == "here"


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
