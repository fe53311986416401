"""Which optimiser trains a loss: that of its own keys, the published one, or that of all losses."""

from cordlesion.config.training import LossConfig, TrainingConfig
from cordlesion.losses.spec import PublishedTraining
from cordlesion.losses.table import LOSSES


def optimization(training: TrainingConfig, loss: LossConfig) -> TrainingConfig:
    """Return how a loss is trained: by its own keys, else as published, else as all losses.

    A published learning rate belongs to its optimiser: with another optimiser the rate is that of ``training``.
    """
    published = _published(loss)
    optimizer = loss.optimizer or (published.optimizer if published else training.optimizer)
    as_published = published is not None and published.optimizer == optimizer
    rate = published.learning_rate if published and as_published else training.learning_rate
    return training.model_copy(update={"optimizer": optimizer, "learning_rate": loss.learning_rate or rate})


def explicit(training: TrainingConfig, loss: LossConfig) -> LossConfig:
    """Return the loss with its published optimiser and learning rate written as keys, where it has them."""
    if _published(loss) is None:
        return loss
    how = optimization(training, loss)
    return loss.model_copy(update={"optimizer": how.optimizer, "learning_rate": how.learning_rate})


def as_hashed(training: TrainingConfig, loss: LossConfig) -> LossConfig:
    """Return a loss as it enters fingerprints, independent of how its optimiser is given.

    Compatible with earlier versions, which had no table of published optimisers: there a loss without keys was trained
    as all others.
    """
    published = _published(loss)
    if published is None:
        return loss
    how = optimization(training, loss)
    if how.optimizer == published.optimizer:
        return loss.model_copy(update={"optimizer": how.optimizer, "learning_rate": how.learning_rate})
    keys = ("optimizer", "learning_rate")
    own = {key: None if getattr(how, key) == getattr(training, key) else getattr(how, key) for key in keys}
    return loss.model_copy(update=own)


def _published(loss: LossConfig) -> PublishedTraining | None:
    """Return how Hussein et al. 2023 (section 2.4) trained a loss, where that differs from the others."""
    return LOSSES[loss.name].training if loss.name in LOSSES else None


def training_as_hashed(training: TrainingConfig, loss: LossConfig) -> TrainingConfig:
    """Return ``training`` as it enters the fingerprint of a loss's training: without keys of other optimisers."""
    training = training.portable
    if optimization(training, loss).optimizer == "adadelta":
        return training
    return training.model_copy(update={"rho": TrainingConfig().rho})
