"""The losses under study.

Each is a pure function ``loss(logits, lesion) -> scalar`` of the network's output before the sigmoid and the reference,
both of shape (B, 1, X, Y, Z); 0 is best. A new loss is one function and one row of :data:`LOSSES`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from cordlesion.errors import CordlesionError
from cordlesion.losses.compound import combo as combo
from cordlesion.losses.compound import dice_bce as dice_bce
from cordlesion.losses.compound import log_cosh_dice as log_cosh_dice
from cordlesion.losses.compound import unified_focal as unified_focal
from cordlesion.losses.entropy import bce as bce
from cordlesion.losses.entropy import focal as focal
from cordlesion.losses.overlap import dice as dice
from cordlesion.losses.overlap import f_beta as f_beta
from cordlesion.losses.overlap import focal_tversky as focal_tversky
from cordlesion.losses.overlap import generalized_dice as generalized_dice
from cordlesion.losses.overlap import lovasz_hinge as lovasz_hinge
from cordlesion.losses.overlap import tversky as tversky
from cordlesion.losses.perlesion import blob_dice as blob_dice
from cordlesion.losses.perlesion import cc_dice_ce as cc_dice_ce
from cordlesion.losses.precision import Loss as Loss
from cordlesion.losses.precision import call_in_float32

LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": bce,
    "dice": dice,
    "log_cosh_dice": log_cosh_dice,
    "generalized_dice": generalized_dice,
    "combo": partial(combo, ce_weight=0.5, lesion_weight=0.5),
    "tversky": partial(tversky, fn_weight=0.7, fp_weight=0.3),
    "focal_tversky": partial(focal_tversky, fn_weight=0.7, fp_weight=0.3, exponent=0.75),
    "sct_dice": partial(dice, squared=False),
    "dice_bce": partial(dice_bce, dice_weight=1.0, ce_weight=1.0),
    "focal": partial(focal, lesion_weight=0.25, focus=2.0),
    "f_beta": partial(f_beta, beta=1.5),
    "unified_focal": partial(unified_focal, ce_weight=0.5, fn_weight=0.6, focus=0.5),
    "lovasz_hinge": lovasz_hinge,
    "blob_dice": partial(blob_dice, global_weight=2.0, per_lesion_weight=1.0),
    "cc_dice_ce": partial(cc_dice_ce, global_weight=1.0, per_lesion_weight=1.0),
}
"""The seven losses of the study with the parameters of their publications, the loss that SCT's network had, and others
that the study did not compare, with the parameters of theirs."""

_MONAI = "monai:"


def make_loss(name: str, parameters: Mapping[str, object] | None = None) -> Loss:
    """Build a loss from its name and the parameters that differ from its defaults.

    Args:
        name: A key of :data:`LOSSES`, or ``monai:`` and the name of a class in ``monai.losses``, which is then told
            that it gets logits (``sigmoid=True``) where it can be.
        parameters: Keyword arguments of the function or the class.

    Raises:
        CordlesionError: The name or a parameter does not exist, or the loss cannot be computed with these values.
    """
    given = dict(parameters or {})
    loss = _monai_loss(name, given) if name.startswith(_MONAI) else _own_loss(name, given)
    _try_out(loss, name)
    return loss


def _own_loss(name: str, parameters: dict[str, object]) -> Loss:
    if name not in LOSSES:
        raise CordlesionError(
            f"There is no loss {name!r}; choose one of {', '.join(LOSSES)}, or {_MONAI}<class> for a loss of MONAI."
        )
    known = {
        key: parameter.default
        for key, parameter in inspect.signature(LOSSES[name]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    _require_known(name, parameters, list(known))
    for key, value in parameters.items():
        if isinstance(known[key], bool) != isinstance(value, bool) or not _is_finite_number(value):
            needed = "true or false" if isinstance(known[key], bool) else "a number"
            raise CordlesionError(f"The loss {name} has {key}: {value!r}; {needed} is needed.")
    return partial(LOSSES[name], **parameters)


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
    except (RuntimeError, TypeError, ValueError, AssertionError, IndexError) as error:
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
