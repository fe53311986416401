"""The losses under study.

Each is a pure function ``loss(logits, lesion) -> scalar`` of the network's output before the sigmoid and the reference,
both of shape (B, 1, X, Y, Z); 0 is best. A new loss is one function and one row of :data:`LOSSES`. The table itself
needs no torch: the functions are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cordlesion.losses.spec import LossSpec as LossSpec
from cordlesion.losses.table import LOSSES as LOSSES

if TYPE_CHECKING:
    from cordlesion.losses.make import make_loss as make_loss
    from cordlesion.losses.precision import Loss as Loss

_HOMES = {"make_loss": "make", "Loss": "precision"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function or a type
    if name in _HOMES:
        return getattr(importlib.import_module(f"cordlesion.losses.{_HOMES[name]}"), name)
    spec = LOSSES.get(name)
    if spec is not None:
        return spec.resolve()
    raise AttributeError(f"module 'cordlesion.losses' has no attribute {name!r}")
