"""Which optimiser trains a loss: that of its own keys, the published one, or that of all losses."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cordlesion.config.training import LossConfig, Optimizer, TrainingConfig


@dataclass(frozen=True)
class Published:
    """How Hussein et al. trained a loss."""

    optimizer: Optimizer
    learning_rate: float


PUBLISHED: Mapping[str, Published] = MappingProxyType({"combo": Published("adadelta", 1.0)})
"""Losses with an optimiser of their own in Hussein et al. 2023 (section 2.4); ``losses: [combo]`` means this one."""


def optimization(training: TrainingConfig, loss: LossConfig) -> TrainingConfig:
    """Return how a loss is trained: by its own keys, else as published, else as all losses.

    A published learning rate belongs to its optimiser: with another optimiser the rate is that of ``training``.
    """
    published = PUBLISHED.get(loss.name)
    optimizer = loss.optimizer or (published.optimizer if published else training.optimizer)
    as_published = published is not None and published.optimizer == optimizer
    rate = published.learning_rate if published and as_published else training.learning_rate
    return training.model_copy(update={"optimizer": optimizer, "learning_rate": loss.learning_rate or rate})


def explicit(training: TrainingConfig, loss: LossConfig) -> LossConfig:
    """Return the loss with its published optimiser and learning rate written as keys, where it has them."""
    if loss.name not in PUBLISHED:
        return loss
    how = optimization(training, loss)
    return loss.model_copy(update={"optimizer": how.optimizer, "learning_rate": how.learning_rate})


def as_hashed(training: TrainingConfig, loss: LossConfig) -> LossConfig:
    """Return a loss as it enters fingerprints, independent of how its optimiser is given.

    Compatible with earlier versions, which had no table of published optimisers: there a loss without keys was trained
    as all others.
    """
    published = PUBLISHED.get(loss.name)
    if published is None:
        return loss
    how = optimization(training, loss)
    if how.optimizer == published.optimizer:
        return loss.model_copy(update={"optimizer": how.optimizer, "learning_rate": how.learning_rate})
    keys = ("optimizer", "learning_rate")
    own = {key: None if getattr(how, key) == getattr(training, key) else getattr(how, key) for key in keys}
    return loss.model_copy(update=own)


def training_as_hashed(training: TrainingConfig, loss: LossConfig) -> TrainingConfig:
    """Return ``training`` as it enters the fingerprint of a loss's training: without keys of other optimisers."""
    if optimization(training, loss).optimizer == "adadelta":
        return training
    return training.model_copy(update={"rho": TrainingConfig().rho})
