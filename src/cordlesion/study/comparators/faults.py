"""What is wrong with a comparator's files, reported once if many files have the same fault."""

from collections.abc import Iterable
from pathlib import Path

_NAMED_EACH = 3
"""Fewer other files than this are named one by one: they may need to be corrected one by one."""


def group_faults(faults: Iterable[tuple[Path, Path, str]]) -> list[str]:
    """Report a fault of many files in one sentence, which names the first file and the number of others.

    Args:
        faults: File of the comparator, image of its scan, and a sentence about them; two sentences report the same
            fault if they differ only in these paths.

    Returns:
        Sentences, in the order of the first file with each fault.
    """
    groups: dict[str, list[tuple[Path, str]]] = {}
    for file, image, sentence in faults:
        groups.setdefault(sentence.replace(str(file), "").replace(str(image), ""), []).append((file, sentence))
    sentences = []
    for group in groups.values():
        (file, sentence), others = group[0], len(group) - 1
        if others < _NAMED_EACH:
            sentences += [sentence for _, sentence in group]
        else:
            sentences.append(sentence.replace(str(file), f"{file} and {others} more", 1))
    return sentences
