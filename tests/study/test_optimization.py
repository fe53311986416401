"""Which optimiser a loss is trained with, and what of it enters fingerprints."""

import pytest

from cordlesion.config import LossConfig, StudyConfig, TrainingConfig, builtin_study, read_study, study_yaml
from cordlesion.config.optimization import as_hashed, optimization

ADAM, SLOW = TrainingConfig(), TrainingConfig(learning_rate=2e-3)


def study(losses, **sections):
    return StudyConfig.model_validate({"name": "s", "dataset": "d", "output": "o", "losses": losses, **sections})


@pytest.mark.parametrize(
    ("loss", "training", "optimizer", "rate"),
    [
        ({"name": "combo"}, ADAM, "adadelta", 1.0),
        ({"name": "combo", "label": "mine"}, SLOW, "adadelta", 1.0),
        ({"name": "combo", "learning_rate": 0.5}, ADAM, "adadelta", 0.5),
        ({"name": "combo", "optimizer": "adadelta"}, ADAM, "adadelta", 1.0),
        # The published rate belongs to the published optimiser.
        ({"name": "combo", "optimizer": "adam"}, SLOW, "adam", 2e-3),
        ({"name": "combo", "optimizer": "adam", "learning_rate": 0.1}, ADAM, "adam", 0.1),
        ({"name": "bce"}, SLOW, "adam", 2e-3),
        ({"name": "tversky", "optimizer": "adadelta", "learning_rate": 0.3}, ADAM, "adadelta", 0.3),
        ({"name": "monai:DiceFocalLoss"}, ADAM, "adam", 1e-4),
    ],
)
def test_a_loss_carries_the_optimiser_of_the_study(loss, training, optimizer, rate):
    how = optimization(training, LossConfig.model_validate(loss))
    assert (how.optimizer, how.learning_rate) == (optimizer, rate)


def test_the_optimiser_that_is_used_is_hashed_however_it_is_given():
    plain, explicit, adam = (
        study([loss]).runs[0].learned_from
        for loss in (
            "combo",
            {"name": "combo", "optimizer": "adadelta", "learning_rate": 1.0},
            {"name": "combo", "optimizer": "adam"},
        )
    )
    assert plain == explicit != adam
    assert study(["combo"]).decisive == study([{"name": "combo", "optimizer": "adadelta"}]).decisive
    # As versions hashed them that knew the explicit keys only.
    keys = ("optimizer", "learning_rate")
    assert [explicit["loss"][key] for key in keys] == ["adadelta", 1.0]
    assert [adam["loss"][key] for key in keys] == [None, None]


@pytest.mark.parametrize("key", ["optimizer", "learning_rate"])
def test_losses_without_a_published_optimiser_are_hashed_as_they_are_given(key):
    given = LossConfig.model_validate({"name": "dice", key: {"optimizer": "adam", "learning_rate": 1e-4}[key]})
    assert as_hashed(ADAM, given) == given


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "rho", 0.95),
        ("training", "epsilon", 1e-7),
        ("network", "initialization", "glorot"),
        ("network", "normalization_momentum", 0.01),
        ("network", "normalization_epsilon", 1e-3),
    ],
)
def test_settings_that_came_later_are_hashed_where_they_differ(section, key, value):
    usual = study(["combo"]).runs[0].learned_from
    assert key not in usual[section]
    assert study(["combo"], **{section: {key: value}}).runs[0].learned_from[section][key] == value


def test_rho_is_of_no_concern_to_adam():
    assert study(["bce"], training={"rho": 0.95}).runs[0].learned_from == study(["bce"]).runs[0].learned_from


def test_the_written_study_names_the_optimiser(tmp_path):
    """So that a later table of published optimisers cannot change what is read from it."""
    losses = ["combo", {"name": "combo", "label": "with_adam", "optimizer": "adam"}, "dice"]
    first = study(losses, training={"learning_rate": 2e-3})
    (tmp_path / "study.yaml").write_text(study_yaml(first))
    again = read_study(tmp_path / "study.yaml")
    assert [(loss.optimizer, loss.learning_rate) for loss in again.losses] == [
        ("adadelta", 1.0), ("adam", 2e-3), (None, None)
    ]  # fmt: skip
    assert [run.learned_from for run in again.runs] == [run.learned_from for run in first.runs]
    assert again.decisive == first.decisive


def test_the_papers_study_has_the_values_of_tensorflow():
    """Hussein et al. 2023, section 2: TensorFlow 2.9."""
    paper = read_study(builtin_study("isbi2023"))
    network, training = paper.network, paper.training
    assert network.initialization == "glorot"
    assert network.normalization_momentum == pytest.approx(1 - 0.99)
    assert network.normalization_epsilon == 1e-3
    assert (training.rho, training.epsilon) == (0.95, 1e-7)
    assert all(run.optimization.optimizer == "adadelta" for run in paper.runs if run.loss.name == "combo")
