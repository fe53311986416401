import math

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.evaluation import METRICS
from cordlesion.io import tables
from cordlesion.io.tables import read_in_parts, read_table, table_in_parts, write_table

SPEC = METRICS.only(("scan_id", "subject", "voxel_f1"))


scores = st.one_of(st.just(math.nan), st.floats(0, 1), st.floats(-1e9, 1e9))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text("ab01_-", min_size=1), st.sampled_from(["", "01", "NA", "nan"]), scores), min_size=1))
def test_tables_survive_writing_digit_by_digit(tmp_path_factory, rows):
    table = pd.DataFrame(rows, columns=["scan_id", "session", "voxel_f1"])
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    write_table(path, table)
    again = read_table(path, ("scan_id",))
    pd.testing.assert_frame_equal(again, table, check_dtype=False, check_exact=True)


def test_undefined_values_are_written_as_bids_wants_them(tmp_path):
    write_table(tmp_path / "t.tsv", pd.DataFrame({"scan_id": ["sub-01"], "voxel_f1": [math.nan]}))
    assert (tmp_path / "t.tsv").read_text() == "scan_id\tvoxel_f1\nsub-01\tn/a\n"


def test_identifiers_stay_text(tmp_path):
    (tmp_path / "t.tsv").write_text("scan_id\tsubject\tsession\tsite\n007\t007\t01\t3\n")
    row = read_table(tmp_path / "t.tsv").iloc[0]
    assert row.tolist() == ["007", "007", "01", "3"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a table"),
        (b"\xff\xfe\x00", "not a table.*Save it in UTF-8"),
        (b"scan_id\tsubject\na\tb\nc\td\te\tf\n", "not a table"),
        (b"scan_id\nsub-01\n", "lacks the columns subject"),
        (b"scan_id\tsubject\tvoxel_f1\na\ta\tgood\n", "the column voxel_f1 holds text"),
    ],
)
def test_a_damaged_table_gets_a_sentence(tmp_path, content, fault):
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(CordlesionError, match=rf"t\.tsv: {fault}"):
        read_table(tmp_path / "t.tsv", SPEC if b"voxel_f1" in content else ("scan_id", "subject"))
    with pytest.raises(CordlesionError, match=r"absent\.tsv: no such file"):
        read_table(tmp_path / "absent.tsv")


def test_an_empty_table_is_a_table(tmp_path):
    write_table(tmp_path / "t.tsv", pd.DataFrame(columns=["scan_id", "subject", "voxel_f1"]))
    assert read_table(tmp_path / "t.tsv", ("scan_id", "subject")).empty


def _rows(loss, seed, n_scans, **more):
    return pd.DataFrame(
        {
            "scan_id": [f"sub-{n}" for n in range(n_scans)],
            "set": "test",
            "loss": loss,
            "seed": seed,
            "threshold": [0.1 * n for n in range(n_scans)],
            "voxel_f1": [math.nan, *(n / 7 for n in range(1, n_scans))],
            "n_reference_lesions": range(n_scans),
            **more,
        }
    )


def test_a_table_written_in_parts_is_the_table_written_at_once(tmp_path):
    parts = [_rows("bce", 0, 5, minimum_volume_mm3=3.0), _rows("dice", 1, 4, minimum_volume_mm3=0.5)]
    parts += [_rows("brought", None, 3).assign(threshold=math.nan)]
    for number, part in enumerate(parts):
        write_table(tmp_path / f"{number}.tsv", part)
    read = [read_table(tmp_path / f"{number}.tsv") for number in range(len(parts))]
    write_table(tmp_path / "once.tsv", pd.concat(read, ignore_index=True))
    with table_in_parts(tmp_path / "parts.tsv") as append:
        for part in read:
            append(part)
    assert (tmp_path / "parts.tsv").read_bytes() == (tmp_path / "once.tsv").read_bytes()


def test_a_table_whose_parts_fail_is_not_written(tmp_path):
    (tmp_path / "t.tsv").write_text("before")

    def fail():
        with table_in_parts(tmp_path / "t.tsv") as append:
            append(_rows("bce", 0, 2))
            raise CordlesionError("no scan")

    with pytest.raises(CordlesionError, match="no scan"):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("t.tsv", "before")]


@pytest.mark.parametrize("n_rows", [1, 3, 4, 100])
def test_a_table_read_in_parts_keeps_neighbours_together_and_loses_nothing(tmp_path, monkeypatch, n_rows):
    monkeypatch.setattr(tables, "_PART_ROWS", n_rows)
    groups = [("bce", 0, 4), ("bce", 1, 1), ("dice", 0, 6), ("brought", None, 3)]
    write_table(tmp_path / "t.tsv", pd.concat([_rows(*group) for group in groups]))
    parts = list(read_in_parts(tmp_path / "t.tsv", ["loss", "seed"]))
    pd.testing.assert_frame_equal(
        pd.concat(parts, ignore_index=True), read_table(tmp_path / "t.tsv"), check_dtype=False
    )
    owners = [(loss, str(seed)) for part in parts for loss, seed in part[["loss", "seed"]].drop_duplicates().values]
    assert len(owners) == len(set(owners)) == len(groups)
    if n_rows < 4:
        assert max(map(len, parts)) <= 6 + n_rows


def test_an_empty_table_is_one_empty_part(tmp_path):
    write_table(tmp_path / "t.tsv", _rows("bce", 0, 2).iloc[:0])
    assert [len(part) for part in read_in_parts(tmp_path / "t.tsv", ["loss", "seed"])] == [0]


def test_a_declared_table_is_written_in_its_order_and_added_columns_come_last(tmp_path):
    table = pd.DataFrame({"note": ["x"], "voxel_f1": [0.5], "subject": ["sub-01"], "scan_id": ["sub-01"]})
    write_table(tmp_path / "t.tsv", table, SPEC)
    with table_in_parts(tmp_path / "parts.tsv", SPEC) as append:
        append(table)
        append(table.drop(columns="note"))
    for name in ("t.tsv", "parts.tsv"):
        assert list(read_table(tmp_path / name)) == ["scan_id", "subject", "voxel_f1", "note"]
    with pytest.raises(ValueError, match="subject is missing"):
        write_table(tmp_path / "t.tsv", table.drop(columns="subject"), SPEC)


@pytest.mark.parametrize("seed", ["1e300", "9007199254740994.0", "inf"])
def test_a_seed_too_large_for_an_integer_stays_a_number(tmp_path, seed):
    (path := tmp_path / "a.tsv").write_text(f"loss\tseed\nbce\t{seed}\ndice\tn/a\n")
    assert pd.api.types.is_float_dtype(read_table(path)["seed"])


VALUES = {
    "float64": st.floats(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "object": st.one_of(
        st.text(max_size=4), st.none(), st.floats(), st.integers(), st.sampled_from(["a\tb", 'a"b', "\n"])
    ),
    "str": st.one_of(st.text(max_size=4), st.none()),
    "Int64": st.one_of(st.integers(-9, 9), st.none()),
    "float32": st.floats(width=32),
}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4), st.integers(0, 4))
def test_tables_have_the_bytes_of_pandas(tmp_path_factory, data, kinds, n_rows) -> None:
    columns = {
        f"{kind} {k}": pd.Series(data.draw(st.lists(VALUES[kind], min_size=n_rows, max_size=n_rows)), dtype=kind)
        for k, kind in enumerate(kinds)
    }
    table = pd.DataFrame(columns)
    expected = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    path = tmp_path_factory.mktemp("tables") / "table.tsv"
    write_table(path, table)
    assert path.read_bytes() == expected.encode("utf-8")
    with table_in_parts(path) as append:
        for start in range(n_rows):
            append(table.iloc[start : start + 1])
    assert path.read_bytes() == (expected.encode("utf-8") if n_rows else b"")
