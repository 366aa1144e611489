"""A server on a loopback port that speaks S3."""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from harness.machine import process_seconds
from harness.program import Program, ProgramFailed

REGION = "us-east-1"
START_SECONDS = 60
KEY = SECRET = "test"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A running server. Leaving the context ends it."""

    # Its name in reports.
    NAME: str

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], port: int, log: Path) -> None:
        self._port = port
        self.endpoint = f"http://127.0.0.1:{port}"
        self._program = Program(command, os.environ | dict(environment), log, timeout_seconds=0)
        self._s3 = self.client("s3")

    def __enter__(self) -> Any:
        try:
            self._wait_until_ready()
        except BaseException:
            self._program.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._program.__exit__()

    def _answers(self) -> bool:
        """Whether it is ready to serve."""
        try:
            socket.create_connection(("127.0.0.1", self._port), 1).close()
        except OSError:
            return False
        return True

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._program.running():
            if self._answers():
                return
            time.sleep(0.05)
        raise ProgramFailed(f"{self.NAME} does not answer:\n{self._program.log_tail()}")

    def client(self, service: str) -> Any:
        """A client of one of its services."""
        config = Config(
            retries={"max_attempts": 1},
            s3={"addressing_style": "path"},
            read_timeout=300,
            request_checksum_calculation="when_required",
        )
        session = boto3.Session(aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint, config=config)

    def environment(self) -> dict[str, str]:
        """What a client needs to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
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

    def put(self, bucket: str, key: str, body: bytes) -> str:
        """Puts an object; answers with its `ETag`, without its quotes."""
        return self._s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')

    def listing(self, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
        """The keys under a prefix, and the objects' ETags without their quotes."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield item["Key"], item["ETag"].strip('"')

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """The keys under a prefix."""
        return (key for key, _ in self.listing(bucket, prefix))
