"""Learning curves drawn while a network trains, through Lightning's loggers: local files, and no result changes."""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from cordlesion.config import LoggerName
from cordlesion.errors import CordlesionError

Draw: TypeAlias = Callable[[Sequence[Mapping[str, float]]], None]
"""Draws the epochs of a history that are new."""


def _tensorboard(folder: Path, _run: str) -> Logger:
    return TensorBoardLogger(folder, name="", version="", default_hp_metric=False)


def _mlflow(folder: Path, run: str) -> Logger:
    # Read when mlflow is imported. An address in the environment would send curves away, hence one of our own.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    here = folder.resolve()
    database, files = f"sqlite:///{(here / 'mlflow.db').as_posix()}", (here / "artifacts").as_uri()
    return MLFlowLogger("cordlesion", run_name=run, tracking_uri=database, artifact_location=files)


def _wandb(folder: Path, run: str) -> Logger:
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    quiet = {"silent": True, "console": "off"}
    return WandbLogger(run, save_dir=folder, project="cordlesion", offline=True, settings=quiet)


LOGGERS: Mapping[LoggerName, Callable[[Path, str], Logger]] = MappingProxyType(
    {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
)
"""Makes a logger from the folder it writes to and the name of the run; each key is the name of its package."""


def require_logger(name: LoggerName) -> None:
    """Check that a logger's package is there.

    Raises:
        CordlesionError: It is not.
    """
    if importlib.util.find_spec(name) is None:
        raise CordlesionError(
            f"`training.logger` is {name!r}, but the package {name} is not installed; it is an extra. Install it with "
            f"`pip install 'cordlesion[{name}]'`, or leave the setting out: history.tsv holds the curves in any case."
        )


@contextlib.contextmanager
def learning_curves(name: LoggerName | None, folder: Path, run: str) -> Iterator[Draw]:
    """Open a logger that writes to ``folder/name``; nothing is drawn where there is none.

    What an interrupted training has drawn is removed and drawn again, so that no epoch is there twice.

    Raises:
        CordlesionError: The logger's package is not installed.
    """
    if name is None:
        yield lambda _history: None
        return
    require_logger(name)
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir(parents=True)
    logger = LOGGERS[name](folder / name, run)
    drawn = 0

    def draw(history: Sequence[Mapping[str, float]]) -> None:
        nonlocal drawn
        for row in history[drawn:]:
            logger.log_metrics({key: value for key, value in row.items() if key != "epoch"}, step=int(row["epoch"]))
        drawn = len(history)

    try:
        yield draw
    finally:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            # Else the next run of this process would go on with this one.
            logger.experiment.finish()
