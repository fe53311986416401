"""Tables of a study that are those of its methods, one below the other (no torch)."""

from collections.abc import Sequence

import pandas as pd

from cordlesion.config import Method
from cordlesion.io.columns import TableSpec
from cordlesion.io.tables import read_table, table_in_parts
from cordlesion.study_folder.folder import StudyFolder


def collect_table(
    folder: StudyFolder, spec: TableSpec, methods: Sequence[Method], first: Sequence[pd.DataFrame] = ()
) -> None:
    """Write a table of the study: the rows of its methods; none, and no earlier one, where no method has a row.

    Args:
        folder: The study's.
        spec: The table, of the study and of each method.
        methods: Those that have it.
        first: Rows above those of the methods.

    Raises:
        CordlesionError: The table of a method is missing or damaged.
    """
    path = folder.root / spec.file
    tables = [*first, *(read_table(folder.run(method.name) / spec.file, spec) for method in methods)]
    if not (filled := [table for table in tables if len(table)]):
        folder.remove([path])
        return
    with table_in_parts(path, spec) as append:
        for table in filled:
            append(table)
