import csv
import importlib.util

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from cordlesion.config import TrainingConfig
from cordlesion.errors import CordlesionError
from cordlesion.training import curves, fit
from cordlesion.training.module import LesionModule
from support.trainings import run, stacks, weights

PLAN = {"epochs": 3, "batch_size": 3, "learning_rate": 0.01}
CURVES = ("train_loss", "validation_loss", "learning_rate")


def csv_logger(folder, _run):
    """Lightning's only logger without a package of its own, in place of one that has."""
    return CSVLogger(folder, name="", version="")


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(curves, "LOGGERS", {"tensorboard": csv_logger})
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: True)


def logged(folder):
    with (folder / "tensorboard/metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def train(folder, logger="tensorboard"):
    folder.mkdir(exist_ok=True)
    plan = run(training=TrainingConfig(**PLAN, logger=logger))
    return fit(plan, stacks(3), stacks(2, seed=1), folder / "x.ckpt")


def assert_whole(folder, history):
    rows = logged(folder)
    assert [int(row["step"]) for row in rows] == [row["epoch"] for row in history] == [0, 1, 2]
    for name in CURVES:
        assert [float(row[name]) for row in rows] == pytest.approx([row[name] for row in history], rel=1e-5)


@pytest.mark.usefixtures("stand_in")
def test_the_curves_hold_every_epoch_and_change_nothing(tmp_path):
    drawn, plain = train(tmp_path / "drawn"), train(tmp_path / "plain", logger=None)
    assert_whole(tmp_path / "drawn", drawn.history)
    assert [p.name for p in (tmp_path / "plain").iterdir()] == ["x.ckpt"]
    for name, value in weights(plain.network).items():
        np.testing.assert_array_equal(value, weights(drawn.network)[name])
    ours, theirs = (torch.load(tmp_path / name / "x.ckpt", weights_only=True)["study"] for name in ("drawn", "plain"))
    assert [row["validation_loss"] for row in ours["history"]] == [row["validation_loss"] for row in theirs["history"]]


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_interrupted_training_draws_each_epoch_once(tmp_path, monkeypatch, epoch):
    begin = LesionModule.on_train_epoch_start

    def stop(module):
        begin(module)
        if module.current_epoch == epoch:
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(LesionModule, "on_train_epoch_start", stop)
        with pytest.raises(InterruptedError):
            train(tmp_path)
    assert len(logged(tmp_path)) == epoch
    assert_whole(tmp_path, train(tmp_path).history)


@pytest.mark.usefixtures("stand_in")
def test_a_training_that_had_only_to_be_written_draws_its_curves_too(tmp_path):
    train(tmp_path)
    assert_whole(tmp_path, train(tmp_path).history)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_gets_a_sentence(tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(CordlesionError, match=rf"package {name} is not installed.*pip install 'cordlesion\[{name}\]'"):
        train(tmp_path, logger=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("default")  # of other packages
def test_tensorboard_reads_what_was_drawn(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    history = train(tmp_path).history
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name in CURVES:
        assert [event.value for event in events.Scalars(name)] == pytest.approx([row[name] for row in history])


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "file"), [("mlflow", "mlflow.db"), ("wandb", "wandb/offline-run-*/*.wandb")])
def test_other_loggers_write_into_the_runs_folder_only(tmp_path, monkeypatch, name, file):
    pytest.importorskip(name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for folder in ("a", "b"):  # two runs of one process
        train(tmp_path / folder, logger=name)
        assert len(list((tmp_path / folder / name).glob(file))) == 1
    assert not list((tmp_path / "elsewhere").iterdir())
