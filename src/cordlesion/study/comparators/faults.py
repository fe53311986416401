"""What is wrong with a comparator's files, told once where one wrong setting is behind it."""

from collections.abc import Iterable
from pathlib import Path

_TOLD_EACH = 3
"""So few files with one fault are named each: they may have to be mended one by one."""


def fold_faults(faults: Iterable[tuple[Path, Path, str]]) -> list[str]:
    """Tell a fault that many files share in one sentence, which names the first file and how many more there are.

    Args:
        faults: File of the comparator, image of its scan, and a sentence about them; sentences are one fault where
            they differ in these two paths alone.

    Returns:
        Sentences, in the order of the first file with each fault.
    """
    groups: dict[str, list[tuple[Path, str]]] = {}
    for file, image, sentence in faults:
        groups.setdefault(sentence.replace(str(file), "").replace(str(image), ""), []).append((file, sentence))
    told = []
    for group in groups.values():
        (file, sentence), others = group[0], len(group) - 1
        if others < _TOLD_EACH:
            told += [sentence for _, sentence in group]
        else:
            told.append(sentence.replace(str(file), f"{file} and {others} more", 1))
    return told
