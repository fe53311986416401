import pandas as pd

from cordlesion.io.formats import MISSING
from cordlesion.report.numbers import Numbers, compute_numbers
from cordlesion.report.tables.operation import operation_table
from cordlesion.study_folder.results import StudyResults


def without_scans(numbers: Numbers, **changes: object) -> Numbers:
    fields = vars(numbers) | {"operation": numbers.operation.assign(**changes)}
    return Numbers(**fields)


def test_every_model_has_a_row_for_each_threshold(results: StudyResults) -> None:
    numbers = compute_numbers(results)
    table = operation_table(results, numbers)
    assert table.columns[table.kind] == "Cut"
    for group, run in zip(table.groups, results.runs, strict=True):
        tuned, usual = group.rows
        assert (tuned[0].main, usual[0].main) == ("tuned", "usual")
        assert (tuned[1].main, usual[1].main) == (f"{results.tuned[run]:.2f}", "0.50")
        rows = numbers.operation[numbers.operation["loss"] == run.loss].set_index("tuned")
        for row, is_tuned in ((tuned, True), (usual, False)):
            assert row[2].main == f"{rows.loc[is_tuned, 'found']:.2f}"
            assert row[2].detail == f"({rows.loc[is_tuned, 'n_found']}/{rows.loc[is_tuned, 'n_lesions']})"
            assert row[3].main == f"{rows.loc[is_tuned, 'false']:.2f}"
            assert row[4].main == f"{rows.loc[is_tuned, 'n_clean']}/6"


def test_without_lesion_free_scans_nothing_is_said_of_them(results: StudyResults) -> None:
    table = operation_table(results, without_scans(compute_numbers(results), n_free=0))
    assert not [column for column in table.columns if "without lesions" in column]
    assert {len(row) for group in table.groups for row in group.rows} == {4}


def test_masks_are_as_given(results: StudyResults) -> None:
    numbers = compute_numbers(results)
    alone = numbers.operation[numbers.operation["tuned"]].assign(threshold=float("nan"))
    fields = vars(numbers) | {"operation": pd.DataFrame(alone)}
    for group in operation_table(results, Numbers(**fields)).groups:
        ((cut, t, *_),) = group.rows
        assert (cut.main, t.main) == ("as given", MISSING)
