"""A function that does rekey's work by the shortest way, and can be told to do it wrong: `stub.py [FAULT]`."""

import gzip
import json
import os
import sys
import tomllib
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from anpr.arrow import ARROW
from anpr.checksum import UNDATED, partition_of
from anpr.schema import PARTITION_KEYS, TIMESTAMP

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"


def routed(records: list[dict[str, Any]], fault: str) -> dict[str, list[dict[str, Any]]]:
    """Records by partition, with the fault in them."""
    partitions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        partitions[partition_of(record[TIMESTAMP])].append(record)
    first, second = [name for name in sorted(partitions) if name != UNDATED][:2]
    match fault:
        case "lost":
            partitions[first].pop()
        case "doubled":
            partitions[first].append(partitions[first][0])
        case "moved":
            partitions[second].append(partitions[first].pop())
        case "changed":
            partitions[first][0]["speed"] += 0.1
        case "swapped":
            own, other = partitions[first][0], partitions[second][0]
            own["plate"], other["plate"] = other["plate"], own["plate"]
    return partitions


def rekey(stored: dict[str, Any], fault: str) -> None:
    """Rewrites one object and logs it."""
    s3, glue = boto3.client("s3"), boto3.client("glue")
    job = tomllib.loads(Path(os.environ["LAKEWRIGHT_CONFIG"]).read_text())["rekey"][0]
    bucket, prefix = job["target"].removeprefix("s3://").split("/", 1)
    database, table = job["table"].split(".")
    key = unquote_plus(stored["object"]["key"])
    body = s3.get_object(Bucket=stored["bucket"]["name"], Key=key)["Body"].read()
    records = [json.loads(line) for line in gzip.decompress(body).splitlines()]
    partitions = routed(records, fault)
    undated = len(partitions.pop(UNDATED, []))
    for partition, rows in partitions.items():
        values = partition.split("/")
        path = "/".join(f"{name}={value}" for name, value in zip(PARTITION_KEYS, values, strict=True))
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=ARROW), sink, compression="snappy")
        name = key.rsplit("/", 1)[1]
        s3.put_object(Bucket=bucket, Key=f"{prefix}{path}/{name}.parquet", Body=sink.getvalue().to_pybytes())
        glue.batch_create_partition(
            DatabaseName=database, TableName=table, PartitionInputList=[{"Values": values, "StorageDescriptor": {}}]
        )
    s3.put_object(Bucket=bucket, Key=f"{prefix}_lakewright/commit/{len(body)}", Body=b"{}")
    done = {"rows_out": len(records) - undated, "rows_quarantined": undated}
    print(json.dumps({"message": "object done", "status": "committed", **done}), flush=True)


def main() -> None:
    """Answers invocations until it is ended."""
    fault = sys.argv[1] if len(sys.argv) > 1 else ""
    while True:
        with urllib.request.urlopen(f"{API}/invocation/next") as answer:
            request_id, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
        failures = []
        for message in event["Records"]:
            if fault == "refused":
                failures.append({"itemIdentifier": message["messageId"]})
                continue
            if fault == "crash":
                sys.exit("as told")
            rekey(json.loads(message["body"])["Records"][0]["s3"], fault)
        report = json.dumps({"batchItemFailures": failures}).encode()
        urllib.request.urlopen(f"{API}/invocation/{request_id}/response", report).close()


if __name__ == "__main__":
    main()
