"""A deployed rekey job, as the tests use it: land, wait for the ledger, read."""

import io
import json
import urllib.parse
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from flights.table import table_input
from localcloud.clients import client
from localcloud.ledger import Commit, Ledger, files, listing, split

COMMIT_SECONDS = 120
Table = dict[str, Any]


class Job:
    """One `[[rekey]]` entry of tests/python/lakewright.toml."""

    def __init__(self, name: str, outputs: dict[str, str], target: str | None = None) -> None:
        prefix = f"Rekey{name}"
        self.queue = outputs[f"{prefix}QueueUrl"]
        self.dead_letters = outputs[f"{prefix}DeadLetterQueueUrl"]
        self.function = outputs["RekeyFunctionName"]
        self.sweep = outputs[f"{prefix}SweepStateMachineArn"]
        self.source = f"s3://{outputs[f'{prefix}SourceBucket']}/{name}/"
        self.target = target or f"s3://{outputs[f'{prefix}TargetBucket']}/{name}/"
        self.ledger = Ledger(self.target)

    def create_table(self, database: str, table: str, columns: dict[str, str], partition_keys: list[str]) -> None:
        """Registers the job's table."""
        glue = client("glue")
        glue.create_database(DatabaseInput={"Name": database})
        glue.create_table(
            DatabaseName=database, TableInput=table_input(table, self.target, columns, partition_keys)
        )

    def land(self, key: str, body: bytes) -> str:
        """Puts an object; answers with its location, which names it in the ledger."""
        bucket, prefix = split(self.source)
        client("s3").put_object(Bucket=bucket, Key=prefix + key, Body=body)
        return f"{self.source}{key}"

    def committed(self, sources: Iterable[str]) -> list[Commit]:
        """Waits for the commits of these objects."""
        wanted = list(sources)
        commits = self.ledger.wait_for(set(wanted), COMMIT_SECONDS)
        return [commits[source] for source in wanted]

    def objects(self) -> dict[str, tuple[str, str]]:
        """Everything below the target, ledger included: ETag and time of each key."""
        return {item["Key"]: (item["ETag"], str(item["LastModified"])) for item in listing(*split(self.target))}

    def get(self, key: str) -> bytes:
        """An object of the target bucket."""
        return client("s3").get_object(Bucket=split(self.target)[0], Key=key)["Body"].read()

    def outputs(self, commits: Iterable[Commit]) -> dict[str, bytes]:
        """The contents of what the commits name, by key."""
        keys = list(files(commits))
        with ThreadPoolExecutor(16) as pool:
            return dict(zip(keys, pool.map(self.get, keys), strict=True))

    def rows(self, commits: Iterable[Commit]) -> list[dict[str, Any]]:
        """The rows of what the commits name, read by pyarrow."""
        tables = [read_parquet(body) for body in self.outputs(commits).values()]
        return [row for table in tables for row in table.to_pylist()]

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """The function's answer to a payload."""
        answer = client("lambda").invoke(FunctionName=self.function, Payload=json.dumps(event).encode())
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload


def read_parquet(body: bytes) -> arrow.Table:
    """A file as pyarrow reads it, without the types that a path would suggest."""
    return parquet.ParquetFile(io.BytesIO(body)).read()


def notification(location: str) -> dict[str, Any]:
    """S3's notification of an object: its key is form-urlencoded."""
    bucket, key = split(location)
    head = client("s3").head_object(Bucket=bucket, Key=key)
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": bucket},
            "object": {
                "key": urllib.parse.quote_plus(key, safe="/"),
                "size": head["ContentLength"],
                "eTag": head["ETag"].strip('"'),
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }
    return {"Records": [record]}


def from_queue(bodies: dict[str, str]) -> dict[str, Any]:
    """The payload with which Lambda hands over messages, by their ids."""
    return {
        "Records": [
            {"messageId": message_id, "body": body, "eventSource": "aws:sqs"} for message_id, body in bodies.items()
        ]
    }
