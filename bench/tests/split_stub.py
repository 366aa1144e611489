"""Functions that do split's work by the shortest way, and can be told to do it wrong: `split_stub.py [FAULT]`."""

import csv
import io
import json
import os
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import boto3

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"
FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
CHUNK = 100


def plan(event: dict[str, Any]) -> dict[str, Any]:
    """Enqueues the rows of a result, a hundred in each message."""
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    bucket, key = event["result"].removeprefix("s3://").split("/", 1)
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    names, *rows = csv.reader(io.StringIO(text, newline=""))
    # The csv module does not tell a null from an empty text; the numbers below do, as all else is quoted.
    nulls = [[cell == "" for cell in line.split(",")] for line in _lines(text)][1:]
    objects = [
        {name: None if null else value for name, value, null in zip(names, row, missing, strict=True)}
        for row, missing in zip(rows, nulls, strict=True)
    ]
    queue = json.loads(os.environ["LAKEWRIGHT_QUEUES"])["users"]
    chunks = [objects[start : start + CHUNK] for start in range(0, len(objects), CHUNK)]
    for chunk in chunks:
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(chunk))
    return {"rows": len(rows) - (FAULT == "planned short"), "chunks": len(chunks)}


def _lines(text: str) -> list[str]:
    """The lines of a CSV, with what is in quotes replaced by one letter."""
    outside = "".join(part if number % 2 == 0 else "x" for number, part in enumerate(text.split('"')))
    return outside.rstrip("\n").split("\n")


def write(event: dict[str, Any]) -> dict[str, Any]:
    """Writes the rows of messages, with the fault in them."""
    s3 = boto3.client("s3")
    job = tomllib.loads(Path(os.environ["LAKEWRIGHT_CONFIG"]).read_text())["split"][0]
    bucket, prefix = job["target"].removeprefix("s3://").split("/", 1)
    failures = []
    for message in event["Records"]:
        if FAULT == "refused":
            failures.append({"itemIdentifier": message["messageId"]})
            continue
        rows = json.loads(message["body"])
        match FAULT:
            case "lost":
                rows.pop()
            case "changed":
                rows[0]["col_01"] = "changed"
            case "extra":
                rows.append(rows[0] | {"user_id": "nobody"})
        for row in rows:
            body = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
            s3.put_object(Bucket=bucket, Key=f"{prefix}{row['user_id']}.json", Body=body)
    return {"batchItemFailures": failures}


def main() -> None:
    """Answers invocations until it is ended."""
    work = plan if os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "split-plan" else write
    while True:
        with urllib.request.urlopen(f"{API}/invocation/next") as answer:
            request_id, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
        if FAULT == "crash":
            sys.exit("as told")
        report = json.dumps(work(event)).encode()
        urllib.request.urlopen(f"{API}/invocation/{request_id}/response", report).close()


if __name__ == "__main__":
    main()
