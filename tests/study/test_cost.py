"""What a study costs: counted by hand, and cut until it fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.config import PatchConfig, PreprocessConfig, StudyConfig, builtin_study, read_study
from cordlesion.dataset.subset import choose_subset
from cordlesion.io.progress import shown
from cordlesion.io.volume import Volume
from cordlesion.study import estimate
from cordlesion.study.cost import Cost, Patches, expected_patches, share_patches
from cordlesion.study.estimate import fit_into
from cordlesion.study.initial import start_study
from cordlesion.study.run import run_study
from cordlesion.training.step_time import StepTime, measure_steps
from support.contents import cohort
from support.tiny import make_cohort

PAPER = read_study(builtin_study("isbi2023"))


def times(step_s, patch_s=0.0, losses=PAPER.losses):
    return StepTime({loss.title: step_s for loss in losses}, patch_s, "a device", False)


def windows(length, size, step):
    """Count windows one by one until the end is covered."""
    n, end = 1, size
    while end < length:
        n, end = n + 1, end + step
    return n


@settings(max_examples=60)
@given(st.integers(1, 500), st.sampled_from([0.5, 1.0, 2.5]), st.sampled_from([0.5, 0.75]))
def test_patches_of_a_scan_cover_it_along_the_cord(slices, slice_mm, overlap):
    study = PAPER.model_copy(update={"patches": PatchConfig(size_voxels=48, overlap_fraction=overlap)})
    grid = Volume(np.broadcast_to(np.uint8(0), (30, 20, slices)), np.diag([-1.0, 1.0, slice_mm, 1.0]))
    voxels = int(np.ceil(slices * slice_mm / 0.5))
    assert expected_patches(grid, study) == windows(voxels, 48, round(48 * (1 - overlap)))


def test_the_direction_of_the_cord_is_that_of_the_scan_not_of_its_voxels():
    """A sagittal scan whose second index runs upwards, as many do."""
    affine = np.array([[0, 0, 3.0, 0], [-1, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0, 1.0]])
    grid = Volume(np.broadcast_to(np.uint8(0), (20, 400, 9)), affine)
    assert expected_patches(grid, PAPER) == windows(400, 48, 12)


def test_a_foreground_study_counts_along_all_axes():
    study = PAPER.model_copy(update={"preprocess": PreprocessConfig(region="foreground", spacing_mm=1.0)})
    grid = Volume(np.broadcast_to(np.uint8(0), (60, 48, 100)), np.eye(4))
    assert expected_patches(grid, study) == windows(60, 48, 12) * windows(48, 48, 12) * windows(100, 48, 12)


def test_the_cost_of_a_study_by_hand():
    cost = Cost(Patches(100, 20, 40), batch_size=8, epochs=3, losses=("dice", "bce"))
    assert (cost.steps_per_epoch, cost.steps) == (13, 78)
    measured = StepTime({"dice": 2.0, "bce": 1.0}, 0.1, "a device", False)
    assert cost.training_s(measured) == pytest.approx(3 * (13 * 2 + 13 * 1 + 2 * 20 * 0.1))
    assert cost.maps_s(measured) == pytest.approx(2 * 40 * 0.1)


def test_lesion_free_scans_are_not_learned_from_unless_they_are_stratified():
    assert share_patches(1150, 1.0, PAPER) == Patches(pytest.approx(620), pytest.approx(130), pytest.approx(400))
    assert share_patches(1150, 0.5, PAPER) == Patches(pytest.approx(310), pytest.approx(65), pytest.approx(775))
    split = PAPER.split.model_copy(update={"lesion_free": "stratified"})
    assert share_patches(1150, 0.5, PAPER.model_copy(update={"split": split})).train == pytest.approx(620)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    make_cohort(folder, subjects=16)
    return folder


def test_a_cut_study_fits_and_uses_the_time(tiny):
    """Whatever a step takes here: within the minutes or stated that it is not, and one epoch more would be too long."""
    study = start_study(tiny / "cohort")
    whole = Cost(Patches(620, 130, 400), 8, 300, tuple(loss.title for loss in PAPER.losses))
    for step_s in (1e-4, 0.1, 1.0, 10.0, 1e4):
        plan = fit_into(study, whole, times(step_s, step_s / 30), minutes=10)
        assert plan.fits == (plan.seconds <= 600 * 0.7 + 1e-6)
        assert plan.fits == (step_s < 10)
        assert plan.cut.losses[0] == "bce"
        assert (plan.cut.reduced.epochs == 300) == (step_s == 1e-4)
    assert plan.cut.losses == ("bce",)
    assert plan.cut.reduced.epochs == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 5.0]), min_size=1, max_size=3), min_size=8, max_size=30))
def test_the_fewest_scans_fill_every_set(volumes):
    """The number of scans that a cut study asks for is enough for its split, whatever people have."""
    scans, contents = cohort({f"sub-{n:02d}": [*mine] for n, mine in enumerate(volumes)})
    if sum(all(v > 0 for v in mine) for mine in volumes) < 4:
        return
    study = type("Found", (), {"scans": scans, "config": PAPER})()
    numbers = [n for n, _ in estimate._smaller(study)]
    assert min(numbers) == numbers[-1] <= len(scans)
    assert len(choose_subset(scans, contents, numbers[-1], PAPER.split)) <= numbers[-1]


def test_a_step_is_timed_or_extrapolated_from_one_patch(tiny):
    study = read_study(tiny / "study.yaml")
    whole, one = measure_steps(study), measure_steps(study, cap_s=0.0)
    assert (whole.from_one_patch, one.from_one_patch) == (False, True)
    assert set(whole.step_s) == set(one.step_s) == {"bce", "tversky"}
    assert all(
        0 < seconds < 10 for measured in (whole, one) for seconds in (*measured.step_s.values(), measured.patch_s)
    )


def test_a_run_states_the_cost_of_what_is_left(tiny, capsys, monkeypatch):
    """A quiet run times nothing; another one states what is left, also where no step can be timed."""
    study, timed = read_study(tiny / "study.yaml").model_copy(update={"seeds": (0, 1)}), []

    def fail(config):
        timed.append(config)
        raise RuntimeError("one value per channel")

    with monkeypatch.context() as patched:
        patched.setattr(estimate, "measured_steps", fail)
        run_study(study, until="train", only="bce_seed-0")
        assert timed == []
        with shown():
            run_study(study, until="train", only="bce_seed-1")
        assert "could not be measured (RuntimeError: one value per channel)" in capsys.readouterr().out
    with shown():
        run_study(study, until="train")
        said = capsys.readouterr().out
        run_study(study, until="train")
        again = capsys.readouterr().out
    n_train = sum("\ttrain\t" in line for line in (tiny / "study/splits.tsv").read_text().splitlines())
    steps = -(-_patches(tiny, n_train) // 4)
    assert f"to train: 2 networks in 3 epochs of {steps} steps with 4 patches each: {6 * steps} steps" in said
    assert "a step takes" in said
    assert "to try everything first" not in said
    assert "to train" not in again


def _patches(folder, n_train):
    from cordlesion.preprocess.stack_file import read_stack_shape

    (length,) = {read_stack_shape(path)[2] for path in (folder / "study/stacks").iterdir()}
    return n_train * windows(length, 16, 8)


def test_init_ends_with_the_cost_and_the_way_to_try(tiny, cli, monkeypatch, tmp_path):
    monkeypatch.setattr(estimate, "measured_steps", lambda config: times(80.0, 0.05, config.losses))
    ended = cli("study", "init", tiny / "cohort")
    assert ended.status == 0
    assert "16 scans, up to" in ended.error
    assert "7 trainings of 300 epochs:" in ended.error
    assert "a step takes 80 s (a device; measured)" in ended.error
    assert f"To try everything in ten minutes: cordlesion study init {tiny / 'cohort'} --minutes 10" in ended.error
    cut = cli("study", "init", tiny / "cohort", "--minutes", 10)
    (tmp_path / "tryout.yaml").write_text(cut.output)
    study = read_study(tmp_path / "tryout.yaml")
    assert isinstance(study, StudyConfig)
    assert (study.output.name, study.reduced.scans) == ("tried", 12)
    assert "To try it out: at most 12 scans, 1 epoch, 2 losses (bce, combo)" in cut.error


def test_a_slow_machine_gets_a_smaller_network(tiny, cli, monkeypatch, tmp_path):
    monkeypatch.setattr(estimate, "measured_steps", lambda c: times(600 * c.network.filters[0] / 16, 0.1, c.losses))
    cut = cli("study", "init", tiny / "cohort", "--minutes", 10)
    (tmp_path / "tryout.yaml").write_text(cut.output)
    study = read_study(tmp_path / "tryout.yaml")
    assert (study.network.filters, study.patches.overlap_fraction) == ((8, 16, 32), 0.5)
    assert "a smaller network on fewer patches" in cut.error


def test_minutes_without_an_estimate_are_refused(tiny, cli):
    ended = cli("study", "init", tiny / "cohort", "--minutes", 10, "--no-estimate")
    assert (ended.status, ended.output) == (2, "")
    assert "--minutes: needs the time of a training step" in ended.error
