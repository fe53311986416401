"""Every public function and class has an example in its docstring, and the example runs."""

import doctest
import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import cordlesion
from cordlesion.model.bundle import save_bundle
from support.images import write_image
from support.models import untrained_bundle
from support.tiny import make_cohort

DOCUMENTED = [name for name in cordlesion.__all__ if callable(getattr(cordlesion, name))]


def examples_of(name: str) -> list[doctest.DocTest]:
    """The examples of a public object, and of its public methods."""
    found = doctest.DocTestFinder().find(getattr(cordlesion, name), name)
    return [test for test in found if test.examples]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, fake_study) -> Path:
    """The folder in which examples run: the files that they name."""
    folder = tmp_path_factory.mktemp("examples")
    make_cohort(folder)
    anat, labels = (folder / "cohort" / part / "sub-01/anat" for part in ("", "derivatives/labels"))
    shutil.copy(anat / "sub-01_T2w.nii.gz", folder / "scan.nii.gz")
    shutil.copy(labels / "sub-01_label-centerline_seg.nii.gz", folder / "centerline.nii.gz")
    shutil.copy(labels / "sub-01_label-lesion_seg.nii.gz", folder / "mask.nii.gz")
    write_maps(folder)
    save_bundle(folder / "bundle", untrained_bundle())
    shutil.copytree(fake_study.folder, folder / "finished_study")
    return folder


def write_maps(folder: Path) -> None:
    """References, maps and masks of ten scans, two tables of metrics, and a softmax export."""
    for number in range(10):
        lesion = np.zeros((24, 24, 40), np.float32)
        lesion[10:15, 10:15, 10 + number : 20 + number] = 1
        p = ((0.5 + number / 40) * ndimage.gaussian_filter(lesion, 0.8)).astype(np.float32)
        name = f"sub-{number:02d}_label-lesion"
        write_image(folder / "references" / f"{name}_seg.nii.gz", lesion.astype(np.uint8))
        write_image(folder / "maps" / f"{name}_probseg.nii.gz", p)
        for masks, cut in (("masks", 0.28), ("other_masks", 0.4 + number / 100)):
            write_image(folder / masks / f"{name}_mask.nii.gz", (p >= cut).astype(np.uint8))
    repeats = [f"sub-{number:02d}\t{number // 2}\tperson-{number // 2}\n" for number in range(10)]
    (folder / "repeats.tsv").write_text("scan\trepeat\tparticipant_id\n" + "".join(repeats))
    write_image(folder / "map.nii.gz", p)
    np.savez(folder / "export.npz", probabilities=np.stack([1 - p, p]).transpose(0, 3, 2, 1))
    for masks, table in (("masks", "metrics.tsv"), ("other_masks", "other_metrics.tsv")):
        cordlesion.evaluate_files(folder / "references", folder / masks, output=folder / table)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_example_of_a_public_name_runs(name, files, monkeypatch):
    monkeypatch.chdir(files)
    tests = examples_of(name)
    assert tests, f"{name} has no example in its docstring"
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    printed: list[str] = []
    for test in tests:
        runner.run(test, out=printed.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(printed)


def test_constants_and_modules_are_all_that_has_no_example():
    others = {name for name in cordlesion.__all__ if name not in DOCUMENTED}
    modules = {name for name in others if inspect.ismodule(getattr(cordlesion, name))}
    assert modules == {"config", "losses"}
    assert {name for name in others - modules if not name.isupper()} == {"__version__"}
