from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cordlesion.config import (
    SETS,
    LossConfig,
    PreprocessConfig,
    SplitConfig,
    StudyConfig,
    builtin_study,
    read_study,
    study_yaml,
)
from cordlesion.errors import CordlesionError

SOUND = """\
# A comment, so that lines do not start at the first key.
name: tiny
dataset: cohort
output: study
losses:
  - bce
  - {name: tversky, parameters: {fn_weight: 0.6}}
"""


def write(folder, text):
    path = folder / "study.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        (SOUND + "epochs: 3\n", "8:1", "epochs: unknown key; remove it or check its spelling"),
        (SOUND + "training:\n  epoch: 3\n", "9:3", "training.epoch: unknown key"),
        (SOUND + "  - {name: dice, weight: 2}\n", "8:18", "losses.2.weight: unknown key"),
        (SOUND + "training: {epochs: ten}\n", "8:12", "training.epochs: a whole number is needed, found 'ten'"),
        (SOUND + "training: {epochs: 2.5}\n", "8:12", "found 2.5"),
        (SOUND + "training: {epochs: 0}\n", "8:12", "training.epochs: a number above 0 is needed, found 0"),
        (
            SOUND + "training: {learning_rate: .inf}\n",
            "8:12",
            "training.learning_rate: a finite number is needed, found inf",
        ),
        (SOUND + "training: {learning_rate: .nan}\n", "8:12", "training.learning_rate: "),
        (
            SOUND + "training: {optimizer: sgd}\n",
            "8:12",
            "training.optimizer: 'adam' or 'adadelta' is needed, found 'sgd'",
        ),
        (SOUND + "training: 3\n", "8:1", "training: a section with keys is needed, found 3"),
        (SOUND + "patches: {overlap_fraction: 1}\n", "8:11", "patches.overlap_fraction: a number below 1 is needed"),
        (
            SOUND + "prediction: {radius_mm: 0.3}\n",
            "8:14",
            "prediction.radius_mm: 0.3 mm around the centerline may hold no voxel of 0.5 mm, so that none is",
        ),
        (SOUND + "preprocess: {spacing_mm: -1}\n", "8:14", "preprocess.spacing_mm: a number above 0 is needed"),
        (SOUND + "preprocess: {crop_voxels: 46}\n", "8:14", "preprocess.crop_voxels: 46 is not a multiple of 4, which"),
        (
            SOUND + "network: {filters: [4, 8, 16, 32, 64, 128]}\n",
            "1:1",
            "preprocess.crop_voxels: 48 is not a multiple of 32, which",
        ),
        (SOUND + "network: {filters: []}\n", "8:11", "network.filters: a list with 1 or more values is needed"),
        (
            SOUND + "training: {devices: 2}\ncluster: {gpus: 1}\n",
            "9:11",
            "cluster.gpus: `training.devices` is 2, and each needs a GPU",
        ),
        (SOUND + "cluster: {nodes: 2, gpus: 4}\n", "8:21", "cluster.gpus: `training.devices` is 1"),
        (
            SOUND + "training: {devices: 2, runs_per_device: 3}\n",
            "8:24",
            "training.runs_per_device: where `training.devices` or `cluster.nodes` gives a training several",
        ),
        (SOUND + "cluster: {options: {ntasks_per_node: 2}}\n", "8:21", "set `cluster.nodes`"),
        (SOUND + "cluster: {options: {cpus-per-task: 8}}\n", "8:21", "jobs would request it twice; set `cluster.cpus`"),
        (SOUND + "cluster:\n  # gpus: 1\n", "8:1", "cluster: holds nothing; give it a value, or remove the key"),
        (SOUND + "seeds:\n", "8:1", "seeds: holds nothing"),
        (SOUND + "cluster: {options: {mem: 8G}}\n", "8:21", "jobs would request it twice; set `cluster.memory_gb`"),
        (SOUND + "cluster: {options: {output: log.txt}}\n", "8:21", "`study run` would not find its jobs"),
        (SOUND + "reduced: {}\n", "8:1", "reduced: a number of scans or of epochs is needed"),
        (SOUND + "split: {folds: 0}\n", "8:9", "split.folds: a number above 0 is needed"),
        (SOUND + "threshold: {grid: coarse}\n", "8:13", "threshold.grid: 'paper' or 'fine' is needed"),
        (
            SOUND + "postprocess: {minimum_volume_mm3: 3}\nthreshold: {minimum_volumes_mm3: [0, 3]}\n",
            "9:13",
            "threshold.minimum_volumes_mm3: tunes what postprocess.minimum_volume_mm3 sets; remove one of the two",
        ),
        (
            SOUND + "threshold: {minimum_volumes_mm3: [0, 3, 3]}\n",
            "8:13",
            "threshold.minimum_volumes_mm3: one volume is listed twice",
        ),
        (SOUND + "seeds: [0, 0]\n", "8:1", "seeds: one seed is listed twice"),
        (SOUND + "seeds: [-1]\n", "8:9", "seeds.0: a number of at least 0 is needed, found -1"),
        (
            SOUND + "  - bce\n",
            "8:5",
            "losses.2.label: bce is taken by losses.0 (bce)",
        ),
        (
            SOUND + "  - {name: dice, label: B_CE}\n",
            "8:18",
            "losses.2.label: B_CE is taken by losses.0 (bce): file names ignore case and _",
        ),
        (
            SOUND + "  - {name: dice, label: bce_seed_0}\n",
            "8:18",
            "losses.2.label: bce_seed_0 is taken by losses.0 (bce)",
        ),
        (SOUND + "  - {name: dice, label: a b}\n", "8:18", "losses.2.label: letters, digits and _ are needed"),
        (
            SOUND + "split: {proportions: {train: 1, test: 1}}\n",
            "8:9",
            "split.proportions: those of validation, threshold are missing",
        ),
        (
            SOUND + "split: {proportions: {train: 0}}\n",
            "8:23",
            "split.proportions.train: a number above 0 is needed",
        ),
        *(
            (SOUND + text, place, "a number of at most")
            for text, place in (
                ("postprocess: {minimum_volume_mm3: 1e+308}\n", "8:15"),
                ("postprocess: {cord_margin_mm: 1e+308}\n", "8:15"),
                ("threshold: {minimum_volumes_mm3: [1e+308]}\n", "8:35"),
            )
        ),
        (SOUND + "name: other\n", "8:1", 'found duplicate key "name"'),
        (SOUND + "seeds: [0, 1\n", "9:1", "expected ',' or ']'"),
        (SOUND + "\tseeds: [0]\n", "8:1", "cannot start any token"),
        ("", "1:1", "holds no keys; a study in YAML is needed"),
        ("- bce\n", "1:1", "holds no keys"),
        ("name: a\ndataset: b\nlosses: [bce]\n", "1:1", "output: is missing; add this key"),
        ("name: a\ndataset: b\noutput: c\nlosses: []\n", "4:1", "losses: a list with 1 or more values is needed"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path, text, place, sentence):
    path = write(tmp_path, text)
    with pytest.raises(CordlesionError) as error:
        read_study(path)
    told = str(error.value)
    assert told.startswith(f"{path}:{place} ")
    assert sentence in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "cluster", ["{nodes: 2}", "{gpus: 2}", "{nodes: 3, gpus: 0}", "{nodes: 2, options: {gres: gpu:2}}"]
)
def test_a_training_may_have_several_machines_and_gpus(tmp_path, cluster):
    study = read_study(write(tmp_path, SOUND + f"training: {{devices: 2}}\ncluster: {cluster}\n"))
    assert read_study(write(tmp_path, study_yaml(study))).cluster == study.cluster


def test_every_fault_is_told_at_once(tmp_path):
    path = write(tmp_path, SOUND + "epochs: 3\ntraining: {epochs: ten, batch_size: 0}\n")
    with pytest.raises(CordlesionError) as error:
        read_study(path)
    told = str(error.value).splitlines()
    assert sorted(line.split()[0] for line in told) == [f"{path}:{place}" for place in ("8:1", "9:12", "9:25")]


@pytest.mark.parametrize("content", [b"name: \xff\xfe", b"name: a\x00b"])
def test_a_file_that_is_no_text_gets_a_sentence(tmp_path, content):
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(CordlesionError, match=r"study\.yaml: cannot be read .* A study in YAML is needed"):
        read_study(path)
    with pytest.raises(CordlesionError, match=r"absent\.yaml: cannot be read"):
        read_study(tmp_path / "absent.yaml")


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    study = read_study(write(tmp_path, SOUND))
    assert (study.dataset, study.output) == (tmp_path / "cohort", tmp_path / "study")
    elsewhere = read_study(write(tmp_path, SOUND.replace("cohort", "/data/cohort")))
    assert elsewhere.dataset == Path("/data/cohort")


def test_the_builtin_study_is_that_of_the_paper():
    study = read_study(builtin_study("isbi2023"))
    names = [loss.title for loss in study.losses]
    assert names == ["bce", "combo", "dice", "focal_tversky", "generalized_dice", "log_cosh_dice", "tversky"]
    assert [study.split.proportions[name] for name in SETS] == [62, 13, 14, 26]
    combo = study.runs[1].optimization
    assert (combo.optimizer, combo.learning_rate) == ("adadelta", 1.0)
    others = {
        (run.optimization.optimizer, run.optimization.learning_rate) for run in study.runs if run.loss.name != "combo"
    }
    assert others == {("adam", 1e-4)}
    assert (study.training.epochs, study.training.batch_size, study.training.patience_epochs) == (300, 8, 15)
    assert (study.preprocess.spacing_mm, study.preprocess.crop_voxels) == (0.5, 48)
    assert (study.patches.size_voxels, study.patches.overlap_fraction) == (48, 0.75)
    assert study.network.filters == (16, 32, 64)


def test_the_builtin_study_writes_out_the_defaults():
    minimal = StudyConfig(name="isbi2023", dataset=Path("a"), output=Path("b"), losses=["bce"])
    full = read_study(builtin_study("isbi2023"))
    for section in (
        "patterns",
        "split",
        "preprocess",
        "patches",
        "evaluation",
        "seeds",
    ):
        assert getattr(full, section) == getattr(minimal, section)
    assert minimal.threshold.objective == "mean_voxel_f1"
    assert full.threshold == minimal.threshold.model_copy(update={"objective": "median_voxel_f1"})
    # What the paper leaves to its framework, TensorFlow, is the one difference.
    framework = {"initialization", "normalization_momentum", "normalization_epsilon"}
    assert full.network.model_dump(exclude=framework) == minimal.network.model_dump(exclude=framework)
    assert full.training == minimal.training.model_copy(update={"rho": 0.95, "epsilon": 1e-7})


@pytest.mark.parametrize("name", ["isbi2023", "seven_losses", "extended", "demo"])
def test_a_builtin_study_survives_writing(name, tmp_path):
    study = read_study(builtin_study(name))
    path = tmp_path / "copy.yaml"
    path.write_text(study_yaml(study))
    assert read_study(path) == study.explicit


def test_the_example_has_the_losses_of_the_paper_at_the_size_of_the_demo():
    example, paper, demo = (read_study(builtin_study(name)) for name in ("seven_losses", "isbi2023", "demo"))
    assert example.losses == paper.losses
    same = {name: getattr(demo, name) for name in ("name", "output", "losses", "seeds", "comparators")}
    assert example.model_copy(update=same) == demo


def test_an_unknown_builtin_study_gets_a_sentence():
    known = "demo, extended, isbi2023, packaged_model, packaged_model_start, seven_losses"
    with pytest.raises(CordlesionError, match=f"one of {known} is needed"):
        builtin_study("nope")


@settings(max_examples=40, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "seeds": st.lists(st.integers(0, 2**31), min_size=1, max_size=3, unique=True),
            "split": st.fixed_dictionaries(
                {"seed": st.integers(), "lesion_free": st.sampled_from(["test", "stratified"])}
            ),
            "training": st.fixed_dictionaries(
                {"learning_rate": st.floats(1e-12, 1e12), "epochs": st.integers(1, 10**6)}
            ),
            "patches": st.fixed_dictionaries({"overlap_fraction": st.floats(0, 0.999)}),
            "losses": st.just(
                [{"name": "monai:DiceFocalLoss", "label": "df", "parameters": {"gamma": 2.0, "batch": True}}]
            ),
            "name": st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1),
        },
    )
)
def test_any_configuration_survives_writing(tmp_path_factory, changes):
    study = StudyConfig.model_validate({"name": "x", "dataset": "/a", "output": "/b", "losses": ["bce"], **changes})
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(study_yaml(study), encoding="utf-8")
    assert read_study(path) == study


def test_configurations_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        SplitConfig().seed = 3


def test_runs_are_losses_times_seeds():
    study = StudyConfig(
        name="x", dataset=Path("a"), output=Path("b"), losses=["bce", {"name": "dice", "label": "plain"}], seeds=(0, 3)
    )
    assert [run.name for run in study.runs] == ["bce_seed-0", "bce_seed-3", "plain_seed-0", "plain_seed-3"]


@pytest.mark.parametrize(
    ("loss", "title"),
    [
        ({"name": "monai:DiceLoss"}, "monai_DiceLoss"),
        ({"name": "dice"}, "dice"),
        ({"name": "dice", "label": "d2"}, "d2"),
    ],
)
def test_titles_of_losses(loss, title):
    assert LossConfig.model_validate(loss).title == title


@pytest.mark.parametrize(
    ("percentiles", "reason"), [([50], "at least 2"), ([99, 1], "rising numbers"), ([1, 101], "100")]
)
def test_percentiles_of_the_intensity_scale_increase_within_0_and_100(percentiles, reason):
    with pytest.raises(ValueError, match=reason):
        PreprocessConfig(percentiles=percentiles)
