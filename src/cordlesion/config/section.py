"""What every section of a study is: frozen, strict, and hashed without neutral defaults."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class _Later:
    """Marks a key that was added after studies were finished without it."""


LATER = _Later()
"""``key: Annotated[int, LATER] = 0``: the key is hashed only where it differs from its default.

Every new key has this mark, outermost in its annotation. Its default is what the program did before the key existed.
So the fingerprints of finished studies stay valid, and with them their trained models.
"""


def name_only(value: object) -> object:
    """Return what a plain name means: a section with that name."""
    return {"name": value} if isinstance(value, str) else value


class Section(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def hashed(self, exclude: Any = None) -> dict[str, Any]:  # noqa: ANN401 - what pydantic takes
        """Return what enters fingerprints, as JSON.

        Args:
            exclude: Keys that change no result, in the form of ``model_dump``.

        Returns:
            All other keys of this section and of sections inside it, without keys marked with :data:`LATER` that have
            their default value.
        """
        content: dict[str, Any] = _without_later(self, self.model_dump(mode="json", exclude=exclude))
        return content


def _without_later(value: object, content: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Remove from ``content``, the JSON of ``value``, the keys with :data:`LATER` that have their default value."""
    if isinstance(value, tuple):
        return [_without_later(*pair) for pair in zip(value, content, strict=True)]
    if not isinstance(value, Section):
        return content
    return {
        name: _without_later(getattr(value, name), below)
        for name, below in content.items()
        if not _is_later_default(value, name)
    }


def _is_later_default(section: Section, name: str) -> bool:
    field = type(section).model_fields[name]
    return LATER in field.metadata and getattr(section, name) == field.get_default(call_default_factory=True)
