"""Parquet files to merge, what the merge makes of them, and whether all readers see the same rows before and after."""

import functools
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow

import spark
from readers import READERS, Row


def merge(to: Path, files: Sequence[Path], *options: str) -> dict[str, Any]:
    """What becomes of the files."""
    command = [os.environ["LAKEWRIGHT_MERGE"], "--to", str(to), *options, *map(str, files)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def table(first: int, rows: int, *, with_maps: bool = True) -> pyarrow.Table:
    """Rows of numbers, texts, times and what is made of them, numbered from `first`."""
    maps = "MAP {'a' || n % 3: n, 'z': NULL} AS map," if with_maps else ""
    return duckdb.sql(
        f"""
        SELECT n, CAST(n % 50 AS INTEGER) AS number, CASE WHEN n % 7 <> 0 THEN n * 1.5e0 END AS fraction,
               CASE WHEN n % 5 <> 0 THEN 'text ' || (n * 7919 % 400) END AS text,
               TIMESTAMP '2026-05-01' + INTERVAL (n) SECOND AS time, CAST(n / 100 AS DECIMAL(12, 2)) AS exact,
               n % 3 = 0 AS flag, CAST(DATE '2026-05-01' + CAST(n AS INTEGER) AS DATE) AS date,
               encode('b' || n % 9) AS bytes, CASE WHEN n % 4 <> 0 THEN [n, NULL, n + 1][:CAST(n % 4 AS BIGINT)] END AS list,
               {maps} CASE WHEN n % 6 <> 0 THEN {{'x': n % 11, 'y': 'in ' || n % 13}} END AS struct,
               [['deep ' || n], [], NULL] AS lists
        FROM range({first}, {first + rows}) AS r(n)
        """
    ).to_arrow_table()


def without_zone(value: Any) -> Any:
    """A value whose times do not say that they are in UTC: of INT96, not all readers do."""
    match value:
        case datetime():
            return value.replace(tzinfo=None)
        case dict():
            return {name: without_zone(member) for name, member in value.items()}
        case list() | tuple():
            return [without_zone(member) for member in value]
        case _:
            return value


def rows_by(reader: str, files: Sequence[Path]) -> list[Row]:
    """The rows of files, in their order."""
    return [without_zone(row) for rows in READERS[reader](files, []) for row in rows]


# The inputs do not change, and are merged repeatedly.
rows_before = functools.cache(rows_by)


def agree(to: Path, files: Sequence[Path], readers: Iterable[str] = READERS) -> None:
    """Fails unless every reader sees the rows of the files in the merged one, in their order."""
    for reader in readers:
        assert rows_by(reader, [to]) == rows_before(reader, tuple(files)), reader


def counts(file: Path, condition: str) -> set[int]:
    """The rows that are found by DuckDB and by Spark, which skip what statistics and filters rule out."""
    ((by_duckdb,),) = duckdb.sql(f"SELECT count(*) FROM read_parquet('{file}') WHERE {condition}").fetchall()
    return {by_duckdb, spark.session().read.parquet(str(file)).where(condition).count()}
