"""Small words that several sections need."""

from collections.abc import Sequence


def enumerate_words(words: Sequence[str]) -> str:
    """Join as in a sentence: ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
