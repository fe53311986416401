"""Nothing foreign is touched; nothing damaged or replaced passes for a result; a full disk is no fault of a scan."""

import errno
import fcntl
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError, RunError
from cordlesion.execution.local import map_scans
from cordlesion.execution.outcome import Outcome, outcomes_or_fault, raise_run_fault
from cordlesion.execution.side_by_side import map_side_by_side
from cordlesion.explorer.export import export_explorer
from cordlesion.io import fingerprints, writing
from cordlesion.io.outputs import new_folder
from cordlesion.io.progress import shown
from cordlesion.io.reading import read_json
from cordlesion.io.writing import atomic_path, folder_lock, write_text
from cordlesion.report.page import write_report
from cordlesion.simulate.cohort import simulate_cohort
from cordlesion.study import outdated, stacks, status
from cordlesion.study import predict as maps
from cordlesion.study.run import run_study
from cordlesion.study.status import study_status
from cordlesion.study_folder.folder import StudyFolder, require_own_folder
from support.plain_report import without_pictures, write_without_pictures
from support.tiny import make_cohort

RUN = "bce_seed-0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = make_cohort(tmp_path_factory.mktemp("finished"))
    study.write_text(study.read_text().replace("[bce, tversky]", "[bce]").replace("epochs: 3", "epochs: 1"))
    with without_pictures():
        run_study(read_study(study))
    return study


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished.parent, tmp_path / "copy")
    return tmp_path / "copy" / finished.name


def folder_of(study: Path) -> StudyFolder:
    return StudyFolder(read_study(study).output)


def test_a_folder_that_is_no_study_is_refused_and_left_as_it_was(copy, tmp_path):
    mine = tmp_path / "mine"
    for name in ("figures/mine.pdf", "tables/mine.csv", "gallery/mine.svg", "report.html", "evaluation.tsv"):
        write_text(mine / name, "mine")
    before = sorted(path for path in mine.rglob("*"))
    copy.write_text(copy.read_text().replace("output: study", f"output: {mine}"))
    with pytest.raises(CordlesionError, match=r"mine: holds evaluation\.tsv, figures, gallery \.\.\. and no study"):
        run_study(read_study(copy), until="split")
    assert sorted(path for path in mine.rglob("*")) == before


@pytest.mark.parametrize(
    "names", [[], ["splits.tsv"], [".lock", "study.yaml", ".part-abcdefgh-splits.tsv"], [".done/x"]]
)
def test_a_folder_in_which_a_study_begins_or_is_under_way_is_taken(tmp_path, names):
    for name in names:
        write_text(tmp_path / name, "x")
    require_own_folder(tmp_path)
    require_own_folder(tmp_path / "new")


def test_files_that_others_put_into_a_study_stay_when_its_results_go(copy):
    folder = folder_of(copy)
    mine = [folder.root / name for name in ("figures/mine.pdf", "tables/mine.csv", "runs/mine/sweep.tsv")]
    mine += [folder.probability("sub-01", "mine"), folder.run(RUN) / "notes.txt"]
    for path in mine:
        write_text(path, "mine")
    assert (folder.root / "report.html").is_file()
    copy.write_text(copy.read_text() + "threshold: {objective: median_voxel_f1}\n")
    run_study(read_study(copy), until="split")
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)
    assert not (folder.root / "report.html").exists()
    assert sorted(path.name for path in (folder.root / "figures").iterdir()) == ["mine.pdf"]
    assert sorted(path.name for path in (folder.root / "tables").iterdir()) == ["mine.csv"]


def test_a_report_without_a_list_is_moved_as_it_is(copy, capsys):
    folder = folder_of(copy)
    folder.undo("report")
    write_text(folder.root / "figures" / "mine.pdf", "mine")
    copy.write_text(copy.read_text() + "threshold: {objective: median_voxel_f1}\n")
    with shown():
        run_study(read_study(copy), until="split")
    assert "the report of earlier results was moved to" in " ".join(capsys.readouterr().out.split())
    assert (folder.root / "report.replaced" / "figures" / "mine.pdf").read_text() == "mine"
    assert (folder.root / "report.replaced" / "report.html").is_file()
    assert not (folder.root / "figures").exists()


def test_results_of_an_earlier_version_are_named_before_they_are_made_again(copy, capsys, monkeypatch):
    for module in (fingerprints, outdated, status):
        monkeypatch.setattr(module, "METHOD_VERSION", 99)
    states = {stage: state for stage, _, state in study_status(folder_of(copy).root)}
    assert {states[stage] for stage in ("split", "preprocess", "train")} == {"done"}
    earlier = {states[stage] for stage in ("tune", "evaluate", "analyze", "report")}
    assert earlier == {"left: there is one made by an earlier version"}
    with shown():
        run_study(read_study(copy), until="split")
    assert "made by an earlier version of cordlesion" in " ".join(capsys.readouterr().out.split())


def test_a_report_that_is_written_again_removes_what_it_writes_no_more_and_nothing_else(copy):
    folder = folder_of(copy)
    write_text(folder.root / "tables" / "mine.csv", "mine")
    write_text(folder.root / "tables" / "stale.csv", "ours")
    marker = folder.root / ".done" / "report.json"
    marker.write_text(
        json.dumps({"fingerprint": "", "list": [*read_json(marker)["list"], "tables/stale.csv", "../study.yaml"]})
    )
    write_without_pictures(folder.root)
    assert not (folder.root / "tables" / "stale.csv").exists()
    assert (folder.root / "tables" / "mine.csv").is_file()
    assert copy.is_file()
    assert "tables/stale.csv" not in read_json(marker)["list"]


def test_an_exported_explorer_removes_only_what_it_wrote_and_follows_no_link(copy, tmp_path):
    folder = folder_of(copy)
    export_explorer(folder.root)
    data = folder.root / "explorer" / "data"
    write_text(data / "mine" / "scan.js", "mine")
    export_explorer(folder.root)
    assert (data / "mine" / "scan.js").read_text() == "mine"
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    with pytest.raises(CordlesionError, match="is a link"):
        export_explorer(folder.root)
    copy.write_text(copy.read_text() + "threshold: {objective: median_voxel_f1}\n")
    run_study(read_study(copy), until="split")
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before


@pytest.mark.parametrize(
    "place",
    [
        lambda folder: folder.stack("sub-01"),
        lambda folder: next(folder.derivatives.rglob("*_probseg.nii.gz")),
        lambda folder: next(folder.derivatives.rglob("*_mask.nii.gz")),
        lambda folder: folder.run_sweep(RUN, "test"),
        lambda folder: folder.bundle(RUN) / "model.safetensors",
    ],
    ids=["stack", "map", "mask", "sweep", "weights"],
)
def test_a_damaged_file_is_noticed_and_made_again(copy, place):
    folder = folder_of(copy)
    content = (path := place(folder)).read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    run_study(read_study(copy), until="evaluate")
    assert path.read_bytes() == content
    if path.name == "model.safetensors":
        (aside,) = (folder.root / "runs").glob(f"{RUN}.damaged-*")
        assert (aside / "bundle" / "model.safetensors").read_bytes() != content


def test_files_with_other_times_are_whole_all_the_same(copy):
    folder = folder_of(copy)
    os.utime(weights := folder.bundle(RUN) / "model.safetensors", (1, 1))
    run_study(read_study(copy), until="train")
    assert weights.stat().st_mtime == 1


@pytest.mark.parametrize(
    ("step", "kind", "until"),
    [
        ((stacks, "make_stack"), "image", "preprocess"),
        ((stacks, "make_stack"), "reference", "preprocess"),
        ((maps, "describe_map"), "image", "tune"),
        ((maps, "sweep_volumes"), "reference", "tune"),
    ],
    ids=[
        "image while stacks are cut",
        "reference while stacks are cut",
        "image while maps are made",
        "reference in sweep",
    ],
)
def test_a_file_that_is_replaced_during_a_run_ends_it(copy, monkeypatch, step, kind, until):
    config = read_study(copy)
    shutil.rmtree(config.output / "stacks" if until == "preprocess" else config.output / "derivatives")
    (config.output / ".done" / "sweep" / f"{RUN}_threshold.json").unlink()
    module, name = step
    real: Callable[..., object] = getattr(module, name)
    images = sorted(config.dataset.glob("sub-*/anat/*")), sorted(config.dataset.rglob("*lesion_seg*"))

    def replaced(*args: object, **kwargs: object) -> object:
        result = real(*args, **kwargs)
        for path in images[kind == "reference"]:
            with path.open("ab") as stream:
                stream.write(b"\0")
        return result

    monkeypatch.setattr(module, name, replaced)
    with pytest.raises(RunError, match="was replaced while the study ran"):
        run_study(config, until=until)


def test_a_stack_that_cannot_be_written_leaves_no_scan_out(copy):
    folder = folder_of(copy)
    folder.stack("sub-01").unlink()
    folder.stack("sub-01").mkdir()
    before = folder.finished(f"train/{RUN}")
    with pytest.raises(RunError, match=r"sub-01\.safetensors: cannot be written"):
        run_study(read_study(copy))
    assert folder.finished(f"train/{RUN}") == before
    assert folder.evaluation.is_file()


def end_run(number: int) -> int:
    if number == 1:
        raise RunError("the disk is full")
    return number


@pytest.mark.usefixtures("ready_processes")
def test_a_fault_of_the_run_is_noted_for_no_item_here_or_in_another_process():
    with pytest.raises(RunError, match="the disk is full"):
        map_scans(end_run, [0, 1, 2], "")
    with pytest.raises(RunError, match="the disk is full"):
        map_side_by_side(end_run, [0, 1], [None])
    outcomes = outcomes_or_fault(lambda: map_scans(end_run, [0, 1], ""), [0, 1])
    assert [outcome.ends_run for outcome in outcomes] == [True, True]
    with pytest.raises(RunError, match="the disk is full"):
        raise_run_fault([Outcome(0, 0), *outcomes])


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gets_a_remark(copy, monkeypatch, capsys, tmp_path, code):
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with shown():
        run_study(read_study(copy), until="split")
        simulate_cohort(tmp_path / "cohort", scans=1, jobs=1)
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("its file system has no locks") == 2
    assert printed.count(f"{folder_of(copy).root}: its file system") == 1


def test_a_lock_that_fails_for_another_reason_is_no_other_process(monkeypatch, tmp_path):
    def flock(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(CordlesionError, match=r"cannot be written \(Input/output error\)"), folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("content", ["[]", "3", "{", '"x"', '{"fingerprint": "m", "files": 3}', "[" * 100_000, "\xff"])
def test_a_damaged_marker_names_its_file(tmp_path, content):
    path = tmp_path / ".done" / "train" / f"{RUN}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(CordlesionError, match=rf"{path.name}: .*([Rr]emove it|Restore it)"):
        StudyFolder(tmp_path).finished(f"train/{RUN}")


def test_a_marker_without_what_it_has_kept_names_its_file(copy):
    path = folder_of(copy).root / ".done" / "inspect" / "sub-01.json"
    kept = read_json(path)["content"]
    for content in ({}, {"content": 3}, {"content": {"n": 1}}, {"content": kept | {"n_lesions": "3"}}):
        path.write_text(json.dumps({"fingerprint": read_json(path)["fingerprint"], **content}))
        with pytest.raises(CordlesionError, match=r"sub-01\.json: is no readable done-marker"):
            run_study(read_study(copy), until="split")


def test_what_cannot_be_removed_is_an_output_fault(tmp_path, monkeypatch):
    folder = StudyFolder(tmp_path)
    with folder.stage("split", "mark"):
        pass

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(RunError, match=r"split\.json: cannot be written \(Permission denied\)"):
        folder.undo("split")
    with pytest.raises(RunError, match="cannot be written"), atomic_path(tmp_path / "a") as temporary:
        raise PermissionError(errno.EACCES, f"{temporary}")


def test_status_of_a_study_with_a_damaged_manifest_or_without_rights_gets_a_sentence(copy, monkeypatch):
    manifest = folder_of(copy).manifest
    for content in ("[]", '{"scans": 3}', '{"excluded": []}'):
        manifest.write_text(content)
        with pytest.raises(CordlesionError, match=r"manifest\.json: is no manifest of a study"):
            study_status(folder_of(copy).root)

    def refused(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "is_file", refused)
    with pytest.raises(CordlesionError, match=r"study\.yaml: may not be read"):
        study_status(folder_of(copy).root)


def test_page_and_manifest_name_no_place_on_this_machine_and_no_times(finished, tmp_path):
    config = read_study(finished)
    page, manifest = (config.output / name for name in ("report.html", "manifest.json"))
    assert str(finished.parent) not in page.read_text(encoding="utf-8")
    assert str(finished.parent) not in manifest.read_text(encoding="utf-8")
    assert read_json(manifest)["scans"]["sub-01"]["image"] == "sub-01/anat/sub-01_T2w.nii.gz"
    elsewhere = shutil.copytree(finished.parent, tmp_path / "another place", ignore=shutil.ignore_patterns("study"))
    with without_pictures():
        run_study(read_study(elsewhere / finished.name))
    # But for the day of the evaluation, which may be another one around midnight.
    pages = [re.sub(r"<p class=\"meta\">.*? · ", "", one.read_text(encoding="utf-8"), count=1)
             for one in (page, elsewhere / "study" / "report.html")]  # fmt: skip
    assert pages[0] == pages[1]


def test_a_report_of_an_older_study_finds_its_scans_and_names_no_place_either(copy):
    config = read_study(read_study(copy).output / "study.yaml")
    content = read_json(path := copy.parent / "study" / "manifest.json")
    for files in content["scans"].values():
        files |= {kind: str(config.dataset / value) for kind, value in files.items() if isinstance(value, str)}
    path.write_text(json.dumps(content))
    write_report(path.parent)
    page = path.with_name("report.html").read_text(encoding="utf-8")
    assert str(config.dataset) not in page
    assert str(copy.parent) not in page
    assert '"image": "sub-01/anat/sub-01_T2w.nii.gz"' in html.unescape(page)


def test_what_a_killed_writer_left_goes_with_the_next_file_but_not_what_is_being_written(tmp_path):
    left, fresh, mine = (tmp_path / name for name in (".part-abcdefgh-a", ".part-12345678-b", ".part-of-my-work"))
    for path in (left, fresh, mine):
        path.write_text("x")
    for path in (left, mine):
        os.utime(path, (1, 1))
    with atomic_path(tmp_path / "c") as temporary:
        os.utime(temporary, (1, 1))
        writing._CLEANED.clear()
        write_text(tmp_path / "d", "d")
        assert temporary.exists()
    assert not left.exists()
    assert fresh.exists()
    assert mine.exists()


def test_a_new_folder_that_was_not_filled_is_filled_by_the_same_command(tmp_path):
    place = tmp_path / "new"
    write_text(place / "a", "half")
    write_text(place / ".part-abcdefgh-b", "less")
    write_text(place / ".unfinished", "as new_folder leaves it where it is killed")
    with new_folder(place):
        write_text(place / "a", "whole")
    assert [path.name for path in place.iterdir()] == ["a"]
    with pytest.raises(CordlesionError, match="is not empty; a new folder is needed"), new_folder(place):
        pass


SIMULATION = "from cordlesion.simulate.cohort import simulate_cohort as s; s({!r}, scans=4, jobs=2)"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_simulation_leaves_no_process_and_goes_on(tmp_path, monkeypatch, how):
    program = f"if __name__ == '__main__':\n    {SIMULATION.format(str(tmp_path / 'cohort'))}\n"
    (script := tmp_path / "simulate.py").write_text(program)
    with subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True) as process:
        for _ in range(1200):
            if list((tmp_path / "cohort").rglob("*_T2w.nii.gz")):
                break
            time.sleep(0.1)
        workers = children(process.pid)
        assert len(workers) >= 2
        process.send_signal(how)
        _, printed = process.communicate(timeout=120)
    for _ in range(100):
        if not [pid for pid in workers if Path(f"/proc/{pid}/cmdline").is_file() and is_running(pid)]:
            break
        time.sleep(0.1)
    assert not [pid for pid in workers if is_running(pid)]
    assert "BrokenProcessPool" not in printed
    write_text(tmp_path / "cohort" / ".part-abcdefgh-x", "left")
    monkeypatch.setattr("cordlesion.simulate.cohort.simulate_all", lambda *_: [])
    simulate_cohort(tmp_path / "cohort", scans=4)
    assert not list((tmp_path / "cohort").rglob(".part-*"))


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
