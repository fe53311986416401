"""`tune --objective repeatability --pairs`: the choice from files is that of the table made by hand, for every rule."""

import json

import numpy as np
import pandas as pd
import pytest

import cordlesion
from cordlesion.dataset.matching import pair_files
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import sweep_map
from cordlesion.threshold import THRESHOLD_RULES, THRESHOLDS
from support.images import write_image

N = 6
SHAPE = (12, 13, 14)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Six people with two scans and a third one after a change; what is below 0.3 differs between the two."""
    root, rng = tmp_path_factory.mktemp("repeats") / "bids", np.random.default_rng(3)
    for number in range(N):
        name = f"sub-{number}"
        lesion = np.zeros(SHAPE, np.uint8)
        lesion[2:6, 2 : 5 + number, 3 : 6 + number % 3] = 1
        for session in (1, 2, 3):
            halo = rng.random(SHAPE) < rng.uniform(0, 0.3)
            p = np.clip(0.7 * lesion * rng.uniform(0.3, 1, SHAPE) + 0.3 * halo + 0.05 * rng.random(SHAPE), 0, 1)
            stem = f"{name}_ses-{session}"
            folder = root / "derivatives" / "labels" / name / "anat"
            write_image(folder / f"{stem}_label-lesion_seg.nii.gz", lesion)
            write_image(root / "derivatives" / "maps" / name / f"{stem}_probseg.nii.gz", p.astype(np.float32))
        (root / name).mkdir()
        (root / name / f"{name}_sessions.tsv").write_text("session_id\trepeat\nses-1\ta\nses-2\ta\nses-3\tn/a\n")
    (root / "participants.tsv").write_text("participant_id\n" + "".join(f"sub-{n}\n" for n in range(N)))
    return root / "derivatives"


def by_hand(dataset):
    """The table of the threshold set, with the groups that the dataset states."""
    pairs, _ = pair_files(dataset / "labels", dataset / "maps", ())
    tables = [sweep_map(pair, THRESHOLDS).assign(repeat="a" if pair.session in "12" else None) for pair in pairs]
    return pd.concat(tables, ignore_index=True)


def test_the_command_chooses_as_the_table_does(dataset, tmp_path, cli):
    given = ("--reference", dataset / "labels", "--probability", dataset / "maps", "-o", tmp_path / "t.json")
    ended = cli("tune", *given, "--objective", "repeatability:0.4")
    assert ended.status == 0, ended.error
    expected = cordlesion.choose_threshold(by_hand(dataset), "repeatability:0.4")
    record = json.loads((tmp_path / "t.json").read_text())
    assert (record["threshold"], record["objective"], record["n_groups"]) == (expected.value, "repeatability:0.4", N)
    assert record["score"] == pytest.approx(expected.score)
    assert tuple(record["interval"]) == expected.interval
    assert "6 groups of scans that repeat each other" in " ".join((ended.output + ended.error).split())
    named = cli("tune", *given, "--objective", "repeatability:0.4", "--pairs", dataset.parent)
    assert named.status == 0, named.error
    assert json.loads((tmp_path / "t.json").read_text()) == record


def test_the_choice_is_more_repeatable_than_that_of_the_overlap(dataset):
    files = (dataset / "labels", dataset / "maps")
    ours = cordlesion.tune_files(*files, objective="repeatability:0.4")
    table = cordlesion.repeatability_files(dataset / "maps", pairs=dataset.parent).table
    icc = table[table["measure"] == "predicted_volume_mm3"].set_index("threshold")["icc"]
    assert ours.score == pytest.approx(icc[ours.value])
    reached = ours.curve.dropna().set_index("threshold")["score"]
    np.testing.assert_allclose(icc[reached.index].clip(lower=0), reached)
    assert ours.score >= reached.max() - 0.02


@pytest.mark.parametrize("rule", THRESHOLD_RULES)
def test_every_rule_can_be_chosen_by_it(dataset, rule, tmp_path):
    choice = cordlesion.tune_files(
        dataset / "labels", dataset / "maps", objective="repeatability:0.4", threshold_rule=rule,
        output=tmp_path / "r.json",
    )  # fmt: skip
    assert choice.n_groups == N
    assert choice.rule.objective == "repeatability:0.4"
    masks = cordlesion.repeatability_files(dataset / "maps", pairs=dataset.parent, threshold=tmp_path / "r.json")
    assert choice.score == pytest.approx(masks.table.iloc[0]["icc"], abs=1e-6)


@pytest.fixture
def own_names(dataset, tmp_path):
    """The same files under names that do not show the person."""
    for kind, ending in (("labels", "seg"), ("maps", "probseg")):
        for path in (dataset / kind).rglob(f"*_{ending}.nii.gz"):
            subject, session = path.name.split("_")[:2]
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / f"P{subject[4:]}v{session[4:]}.nii.gz").write_bytes(path.read_bytes())
    return tmp_path


def rows(person=""):
    return "".join(f"P{n}v{v}\tpair{n}" + (f"\tP{n}" if person else "") + "\n" for n in range(N) for v in (1, 2))


def test_a_table_names_groups_and_people(own_names, dataset):
    (own_names / "pairs.tsv").write_text("scan\trepeat\tparticipant_id\n" + rows("named") + "other\tpair9\tP9\n")
    files = (own_names / "labels", own_names / "maps")
    choice = cordlesion.tune_files(*files, objective="repeatability:0.4", pairs=own_names / "pairs.tsv")
    expected = cordlesion.choose_threshold(by_hand(dataset), "repeatability:0.4")
    assert (choice.value, choice.n_groups) == (expected.value, N)
    assert choice.score == pytest.approx(expected.score)
    assert choice.n_subjects == 2 * N  # the third scans have no row, so that nothing names their person
    assert any("lists 1 scan that the threshold set does not have (first: other)" in one for one in choice.remarks)
    assert not any("names no people" in one for one in choice.remarks)
    people = cordlesion.tune_files(
        *files, objective="repeatability:0.4", pairs=own_names / "pairs.tsv", subjects="{subject}v*"
    )
    assert (people.n_subjects, people.n_groups) == (N, N)
    (own_names / "pairs.tsv").write_text("scan\trepeat\n" + rows())
    choice = cordlesion.tune_files(*files, objective="repeatability:0.4", pairs=own_names / "pairs.tsv")
    assert any("names no people" in one for one in choice.remarks)


def test_mistakes_get_a_sentence(own_names, dataset, cli):
    given = ("--reference", own_names / "labels", "--probability", own_names / "maps", "-o", own_names / "t.json")
    (own_names / "one.tsv").write_text("scan\trepeat\nP0v1\ta\nP0v2\ta\nP1v1\tb\n")
    (own_names / "other.tsv").write_text("scan\trepeat\nA1\ta\nA2\ta\n")
    for options, sentence in (
        (("--objective", "repeatability", "--pairs", own_names / "other.tsv"), "other.tsv: lists 2 scans that the thr"),
        (("--objective", "repeatability"), "0 groups of the 18 scans of the threshold set repeat each other"),
        (("--objective", "repeatability", "--pairs", own_names / "one.tsv"), "one.tsv: 1 group of the 18 scans"),
        (("--pairs", own_names / "one.tsv"), "--pairs is given, but the objective (median voxel F1) does not compare"),
        (("--objective", "repeatability:0.99", "--pairs", dataset.parent), "0 groups of the 18 scans"),
    ):
        ended = cli("tune", *given, *options)
        assert ended.status == 2
        assert sentence in " ".join(ended.error.split()), ended.error
        assert not (own_names / "t.json").exists()
    with pytest.raises(CordlesionError, match=r"No threshold has a mean voxel F1 of at least 0\.99; nearest is t ="):
        cordlesion.tune_files(dataset / "labels", dataset / "maps", objective="repeatability:0.99")
