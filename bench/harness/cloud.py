"""A local S3 and Glue for the function: MiniStack on a loopback port, in memory."""

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from harness.machine import process_seconds
from harness.program import Program, ProgramFailed

REGION = "us-east-1"
START_SECONDS = 60


@dataclass(frozen=True)
class StoredObject:
    """An object, as a notification names it."""

    bucket: str
    key: str
    size: int
    etag: str


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class LocalCloud:
    """The running services. Leaving the context ends them."""

    def __init__(self, work: Path) -> None:
        port = _free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._program = Program(
            [str(Path(sys.executable).with_name("ministack"))],
            os.environ
            | {
                "BIND_HOST": "127.0.0.1",
                "MINISTACK_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "AWS_ENDPOINT_URL": self.endpoint,
                # Both would open ports of their own.
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "S3_DATA_DIR": str(work / "cloud"),
            },
            work / "logs" / "ministack.log",
            timeout_seconds=0,
        )
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=300)
        self._s3 = session.client("s3", endpoint_url=self.endpoint, config=config)
        self._glue = session.client("glue", endpoint_url=self.endpoint, config=config)

    def __enter__(self) -> "LocalCloud":
        try:
            self._wait_until_ready()
        except BaseException:
            self._program.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._program.__exit__()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._program.running():
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_ministack/ready", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise ProgramFailed(f"MiniStack does not answer:\n{self._program.log_tail()}")

    def environment(self) -> dict[str, str]:
        """What a client needs to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def cpu_seconds(self) -> float:
        """What it has used so far."""
        return process_seconds(self._program.pid)

    def make_bucket(self, bucket: str) -> None:
        """Makes an empty bucket."""
        self._s3.create_bucket(Bucket=bucket)

    def upload(self, folder: Path, bucket: str, prefix: str) -> list[StoredObject]:
        """Puts a folder's files under a prefix, in the order of their names."""
        stored = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = prefix + path.relative_to(folder).as_posix()
            body = path.read_bytes()
            etag = self._s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')
            stored.append(StoredObject(bucket, key, len(body), etag))
        return stored

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """The keys under a prefix."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield item["Key"]

    def download(self, bucket: str, prefix: str, folder: Path) -> None:
        """Gets what is under a prefix into a folder."""
        for key in self.keys(bucket, prefix):
            path = folder / key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def remove(self, bucket: str, prefix: str) -> None:
        """Deletes what is under a prefix."""
        keys = list(self.keys(bucket, prefix))
        for start in range(0, len(keys), 1000):
            objects = [{"Key": key} for key in keys[start : start + 1000]]
            self._s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})

    def make_database(self, name: str) -> None:
        """Makes a database in Glue."""
        self._glue.create_database(DatabaseInput={"Name": name})

    def make_table(
        self, database: str, name: str, location: str, columns: dict[str, str], partition_keys: list[str]
    ) -> None:
        """Registers a Parquet table as Glue's crawlers describe it; columns by their Hive types."""
        hive = "org.apache.hadoop.hive.ql.io.parquet"
        self._glue.create_table(
            DatabaseName=database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {"classification": "parquet", "typeOfData": "file", "EXTERNAL": "TRUE"},
                "PartitionKeys": [{"Name": key, "Type": "int"} for key in partition_keys],
                "StorageDescriptor": {
                    "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
                    "Location": location,
                    "InputFormat": f"{hive}.MapredParquetInputFormat",
                    "OutputFormat": f"{hive}.MapredParquetOutputFormat",
                    "SerdeInfo": {
                        "SerializationLibrary": f"{hive}.serde.ParquetHiveSerDe",
                        "Parameters": {"serialization.format": "1"},
                    },
                },
            },
        )

    def partitions(self, database: str, table: str) -> int:
        """How many partitions are registered."""
        pages = self._glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
        return sum(len(page["Partitions"]) for page in pages)
