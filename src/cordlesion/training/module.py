"""One training as a Lightning module: the same for every loss and network."""

import copy
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from cordlesion.config import TrainingConfig
from cordlesion.losses import Loss
from cordlesion.training.shared_batch import all_gather_batch, all_reduce_mean

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    # One kernel for all weights; Adadelta has none.
    "adam": partial(torch.optim.Adam, fused=True),
    "adadelta": torch.optim.Adadelta,
}


class LesionModule(pl.LightningModule):
    """Trains a network with a loss and keeps the epoch with the lowest validation loss.

    Args:
        network: The network, in the memory format in which it trains.
        loss: Loss of (logits, lesion).
        config: Optimiser and learning rate.
    """

    def __init__(self, network: nn.Module, loss: Loss, config: TrainingConfig) -> None:
        super().__init__()
        self.network = network
        # A part of the module, so that checkpoints hold it.
        self.averaged = _frozen_copy(network) if config.average else None
        self.history: list[dict[str, float]] = []
        self.best_weights: dict[str, Tensor] = {}
        self._loss = loss
        self._config = config
        self._train_losses: list[tuple[Tensor, int]] = []
        self._validation_losses: list[tuple[Tensor, int]] = []
        self._plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] = {}
        self._started = 0.0

    @property
    def epochs_without_progress(self) -> int:
        """Epochs since the one with the lowest validation loss; 0 before the first."""
        losses = [row["validation_loss"] for row in self.history]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """Compute the loss of one batch."""
        loss, patches = self._batch_loss(batch)
        self._train_losses.append((loss.detach(), patches))
        return loss

    def on_train_batch_end(self, *_args: object) -> None:
        """Move the average towards the weights of this step."""
        if self.averaged is not None and self._config.average:
            # The first steps count more than the initial weights.
            kept = min(self._config.average, (1 + self.global_step) / (10 + self.global_step))
            _average(self.averaged, self.network, kept)

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        """Add the loss of one validation batch."""
        self._validation_losses.append(self._batch_loss(batch, self.averaged))

    def on_train_epoch_start(self) -> None:
        """Start the epoch's clock, and set its learning rate where that follows from its number."""
        self._started = time.perf_counter()
        if self._config.schedule == "cosine":
            progress = self.current_epoch / self._config.epochs
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = self._config.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    def on_validation_epoch_end(self) -> None:
        """Close the epoch: note the losses, keep the weights if they are the best, lower the rate on a plateau."""
        # Stepped here, because Lightning steps plateau schedulers after the checkpoint of the epoch is written.
        validation = all_reduce_mean(_mean(self._validation_losses))
        best = min((row["validation_loss"] for row in self.history), default=float("inf"))
        self.history.append(
            {
                "epoch": self.current_epoch,
                "train_loss": all_reduce_mean(_mean(self._train_losses)),
                "validation_loss": validation,
                "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
                "seconds": round(time.perf_counter() - self._started, 2),
            }
        )
        if validation < best:
            self.best_weights = copy.deepcopy((self.averaged or self.network).state_dict())
        if self._config.schedule == "plateau":
            self._scheduler().step(validation)
        self._train_losses, self._validation_losses = [], []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimiser of the configuration."""
        config = self._config
        own: dict[str, float] = {"lr": config.learning_rate}
        if config.optimizer == "adadelta":
            own["rho"] = config.rho
        if config.epsilon is not None:
            own["eps"] = config.epsilon
        return OPTIMIZERS[config.optimizer](self.network.parameters(), **own)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state that Lightning does not save."""
        checkpoint["study"] = {
            "history": self.history,
            "best_weights": self.best_weights,
            "plateau": self._scheduler().state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore that state."""
        self.history = checkpoint["study"]["history"]
        self.best_weights = checkpoint["study"]["best_weights"]
        self._plateau_state = checkpoint["study"]["plateau"]

    def _batch_loss(self, batch: tuple[Tensor, Tensor], network: nn.Module | None = None) -> tuple[Tensor, int]:
        """Return the loss of the whole batch, over all processes, and its number of patches."""
        patches, lesion = batch
        logits = (network or self.network)(patches.contiguous(memory_format=torch.channels_last_3d))
        # Most losses are no mean over patches, so the whole batch is needed.
        logits, lesion = all_gather_batch(logits.float()), all_gather_batch(lesion)
        return self._loss(logits, lesion), len(lesion)

    def _scheduler(self) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
        """Return the plateau rule, made when first needed because the optimiser must exist."""
        if self._plateau is None:
            self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                self.trainer.optimizers[0], factor=0.5, patience=self._config.patience_epochs - 1, threshold=0.0
            )
            self._plateau.load_state_dict(self._plateau_state)
        return self._plateau


def _frozen_copy(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, kept: float) -> None:
    """Move the weights and running statistics of ``average`` towards those of ``network``; counters are copied."""
    now = network.state_dict()
    for name, value in average.state_dict().items():
        value.lerp_(now[name], 1 - kept) if value.is_floating_point() else value.copy_(now[name])


def _mean(losses: list[tuple[Tensor, int]]) -> float:
    """Return the mean loss over batches, each weighed by its number of patches: the last one is smaller."""
    return sum(float(loss) * patches for loss, patches in losses) / sum(patches for _, patches in losses)
