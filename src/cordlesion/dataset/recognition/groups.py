"""Globs for files that look alike: what `study init` proposes where names are not those of BIDS."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from cordlesion.dataset.globs import matching, stem
from cordlesion.dataset.recognition.words import IMAGE, Seen, tokens

_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Group:
    """Files that look alike, in all the folders of a dataset."""

    files: tuple[Seen, ...]
    others: tuple[PurePath, ...]
    """All NIfTI files of the dataset."""

    @property
    def kind(self) -> int:
        """Kind of file."""
        return self.files[0].kind

    @property
    def contrast(self) -> str:
        """Of images."""
        return self.files[0].contrast

    @cached_property
    def by_name(self) -> str:
        """A glob for the names of these files."""
        return _name_glob(self.files)

    @cached_property
    def by_path(self) -> str:
        """A glob for these files with the folders that they share; that of their names if they share none."""
        return _path_glob(self.files) or self.by_name

    @cached_property
    def by_end(self) -> str:
        """The same where the word is that of a folder, with what all names share at their end."""
        glob, shared = self.by_path, _shared([stem(seen.place) for seen in self.files], "")[1]
        star = glob.rpartition("/")[2].partition(".")[0] == "*"
        return f"{glob.rpartition('/')[0]}/*{shared}{_ending(self.files)}".lstrip("/") if star else glob

    @cached_property
    def globs(self) -> tuple[str, ...]:
        """Globs to try: that of the names, unless it matches other files too, and those with the folders."""
        places = {seen.place for seen in self.files}
        is_exact = set(matching_places(self.others, self.by_name)) == places
        by_path = [self.by_path, self.by_end]
        return tuple(dict.fromkeys([self.by_name, *by_path] if is_exact else by_path))

    def __str__(self) -> str:
        """State how many there are, with one of them."""
        n = len(self.files)
        return f"{n} file{'s' if n > 1 else ''} like {self.files[0].place}"


def group_files(seen: Sequence[Seen]) -> list[Group]:
    """Return the files in groups that look alike: kind by kind, the largest first."""
    kinds = _folders_of_kinds([one.place for one in seen])
    repeated = _repeated([stem(one.place) for one in seen])
    groups: dict[tuple[str, ...], list[Seen]] = {}
    for one in seen:
        name = stem(one.place) if not one.word and stem(one.place) in repeated else ""
        groups.setdefault((*_look(one, kinds), name), []).append(one)
    every = tuple(one.place for one in seen)
    return sorted((Group(tuple(files), every) for files in groups.values()), key=lambda g: (g.kind, -len(g.files)))


def matching_places(places: Sequence[PurePath], glob: str) -> list[PurePath]:
    """Return the places that a glob matches."""
    return [PurePath(path) for path in matching([Path(place) for place in places], Path(), glob)]


def _look(seen: Seen, kinds: Collection[str]) -> tuple[str, ...]:
    """Return what files of a group share: kind, contrast, folder of a kind, and of masks the end from the word on."""
    name = stem(seen.place).lower()
    start = name.find(seen.word) if seen.word else -1
    # A word at the beginning is followed by the name of the scan.
    end = name[start:] if start > 0 and seen.kind != IMAGE else seen.word
    folder = next((part for part in reversed(seen.place.parent.parts) if part in kinds), "")
    return str(seen.kind), seen.contrast, folder, end


def _folders_of_kinds(places: Sequence[PurePath]) -> set[str]:
    """Return names of folders that stand for a kind of file (``Raw_Data``), not for a person or a date."""
    return _repeated([path.name for path in {place.parent for place in places}])


def _repeated(names: Sequence[str]) -> set[str]:
    """Return names that occur too often to be those of people or dates, and do not begin with a digit."""
    counts = Counter(names)
    return {name for name, n in counts.items() if n > 2 and n >= len(names) / 5 and not name[:1].isdigit()}


def _name_glob(files: Sequence[Seen]) -> str:
    """Return a glob for the names: what they share at the end or beginning, as far as it holds the word."""
    names = [stem(seen.place) for seen in files]
    word, ending = files[0].word, _ending(files)
    if len(set(names)) == 1:
        return names[0] + ending
    first, last = _shared(names, word)
    if word and word in last.lower():
        return f"*{last}{ending}"
    if word and word in first.lower():
        return f"{first}*{ending}"
    is_named = all(word in name.lower() for name in names)
    spelled = next((w for _, w in tokens(names[0]) if w.lower() == word), word)
    return f"*{spelled}*{ending}" if word and is_named else f"*{ending}"


def _shared(names: Sequence[str], word: str) -> tuple[str, str]:
    """Return what all names share at the beginning up to the word, and at the end from the word on."""
    first, last = _common_prefix(names), _common_prefix([name[::-1] for name in names])[::-1]
    first, last = first[: _end_of_words(first, names)], last[_start_of_words(last, names) :]
    place = last.lower().find(word) if word else -1
    kept = [(at, token) for at, token in tokens(last[: max(place, 0)]) if token.lower() in ("t2", "t2w")]
    cut = kept[0][0] if kept else max(place, 0)
    while cut > 0 and not last[cut - 1].isalnum():
        cut -= 1
    return first, last[cut:]


def _common_prefix(names: Sequence[str]) -> str:
    low, high = min(names), max(names)
    n = next((k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:n]


def _end_of_words(prefix: str, names: Sequence[str]) -> int:
    """Return the length of a shared beginning that does not end inside a word."""
    n = len(prefix)
    while n and any(n < len(name) and name[n - 1].isalnum() and name[n].isalnum() for name in names):
        n -= 1
    return n


def _start_of_words(suffix: str, names: Sequence[str]) -> int:
    """Return where in a shared end its first whole word or separator begins."""
    n, length = 0, len(suffix)
    while n < length and any(_inside_word(name, len(name) - length + n) for name in names):
        n += 1
    return n


def _inside_word(name: str, at: int) -> bool:
    return 0 < at < len(name) and name[at - 1].isalnum() and name[at].isalnum()


def _path_glob(files: Sequence[Seen]) -> str:
    """Return a glob with the folders that all files share at their level; empty if they share none."""
    folders = [seen.place.parent.parts for seen in files]
    if len({len(parts) for parts in folders}) > 1 or not folders[0]:
        return ""
    levels = [{*level} for level in zip(*folders, strict=True)]
    if all(len(level) > 1 for level in levels):
        return ""
    parts = [next(iter(level)) if len(level) == 1 else "*" for level in levels]
    while len(parts) > 1 and parts[-1] == parts[-2] == "*":
        parts.pop()
    return "/".join([*parts, _name_glob(files)])


def _ending(files: Sequence[Seen]) -> str:
    found = {next(end for end in _ENDINGS if seen.place.name.endswith(end)) for seen in files}
    return found.pop() if len(found) == 1 else ".nii*"
