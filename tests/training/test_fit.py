import importlib
import signal

import numpy as np
import pytest
import torch

from cordlesion.config import LossConfig, TrainingConfig
from cordlesion.errors import CordlesionError
from cordlesion.model.hardware import Hardware
from cordlesion.training import TrainingStack, fit, pack_stacks
from cordlesion.training.module import LesionModule
from support.trainings import run, stacks, weights

fit_module = importlib.import_module("cordlesion.training.fit")  # the package's name for it is that of its function
STOPPING = TrainingConfig(epochs=30, batch_size=3, learning_rate=0.3, early_stopping_epochs=3)


def test_the_kept_epoch_is_the_one_with_the_lowest_validation_loss(tmp_path):
    trained = fit(run(), stacks(3), stacks(2, seed=1), tmp_path / "a.ckpt")
    assert [row["epoch"] for row in trained.history] == [0, 1, 2, 3]
    best = min(row["validation_loss"] for row in trained.history)
    shorter = run(
        training=TrainingConfig(
            epochs=1 + [r["validation_loss"] for r in trained.history].index(best), batch_size=3, learning_rate=0.01
        )
    )
    again = fit(shorter, stacks(3), stacks(2, seed=1), tmp_path / "b.ckpt")
    assert again.history[-1]["validation_loss"] == best
    for name, value in weights(trained.network).items():
        np.testing.assert_array_equal(value, weights(again.network)[name])


def test_resuming_equals_never_stopping(tmp_path):
    plan = TrainingConfig(epochs=4, batch_size=3, learning_rate=0.01, patience_epochs=1)
    whole = fit(run(training=plan), stacks(3), stacks(2, seed=1), tmp_path / "whole.ckpt")
    half = plan.model_copy(update={"epochs": 2})
    fit(run(training=half), stacks(3), stacks(2, seed=1), tmp_path / "half.ckpt")
    resumed = fit(run(training=plan), stacks(3), stacks(2, seed=1), tmp_path / "half.ckpt")
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in t.history] for t in (whole, resumed)]
    assert timeless[0] == timeless[1]
    for name, value in weights(whole.network).items():
        np.testing.assert_array_equal(value, weights(resumed.network)[name])


def test_the_rate_is_halved_after_epochs_without_progress(tmp_path):
    # No lesion and a huge rate: the validation loss of the squared Dice does not keep falling.
    plan = TrainingConfig(epochs=12, batch_size=3, learning_rate=1.0, patience_epochs=2)
    history = fit(run(training=plan), stacks(2), stacks(1, seed=1), tmp_path / "x.ckpt").history
    rate, best, waited = 1.0, float("inf"), 0
    for row in history:
        assert row["learning_rate"] == pytest.approx(rate)
        waited = 0 if row["validation_loss"] < best else waited + 1
        best = min(best, row["validation_loss"])
        if waited == 2:
            rate, waited = rate / 2, 0
    assert rate < 1


def test_the_cosine_schedule_falls_from_the_rate_towards_0_and_survives_an_interruption(tmp_path, monkeypatch):
    plan = run(training=TrainingConfig(epochs=4, batch_size=3, learning_rate=0.01, schedule="cosine"))
    whole = fit(plan, stacks(3), stacks(2, seed=1), tmp_path / "whole.ckpt")
    rates = [row["learning_rate"] for row in whole.history]
    assert rates == pytest.approx([0.01 * share for share in (1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2)])

    begin = LesionModule.on_train_epoch_start

    def stop(module):
        begin(module)
        if module.current_epoch == 2:
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(LesionModule, "on_train_epoch_start", stop)
        with pytest.raises(InterruptedError):
            fit(plan, stacks(3), stacks(2, seed=1), tmp_path / "half.ckpt")
    resumed = fit(plan, stacks(3), stacks(2, seed=1), tmp_path / "half.ckpt")
    assert [row["learning_rate"] for row in resumed.history] == rates
    for name, value in weights(whole.network).items():
        np.testing.assert_array_equal(value, weights(resumed.network)[name])


def test_training_stops_after_epochs_without_progress(tmp_path):
    history = fit(run(training=STOPPING), stacks(2), stacks(1, seed=1), tmp_path / "x.ckpt").history
    losses = [row["validation_loss"] for row in history]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 3 < 30
    assert all(min(losses[epoch - 2 : epoch + 1]) < min(losses[: epoch - 2]) for epoch in range(3, len(losses) - 1))
    endless = STOPPING.model_copy(update={"early_stopping_epochs": None, "epochs": len(losses) + 1})
    longer = fit(run(training=endless), stacks(2), stacks(1, seed=1), tmp_path / "y.ckpt").history
    assert [row["validation_loss"] for row in longer[:-1]] == losses


@pytest.mark.parametrize("point", ["in an epoch", "after the last checkpoint"])
def test_an_interrupted_training_stops_at_the_same_epoch(tmp_path, monkeypatch, point):
    sets = (stacks(2), stacks(1, seed=1))
    whole = fit(run(training=STOPPING), *sets, tmp_path / "whole.ckpt")
    last = len(whole.history) - 1
    begin, end = LesionModule.on_train_epoch_start, LesionModule.on_fit_end

    def stop_at_epoch(module):
        begin(module)
        if point == "in an epoch" and module.current_epoch == last:
            raise InterruptedError

    def stop_at_end(module):
        end(module)
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(LesionModule, "on_train_epoch_start", stop_at_epoch)
        patch.setattr(LesionModule, "on_fit_end", stop_at_end)
        with pytest.raises(InterruptedError):
            fit(run(training=STOPPING), *sets, tmp_path / "half.ckpt")
    resumed = fit(run(training=STOPPING), *sets, tmp_path / "half.ckpt")
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in t.history] for t in (whole, resumed)]
    assert timeless[0] == timeless[1]
    for name, value in weights(whole.network).items():
        np.testing.assert_array_equal(value, weights(resumed.network)[name])


def test_seeds_differ_and_equal_seeds_do_not(tmp_path):
    first, second, other = (
        weights(fit(run(seed=seed), stacks(2), stacks(1), tmp_path / f"{i}.ckpt").network)
        for i, seed in enumerate((0, 0, 1))
    )
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert any((first[name] != other[name]).any() for name in first)


def test_the_precision_is_that_of_the_processor_unless_float32_is_asked_for(tmp_path, monkeypatch):
    halves, full = Hardware(torch.device("cpu"), True), Hardware(torch.device("cpu"), False)
    found = {}
    for hardware, precision in ((halves, "auto"), (halves, "float32"), (full, "auto")):
        monkeypatch.setattr(fit_module, "choose_hardware", lambda hardware=hardware: hardware)
        plan = run(training=TrainingConfig(epochs=1, precision=precision))
        trained = fit(plan, stacks(1), stacks(1), tmp_path / f"{len(found)}.ckpt")
        found[hardware.half_precision, precision] = trained.history[0]["train_loss"]
    assert found[True, "float32"] == found[False, "auto"] != found[True, "auto"]


def test_the_losss_own_optimiser_wins(tmp_path):
    own = run(loss=LossConfig(name="combo", optimizer="adadelta", learning_rate=1.0))
    assert (own.optimization.optimizer, own.optimization.learning_rate) == ("adadelta", 1.0)
    assert fit(own, stacks(2), stacks(1), tmp_path / "x.ckpt").history[0]["learning_rate"] == 1.0


@pytest.mark.parametrize(
    ("optimizer", "settings", "expected"),
    [
        # PyTorch's own, as before there were settings.
        ("adam", {}, {"lr": 0.1, "eps": 1e-8, "betas": (0.9, 0.999)}),
        ("adadelta", {}, {"lr": 0.1, "eps": 1e-6, "rho": 0.9}),
        ("adam", {"rho": 0.95, "epsilon": 1e-7}, {"eps": 1e-7}),
        ("adadelta", {"rho": 0.95, "epsilon": 1e-7}, {"eps": 1e-7, "rho": 0.95}),
    ],
)
def test_optimisers_follow_their_settings(optimizer, settings, expected):
    plan = TrainingConfig(optimizer=optimizer, learning_rate=0.1, **settings)
    made = LesionModule(torch.nn.Linear(1, 1), torch.nn.functional.mse_loss, plan).configure_optimizers()
    assert {key: made.defaults[key] for key in expected} == expected


def test_combo_needs_no_keys_to_be_trained_as_in_the_study(tmp_path):
    plain = run(loss=LossConfig(name="combo"))
    explicit = run(loss=LossConfig(name="combo", optimizer="adadelta", learning_rate=1.0))
    first, second = (fit(one, stacks(2), stacks(1), tmp_path / f"{n}.ckpt") for n, one in enumerate((plain, explicit)))
    assert first.history[0]["learning_rate"] == 1.0
    np.testing.assert_equal(weights(first.network), weights(second.network))


def test_the_first_weights_follow_the_settings(tmp_path):
    usual = run(training=TrainingConfig(epochs=1))
    glorot = usual.model_copy(update={"network": usual.network.model_copy(update={"initialization": "glorot"})})
    first, second = (fit(one, stacks(2), stacks(1), tmp_path / f"{n}.ckpt") for n, one in enumerate((usual, glorot)))
    assert not np.array_equal(*(weights(one.network)["first.0.weight"] for one in (first, second)))


def test_a_loss_that_becomes_nan_stops_the_run(tmp_path):
    broken = pack_stacks([TrainingStack(np.full((8, 8, 20), np.nan, np.float32), np.ones((8, 8, 20), bool))])
    with pytest.raises(CordlesionError, match="NaN"):
        fit(run(), broken, stacks(1), tmp_path / "x.ckpt")


def test_training_leaves_the_global_random_state_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(run(training=TrainingConfig(epochs=1)), stacks(1), stacks(1), tmp_path / "x.ckpt")
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_ctrl_c_reaches_the_caller_and_works_again(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(LesionModule, "training_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(run(), stacks(1), stacks(1), tmp_path / "x.ckpt")
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_signals_of_a_job_are_its_own_while_a_network_trains(tmp_path, monkeypatch):
    def record(*_):
        found.update((number, signal.getsignal(number)) for number in job)
        raise KeyboardInterrupt

    job, found = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT), {}
    before = {number: signal.signal(number, lambda *_: None) for number in job}
    handlers = {number: signal.getsignal(number) for number in job}
    monkeypatch.setattr(LesionModule, "training_step", record)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(run(), stacks(1), stacks(1), tmp_path / "x.ckpt")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert found == handlers


def test_srun_on_the_machine_and_a_job_around_it_change_nothing(tmp_path, monkeypatch):
    program = tmp_path / "srun"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    alone = fit(run(), stacks(3), stacks(2, seed=1), tmp_path / "alone.ckpt")
    for name, value in (("NTASKS", "1"), ("JOB_ID", "7"), ("PROCID", "0"), ("LOCALID", "0"), ("NODELIST", "host")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    in_job = fit(run(), stacks(3), stacks(2, seed=1), tmp_path / "in_job.ckpt")
    for name, value in weights(alone.network).items():
        np.testing.assert_array_equal(value, weights(in_job.network)[name])
