"""What a file may be, by the words in its name: an image of a contrast, a lesion mask, another mask (leaf)."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from cordlesion.dataset.globs import stem

CONSENSUS, LESION, MASK, OTHER_MASK, IMAGE = range(5)
"""Kinds of files: the less, the more likely a reference."""
_WORDS = (
    (CONSENSUS, re.compile(r"consensus|ground_?truth|(?<![a-z])gt(?![a-z])")),
    (LESION, re.compile(r"lesion|(?<![a-z])(les|mslesions?|wml)(?![a-z])")),
    (
        OTHER_MASK,
        re.compile(
            r"cord|spinal|brain|cent(er|re)line|canal|vertebra|(?<![a-z])(sc|csf|gm|wm|vert|discs?|levels?)(?![a-z])"
        ),
    ),
    (MASK, re.compile(r"mask|label|segm|annot|manual|(?<![a-z])(segs?|rois?|msk)(?![a-z])")),
)
_CONTRASTS = {
    "T2w": re.compile(r"t2(w|wi|tse|fse|sag|ax|tra|cor)?"),
    "other": re.compile(
        r"t1(w|ce|gd|c|map)?|flair|stir|tirm|psir|pd(w)?|mp2rage|mprage|uni(t1)?|dir|dwi|adc|fa|mt(r|s|on|off)?|swi|"
        r"t2(s|star|starw|map)|gre|bold|qsm|dti|dixon"
    ),
}
_TOKEN = re.compile(r"[^_\-. ]+")


@dataclass(frozen=True)
class Seen:
    """A NIfTI file of a dataset, and what its name says."""

    place: PurePath
    """Inside the dataset."""
    kind: int
    """One of the kinds of this module."""
    word: str
    """The part of the name (or of a folder) that says so, in lower case; empty if none does."""
    contrast: str = ""
    """Of the image, or of the one that a mask was drawn on: T2w, or the word for another one; empty if none says it."""


def look_at(places: Sequence[PurePath]) -> list[Seen]:
    """Return what each file may be; folders that all files share say nothing."""
    shared = set.intersection(*(set(place.parent.parts) for place in places)) if places else set()
    return [_seen(place, shared) for place in places]


def tokens(name: str) -> list[tuple[int, str]]:
    """Return the words of a name, each with its place in it."""
    return [(found.start(), found[0]) for found in _TOKEN.finditer(name)]


def _seen(place: PurePath, shared: Collection[str]) -> Seen:
    for part in _parts(place, shared):
        for kind, words in _WORDS:
            if found := words.search(part):
                is_mask = kind != OTHER_MASK or _WORDS[-1][1].search(part) or part == stem(place).lower()
                if is_mask:
                    contrast, _ = _contrast(place, shared, ("T2w", "other"))
                    return Seen(place, kind, _word_around(part, found.start()), contrast)
    # T2_FLAIR is no T2w image.
    contrast, word = _contrast(place, shared, ("other", "T2w"))
    return Seen(place, IMAGE, word, contrast)


def _parts(place: PurePath, shared: Collection[str]) -> Iterator[str]:
    """Yield the name without its ending, then its folders from the inside out, in lower case."""
    yield stem(place).lower()
    yield from (part.lower() for part in reversed(place.parent.parts) if part not in shared)


def _word_around(part: str, start: int) -> str:
    return next(word for first, word in reversed(tokens(part)) if first <= start)


def _contrast(place: PurePath, shared: Collection[str], order: Sequence[str]) -> tuple[str, str]:
    """Return the contrast and the word for it; ``order`` decides where a name has words for both kinds."""
    for part in _parts(place, shared):
        words = [word for _, word in tokens(part)]
        for kind in order:
            if word := next((word for word in words if _CONTRASTS[kind].fullmatch(word)), ""):
                return ("T2w" if kind == "T2w" else word.upper()), word
    return "", ""
