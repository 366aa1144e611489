"""A month of the demo's flights, read back by DuckDB and pyarrow and compared with the input row for row."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as arrow
import pytest

from flights import dataset, firehose
from flights.table import COLUMNS
from jobs import Job, read_parquet

Rows = Counter[tuple[Any, ...]]
MONTH = 1
LONGEST_SECONDS = 300


@pytest.fixture(scope="module")
def month() -> list[dataset.Record]:
    """The records that the month's flights made."""
    local_month = f'"local_month":{MONTH},'.encode()
    return [record for record in dataset.flights() if local_month in record.body]


@pytest.fixture(scope="module")
def files(flights: Job, month: list[dataset.Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the job wrote, on disk."""
    sources = [flights.land(item.key, item.body) for item in firehose.objects(month)]
    commits = flights.ledger.wait_for(set(sources), LONGEST_SECONDS)
    root = tmp_path_factory.mktemp("lake")
    for key, body in flights.outputs(commits[source] for source in sources).items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return root


def by_duckdb(files: Path) -> Rows:
    """The rows as DuckDB reads them; times as seconds since 1970."""
    columns = ", ".join("CAST(epoch(time_hour) AS BIGINT)" if c == "time_hour" else c for c in COLUMNS)
    pattern = str(files / "**/*.parquet")
    return Counter(duckdb.sql(f"SELECT {columns} FROM read_parquet('{pattern}', hive_partitioning = false)").fetchall())


def by_pyarrow(files: Path) -> Rows:
    """The rows as pyarrow reads them; times as seconds since 1970."""
    rows: Rows = Counter()
    for path in files.rglob("*.parquet"):
        table = read_parquet(path.read_bytes()).select(list(COLUMNS))
        index = table.schema.get_field_index("time_hour")
        seconds = table.column(index).cast(arrow.timestamp("s", tz=table.schema.field(index).type.tz)).cast(arrow.int64())
        rows.update(zip(*table.set_column(index, "time_hour", seconds).to_pydict().values(), strict=True))
    return rows


@pytest.mark.parametrize("read", [by_duckdb, by_pyarrow])
def test_every_row_stands_exactly_once(read: Callable[[Path], Rows], files: Path, month: list[dataset.Record]) -> None:
    expected: Rows = Counter(
        tuple(record.event if name == "time_hour" else value for name, value in json.loads(record.body).items())
        for record in month
    )
    assert expected.total() == 27_004
    found = read(files)
    assert found.total() == expected.total()
    assert found == expected


def test_every_row_stands_in_its_own_partition(files: Path) -> None:
    for path in files.rglob("*.parquet"):
        year, month, day, hour = (int(part.partition("=")[2]) for part in path.parent.parts[-4:])
        (times,) = {tuple(set(read_parquet(path.read_bytes()).column("time_hour").to_pylist()))}
        assert [time.replace(tzinfo=timezone.utc) for time in times] == [
            datetime(year, month, day, hour, tzinfo=timezone.utc)
        ]


def test_the_types_are_the_table_s(files: Path) -> None:
    kinds = {"int": arrow.int32(), "string": arrow.string()}
    schema = read_parquet(next(files.rglob("*.parquet")).read_bytes()).schema
    assert schema.names == list(COLUMNS)
    for name, kind in COLUMNS.items():
        if kind in kinds:
            assert schema.field(name).type == kinds[kind], name
    assert arrow.types.is_timestamp(schema.field("time_hour").type)
