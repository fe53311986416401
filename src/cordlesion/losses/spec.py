"""What a loss is: the row of a table that can be read without torch (which only a call imports)."""

import functools
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PublishedTraining:
    """The optimiser with which the paper trained a loss, where it is not that of the other losses."""

    optimizer: Literal["adam", "adadelta"]
    learning_rate: float


@dataclass(frozen=True, eq=False)
class LossSpec:
    """One loss; a call computes it."""

    function: "str | Callable[..., Tensor]"
    """``module:function``, imported at the first call, or the function itself."""
    label: str
    """Name in reports."""
    references: tuple[str, ...] = ()
    """Keys of the publications it comes from, in ``report/methods/references.bib``."""
    color: str | None = None
    """In figures; by default one that is free."""
    parameters: Mapping[str, float | bool] = field(default_factory=dict)
    """The published values."""
    stated: tuple[str, ...] = ()
    """Parameters whose values the methods section of a report states; the values of others are "as published"."""
    formula: str = ""
    """Its value as Markdown, for the page of losses."""
    overlap: Literal["smoothed", "unsmoothed"] | None = None
    """Whether it is made of sums over volumes (it has ``per_patch``), and whether these are smoothed (``smooth``)."""
    training: PublishedTraining | None = None
    """How the paper trained it, where that differs from the other losses."""
    group: Literal["paper", "sct", "other"] = "other"
    """A loss of Hussein et al. 2023, the loss of SCT's lesion network, or another one."""

    def __call__(self, logits: "Tensor", lesion: "Tensor", **parameters: Any) -> "Tensor":  # noqa: ANN401
        """Compute the loss.

        Args:
            logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
            lesion: Reference, 0 or 1, same shape.
            **parameters: Those that differ from :attr:`defaults`.

        Returns:
            Scalar, 0 is best.
        """
        return self.resolve()(logits, lesion, **{**self.parameters, **parameters})

    def resolve(self) -> "Callable[..., Tensor]":
        """Return the function; imports torch."""
        return _imported(self.function) if isinstance(self.function, str) else self.function

    @property
    def defaults(self) -> dict[str, Any]:
        """The parameters of the function with their published or default values; imports torch."""
        known = inspect.signature(self.resolve()).parameters.values()
        own = {one.name: one.default for one in known if one.kind is inspect.Parameter.KEYWORD_ONLY}
        return {**own, **self.parameters}


@functools.cache
def _imported(place: str) -> "Callable[..., Tensor]":
    function: Callable[..., Tensor] = pkgutil.resolve_name(place)
    return function


class LossTable(dict[str, LossSpec]):
    """Losses by name; a plain function that is assigned becomes a row that is printed by its name."""

    def __setitem__(self, name: str, loss: "LossSpec | Callable[..., Tensor]") -> None:
        """Add or replace a loss, for this process."""
        super().__setitem__(name, loss if isinstance(loss, LossSpec) else LossSpec(loss, label=name))
