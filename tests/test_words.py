"""Sources and pages are written in the field's English: CONTRIBUTING.md has the glossary, this the words to avoid."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
AVOIDED = {
    "told, tell, tells, telling": "state, report, return, distinguish, show",
    "bring, brings, bringing, brought": "import, copy, move, set",
    "stranger, strangers": "unmatched file, orphaned result",
    "bear, bears, bearing, borne": "allow, hold, fit (lesion-bearing is a term)",
    "minds": "depends on, is sensitive to",
    "thrice": "three times",
    "anew, whoever": "again, who or a user who",
    "whereof, thereof, hereof, whereby, thereby, hereby, therein, wherein": "by which, in it: or another sentence",
    "whence, thence, hitherto, lest, albeit": "a plain conjunction",
    "nobody can say, it is to be, of which nobody": "unknown, must be",
}
"""Words and phrases to avoid -> what to write. They are found in names too: an underscore ends a word."""
ALLOWED: dict[tuple[str, str], str] = {}
"""File and word -> the reason why it may stand there. Titles of publications are in a .bib file, which is not read."""
_TERMS = re.compile(r"lesion[-_\s]+bearing", re.IGNORECASE)
_WORDS = [word for words in AVOIDED for word in words.split(", ")]
_ANY = re.compile(rf"(?<![A-Za-z])({'|'.join(word.replace(' ', chr(92) + 's+') for word in _WORDS)})(?![A-Za-z])", re.I)
_SUFFIXES = {".py", ".j2", ".js", ".html", ".css", ".md"}
_OF_OTHERS = ("src/cordlesion/explorer/assets/niivue", "docs/assets", "docs/example_report", "docs/changelog.md")
"""Third-party code; the recorded report; the changelog, whose old entries stay as they were."""


def texts() -> Iterator[tuple[str, str]]:
    """Yield each file that is read, by its place in the repository, with its content."""
    places = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    places += [path for folder in ("src", "docs") for path in sorted((ROOT / folder).rglob("*"))]
    for path in places:
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in _SUFFIXES and not name.startswith(_OF_OTHERS):
            yield name, path.read_text(encoding="utf-8")


def found_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the word, in lower case, of everything to avoid."""
    text = _TERMS.sub(lambda term: "·" * len(term[0]), text)
    for match in _ANY.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].lower().split())


def test_no_text_has_a_word_to_avoid():
    found = [(name, line, word) for name, text in texts() for line, word in found_in(text)]
    faults = [f"{name}:{line}: {word}" for name, line, word in found if (name, word) not in ALLOWED]
    assert set(ALLOWED) <= {(name, word) for name, _, word in found}
    assert not faults, f"{len(faults)} words to avoid (CONTRIBUTING.md, Words):\n" + "\n".join(faults)


def test_words_are_found_in_names_and_over_line_ends_and_terms_are_left_out():
    text = "def tell_strangers(): lesion-bearing, LESION_BEARING\n# Nobody\n# can say: it is\nto be Told."
    assert list(found_in(text)) == [(1, "tell"), (1, "strangers"), (3, "it is to be"), (4, "told")]
    assert list(found_in("retold detelling bearings")) == []
