"""Train one run, resumable at any moment."""

import contextlib
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import nn

from cordlesion.config import RunConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import bar
from cordlesion.io.writing import atomic_path
from cordlesion.losses import make_loss
from cordlesion.model.hardware import channels_last, choose_hardware
from cordlesion.model.networks import make_network
from cordlesion.model.start import load_start
from cordlesion.training.curves import Draw, learning_curves
from cordlesion.training.module import LesionModule
from cordlesion.training.nodes import ALONE, Node
from cordlesion.training.packed_stacks import PackedStacks
from cordlesion.training.patch_dataset import patch_loader
from cordlesion.training.processes import Rank, launch_workers
from cordlesion.training.shared_batch import all_reduce_mean, convert_sync_batchnorm


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The network of the epoch with the lowest validation loss, and how training went."""

    network: nn.Module
    history: list[dict[str, float]]


def fit(
    run: RunConfig, train: PackedStacks, validation: PackedStacks, checkpoint: Path, node: Node = ALONE
) -> TrainedNetwork:
    """Train a network; stopped at any moment and called again, it ends with the same weights.

    Args:
        run: What to train.
        train: Stacks the network learns from.
        validation: Stacks that choose the epoch.
        checkpoint: Where the state is kept after every epoch; read first if it exists. Curves are drawn in its folder.
        node: Which of the machines that train the network this is; each of them calls this.

    Raises:
        CordlesionError: The loss or the network is unknown, the loss became NaN, the logger's package is not installed,
            or there are fewer GPUs than the run asks for.
    """
    with launch_workers(run.optimization.devices, node, _train, run, train, validation, checkpoint) as rank:
        module = _train(run, train, validation, checkpoint, rank)
    network = _initial_network(run)
    network.load_state_dict(module.best_weights)
    return TrainedNetwork(network.eval(), module.history)


def _train(run: RunConfig, train: PackedStacks, validation: PackedStacks, checkpoint: Path, rank: Rank) -> LesionModule:
    """Train in one process."""
    config = run.optimization
    hardware = choose_hardware().at(config.precision).numbered(rank.local_rank)
    module = LesionModule(
        _initial_network(run, shared=rank.world_size > 1),
        make_loss(run.loss.name, run.loss.parameters, run.code),
        config,
    )
    shape, overlap = run.patches.shape(run.preprocess), run.patches.overlap_fraction
    train_loader, validation_loader = (
        patch_loader(packed, shape, overlap, config.batch_size, seed, hardware.device, rank.share)
        for packed, seed in ((train, run.seed), (validation, None))
    )
    with (
        bar(f"train {run.name}", config.epochs) as advance,
        learning_curves(config.logger if rank.is_global_zero else None, checkpoint.parent, run.name) as draw,
        _without_advertising(),
    ):
        trainer = pl.Trainer(
            accelerator=hardware.device.type,
            devices=rank.local_world_size,
            num_nodes=rank.node.count,
            strategy=rank.strategy(hardware.device),
            precision=hardware.precision,
            max_epochs=config.epochs,
            callbacks=[_EpochEnd(checkpoint, config.early_stopping_epochs, advance, draw), _Termination()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            plugins=[rank.environment()],
        )
        torch.empty(1, device=hardware.device)  # a device that cannot be used fails before the others wait for it
        rank.ready()
        with _interruptible():
            trainer.fit(
                module,
                train_loader,
                validation_loader,
                ckpt_path=checkpoint if checkpoint.exists() else None,
                weights_only=True,
            )
        # Here too: a training killed after its last epoch has no epoch left in which to draw.
        draw(module.history)
    return module


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Undo Lightning's handling of Ctrl-C: it ignores the next one for good and exits with status 1."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _without_advertising() -> Iterator[None]:
    """Silence Lightning's messages about itself; our own progress bar reports on the training."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Patches are gathered on the device: there is no work for other processes.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Where SLURM is installed; a training is started by a study, not by srun.
            warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
            # Of the last layer, whose kernel of one voxel has the same strides in any layout.
            warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
            # Lightning 2.6 calls a deprecated function of torch 2.13.
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Termination(pl.Callback):
    """Restores the handler of SIGTERM, which SLURM sends long before a job has to end.

    Lightning would end the training, and start a collective operation that the other processes do not expect.
    """

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


class _EpochEnd(pl.Callback):
    """Writes the checkpoint, stops early, draws the curves and moves the progress bar."""

    def __init__(
        self, checkpoint: Path, early_stopping_epochs: int | None, advance: Callable[..., None], draw: Draw
    ) -> None:
        self._checkpoint = checkpoint
        self._early_stopping_epochs = early_stopping_epochs
        self._advance = advance
        self._draw = draw

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LesionModule)
        if all_reduce_mean(trainer.current_epoch) != trainer.current_epoch:
            raise CordlesionError(
                f"{self._checkpoint}: the machines of this training found different states of it; shared file systems "
                "may show a file late. Run it again."
            )
        if trainer.current_epoch:
            self._advance(trainer.current_epoch)
        # A training killed just after its last epoch has nothing left to do.
        trainer.should_stop = self._is_over(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LesionModule)
        last = pl_module.history[-1]
        if not torch.isfinite(torch.tensor([last["train_loss"], last["validation_loss"]])).all():
            raise CordlesionError(
                f"{self._checkpoint.parent}: the loss became NaN or infinite in epoch {trainer.current_epoch}. "
                "Lower `training.learning_rate`, or check the loss's parameters."
            )
        # All processes take part, the first one writes.
        with atomic_path(self._checkpoint) if trainer.is_global_zero else nullcontext(self._checkpoint) as path:
            trainer.save_checkpoint(path)
        trainer.should_stop = self._is_over(pl_module)
        self._draw(pl_module.history)
        self._advance(1, note=f"validation loss {last['validation_loss']:.4f}")

    def _is_over(self, module: LesionModule) -> bool:
        """Decide by the history alone, which is the same in a resumed training and in one without interruption."""
        patience = self._early_stopping_epochs
        return patience is not None and module.epochs_without_progress >= patience


def _initial_network(run: RunConfig, shared: bool = False) -> nn.Module:
    """Draw the initial weights from the run's seed without touching the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        network = make_network(run.network, run.code)
    load_start(network, run.optimization, run.code)
    if shared:
        convert_sync_batchnorm(network)
    return channels_last(network)
