"""Registers the demo's table and lands the object that an S3 event names, so that a function can be invoked with the
event by hand."""

import argparse
import gzip
import json
import urllib.parse
from pathlib import Path

from flights import table
from localcloud.clients import client
from localcloud.progress import run

RECORDS = [
    {"carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH", "time_hour": "2026-05-01T10:00:00Z"},
    {"carrier": "AA", "flight": 1141, "origin": "JFK", "dest": "MIA", "time_hour": "2026-05-01T12:00:00Z"},
    {"carrier": "B6", "flight": 725, "origin": "JFK", "dest": "BQN", "time_hour": "2026-04-29T23:00:00Z"},
    {"carrier": "DL", "flight": 461, "origin": "LGA", "dest": "ATL", "time_hour": None},
]


def main() -> dict[str, str]:
    """Makes the table, puts the object, and answers where."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--event", type=Path, required=True)
    arguments.add_argument("--target", required=True)
    given = arguments.parse_args()
    table.create(given.target)
    event = json.loads(given.event.read_text())
    named = event["Records"][0]["s3"]
    bucket = named["bucket"]["name"]
    # Keys in S3's notifications are form-urlencoded.
    key = urllib.parse.unquote_plus(named["object"]["key"])
    body = gzip.compress("".join(json.dumps(record) for record in RECORDS).encode(), mtime=0)
    client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return {"source": f"s3://{bucket}/{key}"}


if __name__ == "__main__":
    run(main)
