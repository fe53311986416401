import ast
import importlib
from pathlib import Path

import pytest

from cordlesion.config import PreprocessConfig, StudyConfig
from cordlesion.dataset.scan import Scan
from cordlesion.io.fingerprints import fingerprint
from cordlesion.sct import contrasts as sct_contrast
from cordlesion.study import fingerprints, sets
from cordlesion.study.fingerprints import map_fingerprints, sweep_fingerprint, train_fingerprint
from cordlesion.study.sets import ClosedTest, FoldSets, Study
from cordlesion.study.stack_fingerprint import stack_fingerprint
from cordlesion.study_folder.folder import StudyFolder

HASHES = {"image": "i", "reference": "r", "cord_mask": "m", "centerline": "c", "centerline_network": "n"}


@pytest.mark.parametrize(
    ("config", "used"),
    [
        (PreprocessConfig(centerline="file"), {"image", "reference", "centerline"}),
        (PreprocessConfig(centerline="cord_mask"), {"image", "reference", "cord_mask"}),
        (PreprocessConfig(centerline=Path("t2_ctr.h5")), {"image", "reference", "centerline_network"}),
        (PreprocessConfig(region="foreground", centerline=Path("t2_ctr.h5")), {"image", "reference"}),
    ],
    ids=["centerline", "cord mask", "network", "foreground"],
)
def test_a_stack_depends_on_the_files_it_was_cut_from_and_no_others(config, used):
    before = stack_fingerprint(config, HASHES)
    assert {kind for kind in HASHES if stack_fingerprint(config, HASHES | {kind: "changed"}) != before} == used
    assert stack_fingerprint(config.model_copy(update={"spacing_mm": 0.7}), HASHES) != before


OURS = ("cord.finder", "cord.network", "cord.evidence", "cord.second_look")
OF_DETECTOR = {
    *("BORDER_MM", "FROM_BELOW", "PRIOR", "MIN_SD_SHARE", "NEIGHBOURHOODS", "NEIGHBOURS", "PARTS", "NOTHING"),
    *("AROUND_MM", "SHRINKAGES", "MAX_LOG_ODDS_AGAIN", "NEAR_CELLS", "MIN_LOG_ODDS_AGAIN"),
}
"""Constants that the curve through the map of SCT's network does not use."""
DRAWN = [PreprocessConfig(centerline=source) for source in ("file", "cord_mask")]


def test_a_stack_around_a_curve_of_ours_depends_on_the_detector(monkeypatch):
    config = PreprocessConfig(centerline="auto")
    before = stack_fingerprint(config, HASHES)
    assert {kind for kind in HASHES if stack_fingerprint(config, HASHES | {kind: "changed"}) != before} == {
        "image",
        "reference",
    }
    others = [stack_fingerprint(source, HASHES) for source in DRAWN]
    monkeypatch.setattr("cordlesion.cord.network.shipped_weights_hash", lambda: "other weights")
    assert stack_fingerprint(config, HASHES) != before
    assert [stack_fingerprint(source, HASHES) for source in DRAWN] == others


def written_constants(module: str) -> list[str]:
    """Names that are given a number at the top level of a module, read from its text."""
    tree = ast.parse(Path(importlib.import_module(f"cordlesion.{module}").__file__).read_text())
    given = [node for node in tree.body if isinstance(node, ast.Assign)]
    numbers = [node for node in given if isinstance(node.value, ast.Constant | ast.Tuple)]
    return [node.targets[0].id for node in numbers if not isinstance(getattr(node.value, "value", 0), str)]


@pytest.mark.parametrize("module", [*OURS, "cord.heatmap_curve", "sct.contrasts"])
def test_a_stack_depends_on_every_constant_of_its_finder(monkeypatch, module):
    names = written_constants(module)
    assert names
    network = PreprocessConfig(centerline=Path("t2_ctr.h5"))
    for name in names:
        ours = [PreprocessConfig(centerline="auto")] if module in OURS else []
        dependent, others = (ours, [*DRAWN, network]) if name in OF_DETECTOR else ([*ours, network], DRAWN)
        before = (
            [stack_fingerprint(config, HASHES) for config in dependent],
            [stack_fingerprint(config, HASHES) for config in others],
        )
        place = f"cordlesion.{module}.{name}"
        with monkeypatch.context() as patch:
            patch.setattr(place, 0.123)
            assert not {stack_fingerprint(config, HASHES) for config in dependent}.intersection(before[0]), name
            assert [stack_fingerprint(config, HASHES) for config in others] == before[1], name


def test_a_stack_depends_on_the_contrast_in_the_name_of_a_network(monkeypatch):
    t1, t2 = (PreprocessConfig(centerline=Path(f"weights/{name}_ctr.h5")) for name in ("t1", "t2"))
    elsewhere = PreprocessConfig(centerline=Path("t2_ctr.h5"))
    before = stack_fingerprint(t2, HASHES)
    assert stack_fingerprint(elsewhere, HASHES) == before
    assert stack_fingerprint(t1, HASHES) != before
    monkeypatch.setattr(sct_contrast, "CENTERLINE_CONTRASTS", sct_contrast.CENTERLINE_CONTRASTS | {"t2": (1.0, 2.0)})
    assert stack_fingerprint(t2, HASHES) not in (before, stack_fingerprint(t1, HASHES))


def test_a_stack_around_a_curve_of_sct_depends_on_its_version(monkeypatch, tmp_path):
    def mark(name: str, *programs: tuple[str, str]) -> str:
        for program, script in programs:
            (path := tmp_path / name / program).parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o700)
        monkeypatch.setenv("PATH", str(tmp_path / name))
        return stack_fingerprint(PreprocessConfig(centerline="sct"), HASHES)

    centerline, deepseg = ("sct_get_centerline", "exit 0"), ("sct_deepseg", "exit 0")
    installed = [
        mark("none"),
        mark("old", centerline),
        mark("six", centerline, ("sct_version", "echo 6.1")),
        mark("seven", centerline, ("sct_version", "echo 7.0")),
        mark("deepseg", deepseg, ("sct_version", "echo 7.0")),
    ]
    assert len(set(installed)) == len(installed)
    assert mark("again", centerline, deepseg, ("sct_version", "echo 6.1")) == installed[2]
    assert mark("broken", centerline, ("sct_version", "exit 1")) == installed[1]


def test_fingerprints_of_many_runs_and_scans_are_computed_once(monkeypatch, tmp_path):
    scans = tuple(Scan(f"sub-{n}", f"sub-{n}", "", "", Path(f"{n}.nii.gz")) for n in range(8))
    config = StudyConfig(name="s", dataset=tmp_path, output=tmp_path, losses=("bce", "dice"), seeds=(0, 1, 2))
    learning = {"train": scans[:4], "validation": scans[4:5], "threshold": scans[5:]}
    hashes = {scan.scan_id: {"image": scan.scan_id, "reference": "r"} for scan in scans}
    study = Study(config, StudyFolder(tmp_path), hashes, {None: FoldSets(None, learning, ClosedTest(()))}, {}, {})
    calls = {"stack": 0, "train": 0}

    def count(name, function):
        def counted(*arguments):
            calls[name] += 1
            return function(*arguments)

        return counted

    monkeypatch.setattr(sets, "stack_fingerprint", count("stack", stack_fingerprint))
    monkeypatch.setattr(fingerprints, "train_fingerprint", count("train", train_fingerprint))
    for run in config.runs:
        made = map_fingerprints(study, run, scans[5:])
        sweep_fingerprint(study, run, scans[5:])
    assert calls == {"stack": len(scans), "train": 2 * len(config.runs)}
    prediction = fingerprint("map", train_fingerprint(study, run), run.prediction.hashed())
    assert made[scans[6]] == fingerprint("map", prediction, stack_fingerprint(config.preprocess, hashes["sub-6"]))
