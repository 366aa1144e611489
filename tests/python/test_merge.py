"""Parquet files of other writers, merged: other readers see the same rows before and after, or they are refused by name."""

from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow
import pyarrow.parquet as parquet
import pytest

from merging import agree, counts, merge, rows_before, rows_by, table

OLD_PARQUET = Path(pyarrow.__file__).parent / "tests/data/parquet"
PLAIN = {"use_dictionary": False}
PYARROW: dict[str, dict[str, Any]] = {
    "version 1.0": {"version": "1.0", "compression": "none", "data_page_version": "1.0"},
    "version 2.4": {"version": "2.4", "compression": "snappy"},
    "version 2.6": {"version": "2.6", "compression": "zstd", "data_page_version": "2.0", "write_page_index": True},
    "gzip": {"compression": "gzip", "write_page_checksum": True},
    "lz4": {"compression": "lz4"},
    "small pages": {"data_page_size": 64, "row_group_size": 100, "dictionary_pagesize_limit": 64},
    "delta": PLAIN | {"column_encoding": {"number": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY"}},
    "delta lengths": PLAIN | {"column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY"}},
    "split": PLAIN | {"column_encoding": {"fraction": "BYTE_STREAM_SPLIT", "number": "BYTE_STREAM_SPLIT"}},
    "no statistics": {"write_statistics": False},
    "other names in lists": {"store_schema": False, "use_compliant_nested_type": False},
}


def write_all(folder: Path) -> list[Path]:
    """Files of all writers, of one schema."""
    files = []
    for name, options in PYARROW.items():
        files.append(folder / f"pyarrow {name}.parquet")
        parquet.write_table(table(1_000 * len(files), 700), files[-1], **options)
    for version in ["V1", "V2"]:
        for codec in ["uncompressed", "snappy", "gzip", "zstd", "lz4"]:
            rows = table(1_000 * len(files), 3_000)  # noqa: F841: DuckDB sees it
            files.append(folder / f"duckdb {version} {codec}.parquet")
            options = f"FORMAT parquet, CODEC {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048"
            duckdb.sql(f"COPY rows TO '{files[-1]}' ({options})")
    return files


def write_polars(folder: Path, first: int) -> list[Path]:
    files = []
    for codec in ["uncompressed", "snappy", "gzip", "zstd", "lz4"]:
        files.append(folder / f"polars {codec}.parquet")
        rows = polars.from_arrow(table(first + 1_000 * len(files), 900, with_maps=False))
        rows.write_parquet(files[-1], compression=codec, row_group_size=400, data_page_size=2_000)
    return files


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Files of one schema each."""
    folder = tmp_path_factory.mktemp("written")
    return {"all": write_all(folder), "polars": write_polars(folder, 0)}


@pytest.mark.parametrize(
    ("compression", "rows"),
    [("keep", 1_000_000), ("keep", 1_500), ("keep", 300), ("none", 1_500), ("snappy", 300), ("zstd", 300), ("gzip", 1_500)],
)
def test_files_of_all_writers(compression: str, rows: int, written: dict[str, list[Path]], tmp_path: Path) -> None:
    for name, files in written.items():
        to = tmp_path / f"merged {name}.parquet"
        found = merge(to, files, "--compression", compression, "--rows", str(rows), "--bloom-filter", "text")
        assert found["rows"] == sum(parquet.read_metadata(file).num_rows for file in files), found
        agree(to, files)
        merged = parquet.read_metadata(to)
        groups = [merged.row_group(group).num_rows for group in range(merged.num_row_groups)]
        assert max(groups) <= max(rows, 3_000), groups
        expected = rows_before("pyarrow", tuple(files))
        assert counts(to, "text = 'text 7'") == {sum("text 7" == row["text"] for row in expected)}
        assert counts(to, "n BETWEEN 2100 AND 2200") == {sum(2_100 <= row["n"] <= 2_200 for row in expected)}


def test_duckdb_and_pyarrow_and_polars_in_one(written: dict[str, list[Path]], tmp_path: Path) -> None:
    # Decimals of other widths, lists with other names, and no maps: they go together all the same.
    files = [*written["all"][::4], *written["polars"]]
    to = tmp_path / "merged.parquet"
    merge(to, files)
    # What Polars did not write is null.
    expected = [{"map": None} | row for row in rows_before("pyarrow", tuple(files))]
    assert rows_by("pyarrow", [to]) == rows_by("Spark", [to]) == expected


def test_every_type_of_duckdb(tmp_path: Path) -> None:
    described = duckdb.sql("DESCRIBE SELECT * FROM test_all_types()").fetchall()
    merged = 0
    for name, *_ in described:
        if name == "empty_struct":
            continue  # DuckDB does not write it.
        file, to = tmp_path / f"{name}.parquet", tmp_path / f"{name} merged.parquet"
        duckdb.sql(f"""COPY (SELECT "{name}" FROM test_all_types()) TO '{file}' (FORMAT parquet)""")
        found = merge(to, [file, file])
        if name == "geometry":
            assert "column geo" in found["refused"], found
            continue
        assert found.get("rows") == 6, (name, found)
        text = "SELECT COLUMNS(*)::VARCHAR FROM read_parquet('{}')".format
        assert duckdb.sql(text(to)).fetchall() == duckdb.sql(text(file)).fetchall() * 2, name
        merged += 1
    assert merged > 40


def test_every_type_of_duckdb_sorted(tmp_path: Path) -> None:
    described = duckdb.sql("DESCRIBE SELECT * FROM test_all_types()").fetchall()
    refused = set()
    for name, *_ in described:
        if name == "empty_struct":
            continue
        file, to = tmp_path / f"{name}.parquet", tmp_path / f"{name} sorted.parquet"
        duckdb.sql(f"""COPY (SELECT range AS place, "{name}" FROM test_all_types() POSITIONAL JOIN range(3)) TO '{file}'""")
        found = merge(to, [file, file], "--sort-by", "place")
        if "refused" in found:
            refused.add(name)
            continue
        text = "SELECT COLUMNS(*)::VARCHAR FROM read_parquet('{}')".format
        rows = duckdb.sql(text(file)).fetchall()
        assert duckdb.sql(text(to)).fetchall() == [row for row in rows for _ in range(2)], name
    # Arrow's type cannot represent the months of an interval, and geometries are declared in metadata.
    assert refused == {"interval", "geometry"}


def test_sorted(written: dict[str, list[Path]], tmp_path: Path) -> None:
    for name, files in written.items():
        to = tmp_path / f"{name}.parquet"
        merge(to, files, "--sort-by", "flag", "--sort-by", "text", "--rows", "5000")
        expected = sorted(rows_before("pyarrow", tuple(files)), key=lambda row: (row["flag"], row["text"] is None, row["text"] or ""))
        assert rows_by("pyarrow", [to]) == rows_by("Spark", [to]) == expected


def test_old_writers(tmp_path: Path) -> None:
    files = sorted(OLD_PARQUET.glob("*.parquet"))
    assert len(files) == 4
    for file in files:
        to = tmp_path / file.name
        found = merge(to, [file, file])
        assert found["rows"] == 2 * parquet.read_metadata(file).num_rows, (file, found)
        agree(to, [file, file], ["DuckDB", "pyarrow", "Spark"])


def test_int96(tmp_path: Path) -> None:
    old, new, to = tmp_path / "old.parquet", tmp_path / "new.parquet", tmp_path / "merged.parquet"
    parquet.write_table(table(0, 500), old, use_deprecated_int96_timestamps=True)
    parquet.write_table(table(500, 500), new)
    merge(to, [old, old])
    agree(to, [old, old])
    assert "int96" in str(parquet.read_metadata(to).schema)
    merge(to, [old, new])
    assert "int96" not in str(parquet.read_metadata(to).schema)
    agree(to, [old, new])


def test_files_without_rows(tmp_path: Path) -> None:
    empty, some, to = tmp_path / "empty.parquet", tmp_path / "some.parquet", tmp_path / "merged.parquet"
    parquet.write_table(table(0, 0), empty)
    with parquet.ParquetWriter(some, table(0, 0).schema) as writer:
        for first in range(3):
            writer.write_table(table(first, 0), row_group_size=10)
            writer.write_table(table(first, 10))
    merge(to, [empty, some, empty])
    agree(to, [empty, some, empty])
    assert parquet.read_metadata(to).num_row_groups == 1


def test_other_compressions_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "file.parquet"
    parquet.write_table(table(0, 10), file, compression="brotli")
    found = merge(tmp_path / "merged.parquet", [file, file])
    assert str(file) in found["refused"] and "brotli" in found["refused"], found


def test_schemas_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"a": [1], "b": ["x"]}), one)
    parquet.write_table(pyarrow.table({"a": [1], "b": [2]}), other)
    found = merge(tmp_path / "merged.parquet", [one, other])
    assert all(name in found["refused"] for name in [str(one), str(other), "column b"]), found
