"""Makes on the local cloud what a plan of the survey says: buckets, databases and tables; then the files land."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from landing import tables
from localcloud.clients import CONNECTIONS, client
from localcloud.ledger import split
from localcloud.progress import progress, run


def ensure_bucket(name: str) -> None:
    """Makes a bucket, unless the stack did."""
    s3 = client("s3")
    if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name)


def land(source: str, files: list[dict[str, str]]) -> None:
    """Puts the files under a prefix, many at a time."""
    bucket, prefix = split(source)
    ensure_bucket(bucket)

    def put(file: dict[str, str]) -> None:
        with Path(file["path"]).open("rb") as body:
            client("s3").put_object(Bucket=bucket, Key=prefix + file["key"], Body=body)

    client("s3")
    with ThreadPoolExecutor(CONNECTIONS // 2) as pool:
        for number, _ in enumerate(pool.map(put, files), start=1):
            progress(number, len(files), f"files landed under {source}")


def main() -> dict[str, Any]:
    """Makes it, and answers with how much that was."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--plan", type=Path, required=True)
    plan = json.loads(arguments.parse_args().plan.read_text())
    for bucket in plan["buckets"]:
        ensure_bucket(bucket)
    for database in plan["databases"]:
        tables.create_database(database)
    for table in plan["tables"]:
        tables.create(table["database"], table["input"])
    for landing in plan["landings"]:
        land(landing["source"], landing["files"])
    return {
        "tables": [f"{table['database']}.{table['input']['Name']}" for table in plan["tables"]],
        "files": sum(len(landing["files"]) for landing in plan["landings"]),
    }


if __name__ == "__main__":
    run(main)
