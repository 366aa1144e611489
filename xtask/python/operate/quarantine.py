"""The quarantine of a rekey job: what is in it by reason, its records, and their replay.

A replay writes the records of one file of the quarantine, mended or as they are, as one object below the job's source. Its key follows
from the file's, and it is created only once: however often a file is replayed, its records land once, and rekey writes each object once."""

import argparse
import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from landing.jobs import load
from localcloud.clients import client
from localcloud.ledger import keys, split
from localcloud.progress import Failure, run

# Below the source.
REPLAYED = "lakewright-replayed/"


def files(target: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The files of the quarantine, each with its records."""
    bucket, prefix = split(target)
    for key in keys(bucket, f"{prefix}_lakewright/quarantine/"):
        text = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        yield key, [json.loads(line) for line in text.splitlines()]


def listed(target: str) -> dict[str, Any]:
    """How many records there are, by reason and by file."""
    reasons: Counter[str] = Counter()
    by_file = {}
    for key, records in files(target):
        found = Counter(record["reason"] for record in records)
        reasons += found
        by_file[key] = dict(found)
    return {"reasons": dict(reasons), "files": by_file}


def read(target: str, reason: str | None) -> list[dict[str, Any]]:
    """The records, each with its file."""
    found = [{"file": key, **record} for key, records in files(target) for record in records]
    return [record for record in found if reason in (None, record["reason"])]


def as_landed(records: list[dict[str, Any]]) -> bytes:
    """The bytes of the records as they were, one a line."""
    found = [record["record"].encode() if "record" in record else b64decode(record["record_base64"]) for record in records]
    return b"".join(record.rstrip(b"\n") + b"\n" for record in found)


def replay(source: str, target: str, file: str, mended: str | None) -> dict[str, Any]:
    """Lands the records of a file once: those of `mended`, a JSON record a line, or as they are."""
    bucket, _ = split(target)
    if mended is None:
        text = client("s3").get_object(Bucket=bucket, Key=file)["Body"].read().decode()
        body = as_landed([json.loads(line) for line in text.splitlines()])
    else:
        body = mended.encode()
    landing, prefix = split(source)
    key = f"{prefix}{REPLAYED}{Path(file).name.removesuffix('.jsonl')}.json"
    try:
        client("s3").put_object(Bucket=landing, Key=key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        return {"object": f"s3://{landing}/{key}", "replayed": False}
    return {"object": f"s3://{landing}/{key}", "replayed": True}


def main() -> dict[str, Any]:
    """Answers one question, or replays one file."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--job", required=True)
    arguments.add_argument("--reason")
    arguments.add_argument("--read", choices=["true"])
    arguments.add_argument("--replay", help="a file of the quarantine, by its key")
    arguments.add_argument("--mended", type=Path)
    given = arguments.parse_args()
    jobs = [job for job in load(given.config).jobs if (job.kind, job.name) == ("rekey", given.job)]
    if not jobs:
        raise Failure(f"{given.config} has no rekey job `{given.job}`")
    source, target = jobs[0].settings["source"], jobs[0].settings["target"]
    try:
        if given.replay:
            if jobs[0].format != "json":
                # A line of CSV lacks its header, and a row of Parquet is here as JSON.
                raise Failure(f"rekey job `{given.job}` reads {jobs[0].format}, and only JSON is replayed: land a mended file of it by hand")
            return replay(source, target, given.replay, given.mended.read_text() if given.mended else None)
        return {"records": read(target, given.reason)} if given.read else listed(target)
    except (BotoCoreError, ClientError, OSError) as error:
        raise Failure(str(error)) from error


if __name__ == "__main__":
    run(main)
