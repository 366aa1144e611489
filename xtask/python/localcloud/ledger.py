"""The ledger of a rekey job: what it says is committed, is committed."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localcloud.clients import CONNECTIONS, client
from localcloud.polling import poll

Commit = dict[str, Any]


def keys(bucket: str, prefix: str) -> Iterator[str]:
    """Every key below a prefix."""
    for listed in listing(bucket, prefix):
        yield listed["Key"]


def listing(bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Every object below a prefix, with size."""
    for page in client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def split(location: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key


class Ledger:
    """The commits below a job's target, read as they come."""

    def __init__(self, target: str) -> None:
        self._bucket, prefix = split(target)
        self._prefix = f"{prefix}_lakewright/commit/"
        self._read: dict[str, Commit] = {}

    def refresh(self) -> dict[str, Commit]:
        """The commits that stand, by their source."""
        fresh = [key for key in keys(self._bucket, self._prefix) if key not in self._read]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for key, commit in zip(fresh, pool.map(self._get, fresh), strict=True):
                self._read[key] = commit
        return {commit["source"]: commit for commit in self._read.values()}

    def _get(self, key: str) -> Commit:
        return json.loads(client("s3").get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def wait_for(
        self,
        sources: set[str],
        deadline: float,
        watch: Callable[[dict[str, Commit]], None] = lambda _: None,
        interval: float = 0.2,
    ) -> dict[str, Commit]:
        """Waits until every source is committed; `watch` sees each look at the ledger, and may raise."""

        def all_of_them() -> dict[str, Commit] | None:
            commits = self.refresh()
            watch(commits)
            return commits if sources <= commits.keys() else None

        return poll(all_of_them, f"commit of all {len(sources)} objects", deadline, interval)
