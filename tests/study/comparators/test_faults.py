from pathlib import Path

from cordlesion.study.comparators.faults import group_faults


def fault(number: int, text: str) -> tuple[Path, Path, str]:
    file, image = Path(f"/npz/sub-{number}.npz"), Path(f"/raw/sub-{number}_T2w.nii.gz")
    return file, image, text.format(file=file, image=image)


def test_a_fault_that_many_files_share_is_reported_once():
    text = "{file}: has 2 classes, so there is no class 2; see {image}."
    faults = [fault(n, text) for n in range(10, 72)]
    assert group_faults(faults) == [
        "/npz/sub-10.npz and 61 more: has 2 classes, so there is no class 2; see /raw/sub-10_T2w.nii.gz."
    ]


def test_few_files_and_other_faults_are_reported_each():
    few = [fault(n, "{file}: is damaged.") for n in range(3)]
    many = [fault(n, "{file}: lies on another grid than {image}.") for n in range(3, 7)]
    reported = group_faults([few[0], *many, *few[1:], fault(9, "{file}: is a folder.")])
    assert reported == [
        *(f"/npz/sub-{n}.npz: is damaged." for n in range(3)),
        "/npz/sub-3.npz and 3 more: lies on another grid than /raw/sub-3_T2w.nii.gz.",
        "/npz/sub-9.npz: is a folder.",
    ]
