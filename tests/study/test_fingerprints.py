"""Fingerprints stay while results stay: finished studies continue, and no network is trained again."""

from pathlib import Path
from typing import Annotated

import pytest
from fingerprints_of_studies import STUDIES, all_hashes

from cordlesion.config import LossConfig, RunConfig, StudyConfig, TrainingConfig, builtin_study, read_study
from cordlesion.config.section import LATER, Section
from cordlesion.io import fingerprints
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.reading import read_json
from cordlesion.study_folder.folder import StudyFolder

GOLDEN = Path(__file__).with_name("fingerprints.json")
REMEDY = """\
{part} of {owner} has another fingerprint, so that every study that was finished with it trains its networks again.
* A key was added to a section of the study: mark it with LATER (config/section.py); its default changes no result.
* A constant of the cord finder was renamed or moved: keep its key in study/finder_fingerprint.py.
* Results do change (another default, other weights, another constant): put the new hash into {golden}, and state in the
  changelog that networks are trained again."""


def test_the_fingerprints_of_finished_studies_are_what_they_were():
    golden, found = read_json(GOLDEN), all_hashes()
    assert golden.keys() == found.keys()
    for owner, parts in golden.items():
        for part, value in parts.items():
            assert found[owner][part].startswith(value), REMEDY.format(part=part, owner=owner, golden=GOLDEN.name)
        assert parts.keys() == found[owner].keys()


class LaterTraining(TrainingConfig):
    weight_decay: Annotated[float, LATER] = 0.0


class LaterLoss(LossConfig):
    rho: Annotated[float | None, LATER] = None


class LaterRun(RunConfig):
    loss: LaterLoss
    training: LaterTraining


class LaterStudy(StudyConfig):
    training: LaterTraining = LaterTraining()
    losses: tuple[LaterLoss, ...]


def later_study(name: str, **training: float) -> LaterStudy:
    content = read_study(builtin_study(name)).model_dump()
    return LaterStudy.model_validate(content | {"training": content["training"] | training})


@pytest.mark.parametrize("name", STUDIES)
def test_a_later_key_is_hashed_only_where_it_differs_from_what_was_done_before(name):
    study = read_study(builtin_study(name))
    same, other = later_study(name), later_study(name, weight_decay=0.01)
    assert "weight_decay" in same.model_dump()["training"]
    assert same.decisive == study.decisive
    assert other.decisive["training"]["weight_decay"] == 0.01
    run = study.runs[0].model_dump()
    assert LaterRun.model_validate(run).learned_from == study.runs[0].learned_from
    changed = LaterRun.model_validate(run | {"loss": run["loss"] | {"rho": 0.95}})
    assert changed.learned_from["loss"] == study.runs[0].learned_from["loss"] | {"rho": 0.95}


def test_later_keys_are_left_out_at_any_depth():
    class Inner(Section):
        old: int = 1
        new: Annotated[tuple[str, ...], LATER] = ()

    class Outer(Section):
        inner: Inner | None = None
        many: tuple[Inner, ...] = ()
        new: Annotated[tuple[int, ...], LATER] = ()

    assert Outer().hashed() == {"inner": None, "many": []}
    whole = Outer(inner=Inner(), many=(Inner(new=("a",)), Inner(old=2)), new=(3,))
    assert whole.hashed(exclude={"many": {0: {"old"}}}) == {
        "inner": {"old": 1},
        "many": [{"new": ["a"]}, {"old": 2}],
        "new": [3],
    }


def test_a_new_way_to_measure_trains_no_network_again(monkeypatch):
    kinds = ("stack", "training", "map", "sweep", "results")
    before = {kind: fingerprint(kind, "x") for kind in kinds}
    monkeypatch.setattr(fingerprints, "METHOD_VERSION", 99)
    assert {kind for kind in kinds if fingerprint(kind, "x") == before[kind]} == {"stack", "training", "map"}


def test_what_was_done_again_and_came_out_the_same_keeps_the_first_fingerprint(tmp_path):
    folder = StudyFolder(tmp_path)
    with folder.stage("preprocess/sub-01", "first") as record:
        record["kept"] = 1
    folder.renew("preprocess/sub-01", "second")
    folder.renew("preprocess/sub-01", "third", {"found": 2, "fingerprint": "never this"})
    marker = folder.finished("preprocess/sub-01")
    assert (marker["fingerprint"], marker["unchanged_since"], marker["kept"]) == ("third", "first", 1)
    assert marker["found"] == 2
    with folder.stage("preprocess/sub-01", "fourth"):
        pass
    assert "unchanged_since" not in folder.finished("preprocess/sub-01")


def test_the_golden_hashes_are_those_of_distinct_things():
    golden = read_json(GOLDEN)
    marks = [*golden["stacks"].values(), *golden["marks"].values()]
    assert len(set(marks)) == len(marks)
