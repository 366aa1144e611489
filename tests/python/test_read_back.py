"""A month of the demo's flights, read back by others and compared with the input row for row."""

import json
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest

from flights import dataset, firehose
from flights.table import COLUMNS
from jobs import Job, read_parquet
from readers import READERS

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


@pytest.mark.parametrize("reader", READERS)
def test_every_row_is_written_exactly_once(reader: str, files: Path, month: list[dataset.Record]) -> None:
    expected: Rows = Counter(
        tuple(record.event if name == "time_hour" else value for name, value in json.loads(record.body).items())
        for record in month
    )
    assert expected.total() == 27_004
    found: Rows = Counter(
        tuple(seconds(row[name]) if name == "time_hour" else row[name] for name in COLUMNS)
        for rows in READERS[reader](sorted(files.rglob("*.parquet")), list(COLUMNS))
        for row in rows
    )
    assert found.total() == expected.total()
    assert found == expected


def seconds(time: datetime) -> int:
    """A time in UTC as seconds since 1970."""
    return int(time.replace(tzinfo=timezone.utc).timestamp())


def test_every_row_is_in_its_own_partition(files: Path) -> None:
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
