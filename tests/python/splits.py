"""A deployed split job, as the tests use it: put a result, run the state machine, read the objects."""

import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from account.names import configuration
from localcloud.clients import client
from localcloud.ledger import listing, split
from machine import FunctionFailed, Machine, invoke

CONFIG = Path(__file__).with_name("lakewright.toml")
STATUS_SECONDS = 120

Values = dict[str, str | None]


def athena_csv(rows: list[Values]) -> bytes:
    """A result as Athena writes it: every value in quotes, a null as nothing."""

    def line(values: Iterable[str | None]) -> str:
        fields = ("" if value is None else '"' + value.replace('"', '""') + '"' for value in values)
        return ",".join(fields) + "\n"

    return (line(rows[0]) + "".join(line(row.values()) for row in rows)).encode()


class SplitJob(Machine):
    """One `[[split]]` entry of tests/python/lakewright.toml."""

    def __init__(self, name: str, outputs: dict[str, str]) -> None:
        prefix = f"Split{name}"
        self.name = name
        self.queue = outputs[f"{prefix}QueueUrl"]
        self.dead_letters = outputs[f"{prefix}DeadLetterQueueUrl"]
        super().__init__(outputs[f"{prefix}StateMachineArn"])
        self.function = outputs["SplitPlanFunctionName"]
        self.rows = outputs["SplitRowsFunctionName"]
        (settings,) = (entry for entry in tomllib.loads(configuration(CONFIG.read_text()))["split"] if entry["name"] == name)
        self.target: str = settings["target"]
        self.results: str = settings["sources"][0]
        assert split(self.target)[0] == outputs[f"{prefix}TargetBucket"]

    def put_result(self, name: str, rows: list[Values]) -> str:
        """A finished query's result; answers with its location."""
        return self.put(f"{self.results}{name}.csv", athena_csv(rows), "application/octet-stream")

    def put(self, location: str, body: bytes, content_type: str) -> str:
        """Puts an object; answers with its location."""
        bucket, key = split(location)
        client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        return location

    def invoke(self, **request: Any) -> dict[str, Any]:
        """The answer of `split-plan`."""
        return invoke(self.function, {"name": self.name, **request})

    def status(self, job: str) -> dict[str, Any] | None:
        """How far a job is; nothing before it is planned."""
        try:
            return self.invoke(status=job)
        except FunctionFailed as error:
            assert error.name == "Lakewright.PlanMissing"
            return None

    def keys(self) -> list[str]:
        """The objects below the target, by key, the ledger left out."""
        return [key for key in self._all() if not key.startswith("_lakewright/")]

    def ledger(self) -> list[str]:
        """The entries of all jobs' ledgers, by key."""
        prefix = "_lakewright/split/"
        return [key.removeprefix(prefix) for key in self._all() if key.startswith(prefix)]

    def _all(self) -> list[str]:
        bucket, prefix = split(self.target)
        return [item["Key"].removeprefix(prefix) for item in listing(bucket, prefix)]

    def versions(self) -> dict[str, list[str]]:
        """Every version below the target, by key: what was written, and how often."""
        bucket, prefix = split(self.target)
        found: dict[str, list[str]] = {}
        for page in client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Versions", []):
                found.setdefault(item["Key"].removeprefix(prefix), []).append(item["VersionId"])
        return found

    def get(self, key: str) -> dict[str, Any]:
        """An object below the target, as S3 answers with it, with its bytes as `Bytes`."""
        bucket, prefix = split(self.target)
        answer = client("s3").get_object(Bucket=bucket, Key=prefix + key)
        return answer | {"Bytes": answer["Body"].read()}

    def objects(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """These objects, by key."""
        keys = list(keys)
        with ThreadPoolExecutor(16) as pool:
            return dict(zip(keys, pool.map(self.get, keys), strict=True))
