"""The average of the weights, against its recursion in numpy."""

import importlib

import numpy as np
import pytest

from cordlesion.config import TrainingConfig
from cordlesion.training import fit
from cordlesion.training.module import LesionModule
from support.trainings import run, stacks, weights

fit_module = importlib.import_module("cordlesion.training.fit")
AVERAGED = TrainingConfig(epochs=4, batch_size=3, learning_rate=0.01, average=0.7)


def test_the_kept_weights_are_the_average_over_the_steps(tmp_path, monkeypatch):
    plan = run(training=AVERAGED.model_copy(update={"epochs": 1}))
    steps = [weights(fit_module._initial_network(plan))]
    end = LesionModule.on_train_batch_end

    def note(module, *args):
        steps.append({name: value.copy() for name, value in weights(module.network).items()})
        end(module, *args)

    monkeypatch.setattr(LesionModule, "on_train_batch_end", note)
    found = weights(fit(plan, stacks(3), stacks(2, seed=1), tmp_path / "a.ckpt").network)
    assert len(steps) > 3
    expected = steps[0]
    for number, now in enumerate(steps[1:], start=1):
        kept = min(0.7, (1 + number) / (10 + number))
        expected = {name: kept * value + (1 - kept) * now[name] for name, value in expected.items()}
    for name, value in found.items():
        if "num_batches" in name:
            assert value == steps[-1][name]
        else:
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-6)
            assert not np.allclose(value, steps[-1][name], rtol=1e-6, atol=1e-9)


def test_resuming_equals_never_stopping(tmp_path):
    whole = fit(run(training=AVERAGED), stacks(3), stacks(2, seed=1), tmp_path / "whole.ckpt")
    half = AVERAGED.model_copy(update={"epochs": 2})
    fit(run(training=half), stacks(3), stacks(2, seed=1), tmp_path / "half.ckpt")
    resumed = fit(run(training=AVERAGED), stacks(3), stacks(2, seed=1), tmp_path / "half.ckpt")
    assert [r["validation_loss"] for r in whole.history] == [r["validation_loss"] for r in resumed.history]
    for name, value in weights(whole.network).items():
        np.testing.assert_array_equal(value, weights(resumed.network)[name])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_that_average_nothing_are_refused(share):
    with pytest.raises(ValueError, match="average"):
        TrainingConfig(average=share)
