"""The ledger of a rekey job: what it says is committed, is committed."""

import json
from collections.abc import Callable, Iterable, Iterator
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


def files(commits: Iterable[Commit]) -> dict[str, int]:
    """The files with rows of these objects, each once, and their sizes: a file may have rows of several."""
    return {output["key"]: output["bytes"] for commit in commits for output in commit["outputs"]}


def example(record: dict[str, Any], width: int) -> dict[str, Any]:
    """A record of a quarantine, cut to be shown."""
    return {
        "reason": record["reason"],
        "detail": record["detail"][:width],
        "source": record["source"],
        "offset": record["offset"],
        "record": str(record.get("record", record.get("record_base64", "")))[:width],
    }


class Ledger:
    """The commits below a job's target, read as they come."""

    def __init__(self, target: str) -> None:
        self._bucket, prefix = split(target)
        self._prefix = f"{prefix}_lakewright/"
        self._read: dict[str, dict[str, Commit]] = {}

    def refresh(self) -> dict[str, Commit]:
        """What is committed, by source: its report, and the files with its rows."""
        fresh = [key for key in keys(self._bucket, f"{self._prefix}commit/") if key not in self._read]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for key, commits in zip(fresh, pool.map(self._commits, fresh), strict=True):
                self._read[key] = commits
        return {source: commit for commits in self._read.values() for source, commit in commits.items()}

    def _commits(self, key: str) -> dict[str, Commit]:
        bid = key.rpartition("/")[2]
        commit = self._get(key)
        plan, batch = (self._get(f"{self._prefix}{kind}/{bid}") for kind in ("plan", "batch"))
        commits = {report["source"]: {**report, "outputs": []} for report in commit["objects"].values()}
        sizes = files([commit])
        for output in plan["outputs"]:
            for candidate, rows in output["rows"]:
                source = batch["candidates"][candidate]["source"]
                if source in commits and output["key"] in sizes:
                    of_source = {"key": output["key"], "rows": rows, "bytes": sizes[output["key"]]}
                    commits[source]["outputs"].append(of_source)
        return commits

    def _get(self, key: str) -> dict[str, Any]:
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
