"""Parquet files that Spark wrote, by parquet-mr, merged alone and together with those of others."""

from pathlib import Path

import duckdb
import pyarrow.parquet as parquet
import pytest

import spark
from merging import agree, counts, merge, rows_before, rows_by, table

Options = dict[str, str]

TIMES = "spark.sql.parquet.outputTimestampType"
MICROS, MILLIS = {TIMES: "TIMESTAMP_MICROS"}, {TIMES: "TIMESTAMP_MILLIS"}
LEGACY = {"spark.sql.parquet.writeLegacyFormat": "true"}
PLAIN, VERSION_2 = {"parquet.enable.dictionary": "false"}, {"parquet.writer.version": "PARQUET_2_0"}
SMALL = {
    "parquet.page.size": "500",
    "parquet.page.row.count.limit": "50",
    "parquet.block.row.count.limit": "300",
    "parquet.dictionary.page.size": "200",
}
# By name: the session's settings, and the options of the writer.
WRITERS: dict[str, tuple[Options, Options]] = {
    "as Spark does": ({}, {}),
    "uncompressed": ({}, {"compression": "uncompressed"}),
    "micros, version 2, zstd": (MICROS, VERSION_2 | {"compression": "zstd"}),
    "millis, gzip": (MILLIS, {"compression": "gzip"}),
    "legacy": (LEGACY, {}),
    "legacy, version 2, gzip": (LEGACY | MICROS, VERSION_2 | {"compression": "gzip"}),
    "plain": ({}, PLAIN),
    "plain, version 2": ({}, PLAIN | VERSION_2),
    "plain, version 2, uncompressed": (MICROS, PLAIN | VERSION_2 | {"compression": "uncompressed"}),
    "small pages": ({}, SMALL),
    "small pages, version 2": (MICROS, SMALL | VERSION_2),
    "bloom filter and checksums": (MICROS, {"parquet.bloom.filter.enabled#text": "true", "parquet.page.write-checksum.enabled": "true"}),
}
ROWS = 700


def write(folder: Path, name: str, first: int, *columns: str, settings: Options, options: Options) -> Path:
    """A file of the rows that are numbered from `first`, their columns as Spark makes them."""
    source = folder / f"{name}.source.parquet"
    parquet.write_table(table(first, ROWS), source)
    frame = spark.session().read.parquet(str(source)).selectExpr(*columns).coalesce(1)
    (file,) = spark.write(frame, "parquet", folder / name, options=options, settings=settings)
    return file.rename(folder / f"{name}.parquet")


def write_all(folder: Path, *columns: str) -> dict[str, Path]:
    """A file by each way of writing."""
    return {
        name: write(folder, name, 1_000 * number, *columns, settings=settings, options=options)
        for number, (name, (settings, options)) in enumerate(WRITERS.items())
    }


@pytest.fixture(scope="module")
def zoned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files whose times are in UTC, as they are of Spark's type `timestamp`; nested, too."""
    times = "CAST(time + make_dt_interval(0, 0, 0, n % 1000 / 1000) AS TIMESTAMP) AS time"
    return write_all(
        tmp_path_factory.mktemp("zoned"),
        "* EXCEPT (time)",
        times,
        "array(CAST(time AS TIMESTAMP), NULL) AS times",
        "named_struct('at', CAST(time AS TIMESTAMP), 'by', text) AS seen",
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files whose times are in no zone, as others write them."""
    return write_all(tmp_path_factory.mktemp("local"), "*")


def has_int96(file: Path) -> bool:
    """Whether a file has a column of INT96."""
    return "int96" in str(parquet.read_metadata(file).schema)


@pytest.mark.parametrize("name", WRITERS)
def test_each_by_itself(name: str, zoned: dict[str, Path], tmp_path: Path) -> None:
    file, to = zoned[name], tmp_path / "merged.parquet"
    found = merge(to, [file, file])
    assert found.get("rows") == 2 * ROWS, found
    agree(to, [file, file])
    assert has_int96(to) == has_int96(file)


@pytest.mark.parametrize(
    ("compression", "rows"), [("keep", 1_000_000), ("keep", 1_500), ("none", 300), ("snappy", 1_500), ("zstd", 300), ("gzip", 1_500)]
)
def test_all_in_one(compression: str, rows: int, zoned: dict[str, Path], tmp_path: Path) -> None:
    files, to = list(zoned.values()), tmp_path / "merged.parquet"
    found = merge(to, files, "--compression", compression, "--rows", str(rows), "--bloom-filter", "text")
    assert found.get("rows") == ROWS * len(files), found
    agree(to, files)
    # Some files have other types of time.
    assert not has_int96(to)
    expected = rows_before("pyarrow", tuple(files))
    assert counts(to, "text = 'text 7'") == {sum("text 7" == row["text"] for row in expected)}
    assert counts(to, "n BETWEEN 2100 AND 2200") == {sum(2_100 <= row["n"] <= 2_200 for row in expected)}


def test_with_files_of_others(local: dict[str, Path], tmp_path: Path) -> None:
    others = []
    for version in ["1.0", "2.6"]:
        others.append(tmp_path / f"pyarrow {version}.parquet")
        parquet.write_table(table(50_000, 500), others[-1], version=version, use_deprecated_int96_timestamps=version == "1.0")
        rows = table(60_000, 500)  # noqa: F841: DuckDB sees it
        others.append(tmp_path / f"duckdb {version}.parquet")
        duckdb.sql(f"COPY rows TO '{others[-1]}' (FORMAT parquet, PARQUET_VERSION V{version[0]})")
    files, to = [*others, *local.values(), *others], tmp_path / "merged.parquet"
    found = merge(to, files, "--rows", "2000")
    assert found.get("rows") == 500 * 8 + ROWS * len(local), found
    agree(to, files)


def test_sorted(zoned: dict[str, Path], tmp_path: Path) -> None:
    files, to = [file for file in zoned.values() if not has_int96(file)], tmp_path / "sorted.parquet"
    assert len(files) > 4
    merge(to, files, "--sort-by", "flag", "--sort-by", "text", "--rows", "1000")
    for reader in ["pyarrow", "DuckDB", "Spark"]:
        rows = rows_before(reader, tuple(files))
        expected = sorted(rows, key=lambda row: (row["flag"], row["text"] is None, row["text"] or ""))
        assert rows_by(reader, [to]) == expected, reader
    int96 = zoned["as Spark does"]
    found = merge(to, [int96, int96], "--sort-by", "n")
    assert '"time" is an INT96' in found["refused"], found


def test_times_in_utc_and_in_no_zone_are_refused_by_name(
    zoned: dict[str, Path], local: dict[str, Path], tmp_path: Path
) -> None:
    one, other = zoned["micros, version 2, zstd"], local["as Spark does"]
    found = merge(tmp_path / "merged.parquet", [one, other])
    assert all(name in found["refused"] for name in [str(one), str(other), "column time"]), found


@pytest.mark.parametrize("codec", ["lz4", "lz4_raw"])
def test_lz4(codec: str, tmp_path: Path) -> None:
    file, to = write(tmp_path, codec, 0, "n", settings={}, options={"compression": codec}), tmp_path / "merged.parquet"
    assert merge(to, [file, file])["rows"] == 2 * ROWS
    agree(to, [file, file])


def test_lists_of_two_levels(tmp_path: Path) -> None:
    # Of what is never null, Spark's legacy format makes lists of two levels, as Hive and Avro did.
    columns = ["n", "transform(sequence(0, CAST(n AS INT) % 4), x -> 'in ' || x) AS some"]
    old = write(tmp_path, "old", 0, *columns, settings=LEGACY, options={})
    assert "repeated binary field_id=-1 array" in str(parquet.read_metadata(old).schema)
    to = tmp_path / "merged.parquet"
    assert merge(to, [old, old])["rows"] == 2 * ROWS
    agree(to, [old, old])
    new = write(tmp_path, "new", 0, *columns, settings={}, options={})
    found = merge(to, [old, new])
    if "refused" in found:
        assert all(name in found["refused"] for name in [str(old), str(new), "column some"]), found
    else:
        agree(to, [old, new])


@pytest.mark.parametrize("types", [MICROS, {}])
def test_days_of_the_calendar_of_old(types: Options, tmp_path: Path) -> None:
    modes = ["spark.sql.parquet.datetimeRebaseModeInWrite", "spark.sql.parquet.int96RebaseModeInWrite"]
    days = [
        "n",
        "DATE '1500-01-01' + CAST(n AS INT) AS day",
        "TIMESTAMP '1500-01-01 12:00:00' + make_dt_interval(CAST(n AS INT)) AS noon",
    ]
    old, new = (
        write(tmp_path, mode, 0, *days, settings=types | dict.fromkeys(modes, mode), options={})
        for mode in ["LEGACY", "CORRECTED"]
    )
    # The numbers in the files differ, and Spark alone knows why. The others cannot show INT96 of that time.
    assert rows_by("Spark", [old]) == rows_by("Spark", [new])
    assert rows_by("DuckDB", [old]) != rows_by("DuckDB", [new])
    for file in [old, new]:
        to = tmp_path / f"{file.stem} merged.parquet"
        assert merge(to, [file, file]).get("rows") == 2 * ROWS
        agree(to, [file, file], ["DuckDB", "Spark"])
    found = merge(tmp_path / "merged.parquet", [old, new])
    assert all(str(file) in found["refused"] for file in [old, new]) and "calendar" in found["refused"], found


def test_int96_of_the_calendar_of_old_stay_int96(tmp_path: Path) -> None:
    # A converted value would be interpreted in the calendar of other timestamps.
    modes = {"spark.sql.parquet.int96RebaseModeInWrite": "LEGACY"}
    time = "TIMESTAMP '1500-01-01 12:00:00' + make_dt_interval(CAST(n AS INT)) AS noon"
    old, other = (write(tmp_path, f"{len(types)}", 0, time, settings=types | modes, options={}) for types in [{}, MICROS])
    to = tmp_path / "merged.parquet"
    assert merge(to, [old, old]).get("rows") == 2 * ROWS
    agree(to, [old, old], ["DuckDB", "Spark"])
    found = merge(to, [old, other])
    assert str(old) in found["refused"] and "INT96" in found["refused"], found
