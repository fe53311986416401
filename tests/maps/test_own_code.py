"""Metrics, objectives and rules of the user for maps of any tool: functions and import paths, from the CLI too."""

import sys

import numpy as np
import pandas as pd
import pytest

import cordlesion
from cordlesion.io.import_path import import_object
from cordlesion.io.volume import Volume, write_volume

MODULE = '''
from typing import Literal, Self

import numpy as np
import pandas as pd

from cordlesion import ThresholdRule


def jaccard(reference, prediction, spacing_mm):
    either = (reference | prediction).sum()
    return (reference & prediction).sum() / either if reference.any() else float("nan")


def worst(jaccard):
    return np.nanmin(jaccard, axis=-2)


class Picky(ThresholdRule):
    """Cannot use maps with more voxels than it was tried on, and changes the map it gets."""

    rule: Literal["own_code:Picky"] = "own_code:Picky"
    way: str

    @classmethod
    def fit(cls, sweep: pd.DataFrame, objective: str) -> Self:
        return cls(way="fail")

    def threshold_in(self, probability, spacing_mm):
        probability[:] = 1
        return "high" if probability.size == 1000 and self.way == "text" else 0.3

    def binarize(self, probability, spacing_mm):
        if probability.size == 1000:
            if self.way == "fail":
                raise ValueError("too\\nlarge")
            if self.way == "exit":
                raise SystemExit(3)
            if self.way == "part":
                return probability[1:] > 0.3
        mask = probability > 0.3
        probability[:] = 0
        return mask

    @property
    def summary(self) -> str:
        return "picky" if self.way != "silent" else 1 / 0

    def describe(self) -> str:
        return "picky"


class PerScan(ThresholdRule):
    """A voxel is lesion when p reaches a share of the highest p of its scan."""

    rule: Literal["own_code:PerScan"] = "own_code:PerScan"
    share: float

    @classmethod
    def fit(cls, sweep: pd.DataFrame, objective: str) -> Self:
        return cls(share=0.5)

    def threshold_in(self, probability, spacing_mm) -> float:
        return self.share * float(probability.max())

    @property
    def summary(self) -> str:
        return f"{self.share:g} of the highest p"

    def describe(self) -> str:
        return "fitted on four scans"
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_code.py").write_text(MODULE)
    rng = np.random.default_rng(2)
    for number in range(6):
        lesion = np.zeros((8, 8, 8), bool)
        lesion[2:5, 2 : 4 + number % 3, 2:6] = number < 5
        p = (0.5 * lesion * rng.uniform(0.4, 1) + rng.uniform(0, 0.3, lesion.shape)).astype(np.float32)
        for kind, data in (("labels", lesion.astype(np.uint8)), ("maps", p)):
            (tmp_path / kind).mkdir(exist_ok=True)
            write_volume(tmp_path / kind / f"sub-{number}.nii.gz", data, Volume(lesion, np.eye(4)))
    yield tmp_path
    sys.modules.pop("own_code", None)


def arrays(folder, number):
    reference = cordlesion.read_mask(folder / "labels" / f"sub-{number}.nii.gz").data > 0
    return reference, cordlesion.read_probability(folder / "maps" / f"sub-{number}.nii.gz").data


def jaccard_at(folder, number, t):
    reference, p = arrays(folder, number)
    mask = p >= np.float32(t)
    return (reference & mask).sum() / (reference | mask).sum() if reference.any() else np.nan


def test_a_metric_is_a_column_and_an_objective_chooses_by_it(folder, cli):
    files = ("--reference", "labels", "--probability", "maps")
    objective = ("--objective", "own_code:worst", "--metric", "own_code:jaccard")
    assert cli("tune", *files, *objective, "-o", "thresholds.json", "-q").status == 0
    choice = cordlesion.tune_files("labels", "maps", objective="own_code:worst", metrics=["own_code:jaccard"])
    lowest = {t: min(jaccard_at(folder, number, t) for number in range(5)) for t in choice.curve["threshold"]}
    np.testing.assert_allclose(choice.curve["score"], list(lowest.values()))
    assert lowest[choice.value] == choice.score == max(lowest.values())
    assert choice.objective == "own_code:worst"
    ended = cli(
        "evaluate", *files, "--threshold", "thresholds.json", "--metric", "own_code:jaccard", "-o", "m.tsv", "-q"
    )
    assert ended.status == 0, ended.error
    table = cordlesion.read_table("m.tsv").set_index("scan_id")
    expected = [jaccard_at(folder, number, choice.value) for number in range(6)]
    np.testing.assert_allclose(table["jaccard"], expected)
    compared = cordlesion.compare_files("m.tsv", "m.tsv", metrics=["jaccard"]).table.set_index("metric")
    assert compared.loc["jaccard", "n_pairs"] == 5
    assert compared.loc["jaccard", "median_first"] == pytest.approx(np.nanmedian(expected))
    ended = cli("compare", "m.tsv", "m.tsv", "--metric", "absent")
    assert ended.status == 2
    assert "m.tsv: has no further metric absent for --metric, and its further metrics are jaccard" in ended.error


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        (["hd95_mm"], "m.tsv: has no further metric hd95_mm for --metric, and its further metrics are jaccard; a"),
        (["jaccard", "jaccard"], "--metric jaccard is given twice; each metric is compared once"),
        (["voxel_f1"], "--metric voxel_f1 is compared in any case"),
        (["n_predicted_lesions"], "m.tsv: has no further metric n_predicted_lesions"),
        (["subject"], "m.tsv: has no further metric subject"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_compare_names_the_metrics_that_a_table_has(metrics, sentence):
    cordlesion.evaluate_files("labels", probability="maps", threshold=0.3, metrics=["own_code:jaccard"], output="m.tsv")
    with pytest.raises(cordlesion.CordlesionError, match=sentence):
        cordlesion.compare_files("m.tsv", "m.tsv", metrics=metrics)


def test_functions_are_taken_as_they_are(folder):
    def found_share(lesion_sensitivity):
        return np.nanmean(lesion_sensitivity, axis=-2)

    def voxels(reference, prediction, spacing_mm):  # noqa: ARG001 - every metric gets them
        return int(prediction.sum())

    choice = cordlesion.tune_files("labels", "maps", objective=found_share)
    assert (choice.objective, choice.goal.title) == ("found share", "found share")
    table = cordlesion.evaluate_files("labels", probability="maps", threshold=0.3, metrics=[voxels]).table
    assert table["voxels"].tolist() == [int((arrays(folder, n)[1] >= np.float32(0.3)).sum()) for n in range(6)]


def test_metrics_of_the_field_are_named_where_own_ones_are(folder, cli):
    files = ("--reference", "labels", "--probability", "maps")
    named = ("--metric", "nsd", "--metric", "hd95_mm", "--metric", "own_code:jaccard")
    ended = cli("evaluate", *files, "--threshold", "0.3", *named, "-o", "m.tsv", "-q")
    assert ended.status == 0, ended.error
    table = cordlesion.read_table("m.tsv")
    assert {"nsd", "hd95_mm", "jaccard"} < set(table)
    expected = []
    for number in range(6):
        reference, p = arrays(folder, number)
        found = cordlesion.metrics.surface_distances(reference, p >= np.float32(0.3), (1, 1, 1))
        expected.append((found.within, found.hausdorff95_mm))
    np.testing.assert_allclose(table[["nsd", "hd95_mm"]], expected)
    choice = cordlesion.tune_files("labels", "maps", objective="mean_nsd", metrics=["nsd"])
    assert choice.score == choice.curve["score"].max() > 0
    swept = cordlesion.sweep_maps([arrays(folder, 0)[0]], [arrays(folder, 0)[1]], (1, 1, 1), metrics=["nsd"])
    assert swept["nsd"].between(0, 1).all()


def test_a_rule_of_the_user_cuts_maps_where_its_folder_is_given(folder, cli):
    table = pd.DataFrame()
    cordlesion.write_rule(import_object("own_code:PerScan", folder).fit(table, "mean_voxel_f1"), "rule.json")
    sys.modules.pop("own_code")
    cut = ("cut", "--probability", "maps", "--threshold", "rule.json", "-o", "masks", "-q")
    refused = cli(*cut)
    assert refused.status == 2
    assert "rule.json: its threshold rule is own_code:PerScan, Python code from outside" in refused.error
    assert "own_code" not in sys.modules
    assert cli(*cut, "--code", folder).status == 0
    for number in range(6):
        (mask,) = (folder / "masks").glob(f"sub-{number}*.nii.gz")
        p = arrays(folder, number)[1]
        np.testing.assert_array_equal(cordlesion.read_mask(mask).data > 0, p >= np.float32(0.5 * float(p.max())))
    own = cordlesion.evaluate_files("labels", probability="maps", threshold="rule.json", code=folder).table
    assert own["voxel_f1"].median() > 0.5
    (folder / "own_code.py").write_text(MODULE + "# later\n")
    assert "not the one that it was fitted with" in cli(*cut, "--code", folder).error


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("fail", "fails on a map (ValueError: too large)."), ("exit", "fails on a map (SystemExit: 3)."),
        ("part", "makes no boolean mask of the shape of its map."), ("text", "fails on a map (ValueError: could not"),
    ],
)  # fmt: skip
def test_a_map_on_which_the_rule_of_the_user_fails_is_excluded(folder, way, reason):
    picky = import_object("own_code:Picky", folder)
    cordlesion.write_rule(picky(way=way), "rule.json")
    other, labelled = np.full((10, 10, 10), 0.4, np.float32), np.ones((10, 10, 10), np.uint8)
    for kind, data in (("labels", labelled), ("maps", other)):
        write_volume(folder / kind / "sub-9.nii.gz", data, Volume(other, np.eye(4)))
    cut = cordlesion.cut_files("maps", "rule.json", "masks", code=folder)
    own = cordlesion.evaluate_files("labels", probability="maps", threshold="rule.json", code=folder)
    for done in (cut, own):
        assert done.table["scan_id"].tolist() == [f"sub-{n}" for n in range(6)]
        assert list(done.excluded) == ["sub-9"]
        assert done.excluded["sub-9"].startswith(f"maps/sub-9.nii.gz: The threshold rule own_code:Picky {reason}")
    for number in range(6):
        (mask,) = (folder / "masks").glob(f"sub-{number}*.nii.gz")
        np.testing.assert_array_equal(cordlesion.read_mask(mask).data > 0, arrays(folder, number)[1] > 0.3)
    assert not list((folder / "masks").glob("sub-9*"))


def test_a_rule_that_cannot_say_what_it_is_is_refused_at_once(folder):
    with pytest.raises(cordlesion.CordlesionError, match=r"fails when it is written to a file \(ZeroDivisionError"):
        cordlesion.write_rule(import_object("own_code:Picky", folder)(way="silent"), "rule.json")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--metric", "own_code:absent"), "the module own_code has no absent"),
        (("--metric", "own_code:jaccard", "--metric", "own_code:jaccard"), "The metric jaccard is named twice"),
        (("--metric", "hd95_mm", "--metric", "hd95_mm"), "The metric hd95_mm is named twice"),
        (("--metric", "hd95"), "'hd95' is no metric; one of hd95_mm, "),
        (("--metric", "hd95_mm", "--objective", "mean_hd95_mm"), "of which a lower value is better"),
        (("--objective", "own_code:worst"), "The objective worst reads jaccard, which no metric has"),
    ],
)
def test_mistakes_get_a_sentence(folder, cli, options, sentence):
    ended = cli("tune", "--reference", "labels", "--probability", "maps", "-o", "t.json", *options)
    assert ended.status == 2
    assert sentence in ended.error
    assert not (folder / "t.json").exists()
