"""Trained models are never written over: what no longer fits is set aside, and taken back when it fits again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cordlesion.config import StudyConfig, read_study
from cordlesion.io import fingerprints
from cordlesion.io.progress import shown
from cordlesion.model.bundle import read_card
from cordlesion.model.bundle_updates import set_threshold
from cordlesion.study.run import run_study
from cordlesion.study.status import study_status
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.threshold import GlobalThreshold
from support.tiny import make_cohort

RUN = "bce_seed-0"


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    study = make_cohort(tmp_path)
    study.write_text(study.read_text().replace("[bce, tversky]", "[bce]").replace("epochs: 3", "epochs: 1"))
    return study


def trained(study_file: Path, **training: float) -> tuple[StudyConfig, StudyFolder]:
    config = read_study(study_file)
    config = config.model_copy(update={"training": config.training.model_copy(update=training)})
    with shown():
        run_study(config, until="train")
    return config, StudyFolder(config.output)


def weights(folder: Path) -> bytes:
    return (folder / "bundle" / "model.safetensors").read_bytes()


def test_a_model_of_other_settings_is_set_aside_and_comes_back_with_them(study_file, capsys):
    _, folder = trained(study_file)
    set_threshold(folder.bundle(RUN), GlobalThreshold(value=0.3, objective="x", interval=None))
    first, marker = weights(folder.run(RUN)), folder.finished(f"train/{RUN}")
    card = read_card(folder.bundle(RUN))

    trained(study_file, learning_rate=0.02)
    printed = " ".join(capsys.readouterr().out.split())
    aside = folder.root / "runs" / f"{RUN}.replaced-{marker['fingerprint'][:8]}"
    assert (
        f"its settings have changed (training.learning_rate 0.01 -> 0.02); the model is kept as runs/{aside.name}"
        in printed
    )
    assert printed.index("is kept as") < printed.rindex(f"train {RUN}")
    assert weights(aside) == first
    assert read_card(aside / "bundle") == card
    second = weights(folder.run(RUN))
    assert second != first
    assert ("train", aside.name, "set aside: of other settings or scans") in study_status(folder.root)

    trained(study_file)
    assert weights(folder.run(RUN)) == first
    assert folder.finished(f"train/{RUN}") == marker
    assert not aside.exists()
    assert "is of these settings again, and is used" in " ".join(capsys.readouterr().out.split())
    other = [path for path in (folder.root / "runs").iterdir() if path.name != RUN]
    assert [weights(path) for path in other] == [second]
    assert sorted(path.name for path in other[0].iterdir()) == ["bundle", "history.tsv", "train.json"]


def test_a_model_of_other_scans_is_set_aside(study_file, capsys):
    config, folder = trained(study_file)
    first = weights(folder.run(RUN))
    splits = folder.splits.read_text().splitlines()
    learned = next(line for line in splits if "\ttrain\t" in line).split("\t")[0]
    folder.splits.write_text("\n".join(line for line in splits if not line.startswith(learned)) + "\n")
    for path in config.dataset.rglob(f"{learned}_*"):
        path.unlink()
    trained(study_file)
    assert "its scans or stacks have changed" in " ".join(capsys.readouterr().out.split())
    (aside,) = (path for path in (folder.root / "runs").iterdir() if path.name != RUN)
    assert weights(aside) == first


def test_an_interrupted_training_goes_on_beside_the_model_that_was_set_aside(study_file, monkeypatch):
    _, folder = trained(study_file)
    first = weights(folder.run(RUN))
    state = folder.run(RUN) / "checkpoint-0000000000000000.ckpt"

    def found(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cordlesion.study.models_aside.train_fingerprint", lambda *_: "0" * 64)
    monkeypatch.setattr("cordlesion.study.train.train_runs", found)
    state.write_text("of the new settings")
    with pytest.raises(KeyboardInterrupt):
        trained(study_file)
    assert state.read_text() == "of the new settings"
    (aside,) = (path for path in (folder.root / "runs").iterdir() if path.name != RUN)
    assert weights(aside) == first


def test_a_model_whose_marker_could_not_be_written_stays_where_it_is(study_file):
    _, folder = trained(study_file)
    first = weights(folder.run(RUN))
    folder.undo(f"train/{RUN}")
    trained(study_file)
    assert weights(folder.run(RUN)) == first
    assert [path.name for path in (folder.root / "runs").iterdir()] == [RUN]


@pytest.mark.parametrize("same", [True, False], ids=["the same stacks", "another stack"])
def test_stacks_that_a_new_version_cuts_alike_train_nothing_again(study_file, monkeypatch, same):
    def in_version(version: int, work: Callable[[], object]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(fingerprints, "CHANGED_IN", fingerprints.CHANGED_IN | {"drawn stack": version})
            work()

    config = read_study(study_file)
    folder = StudyFolder(config.output)
    in_version(3, lambda: run_study(config, until="train"))
    before, markers = weights(folder.run(RUN)), [folder.finished(f"preprocess/sub-{n:02d}") for n in range(1, 13)]
    if not same:
        from cordlesion.preprocess.stack_file import read_stack, write_stack

        for n in range(1, 13):
            stack = read_stack(path := folder.stack(f"sub-{n:02d}"))
            stack.image[:] += 1
            write_stack(path, stack)
    for version in (4, 5):
        in_version(version, lambda: run_study(config, until="train"))
    now = [folder.finished(f"preprocess/sub-{n:02d}") for n in range(1, 13)]
    assert all(a["fingerprint"] != b["fingerprint"] for a, b in zip(markers, now, strict=True))
    assert [path.name for path in (folder.root / "runs").iterdir()] == [RUN] or not same
    assert len([*(folder.root / "runs").iterdir()]) == (1 if same else 2)
    if same:
        assert weights(folder.run(RUN)) == before
        assert [marker["unchanged_since"] for marker in now] == [marker["fingerprint"] for marker in markers]
