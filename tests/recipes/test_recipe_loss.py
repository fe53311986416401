"""CONTRIBUTING's recipe for a loss: a function, a row of the table, and its formula for the tests."""

from pathlib import Path

import pytest

from support.package_copy import PackageCopy

FUNCTION = '''
@in_float32
def jaccard(logits: Tensor, lesion: Tensor, *, smooth: float = 1.0, per_patch: bool = False) -> Tensor:
    """Jaccard loss, ``1 - (TP + s) / (TP + FP + FN + s)``."""
    tp, fp, fn = soft_counts(logits, lesion, per_patch=per_patch)
    return ((fp + fn) / (tp + fp + fn + smooth)).mean()


@in_float32
def lovasz_hinge('''
ROW = """    }
)
\"\"\"The seven losses"""
NEW_ROW = """        "jaccard": LossSpec(
            f"{_HERE}.overlap:jaccard",
            label="Jaccard",
            references=("berman2018",),
            formula="1 - (TP + s) / (TP + FP + FN + s)",
            overlap="smoothed",
        ),
"""
FORMULA = """
def jaccard(p, y):
    tp, fn, fp = np.sum(p * y), np.sum((1 - p) * y), np.sum(p * (1 - y))
    return 1 - (tp + 1) / (tp + fn + fp + 1)


FORMULAS = {"""
CONTRACT = (
    "tests/losses/test_losses.py",
    "tests/losses/test_losses_page.py",
    "tests/losses/test_make_loss.py",
    "tests/report/methods/test_methods_text.py",
    "tests/pictures/test_style.py",
)


@pytest.mark.slow
def test_a_loss_is_a_function_a_row_and_a_formula(tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    copy.copy_tests()
    copy.replace("losses/overlap.py", "\n@in_float32\ndef lovasz_hinge(", FUNCTION)
    copy.replace("losses/table.py", ROW, NEW_ROW + ROW)
    copy.replace_in_tests("losses/loss_formulas.py", "\nFORMULAS = {", FORMULA)
    last = '    "cc_dice_ce": cc_dice_ce,\n'
    copy.replace_in_tests("losses/loss_formulas.py", last, f'{last}    "jaccard": jaccard,\n')
    # The pictures of the page take minutes: `python docs/plot_losses.py` draws them.
    ran = copy.test("-k", "jaccard or has_a_formula or not (test_losses.py or panel)", *CONTRACT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    code = "from cordlesion.pictures.style import loss_name; print(loss_name('jaccard'))"
    assert copy.python("-c", code).stdout == "Jaccard\n"
