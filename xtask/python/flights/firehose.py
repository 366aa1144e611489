"""Objects as Amazon Data Firehose writes them: https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html."""

import gzip
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from flights.dataset import HOUR, Record

STREAM = "flights"
# Firehose closes a buffer after 15 minutes at most. A year of such buffers is 30,000 objects, many minutes of
# MiniStack's time; with buffers of some hours the demo keeps its shape and ends within two minutes.
BUFFER_HOURS = 6
# From here on the stream appends a newline to each record (its version goes up with its configuration). Before, records
# follow each other without any delimiter, which is Firehose's default.
DELIMITER_SINCE = int(datetime(2013, 7, 1, tzinfo=UTC).timestamp())


class Landed(NamedTuple):
    """One object."""

    key: str
    """Below the stream's prefix."""
    body: bytes
    records: list[Record]


def objects(records: Iterable[Record]) -> Iterator[Landed]:
    """Buffers the records by the time they were sent, and closes each buffer as an object."""
    ordered = sorted(records, key=lambda record: record.sent)
    for _, buffered in groupby(ordered, key=lambda record: record.sent // (BUFFER_HOURS * HOUR)):
        held = list(buffered)
        oldest = held[0].sent
        delimited = oldest >= DELIMITER_SINCE
        text = b"".join(record.body + b"\n" if delimited else record.body for record in held)
        yield Landed(key(oldest, 2 if delimited else 1), gzip.compress(text, compresslevel=6, mtime=0), held)


def key(oldest: int, version: int) -> str:
    """The name of an object whose oldest record was sent at `oldest`; the same at each run."""
    moment = datetime.fromtimestamp(oldest, tz=UTC)
    name = f"{STREAM}-{version}-{moment:%Y-%m-%d-%H-%M-%S}"
    return f"{moment:%Y/%m/%d/%H}/{name}-{uuid.uuid5(uuid.NAMESPACE_URL, name)}.json.gz"
