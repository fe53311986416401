"""From the name of a loss in a study to a function that is known to work."""

import inspect
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import import_object, is_import_path
from cordlesion.losses.precision import Loss, call_in_float32
from cordlesion.losses.spec import LossSpec
from cordlesion.losses.table import LOSSES

_MONAI = "monai:"


def make_loss(name: str, parameters: Mapping[str, object] | None = None, code: Path | str | None = None) -> Loss:
    """Build a loss from its name and the parameters that differ from its defaults.

    Args:
        name: A key of :data:`LOSSES`; ``monai:`` and the name of a class in ``monai.losses``, which gets
            ``sigmoid=True`` where it has that parameter; or an import path, ``module:function``, whose code is run.
        parameters: Keyword arguments of the function or the class.
        code: Folder in which the module of an import path is looked for first.

    Raises:
        CordlesionError: The name or a parameter does not exist, or the loss cannot be computed with these values.

    Examples:
        >>> import cordlesion
        >>> import torch
        >>> loss = cordlesion.make_loss("tversky", {"fn_weight": 0.9, "fp_weight": 0.1})
        >>> lesion = torch.zeros(1, 1, 8, 8, 8)
        >>> lesion[..., 2:5, 2:5, 2:5] = 1
        >>> bool(loss(20 * lesion - 10, lesion) < loss(-10 * torch.ones_like(lesion), lesion))
        True
    """
    given = dict(parameters or {})
    if name.startswith(_MONAI):
        loss = _monai_loss(name, given)
    elif is_import_path(name):
        loss = _imported_loss(name, given, code)
    else:
        loss = _own_loss(name, given)
    _try_out(loss, name)
    return loss


def _own_loss(name: str, parameters: dict[str, Any]) -> Loss:
    if name not in LOSSES:
        raise CordlesionError(
            f"There is no loss {name!r}; choose one of {', '.join(LOSSES)}, {_MONAI}<class> for a loss of MONAI, or "
            "<module>:<function> for one of your own."
        )
    _require_parameters(name, parameters, LOSSES[name].defaults)
    return partial(LOSSES[name], **parameters)


def _imported_loss(name: str, parameters: dict[str, Any], code: Path | str | None) -> Loss:
    function = import_object(name, code)
    try:
        defaults = LossSpec(function, label=name).defaults
    except (TypeError, ValueError):
        raise CordlesionError(
            f"The loss {name} is no Python function; a function (logits, lesion, *, parameters) is needed."
        ) from None
    _require_parameters(name, parameters, defaults)
    return partial(call_in_float32, function, **parameters)


def _require_parameters(name: str, parameters: Mapping[str, object], defaults: Mapping[str, object]) -> None:
    """Refuse parameters that a function does not have, and values of another kind than their defaults."""
    _require_known(name, parameters, list(defaults))
    for key, value in parameters.items():
        is_switch, is_number = isinstance(defaults[key], bool), isinstance(defaults[key], int | float)
        if is_number and (is_switch != isinstance(value, bool) or not _is_finite_number(value)):
            needed = "true or false" if is_switch else "a number"
            raise CordlesionError(f"The loss {name} has {key}: {value!r}; {needed} is needed.")


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _monai_loss(name: str, parameters: dict[str, object]) -> Loss:
    import monai.losses

    class_name = name.removeprefix(_MONAI)
    kind = getattr(monai.losses, class_name, None)
    if not (inspect.isclass(kind) and issubclass(kind, torch.nn.Module)):
        raise CordlesionError(
            f"MONAI {monai.__version__} has no loss {class_name!r}; see monai.losses for its classes."
        )
    known = list(inspect.signature(kind).parameters)
    _require_known(name, parameters, known)
    if "sigmoid" in known and parameters.setdefault("sigmoid", True) is not True:
        raise CordlesionError(
            f"The loss {name} has sigmoid: {parameters['sigmoid']!r}; it gets logits, so leave it out."
        )
    try:
        return partial(_call_module, kind(**parameters))
    except (TypeError, ValueError) as error:
        raise CordlesionError(f"The loss {name} cannot be built with {parameters}: {error}") from error


def _call_module(module: torch.nn.Module, logits: Tensor, lesion: Tensor) -> Tensor:
    # The losses of MONAI keep weights as buffers, which have to follow the network to its device.
    return call_in_float32(module.to(logits.device), logits, lesion)


def _require_known(name: str, parameters: Mapping[str, object], known: list[str]) -> None:
    unknown = [key for key in parameters if key not in known]
    if unknown:
        raise CordlesionError(
            f"The loss {name} has no parameter {', '.join(unknown)}; it has {', '.join(known) or 'none'}."
        )


def _try_out(loss: Loss, name: str) -> None:
    """Find out now, not in the middle of a training, that a loss does not work; p underflows to 0 in one patch."""
    logits = torch.stack([torch.linspace(-2, 2, 512), torch.full((512,), -200.0)]).reshape(2, 1, 8, 8, 8)
    try:
        values = [loss(logits, lesion) for lesion in (torch.zeros_like(logits), (logits > 1).float())]
        values.append(loss(logits[1:], torch.zeros_like(logits[1:])))
    except (Exception, SystemExit) as error:  # whatever the code of others raises
        raise CordlesionError(f"The loss {name} does not work on logits and masks of patches: {error}") from error
    if not all(isinstance(value, Tensor) and value.ndim == 0 and value.isfinite() for value in values):
        raise CordlesionError(
            f"The loss {name} does not give one finite number for patches with and without lesion; "
            "choose other parameters."
        )
    if not _raises_missed_lesions(loss, logits[:1]):
        raise CordlesionError(
            f"The loss {name} does not raise the logits of missed lesion voxels; perhaps it takes probabilities, "
            "but a network gives logits. Choose another loss or other parameters."
        )


def _raises_missed_lesions(loss: Loss, logits: Tensor) -> bool:
    logits = logits.clone().requires_grad_()
    missed = logits.detach() < -1
    with torch.enable_grad():
        value = loss(logits, missed.float())
    if not value.requires_grad:
        return False
    (slope,) = torch.autograd.grad(value, logits)
    return bool(slope[missed].sum() < 0)
