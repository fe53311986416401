"""The weights that a training starts from."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from cordlesion.config import NetworkConfig, TrainingConfig, read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.tables import read_table
from cordlesion.model.bundle import read_card, save_bundle
from cordlesion.study.experience import describe_start
from cordlesion.study.run import run_study
from cordlesion.study.status import study_status
from cordlesion.training import fit
from support.models import untrained_bundle
from support.tiny import make_cohort
from support.trainings import run, stacks, weights

fit_module = importlib.import_module("cordlesion.training.fit")


@pytest.fixture
def bundle(tmp_path):
    save_bundle(tmp_path / "model", untrained_bundle(filters=(4, 8)))
    return tmp_path / "model"


def starting(folder: Path, **changes: object):
    return run(training=TrainingConfig(epochs=1, batch_size=3, learning_rate=1e-9, start_from=folder), **changes)


def test_a_training_starts_with_the_weights_of_the_bundle(bundle, tmp_path):
    given = weights(untrained_bundle(filters=(4, 8)).network)
    first = weights(fit_module._initial_network(starting(bundle)))
    assert first.keys() == given.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, given[name])
    # At a rate of almost 0 they stay.
    trained = fit(starting(bundle), stacks(2), stacks(1, seed=1), tmp_path / "x.ckpt").network
    for name, value in weights(trained).items():
        if "running" not in name and "num_batches" not in name:
            np.testing.assert_allclose(value, given[name], atol=1e-6)


def test_a_network_that_does_not_fit_is_refused_in_a_sentence(bundle):
    other = starting(bundle, network=NetworkConfig(filters=(4, 16)))
    with pytest.raises(
        CordlesionError, match=r"model: its network \(filters: \[4, 8\]\) does not fit that of the study"
    ):
        fit_module._initial_network(other)


def test_the_fingerprint_depends_on_the_weights_and_not_on_their_folder(bundle, tmp_path):
    moved = shutil.copytree(bundle, tmp_path / "elsewhere")
    first = starting(bundle).learned_from
    assert first == starting(moved).learned_from
    assert first["training"]["start_from"] == file_hash(bundle / "model.safetensors")
    save_bundle(moved, untrained_bundle(filters=(4, 6)))
    assert first != starting(moved).learned_from
    assert "start_from" not in run().learned_from["training"]


def test_a_study_starts_from_a_bundle_beside_it(bundle, tmp_path):
    file = make_cohort(tmp_path)
    text = file.read_text().replace(", tversky", "").replace("epochs: 3", "start_from: model, epochs: 1")
    file.write_text(text)
    assert read_study(file).training.start_bundle == bundle
    run_study(read_study(file), until="train")
    card = (tmp_path / "study/runs/bce_seed-0/bundle/model.json").read_text()
    assert file_hash(bundle / "model.safetensors") in card
    assert str(tmp_path) not in card
    # What it learned from is on record before anything is evaluated, for a training that starts from it.
    splits = read_table(tmp_path / "study/splits.tsv")
    learned = read_card(tmp_path / "study/runs/bce_seed-0/bundle").training_data
    assert learned.n_scans == (splits["set"] == "train").sum() > 0
    assert learned.started_from == "a model that was trained on scans that are not recorded"
    following = describe_start(TrainingConfig(start_from=tmp_path / "study/runs/bce_seed-0/bundle"))
    assert following == {
        "started_from": f"a model that was trained on {learned.n_scans} scans, from the weights of a model that was "
        "trained on scans that are not recorded",
        "started_from_simulated": False,
    }
    assert states(tmp_path / "study") == {"bce_seed-0": "done"}
    first = shutil.copytree(bundle, tmp_path / "first")
    other = untrained_bundle(filters=(4, 8))
    other.network.last.bias.data += 1
    save_bundle(bundle, other)
    assert states(tmp_path / "study") == {
        "bce_seed-0": f"done, but from other weights than those in {bundle}: `study run` trains it again"
    }
    shutil.rmtree(bundle)
    assert states(tmp_path / "study") == {
        "bce_seed-0": f"done, but {bundle}, where it starts from, has no model: `study run` needs it there"
    }
    first.rename(bundle)
    assert states(tmp_path / "study") == {"bce_seed-0": "done"}
    # Found before any work, and nothing is lost.
    file.write_text(text.replace("filters: [4, 8]", "filters: [4, 16]"))
    with pytest.raises(CordlesionError, match="does not fit that of the study"):
        run_study(read_study(file), until="train")
    assert (tmp_path / "study/runs/bce_seed-0/bundle/model.json").read_text() == card
    file.write_text(text.replace("start_from: model", "start_from: absent"))
    with pytest.raises(CordlesionError, match="absent: no bundle"):
        run_study(read_study(file), until="train")


def states(study: Path) -> dict[str, str]:
    return {unit: state for stage, unit, state in study_status(study) if stage == "train"}


def test_packaged_names_the_model_in_the_package(tmp_path):
    file = make_cohort(tmp_path)
    file.write_text(file.read_text().replace("epochs: 3", "start_from: packaged"))
    found = read_study(file).training
    assert found.start_from == "packaged"
    assert (found.start_bundle / "model.json").is_file()
